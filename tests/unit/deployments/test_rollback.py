"""Where a rollback goes on a machine that has no snapshots: the hub may still have the previous configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.deployments.deployments import Clock, deployment, fleet

from manifestgen.deployments.proposal import propose
from manifestgen.deployments.replace import carry_out, replace
from manifestgen.deployments.rollback import rollback_target
from manifestgen.errors import InputError
from manifestgen.state import NoSnapshotError

BROKEN = "acme.azurecr.io/scorer:2"


def test_after_a_rollout_that_was_not_waited_for_the_hub_has_the_former_one(tmp_path: Path) -> None:
    hub = fleet(2)
    replace(hub, deployment(1), patience=Clock().patience())
    carry_out(hub, propose(hub, deployment(2)), state=tmp_path / "first runner", patience=None)
    was, source = rollback_target(hub, "scorer", tmp_path / "second runner", None)
    assert was == deployment(1)
    assert "the previous configuration" in source and deployment(1).id in source
    replace(hub, was, patience=Clock().patience())
    assert {hub.running(f"edge-{number:02}")["scorer"] for number in range(2)} == {"acme.azurecr.io/scorer:1"}


def test_snapshots_win_over_what_the_hub_has(tmp_path: Path) -> None:
    hub = fleet(1)
    replace(hub, deployment(1), patience=Clock().patience())
    carry_out(hub, propose(hub, deployment(2)), state=tmp_path, patience=None)
    was, source = rollback_target(hub, "scorer", tmp_path, None)
    assert was == deployment(1) and source.startswith("the snapshot ")


def test_a_number_needs_snapshots(tmp_path: Path) -> None:
    hub = fleet(1)
    replace(hub, deployment(1), patience=Clock().patience())
    carry_out(hub, propose(hub, deployment(2)), state=tmp_path / "first runner", patience=None)
    with pytest.raises(InputError, match="the hub still has its previous configuration") as caught:
        rollback_target(hub, "scorer", tmp_path, 3)
    assert "'manifestgen rollback --deployment scorer'" in caught.value.fix


def test_without_either_the_error_says_that_there_is_none(tmp_path: Path) -> None:
    hub = fleet(1)
    replace(hub, deployment(1), patience=Clock().patience())
    with pytest.raises(NoSnapshotError, match="the hub has no previous configuration of it") as caught:
        rollback_target(hub, "scorer", tmp_path, None)
    assert str(tmp_path) in caught.value.what and "MANIFESTGEN_STATE" in caught.value.fix
