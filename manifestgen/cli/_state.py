"""The option `--state` of commands that write or read the state folder."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from manifestgen.state import using


def state_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--state FOLDER`, which overrides `MANIFESTGEN_STATE` while it runs."""

    @functools.wraps(function)
    def command(*args: Any, state: Path | None, **kwargs: Any) -> Any:
        with using(state.absolute() if state is not None else None):
            return function(*args, **kwargs)

    return click.option(
        "--state",
        metavar="FOLDER",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where snapshots, token passwords and journals are.  [default: MANIFESTGEN_STATE, or the user's]",
    )(command)
