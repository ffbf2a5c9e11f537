"""The section `registry` of the project file: the keys that all sources share and those of each source.

It is generated from the table of sources, so it has a new source's keys, JSON Schema and checks automatically.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct, defstruct, field

from manifestgen.credentials.hosts import check_host, comparable
from manifestgen.credentials.source import Registry, Where
from manifestgen.credentials.sources import SOURCES

_CHOICE: Any = Literal

_DOC = "The logins of devices for the registries of their images."
#: A registry without private images, so that no device needs a login for it.
NEVER_PRIVATE = "mcr.microsoft.com"


def _with_settings() -> type[Struct]:
    name: Any = _CHOICE[tuple(SOURCES)]
    names = ". ".join(f"{name}: {source.summary}" for name, source in SOURCES.items())
    text = f"Source of the credentials of every registry that is not in sources. {names}."
    hosts = (
        "Registry host, as in image references, to its source. Docker Hub is docker.io. A registry that is named here "
        "gets a credential even if it is public."
    )
    shared = [
        ("credentials", Annotated[name, Meta(description=text)], "admin"),
        (
            "sources",
            Annotated[
                dict[Annotated[str, Meta(min_length=1)], name],
                Meta(description=hosts, examples=[{"acme.azurecr.io": "token", "docker.io": "env"}]),
            ],
            field(default_factory=dict),
        ),
        (
            "warn_days",
            Annotated[
                Annotated[int, Meta(ge=0, le=3650)],
                Meta(description="Warn when a password of a token or a key vault expires in fewer days than this."),
            ],
            14,
        ),
    ]
    own = [(key, *kind) for source in SOURCES.values() for key, kind in source.settings.items()]
    return defstruct(
        "Registry", [*shared, *own], bases=(Registry,), frozen=True, forbid_unknown_fields=True, kw_only=True,
        namespace={"__doc__": _DOC}, module=__name__,
    )  # fmt: skip


if TYPE_CHECKING:
    #: `Registry` with the keys of all sources; see `Registry.setting`.
    RegistrySection = Registry
else:
    RegistrySection = _with_settings()


def names(registry: Registry, host: str) -> bool:
    """Whether the section names this registry, so that it gets a login even if it is public."""
    named = [*registry.sources, *(name for source in SOURCES.values() for name in source.hosts(registry))]
    return host.lower() != NEVER_PRIVATE and comparable(host) in map(comparable, named)


def check(registry: Registry, where: Where) -> None:
    """Compare the keys of the section with each other.

    Args:
        registry: the section.
        where: the place of a key in the project file, for messages: `where("sources", "ghcr.io")`.

    Raises:
        InputError: a registry is not a host, a source lacks what it needs, or a key is given for a source that no
            registry uses.
    """
    for host in registry.sources:
        check_host(host, where("sources", host))
    for source in SOURCES.values():
        source.check(registry, where)
