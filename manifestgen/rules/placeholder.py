"""Places that a template tool has still to fill in."""

from collections.abc import Iterator

from manifestgen.manifest.document import Document
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.NOTE,
    about_placeholders=True,
    bad='"image": "${REGISTRY}/scorer:1.4.2"',
    good='"image": "acme.azurecr.io/scorer:1.4.2"',
)
def placeholder(document: Document) -> Iterator[Problem]:
    """A placeholder is not filled in.

    The file is a template: it has `{{ x }}`, `${X}`, `$X`, `__X__`, `#{X}#`, `<x>` or the like where a value
    belongs. Whatever depends on the value is not checked, and everything else is. `apply` does not send such a
    file; it fills in only `${ACR_USERNAME_…}` and `${ACR_PASSWORD_…}` of registry credentials, which `render`
    writes.

    Render the template and check the result. Name other styles in the project file, with `check.placeholder`, and
    text that the device is to have as it is, with `check.literal`.
    """
    fix = "render the template, then check the result"
    if document.blocks and document.error is not None:
        yield Problem("", "this is a template, and not JSON until it is rendered", fix, offset=document.error.offset)
    for one in document.placeholders:
        name = one.text or "a placeholder"
        yield Problem(
            one.pointer,
            f"{name} is filled in by 'apply'" if one.ours else f"{name} is not filled in",
            "set its variable, or name a source of credentials in the project file" if one.ours else fix,
            at_key=one.at_key and not one.quoted,
            start=one.start,
            length=len(one.text),
        )
