"""A registry's scope maps and tokens in ARM, and the passwords of tokens.

Source: the operations of azure-mgmt-containerregistry 14, and its client-side validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.arm.provider import KIND, ONE, VERSIONS, accepted, fetched_later, find_registry
from manifestgen.sandbox.arm.request import Arm, ArmError, Route, body_of, not_found, page
from manifestgen.sandbox.world import World

Item = Mapping[str, Any]
Handler = Callable[[Arm, web.Request], Any]


@dataclass(frozen=True)
class _Kind:
    """A type of resource below a registry.

    Attributes:
        name: the type's name in paths.
        word: its name in error messages.
        letters: characters allowed in a resource's name.
        stored: the kind of its documents in the store.
        find: returns a resource by name, or None.
        every: returns all resources of a registry.
        show: returns a resource's properties.
    """

    name: str
    word: str
    letters: str
    stored: str
    find: Callable[[World, str, str], Item | None]
    every: Callable[[World, str], Sequence[Item]]
    show: Callable[[Arm, Item, Item], dict[str, Any]]

    def view(self, arm: Arm, registry: Item, item: Item) -> dict[str, Any]:
        """The resource in ARM's form."""
        return {
            "id": f"{arm.registry_id(registry)}/{self.name}/{item['name']}",
            "name": item["name"],
            "type": f"{KIND}/{self.name}",
            "properties": {"provisioningState": "Succeeded", **self.show(arm, registry, item)},
        }

    def found(self, arm: Arm, request: web.Request) -> tuple[Item, Item]:
        """The registry and the resource in a path. Raises ArmError 404."""
        registry = find_registry(arm, request)
        name = request.match_info["name"]
        item = self.find(arm.world, registry["name"], name)
        if item is None:
            raise not_found(f"{KIND}/{registry['name']}/{self.name}", name, registry["group"])
        return registry, item

    def to_change(self, arm: Arm, request: web.Request) -> tuple[Item, Item | None]:
        """The registry and the resource, which must exist for PATCH but not for PUT. Raises ArmError."""
        if request.method == "PATCH":
            return self.found(arm, request)
        registry, name = find_registry(arm, request), request.match_info["name"]
        if not re.fullmatch(rf"[{self.letters}]{{5,50}}", name):
            words = f"The {self.word} name '{name}' is invalid. It must have 5 to 50 of the characters {self.letters}."
            raise ArmError(400, "InvalidResourceName", words)
        return registry, self.find(arm.world, registry["name"], name)


def routes() -> list[Route]:
    """The routes of scope maps and tokens."""
    table: list[tuple[str, str, Handler]] = [("POST", f"{ONE}/generateCredentials", _generate)]
    for kind, put in ((_SCOPE_MAPS, _put_scope_map), (_TOKENS, _put_token)):
        path = f"{ONE}/{kind.name}"
        table += [
            ("GET", path, _lister(kind)),
            ("GET", f"{path}/{{name}}", _getter(kind)),
            ("PUT", f"{path}/{{name}}", put),
            ("PATCH", f"{path}/{{name}}", put),
            ("DELETE", f"{path}/{{name}}", _deleter(kind)),
        ]
    return [Route(method, path, "registries", VERSIONS, handle) for method, path, handle in table]


def _lister(kind: _Kind) -> Handler:
    async def every(arm: Arm, request: web.Request) -> web.Response:
        registry = find_registry(arm, request)
        return page([kind.view(arm, registry, item) for item in kind.every(arm.world, registry["name"])])

    return every


def _getter(kind: _Kind) -> Handler:
    async def get(arm: Arm, request: web.Request) -> web.Response:
        return web.json_response(kind.view(arm, *kind.found(arm, request)))

    return get


def _deleter(kind: _Kind) -> Handler:
    async def delete(arm: Arm, request: web.Request) -> web.Response:
        registry, name = find_registry(arm, request), request.match_info["name"]
        _reject_system_defined(kind.find(arm.world, registry["name"], name))
        deleted = arm.world.store.delete(kind.stored, f"{registry['name']}/{name}".lower())
        return web.Response(status=200 if deleted else 204)

    return delete


def _reject_system_defined(item: Item | None) -> None:
    if item is not None and item.get("system"):
        words = f"The scope map '{item['name']}' is defined by the system and cannot be changed or deleted."
        raise ArmError(400, "InvalidOperation", words)


def _scope_map_properties(arm: Arm, registry: Item, scope: Item) -> dict[str, Any]:
    return {
        "description": scope["description"],
        "type": "SystemDefined" if scope.get("system") else "UserDefined",
        "creationDate": scope["created"],
        "actions": scope["actions"],
    }


async def _put_scope_map(arm: Arm, request: web.Request) -> web.Response:
    registry, old = _SCOPE_MAPS.to_change(arm, request)
    _reject_system_defined(old)
    properties = (await body_of(request)).get("properties") or {}
    actions = properties.get("actions", old["actions"] if old else None)
    if not isinstance(actions, list) or not actions or not all(isinstance(action, str) for action in actions):
        raise ArmError(400, "InvalidScopeMapActions", "The scope map must have a list of at least one action.")
    description = str(properties.get("description") or (old["description"] if old else ""))
    name = request.match_info["name"]
    try:
        scope = accounts.put_scope_map(arm.world, registry["name"], name, actions, description)
    except ValueError as error:
        raise ArmError(400, "InvalidScopeMapActions", f"The action '{error}' of the scope map is not valid.") from error
    return accepted(arm, request, _SCOPE_MAPS.view(arm, registry, scope), 200 if old else 201)


