"""The type of the runtime."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    bad='"runtime": {"type": "Docker"}',
    good='"runtime": {"type": "docker"}',
)
def runtime_type(manifest: Manifest) -> Iterator[Problem]:
    """`runtime.type` is not `docker`.

    There is only one type of runtime. The comparison is exact: `Docker` is rejected too, with 400.

    Write `"type": "docker"`.
    """
    runtime = manifest.agent.find("runtime")
    if runtime is None or not isinstance(runtime.value, dict):
        return
    kind = child(runtime, "type")
    if kind is None or kind.value is None:
        yield Problem(runtime.pointer, "'type' of 'runtime' is missing", 'add \'"type": "docker"\'')
    elif kind.value != "docker":
        yield Problem(kind.pointer, f"the runtime's type must be 'docker', not {kind.value!r}", "write 'docker'")
