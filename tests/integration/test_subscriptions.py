"""How many requests it takes to find a registry for someone who can read 200 subscriptions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import in_this_process

pytest.importorskip("azureml.core")

pytestmark = [
    pytest.mark.azureml,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_OTHERS = 199


@pytest.fixture
def many(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """199 subscriptions before the sandbox's own; the environment does not say which one is meant."""
    from manifestgen.sandbox.arm.request import page

    def more(entries: list[dict[str, Any]]) -> Any:
        if not entries or "subscriptionPolicies" not in entries[0]:
            return page(entries)
        own = entries[0]
        ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(_OTHERS)]
        return page([*({**own, "subscriptionId": each, "id": f"/subscriptions/{each}"} for each in ids), own])

    monkeypatch.setattr("manifestgen.sandbox.arm.service.page", more)
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")


def _counts(quick: Any, *arguments: str | Path) -> tuple[int, int, Any]:
    """Requests of a command, how many of them listed a subscription's registries, and how it ended."""
    before = len(quick.admin("GET", "/requests"))
    ended = in_this_process(*arguments)
    sent = [entry["path"] for entry in quick.admin("GET", "/requests")][before:]
    listed = sum(re.search(r"ContainerRegistry/registries$", path) is not None for path in sent)
    return len(sent), listed, ended


def test_the_projects_subscription_is_searched_first(project: Any, quick: Any, many: None) -> None:
    first = _counts(quick, "deploy", project, "--yes")
    again = _counts(quick, "deploy", project, "--yes")
    shown = _counts(quick, "credentials", "show", project)
    looked = _counts(quick, "doctor", project)

    for name, (sent, listed, ended) in {"first": first, "again": again, "show": shown, "doctor": looked}.items():
        print(f"{name}: {sent} requests, {listed} lists of registries")
        assert ended.code == 0, ended
        assert listed <= 1
        assert "other subscriptions" not in ended.output
    assert again[0] <= 35
    assert shown[0] <= 3
    assert looked[0] <= 12


def test_a_registry_elsewhere_is_searched_for_in_all_subscriptions_with_a_word_about_it(
    ready_made: Any, quick: Any, many: None
) -> None:
    sent, listed, ended = _counts(quick, "deploy", ready_made, "--yes")
    print(f"registry elsewhere: {sent} requests, {listed} lists of registries")
    assert ended.code == 0, ended
    host = quick.world.names.login_server
    assert f"looking for registry {host} in 200 other subscriptions\n" in ended.stderr
    assert ended.stderr.count("looking for registry") == 1
    assert listed <= _OTHERS + 1


def test_a_registry_that_is_nowhere_says_how_many_subscriptions_were_searched(
    ready_made: Any, quick: Any, many: None
) -> None:
    ready_made.edit(quick.world.names.login_server, "nowhere.azurecr.io")
    _, _, ended = _counts(quick, "render", ready_made)
    assert ended.code == 3
    assert "in the 200 subscriptions that the identity can read" in ended.stderr


def test_the_workspaces_own_registry_is_asked_for_before_the_rest(
    project: Any, quick: Any, many: None, sandbox: Any
) -> None:
    assert in_this_process("deploy", project, "--yes", "-q").code == 0
    # Whoever may use a workspace need not be allowed to list the registries of its subscription.
    sandbox.fault("status", path="/registries$", status=403, code="AuthorizationFailed", times="forever")
    sent, listed, ended = _counts(quick, "credentials", "show", project, "--output", "json")
    print(f"registry of the workspace: {sent} requests, {listed} lists of registries")
    assert ended.code == 0, ended
    assert listed == 1
    assert json.loads(ended.stdout)