def _token_properties(arm: Arm, registry: Item, token: Item) -> dict[str, Any]:
    passwords = [
        {"name": name, "creationTime": password["created"], "expiry": password["expiry"]}
        for name, password in sorted(token["passwords"].items())
    ]
    return {
        "creationDate": token["created"],
        "scopeMapId": f"{arm.registry_id(registry)}/scopeMaps/{token['scope_map']}" if token["scope_map"] else None,
        "credentials": {"passwords": passwords},
        "status": token["status"],
    }


async def _put_token(arm: Arm, request: web.Request) -> web.Response:
    registry, old = _TOKENS.to_change(arm, request)
    properties = (await body_of(request)).get("properties") or {}
    changes: dict[str, Any] = {}
    if "scopeMapId" in properties or old is None:
        changes["scope_map"] = _scope_map_of(arm, registry, properties.get("scopeMapId"))
    if properties.get("status") is not None:
        if properties["status"] not in ("enabled", "disabled"):
            raise ArmError(400, "InvalidTokenStatus", f"The token status '{properties['status']}' is not valid.")
        changes["status"] = properties["status"]
    if old is not None and properties.get("credentials") is not None:
        changes["passwords"] = _kept_passwords(old, properties["credentials"])
    token = accounts.put_token(arm.world, registry["name"], request.match_info["name"], **changes)
    return accepted(arm, request, _TOKENS.view(arm, registry, token), 200 if old else 201)


def _kept_passwords(token: Item, credentials: Any) -> dict[str, Any]:
    """The passwords that an update still names; `az acr token credential delete` removes the others this way."""
    listed = (credentials.get("passwords") if isinstance(credentials, dict) else None) or []
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in listed]
    wrong = next((name for name in names if name not in accounts.TOKEN_PASSWORDS), None)
    if wrong is not None or None in names:
        raise ArmError(400, "InvalidCredentialName", f"The credential name '{wrong}' is invalid.")
    return {name: password for name, password in token["passwords"].items() if name in names}


def _scope_map_of(arm: Arm, registry: Item, scope_map_id: object) -> str:
    name = _name_below(f"{arm.registry_id(registry)}/scopeMaps/", scope_map_id)
    if not name or accounts.scope_map(arm.world, registry["name"], name) is None:
        raise ArmError(400, "ScopeMapNotFound", f"The scope map '{scope_map_id}' was not found.")
    return name


def _name_below(prefix: str, resource_id: object) -> str:
    """The last part of a resource ID below `prefix`; empty if the ID is not below it."""
    below = isinstance(resource_id, str) and resource_id.lower().startswith(prefix.lower())
    return str(resource_id)[len(prefix) :] if below else ""


async def _generate(arm: Arm, request: web.Request) -> web.Response:
    """Generate both passwords, or only the named one; the other keeps working."""
    registry = find_registry(arm, request)
    body = await body_of(request)
    name = _name_below(f"{arm.registry_id(registry)}/tokens/", body.get("tokenId"))
    if not name or accounts.token(arm.world, registry["name"], name) is None:
        raise ArmError(404, "TokenNotFound", f"The token '{body.get('tokenId', '')}' was not found.")
    which = body.get("name")
    if which is not None and which not in accounts.TOKEN_PASSWORDS:
        raise ArmError(400, "InvalidCredentialName", f"The credential name '{which}' is invalid.")
    wanted = accounts.TOKEN_PASSWORDS if which is None else (which,)
    expiry = _expiry(arm, body.get("expiry"))
    token = accounts.generate_token_passwords(arm.world, registry["name"], name, wanted, expiry)
    result = {
        "username": token["name"],
        "passwords": [
            {"name": one, "value": password["value"], "creationTime": password["created"], "expiry": password["expiry"]}
            for one, password in sorted(token["passwords"].items())
            if one in wanted
        ],
    }
    return fetched_later(arm, request, result)


def _expiry(arm: Arm, text: object) -> str | None:
    if text is None:
        return None
    try:
        expiry = accounts.parse_time(str(text))
    except ValueError as error:
        words = f"The expiry '{text}' is not a valid date and time."
        raise ArmError(400, "InvalidExpiry", words) from error
    if expiry <= arm.world.now():
        raise ArmError(400, "InvalidExpiry", f"The expiry '{text}' is in the past.")
    return accounts.iso(expiry)


_SCOPE_MAPS: Final = _Kind(
    "scopeMaps",
    "scope map",
    "A-Za-z0-9_-",
    "acr-scope-map",
    accounts.scope_map,
    accounts.scope_maps,
    _scope_map_properties,
)
_TOKENS: Final = _Kind("tokens", "token", "A-Za-z0-9-", "acr-token", accounts.token, accounts.tokens, _token_properties)
