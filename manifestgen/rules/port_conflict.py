"""Two modules on one port of the host."""

from collections.abc import Iterator

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
    # By port and protocol: module, address, and the places that say so.
    taken: dict[tuple[str, str], list[tuple[Module, str, tuple[str, ...]]]] = {}
    for module, options in manifest.options:
        if not options.ports or enum_member(module.get("status"), STATUS) == "stopped":
            continue
        status = (module.at("status"),) if module.has("status") else ()
        for address, port, protocol, path in options.ports:
            needs = (option(module, *path), *status)
            others = taken.setdefault((port, protocol), [])
            for other, other_address, other_needs in others:
                if address == other_address or not address or not other_address:
                    whose = (
                        f"module {module.name!r} binds host port {port}/{protocol} twice"
                        if other is module
                        else f"modules {other.name!r} and {module.name!r} both bind host port {port}/{protocol}"
                    )
                    yield Problem(
                        module.at_setting("createOptions"),
                        whose,
                        "give one of them another HostPort",
                        needs=(*needs, *other_needs),
                    )
                    break
            others.append((module, address, needs))
