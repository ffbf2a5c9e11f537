"""Secrets in the twins of modules."""

from collections.abc import Iterator
from typing import Any

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.secret_text import is_secret
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='"scorer": {"properties.desired": {"dbPassword": "hunter2"}}',
    good='"scorer": {"properties.desired": {"dbPasswordFile": "/run/secrets/db"}}',
)
def twin_secret(manifest: Manifest) -> Iterator[Problem]:
    """The twin of a module holds a secret in clear text.

    Anyone who can read the twin, the portal, the file or its history can read a password or connection string in it,
    and so can everybody who is given the module's reported state.

    Let the module fetch the secret itself (Key Vault, a mounted file).
    """
    for name, section in manifest.sections().items():
        if name.startswith("$edge"):
            continue
        for _, part in section.pieces:
            for pointer, key in _secrets(part.value, part.pointer, part.name):
                yield Problem(
                    pointer,
                    f"{key!r} in the twin of module {name!r} holds a secret in clear text",
                    "let the module fetch it, for example from Key Vault or a mounted file",
                )


def _secrets(value: Any, pointer: str, name: str) -> Iterator[tuple[str, str]]:
    stack: list[tuple[Any, str, str]] = [(value, pointer, name)]
    while stack:
        item, place, name = stack.pop()
        if type(item) is str:
            if is_secret(name, item):
                yield place, name
        elif type(item) is dict:
            for key, inner in item.items():
                kind = type(inner)
                if kind is str or kind is dict or kind is list:
                    stack.append((inner, f"{place}/{escape(key)}", key))
        elif type(item) is list:
            stack.extend((inner, f"{place}/{index}", name) for index, inner in enumerate(item))
