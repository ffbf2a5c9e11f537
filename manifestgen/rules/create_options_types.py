"""Types within createOptions."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, Side, option, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    joins_chunks=True,
    bad='{"Env": {"LEVEL": "info"}}',
    good='{"Env": ["LEVEL=info"]}',
)
def create_options_types(manifest: Manifest) -> Iterator[Problem]:
    """A value in createOptions has the wrong type.

    edgeAgent reads createOptions into typed classes: `Env` and `Binds` must be lists, each port in
    `PortBindings` a list of objects, `Privileged` true or false, a number must fit its type, and so on. A single
    wrong type makes it reject the whole manifest.

    Write the value as Docker's Engine API describes it.
    """
    for module, options in manifest.options:
        for problem in options.problems:
            what = ".".join(problem.path) or "createOptions"
            yield Problem(
                module.at_setting("createOptions"),
                f"{what!r} {problem.message} (createOptions of module {module.name!r})",
                "write it as Docker's Engine API describes it",
                names=(option(module, *problem.path),),
            )
