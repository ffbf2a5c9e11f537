"""Two modules on one port of the host."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import STATUS, enum_member
from manifestgen.rules._rule import Effect, Problem, rule


@rule(Effect.DEAD, compares=True)
def port_conflict(manifest: Manifest) -> Iterator[Problem]:
    """Two running modules bind the same host port.

    One container gets the port; the other fails to start with "port is already allocated", every time that
    edgeAgent tries.

    Give one of them another `HostPort`.
    """
    taken: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for module, options in manifest.options:
        if not options.ports or enum_member(module.get("status"), STATUS) == "stopped":
            continue
        for address, port, protocol in options.ports:
            others = taken.setdefault((port, protocol), [])
            for other, other_address in others:
                if other != module.name and (address == other_address or not address or not other_address):
                    yield Problem(
                        module.at_setting("createOptions"),
                        f"modules {other!r} and {module.name!r} both bind host port {port}/{protocol}",
                        "give one of them another HostPort",
                    )
                    break
            others.append((module.name, address))
