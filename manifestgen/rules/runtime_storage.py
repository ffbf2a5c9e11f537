"""State of the runtime that is lost with its containers."""

from collections.abc import Iterator

from manifestgen.manifest.container import Options
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.rules._operands import env_place
from manifestgen.rules._rule import Effect, Problem, option, rule


@rule(
    Effect.NOTE,
    layers=False,
    bad='"edgeHub": {"env": {}, …}',
    good='"edgeHub": {"env": {"storageFolder": {"value": "/storage"}}, …}, with "Binds": ["edge-hub:/storage"]',
)
def runtime_storage(manifest: Manifest) -> Iterator[Problem]:
    """`edgeAgent` or edgeHub keeps its state inside the container.

    Messages that wait for the cloud and the last known manifest are lost when the container is recreated; after
    that, edgeHub cannot start without a connection.

    Set the variable `storageFolder` and mount a host folder or a volume there.
    """
    for module, options in manifest.options:
        if not module.system:
            continue
        found = _problem(module, options)
        if found is not None:
            problem, needs, names = found
            yield Problem(
                module.pointer.rpartition("/")[0],
                f"state is kept inside the container: {problem}",
                "set the variable 'storageFolder' and mount a host folder or a volume there",
                at_key=True,
                needs=needs,
                names=names,
                subject=module.name,
            )


def _problem(module: Module, options: Options) -> tuple[str, tuple[str, ...], tuple[str, ...]] | None:
    """The missing part, and the places and objects that show it."""
    folder = module.env_value("storageFolder") or module.env_value("StorageFolder")
    if not folder:
        return "no 'storageFolder'", env_place(module, "storageFolder", "StorageFolder"), (module.at("env"),)
    binds = options.get("HostConfig", "Binds")
    mounts = options.get("HostConfig", "Mounts")
    targets = [bind.split(":")[1] for bind in binds or () if isinstance(bind, str) and bind.count(":")]
    targets += [str(mount.get("Target", "")) for mount in mounts or () if isinstance(mount, dict)]
    if any(folder == target or folder.startswith(target.rstrip("/") + "/") for target in targets if target):
        return None
    places = (
        *env_place(module, "storageFolder", "StorageFolder"),
        option(module, "HostConfig", "Binds"),
        option(module, "HostConfig", "Mounts"),
    )
    return f"nothing is mounted at its storageFolder {folder!r}", places, ()
