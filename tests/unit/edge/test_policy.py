"""When edgeAgent starts a module again, and how long it waits."""

from __future__ import annotations

import pytest

from manifestgen.edge.policy import FIRST_PAUSE, MAX_RESTARTS, calm, pause, status_after_exit


@pytest.mark.parametrize(
    ("exit_code", "policy", "status"),
    [
        (0, "always", "backoff"),
        (1, "always", "backoff"),
        (0, "on-failure", "stopped"),
        (137, "on-failure", "backoff"),
        (0, "on-unhealthy", "stopped"),
        (1, "on-unhealthy", "backoff"),
        (0, "never", "stopped"),
        (1, "never", "failed"),
    ],
)
def test_the_policy_decides_whether_a_module_starts_again(exit_code: int, policy: str, status: str) -> None:
    assert status_after_exit(exit_code, policy, 0) == status


def test_after_twenty_restarts_a_module_is_given_up() -> None:
    assert status_after_exit(0, "always", MAX_RESTARTS - 1) == "backoff"
    assert status_after_exit(0, "always", MAX_RESTARTS) == "failed"


def test_the_pause_doubles_from_ten_seconds_to_five_minutes() -> None:
    assert [pause(restarts) for restarts in range(7)] == [10, 20, 40, 80, 160, 300, 300]
    assert pause(10_000) == 300
    assert calm(FIRST_PAUSE) == 600
