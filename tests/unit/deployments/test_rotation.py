"""An automatic deployment as the target of a password's rotation."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.hub import FakeHub
from unit.deployments.deployments import Clock, deployment, fleet, scorer

from manifestgen.credentials.rotation import Login
from manifestgen.deployments.replace import replace
from manifestgen.deployments.rotation import AutomaticDeployment
from manifestgen.errors import NotFoundError
from manifestgen.secret import Secret

HOST, NAME = "acme.azurecr.io", "manifestgen-scorer"
NEW = Login(HOST, NAME, Secret("the-new-password"))


def with_login() -> dict[str, Any]:
    made = scorer(1)
    entry = {"address": HOST, "username": NAME, "password": "the-old-password"}
    made["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"]["settings"] = {
        "registryCredentials": {"acme": entry}
    }
    return made


@pytest.fixture
def hub() -> FakeHub:
    made = fleet(1)
    replace(made, deployment(1, content=with_login()), patience=Clock().patience())
    return made


def test_its_content_is_replaced_by_one_with_the_new_password(hub: FakeHub) -> None:
    steps: list[str] = []
    target = AutomaticDeployment(hub, "scorer", steps.append, Clock().patience())
    assert target.words == "automatic deployment 'scorer'"
    (before,) = target.contents()
    assert NEW.passwords_in(before) == ["the-old-password"]
    # The devices are the hub's business.
    assert list(target.move(NEW)) == []
    (after,) = target.contents()
    assert NEW.is_in(after)
    assert [step.split()[0] for step in steps] == ["created", "deleted", "changed"]


def test_one_that_is_not_there_is_said_to_be_not_there(hub: FakeHub) -> None:
    target = AutomaticDeployment(hub, "another", patience=Clock().patience())
    with pytest.raises(NotFoundError, match="the hub has no deployment 'another' that manifestgen created"):
        list(target.contents())
    with pytest.raises(NotFoundError, match="deployment 'another' is gone"):
        target.move(NEW)
    assert [found.id for found in hub.configurations()] == [deployment(1, content=with_login()).id]
