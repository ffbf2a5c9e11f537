"""The options for modules of a project and their values: `--module`, `--image`, `--platform`, `--values`, `--set`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._completing import modules as names
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.project import Project

_Command = Callable[..., Any]


def module_option(text: str) -> Callable[[_Command], _Command]:
    """Add `--module NAME`, repeatable, with this help to a command."""
    return click.option(
        "--module", "modules", multiple=True, metavar="NAME", shell_complete=names, help=f"{text}; repeatable."
    )


def image_option(function: _Command) -> _Command:
    """Add `--image [MODULE=]REF`, repeatable, to a command; see `images_of`."""
    return click.option(
        "--image",
        "images",
        multiple=True,
        metavar="[MODULE=]REF",
        help="Image to use; overrides the project's. Several modules name each: repeatable.",
    )(function)


def platform_option(function: _Command) -> _Command:
    """Add `--platform PLATFORM` to a command."""
    return click.option(
        "--platform",
        metavar="PLATFORM",
        help="Platform to render for, such as linux/arm64; overrides target.platform.",
    )(function)


def values_options(function: _Command) -> _Command:
    """Add `--values FILE` and `--set KEY=VALUE`, both repeatable, to a command: its arguments `files` and `sets`."""
    text = "A value, read as YAML; dots nest; repeatable."
    decorated = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help=text)(function)
    text = "Values from a YAML or JSON file; repeatable."
    return click.option("--values", "files", multiple=True, metavar="FILE", help=text)(decorated)


def with_platform(values: dict[str, Any], platform: str | None) -> dict[str, Any]:
    """Values with the platform among them, if one is given. Raises InputError if it is not one."""
    if platform is None:
        return values
    from manifestgen.project.modules import platform_name

    try:
        return {**values, "platform": platform_name(platform)}
    except InputError as error:
        raise InputError(error.what, where="--platform", fix=error.fix) from None


def images_of(project: Project, given: Sequence[str]) -> dict[str, str]:
    """The images that `--image` names, by module.

    Raises:
        InputError: the project has no such module; or it has several, and none is named.
    """
    images: dict[str, str] = {}
    for text in given:
        name, equals, reference = text.rpartition("=")
        if not equals:
            if len(project.modules) > 1:
                names = ", ".join(module.name for module in project.modules)
                fix = f"write --image MODULE={text}, with one of its modules: {names}"
                raise InputError(f"the project has several modules, and '{text}' names none", where="--image", fix=fix)
            name = project.modules[0].name
        (module,) = project.only((name,)).modules
        if module.name in images:
            raise InputError(f"module '{name}' has two images", where="--image", fix="drop one of the two")
        images[module.name] = reference
    return images
