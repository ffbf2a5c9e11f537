"""Whether a command tests the model before it builds an image."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

#: If set to anything, the same as --no-test.
VARIABLE: Final = "MANIFESTGEN_NO_TEST"

F = TypeVar("F", bound=Callable[..., Any])


def test_option(function: F) -> F:
    """`--test/--no-test`: always, never, or without either before something is built."""
    return click.option(
        "--test/--no-test",
        "test",
        default=None,
        help="Run 'manifestgen test' first, always or never; by default, if an image will be built.",
    )(function)


def tested(test: bool | None) -> bool | None:
    """The choice, by the option or by the variable."""
    return False if test is None and os.environ.get(VARIABLE) else test
