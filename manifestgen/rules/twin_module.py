"""Twins of modules that are not deployed."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.nearest import nearest
from manifestgen.manifest.pointer import escape
from manifestgen.rules._operands import is_malformed, names_of
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    layers=False,
    bad='"modules": {"scorer": {…}} … "Scorer": {"properties.desired": {…}}',
    good='"modules": {"scorer": {…}} … "scorer": {"properties.desired": {…}}',
)
def twin_module(manifest: Manifest) -> Iterator[Problem]:
    """The manifest sets the twin of a module that it does not deploy.

    The desired properties are set for a module that does not run. Names are case-sensitive: `Sensor` and
    `sensor` are two modules.

    Write the name as it is under `modules`, or remove the entry.
    """
    names = [part.name for part in manifest.agent.children("modules")]
    known = set(names)
    if is_malformed(manifest, "modules"):
        return
    for name in manifest.entries:
        if name in ("$edgeAgent", "$edgeHub") or name in known:
            continue
        same = [other for other in names if other.lower() == name.lower()]
        near = same or nearest(name, names[:1000])
        yield Problem(
            f"{manifest.base}/{escape(name)}",
            f"the twin of {name!r} is set, but no module of that name is deployed",
            f"did you mean {near[0]!r}?" if near else "add the module, or remove the entry",
            at_key=True,
            names=names_of(manifest, name),
        )
