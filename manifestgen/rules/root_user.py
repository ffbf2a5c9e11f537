"""Modules that run as root."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, option, rule


@rule(
    Effect.NOTE,
    alone=True,
    bad='{"User": "root", "HostConfig": {…}}',
    good='{"HostConfig": {…}}',
)
def root_user(manifest: Manifest) -> Iterator[Problem]:
    """A module runs as root.

    edgeAgent and edgeHub run as separate users; `"User": "root"` is an old way to let them write to a bind
    mount.

    Make the folder writable for the module's user (1000 for the system modules) and remove `User`.
    """
    for module, options in manifest.options:
        user = options.data.get("User")
        if isinstance(user, str) and user.partition(":")[0] in ("root", "0"):
            yield Problem(
                module.at_setting("createOptions"),
                f"module {module.name!r} runs as root",
                "let its own user write to its folders, and remove 'User'",
                needs=(option(module, "User"),),
            )
