"""The options `--builder` and `--engine`, for the commands that build an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


class _Name(click.types.StringParamType):
    """A choice whose names are loaded when a command line is parsed, to keep imports fast."""

    def __init__(self, name: str, names: Callable[[], list[str]]) -> None:
        self.name = name
        self._names = names

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join(self._names())}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self._names():
            self.fail(f"{value!r} is not one of {', '.join(map(repr, self._names()))}.", param, ctx)
        return str(value)


def _builders() -> list[str]:
    from manifestgen.project.builders import BUILDERS

    return list(BUILDERS)


def _engines() -> list[str]:
    from manifestgen.images.engines import ENGINES

    return list(ENGINES)


def builder_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--builder NAME` and `--engine NAME` to a command."""
    engine = click.option(
        "--engine",
        type=_Name("engine", _engines),
        help="Engine for the builder local; by default the first one that can build.",
    )
    return builder_choice("Builder to use; overrides the project's.")(engine(function))


def builder_choice(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--builder NAME` with this help to a command."""
    return click.option("--builder", type=_Name("builder", _builders), help=text)
