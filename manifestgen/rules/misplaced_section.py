"""Properties in a section that nothing reads them from."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule
from manifestgen.rules._sections import misplaced


@rule(
    Effect.DEAD,
    bad='"settings": {"image": "…", "env": {…}}',
    good='"env": {…}, "settings": {"image": "…"}',
)
def misplaced_section(manifest: Manifest) -> Iterator[Problem]:
    """A property is in the wrong section, where nothing reads it.

    `routes` belong to `$edgeHub`, `modules` to `$edgeAgent`, `env` beside a module's `settings` and not into them.
    The runtime ignores what it does not look for, so what the property says is lost.

    Move it to the section that the message names.
    """
    for one in misplaced(manifest):
        if one.lost:
            what = f"{one.key!r} has no effect here"
            yield Problem(one.pointer, what, f"move it to {one.home}", at_key=True, needs=(one.pointer,))
