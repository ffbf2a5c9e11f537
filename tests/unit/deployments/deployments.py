"""What the tests of automatic deployments share: manifests, a hub of devices, and a clock nobody waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fakes.hub import FakeHub
from fakes.hub_service import content, module

from manifestgen.deployments.deployment import Deployment, metrics_for
from manifestgen.deployments.replace import PATIENCE
from manifestgen.target import Patience


def scorer(version: int | str, **more: Any) -> dict[str, Any]:
    """A manifest whose module `scorer` has this version."""
    return content({"scorer": module(f"acme.azurecr.io/scorer:{version}")}, **more)


def layer(name: str, version: int | str, **keys: Any) -> dict[str, Any]:
    """A layer that brings one module."""
    agent = {f"properties.desired.modules.{name}": module(f"acme.azurecr.io/{name}:{version}")}
    return {"modulesContent": {"$edgeAgent": agent, **keys}}


def deployment(version: int | str, **more: Any) -> Deployment:
    """The deployment `scorer` for all devices at the site `lab`."""
    made = more.pop("content", None) or scorer(version)
    return Deployment(
        **{
            "name": "scorer",
            "content": made,
            "condition": "tags.site = 'lab'",
            "metrics": metrics_for(made),
            **more,
        }
    )


def fleet(count: int, tags: Callable[[int], Mapping[str, Any]] = lambda number: {}) -> FakeHub:
    """A hub with devices `edge-00` to … at the site `lab`, and one elsewhere; all run at once what they should."""
    hub = FakeHub(obedient=True)
    for number in range(count):
        hub.add(f"edge-{number:02}", tags={"site": "lab", **tags(number)})
    hub.add("elsewhere", tags={"site": "shop"})
    return hub


class Clock:
    """Time that passes only when somebody waits, and what happens meanwhile.

    Attributes:
        waited: told the seconds of each pause.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: Callable[[float], None] = lambda now: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waited(self.now)

    def patience(self, **more: float) -> Patience:
        seconds = {"timeout": 600.0, **more}
        return replace(PATIENCE, **seconds, clock=lambda: self.now, sleep=self.sleep)
