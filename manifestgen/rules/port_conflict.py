"""Two modules on one port of the host."""

from collections.abc import Iterator

from msgspec import Struct

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.manifest.reading import STATUS, enum_member
from manifestgen.rules._rule import Effect, Problem, option, rule


@rule(
    Effect.DEAD,
    bad='"a": … "HostPort": "8080" …, "b": … "HostPort": "8080"',
    good='"a": … "HostPort": "8080" …, "b": … "HostPort": "8081"',
)
def port_conflict(manifest: Manifest) -> Iterator[Problem]:
    """Two running modules, or one of them twice, bind the same host port.

    One container gets the port; the other fails to start with "port is already allocated", every time that
    edgeAgent tries.

    Give one of them another `HostPort`.
    """
    taken: dict[tuple[str, str], list[_Taken]] = {}
    for module, options in manifest.options:
        if not options.ports or enum_member(module.get("status"), STATUS) == "stopped":
            continue
        for address, port, protocol, path in options.ports:
            mine = _Taken(module, address, option(module, *path))
            others = taken.setdefault((port, protocol), [])
            for other in others:
                if address == other.address or not address or not other.address:
                    whose = (
                        f"module {module.name!r} binds host port {port}/{protocol} twice"
                        if other.module is module
                        else f"modules {other.module.name!r} and {module.name!r} both bind host port {port}/{protocol}"
                    )
                    yield Problem(
                        module.at_setting("createOptions"),
                        whose,
                        "give one of them another HostPort",
                        needs=(*mine.needs, *other.needs),
                    )
                    break
            others.append(mine)


class _Taken(Struct, frozen=True):
    module: Module
    address: str
    place: str

    @property
    def needs(self) -> tuple[str, ...]:
        status = (self.module.at("status"),) if self.module.has("status") else ()
        return self.place, *status
