"""The values of changed environment variables, shown on request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from manifestgen.compare.diff import Change, FieldChange
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.manifest.secret_text import is_secret, secret_texts
from manifestgen.secret import redact

_ENV: Final = "env "


def with_env_values(changes: Iterable[Change], before: Manifest, after: Manifest) -> tuple[Change, ...]:
    """The changes with the values of the environment variables that changed.

    A value that looks like a secret, on either side, is still hidden.

    Args:
        before, after: the manifests that `diff` compared.
    """
    secrets = frozenset((*secret_texts(before), *secret_texts(after)))
    old, new = ({module.name: module for module in manifest.modules()} for manifest in (before, after))
    return tuple(
        replace(
            change,
            fields=tuple(_shown(field, old.get(change.name), new.get(change.name), secrets) for field in change.fields),
        )
        if change.subject in ("module", "system module")
        else change
        for change in changes
    )


def _shown(field: FieldChange, before: Module | None, after: Module | None, secrets: frozenset[str]) -> FieldChange:
    if not field.field.startswith(_ENV):
        return field
    name = field.field.removeprefix(_ENV)
    values = [module.env_value(name) if module is not None else None for module in (before, after)]
    if any(value is not None and hides(name, value, secrets) for value in values):
        return field
    return replace(field, before=values[0], after=values[1])


def hides(name: str, value: str, secrets: Iterable[str]) -> bool:
    """Whether the value of a variable must be hidden: it looks like a secret, or contains one.

    Args:
        secrets: of the manifest; see `secret_texts`.
    """
    return is_secret(name, value) or redact(value) != value or any(secret in value for secret in secrets)
