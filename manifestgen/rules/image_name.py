"""Images that no registry has."""

import re
from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule

# github.com/distribution/reference: what Docker takes for a repository, a tag and a digest.
_HOST: Final = (
    r"(?:localhost|(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])"
    r"(?::[0-9]+)?\Z"
)
_SEGMENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z"
_TAG: Final = r"(?a)\w[\w.-]{0,127}\Z"
_DIGEST: Final = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z"
_USUAL: Final = r"[a-z0-9]+(?:[.-][a-z0-9]+)*(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)*\Z"


@rule(
    Effect.DEAD,
    alone=True,
    pieces=True,
    bad='"image": "acme.azurecr.io/Scorer:1.4.2"',
    good='"image": "acme.azurecr.io/scorer:1.4.2"',
)
def image_name(manifest: Manifest) -> Iterator[Problem]:
    """A module's image is a name that Docker rejects.

    edgeAgent checks less than Docker does. It accepts upper-case letters in the repository, spaces, a scheme
    such as `https://` and invalid tags, and then every pull fails: edgeAgent reports 500, "invalid reference
    format".

    Write REGISTRY/REPOSITORY:TAG, with the repository in lower case.
    """
    for module in manifest.modules():
        image = module.image
        if image is None:
            continue
        if re.match(_USUAL, image.repository) and not image.digest and (not image.tag or re.match(_TAG, image.tag)):
            continue
        if problem := _problem(image.repository, image.tag, image.digest):
            yield Problem(
                module.at_setting("image"), f"image {image.text!r} of module {module.name!r} {problem[0]}", problem[1]
            )


def _problem(repository: str, tag: str, digest: str) -> tuple[str, str] | None:
    if "://" in repository:
        return "begins with a scheme", f"remove {repository.partition('://')[0] + '://'!r}"
    if any(char.isspace() for char in repository + tag):
        return "contains a space", "remove the space"
    first, *rest = repository.split("/")
    if first.startswith("$upstream:"):
        first = "parent" + first[len("$upstream") :]
    named = rest and ("." in first or ":" in first or first == "localhost")
    if named and not re.match(_HOST, first):
        return f"has an invalid registry ({first!r})", "write the registry's host, and its port after a colon"
    for segment in rest if named else [first, *rest]:
        if not re.match(_SEGMENT, segment):
            if segment.lower() != segment and re.match(_SEGMENT, segment.lower()):
                return f"has upper-case letters in its repository ({segment!r})", f"write {segment.lower()!r}"
            return (
                f"has a repository that Docker rejects ({segment!r})",
                "use lower-case letters, digits and single '.', '_' or '-' between them",
            )
    if tag and not re.match(_TAG, tag):
        return f"has a tag that Docker rejects ({tag!r})", "use letters, digits, '.', '_' and '-', at most 128 of them"
    if digest and not re.match(_DIGEST, digest):
        return f"has a digest that Docker rejects ({digest!r})", "write 'sha256:' and 64 hexadecimal digits"
    return None
