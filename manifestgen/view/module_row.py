"""A module as a row of a table: image, ports, volumes, variables, how it is started."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from manifestgen.compare.env_values import hides
from manifestgen.manifest import container, create_options
from manifestgen.manifest.container import Options
from manifestgen.manifest.module import Module
from manifestgen.manifest.reading import as_text
from manifestgen.view.model import Changed, ModuleRow, Tone
from manifestgen.view.subject import ImageFacts

_HIDDEN: Final = "•••"
# Tags such as 1.0.0-arm64v8 name the platform of an image, by a custom of Microsoft's own modules.
_PLATFORM_IN_TAG: Final = re.compile(r"(?:^|[-_.])(amd64|arm32v7|arm64v8|arm64|windows-amd64)\b")
_DEFAULT_RESTART: Final = "on-unhealthy (default)"
_LAST: Final = "last (default)"


def row_of(
    module: Module,
    id_: str,
    safe: Callable[[str], str],
    *,
    secrets: Sequence[str],
    show_env: bool,
    facts: ImageFacts | None,
    twin: int | None,
    state: str,
    tone: Tone,
    changed: Changed,
) -> ModuleRow:
    """The row of a module.

    Args:
        safe: hides secrets in a text; see `Subject.safe`.
        secrets: of its manifest.
        show_env: show the values of variables that do not seem to be secrets.
        facts: what is known about its image.
        twin: bytes of the desired properties that are set for it.
        state: what the device reports.
    """
    repository, version = _image(module)
    options = _options(module)
    return ModuleRow(
        node=id_,
        name=safe(module.name),
        system=module.system,
        repository=safe(repository),
        version=safe(version),
        platform=_platform(version, facts),
        ports=tuple(safe(port) for port in _ports(options)),
        volumes=tuple(safe(volume) for volume in _volumes(options)),
        env=tuple(safe(text) for text in _env(module, options, secrets, show_env=show_env)),
        status=safe(_scalar(module.status)),
        restart=safe(_restart(module)),
        order=safe(_order(module)),
        state=state,
        tone=tone,
        changed=changed,
        twin=twin,
    )


def _image(module: Module) -> tuple[str, str]:
    image = module.open_image
    if image is None:
        return module.image_text or "", ""
    return image.repository, image.digest or image.tag or "latest (no tag)"


def _options(module: Module) -> Options:
    try:
        return container.read(module.create_options())
    except create_options.ChunkError:
        return Options()


def _platform(version: str, facts: ImageFacts | None) -> str:
    if facts is not None and facts.platforms:
        sizes = (facts.sizes.get(platform) for platform in facts.platforms)
        return ", ".join(
            f"{platform} ({size / 1e6:,.0f} MB)" if size else platform
            for platform, size in zip(facts.platforms, sizes, strict=True)
        )
    found = _PLATFORM_IN_TAG.search(version)
    return f"{found[1]}, by its tag" if found else ""


def _ports(options: Options) -> Iterator[str]:
    published = options.get("HostConfig", "PortBindings")
    for port, bindings in published.items() if isinstance(published, dict) else ():
        for binding in bindings if isinstance(bindings, list) else ():
            if isinstance(binding, dict):
                address = _scalar(binding.get("HostIP") or binding.get("HostIp"))
                host = _scalar(binding.get("HostPort")) or "any"
                yield f"{address}:{host} → {port}" if address else f"{host} → {port}"
    exposed = options.get("ExposedPorts")
    for port in exposed if isinstance(exposed, dict) else ():
        if not isinstance(published, dict) or port not in published:
            yield f"{port} (not published)"


def _volumes(options: Options) -> Iterator[str]:
    binds = options.get("HostConfig", "Binds")
    yield from (bind for bind in (binds if isinstance(binds, list) else ()) if isinstance(bind, str))
    mounts = options.get("HostConfig", "Mounts")
    for mount in mounts if isinstance(mounts, list) else ():
        if isinstance(mount, dict):
            source, target = (_scalar(mount.get(name)) for name in ("Source", "Target"))
            yield f"{source}:{target}" if source else target


def _env(module: Module, options: Options, secrets: Sequence[str], *, show_env: bool) -> Iterator[str]:
    for name in module.env:
        yield _variable(name, module.env_value(name), secrets, show_env=show_env)
    more = options.get("Env")
    for item in more if isinstance(more, list) else ():
        if isinstance(item, str):
            name, _, value = item.partition("=")
            yield f"{_variable(name, value, secrets, show_env=show_env)} (createOptions)"


def _variable(name: str, value: str | None, secrets: Sequence[str], *, show_env: bool) -> str:
    if not show_env:
        return name
    if value is None:
        return f"{name} (no value)"
    return f"{name}={_HIDDEN if hides(name, value, secrets) else value}"


def _restart(module: Module) -> str:
    if module.is_edge_agent:
        return "always"
    return _scalar(module.get("restartPolicy")) or ("always (default)" if module.system else _DEFAULT_RESTART)


def _order(module: Module) -> str:
    if module.is_edge_agent:
        return "first"
    return _scalar(module.get("startupOrder")) or _LAST


def _scalar(value: Any) -> str:
    return as_text(value) or ""
