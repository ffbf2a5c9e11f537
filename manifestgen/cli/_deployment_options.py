"""The options of `apply` that are about automatic deployments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from manifestgen.cli._number import FiniteRange
from manifestgen.errors import InputError


@dataclass(frozen=True)
class Arguments:
    """The options that only make sense with `--deployment`."""

    name: str
    condition: str | None
    priority: int | None
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    layered: bool
    base: Path | None
    show_targets: bool
    wait_for: str
    stages: str | None
    stage_tag: str | None
    tag_devices: bool
    pause: float
    abort_if_failing: str | None


def deployment_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `apply` the options of automatic deployments, and pass them as `deployment`; None without `--deployment`."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(f"deployment_{name}") for name in Arguments.__dataclass_fields__}
        if given["name"] is None:
            _refuse_without_name(click.get_current_context())
        return function(*args, deployment=None if given["name"] is None else Arguments(**given), **kwargs)

    options = (
        click.option("--deployment", "deployment_name", metavar="NAME", help="Make it an automatic deployment."),
        click.option("--target-condition", "deployment_condition", metavar="COND", help="Which devices it is for."),
        click.option("--priority", "deployment_priority", type=int, help="The highest wins.  [default: 10 if new]"),
        click.option("--label", "deployment_labels", multiple=True, metavar="KEY=VALUE", help="Repeatable."),
        click.option("--metric", "deployment_metrics", multiple=True, metavar="NAME=QUERY", help="Repeatable."),
        click.option("--layered", "deployment_layered", is_flag=True, help="It is a layer over a base deployment."),
        click.option(
            "--base",
            "deployment_base",
            type=click.Path(path_type=Path),
            help="The base that a layer is checked with, instead of the hub's.",
        ),
        click.option("--show-targets", "deployment_show_targets", is_flag=True, help="List the matching devices."),
        click.option(
            "--wait-for",
            "deployment_wait_for",
            metavar="SHARE",
            default="100%",
            show_default=True,
            help="Of the devices, before the former deployment is deleted.",
        ),
        click.option("--stages", "deployment_stages", metavar="5%,25%,…", help="First to some of the devices."),
        click.option("--stage-tag", "deployment_stage_tag", metavar="TAG", help="Stages may be values of this tag."),
        click.option(
            "--tag-devices", "deployment_tag_devices", is_flag=True, help="Stages may write a tag to devices."
        ),
        click.option(
            "--pause",
            "deployment_pause",
            type=FiniteRange(min=0),
            default=0,
            show_default=True,
            help="Seconds between two stages.",
        ),
        click.option(
            "--abort-if-failing",
            "deployment_abort_if_failing",
            metavar="SHARE",
            help="Go back to the former deployment if more of the devices fail.",
        ),
    )
    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)


def _refuse_without_name(context: click.Context) -> None:
    for parameter in context.command.params:
        own = (parameter.name or "").startswith("deployment_") and parameter.name != "deployment_name"
        source = context.get_parameter_source(parameter.name or "")
        if own and source is click.core.ParameterSource.COMMANDLINE:
            option = parameter.opts[0]
            raise InputError(f"{option} is about automatic deployments", fix=f"add --deployment NAME, or drop {option}")
