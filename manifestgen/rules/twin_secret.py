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
        outer, place, name = stack.pop()
        if type(outer) is dict:
            items = [(key, key, item) for key, item in outer.items()]
        elif type(outer) is list:
            items = [(str(index), name, item) for index, item in enumerate(outer)]
        else:
            items = []
            if type(outer) is str and is_secret(name, outer):
                yield place, name
        for step, key, item in items:
            if type(item) is str:
                if is_secret(key, item):
                    yield f"{place}/{escape(step)}", key
            elif type(item) is dict or type(item) is list:
                stack.append((item, f"{place}/{escape(step)}", key))
