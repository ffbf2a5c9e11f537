"""The option `--builder`, for the commands that build an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


class _BuilderName(click.types.StringParamType):
    """The name of a builder; the names are loaded when a command line is parsed, which keeps imports fast."""

    name = "builder"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join(_names())}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in _names():
            self.fail(f"{value!r} is not one of {', '.join(map(repr, _names()))}.", param, ctx)
        return str(value)


def _names() -> list[str]:
    from manifestgen.project.builders import BUILDERS

    return list(BUILDERS)


def builder_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--builder NAME` to a command."""
    return click.option("--builder", type=_BuilderName(), help="Builder to use; overrides the project's.")(function)
