"""Who may write into a bound folder."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._operands import env_place
from manifestgen.rules._rule import Effect, Problem, option, rule


@rule(
    Effect.NOTE,
    alone=True,
    bad='"Binds": ["/srv/edge-hub:/storage"]',
    good='"Binds": ["edge-hub:/storage"]',
)
def storage_owner(manifest: Manifest) -> Iterator[Problem]:
    """`edgeAgent` or edgeHub stores data in a host folder.

    Their images run as a separate user. If the folder belongs to root, they cannot write to it and fail to
    start.

    Run `sudo chown 1000 FOLDER` on the device once, or use a volume, which Docker makes writable.
    """
    for module, options in manifest.options:
        if not module.system or not (module.env_value("storageFolder") or module.env_value("StorageFolder")):
            continue
        binds = options.get("HostConfig", "Binds")
        for index, bind in enumerate(binds if isinstance(binds, list) else ()):
            if isinstance(bind, str) and bind.startswith("/"):
                folder = bind.partition(":")[0]
                yield Problem(
                    module.at_setting("createOptions"),
                    f"{module.name} must be able to write to {folder!r} on the device",
                    f"run 'sudo chown 1000 {folder}' on the device once",
                    needs=(
                        *env_place(module, "storageFolder", "StorageFolder"),
                        option(module, "HostConfig", "Binds", index),
                    ),
                )
