"""Entries of `registryCredentials`."""

from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import as_text, is_blank
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, Side, rule

_FIELDS: Final = ("address", "username", "password")


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    bad='"acme": {"address": "acme.azurecr.io", "username": ""}',
    good='"acme": {"address": "acme.azurecr.io", "username": "…", "password": "…"}',
)
def credential_shape(manifest: Manifest) -> Iterator[Problem]:
    """A registry credential lacks its address, user name or password.

    All three are required and must not be blank: one incomplete entry makes edgeAgent reject the whole manifest
    with 400, although other tools accept it. The usual cause is a variable that was not set when the manifest
    was rendered.

    Fill in what is missing, or remove the entry.
    """
    entries = manifest.credential_entries()
    if entries and all(part.name.lower() in _FIELDS and not isinstance(part.value, dict) for part in entries):
        yield Problem(
            entries[0].pointer.rpartition("/")[0],
            "a registry credential has no label",
            'write {"NAME": {"address": "…", "username": "…", "password": "…"}}',
        )
        return
    for part in entries:
        if not isinstance(part.value, dict):
            yield Problem(
                part.pointer,
                f"registry credential {part.name!r} is not an object",
                "write an object with address, username and password",
            )
            continue
        for name in _FIELDS:
            found = child(part, name)
            if found is None or found.value is None:
                yield Problem(
                    part.pointer,
                    f"registry credential {part.name!r} has no {name}",
                    f"add its {name}, or remove the entry",
                )
                continue
            text = as_text(found.value)
            if text is None:
                yield Problem(
                    found.pointer, f"{name} of registry credential {part.name!r} is not a string", "write a string"
                )
            elif is_blank(text):
                yield Problem(
                    found.pointer,
                    f"{name} of registry credential {part.name!r} is blank",
                    "fill it in (was a variable not set?), or remove the entry",
                )
