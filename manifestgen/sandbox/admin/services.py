"""Builds, tokens, registries, images and key vaults, for the admin API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox import accounts, entra, faults, key_vault
from manifestgen.sandbox.acr_tasks import settings
from manifestgen.sandbox.admin.values import body_of, typed
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import World

_LARGEST_LAYER: Final = 64 << 20


def routes(world: World) -> list[web.RouteDef]:
    """Builds, tokens, registries, images and key vaults."""

    async def fail_builds(request: web.Request) -> web.Response:
        body = await body_of(request)
        log = body.get("log", ["Step 3/9 : RUN conda env create -f myenv.yml", "ResolvePackageNotFound"])
        if not isinstance(log, list) or not all(isinstance(line, str) for line in log):
            raise ValueError(f"log must be a list of lines, not {log!r}")
        faults.fail_builds(
            world,
            log=log,
            message=typed(body, "message", str, "Image build failed. See the image build log for details."),
            times=typed(body, "times", int, 1),
        )
        return web.json_response({})

    async def expire(_: web.Request) -> web.Response:
        entra.expire_tokens(world)
        return web.json_response({})

    async def lifetime(request: web.Request) -> web.Response:
        entra.set_token_lifetime(world, typed(await body_of(request), "seconds", int))
        return web.json_response({})

    return [
        web.post("/builds/fail", fail_builds),
        web.post("/tokens/expire", expire),
        web.put("/tokens/lifetime", lifetime),
        *_registries(world),
        *_vaults(world),
    ]


def _registries(world: World) -> list[web.RouteDef]:
    async def registry(request: web.Request) -> web.Response:
        body, name = await body_of(request), request.match_info["name"]
        known = accounts.registry(world, name) or {"group": "", "login_server": "", "admin_enabled": True}
        accounts.add_registry(
            world,
            name,
            group=typed(body, "group", str, known["group"]),
            login_server=typed(body, "login_server", str, known["login_server"]),
            admin=typed(body, "admin_enabled", bool, known["admin_enabled"]),
        )
        return web.json_response(accounts.registry(world, name))

    async def tasks(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if accounts.registry(world, name) is None:
            raise ValueError(f"there is no registry {name!r}; create it with PUT /registries/NAME")
        changes = await body_of(request) if request.method == "PUT" else {}
        return web.json_response(settings.put(world, name, changes))

    async def image(request: web.Request) -> web.Response:
        host, name = request.match_info["host"], request.match_info["image"]
        repository, colon, tag = name.rpartition(":")
        if not colon:
            raise ValueError(f"an image must be REPOSITORY:TAG, not {name!r}")
        kind = _image_kind(await body_of(request))
        return web.json_response({"digest": images.make_image(world, host.lower(), repository, tag, kind)})

    async def expire_password(request: web.Request) -> web.Response:
        name, token, password = (request.match_info[key] for key in ("name", "token", "password"))
        expiry = typed(await body_of(request), "expiry", str)
        return web.json_response({"expiry": accounts.set_password_expiry(world, name, token, password, expiry)})

    return [
        web.put("/registries/{name}", registry),
        web.get("/registries/{name}/tasks", tasks),
        web.put("/registries/{name}/tasks", tasks),
        web.put("/registries/{name}/tokens/{token}/{password}", expire_password),
        web.put("/images/{host}/{image:.+}", image),
    ]


def _image_kind(body: Mapping[str, Any]) -> images.ImageKind:
    platforms = typed(body, "platforms", list, [f"linux/{typed(body, 'architecture', str, 'amd64')}"])
    if not platforms or not all(isinstance(platform, str) and 1 <= platform.count("/") <= 2 for platform in platforms):
        raise ValueError(f"platforms must be a list such as ['linux/amd64', 'linux/arm/v7'], not {platforms!r}")
    labels = typed(body, "labels", dict, {})
    layer_bytes = typed(body, "layer_bytes", int, 0)
    if layer_bytes and not 1024 <= layer_bytes <= _LARGEST_LAYER:
        raise ValueError(f"layer_bytes must be from 1024 to {_LARGEST_LAYER}, not {layer_bytes}")
    return images.ImageKind(tuple(platforms), labels, typed(body, "docker", bool, False), layer_bytes)


def _vaults(world: World) -> list[web.RouteDef]:
    def host_of(name: str) -> str:
        masks = (mask.removeprefix("*") for mask in key_vault.HOSTS)
        return next((f"{name}{mask}" for mask in masks if key_vault.serves(world, f"{name}{mask}")), "")

    async def vault(request: web.Request) -> web.Response:
        body, name = await body_of(request), request.match_info["name"]
        host = typed(body, "host", str, host_of(name))
        return web.json_response(key_vault.put_vault(world, name, host=host, denies=typed(body, "denies", str, "")))

    async def secret(request: web.Request) -> web.Response:
        body, name, host = await body_of(request), request.match_info["secret"], host_of(request.match_info["name"])
        if not host:
            raise ValueError(f"there is no vault {request.match_info['name']!r}; create it with PUT /vaults/NAME")
        attributes: dict[str, Any] = {"enabled": typed(body, "enabled", bool, True)}
        for key, attribute in (("not_before", "nbf"), ("expires", "exp")):
            if key in body:
                attributes[attribute] = int(accounts.parse_time(typed(body, key, str)))
        sent = {"value": typed(body, "value", str), "attributes": attributes}
        try:
            made = key_vault.set_secret(world, host, name, sent)
        except key_vault.VaultError as error:
            raise ValueError(str(error)) from error
        return web.json_response({"id": made["id"]})

    return [web.put("/vaults/{name}", vault), web.put("/vaults/{name}/secrets/{secret}", secret)]
