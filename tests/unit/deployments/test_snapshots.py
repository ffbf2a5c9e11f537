"""Snapshots of a deployment keep the order in which they were taken, whatever the clock says."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from unit.deployments.deployments import deployment

from manifestgen.deployments.snapshots import find, snapshots, take
from manifestgen.errors import InputError
from manifestgen.state import KEPT

HUB, NAME = "contoso.azure-devices.net", "scorer"
NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


def deployments(root: Path) -> list[Any]:
    return [snapshot.deployment for snapshot in snapshots(HUB, NAME, root)]


def test_a_clock_that_was_set_back_changes_no_order(tmp_path: Path) -> None:
    for number, hours in enumerate((0, 1, -5, -5, 2)):
        take(HUB, deployment(number), tmp_path, now=NOON + timedelta(hours=hours))
    assert deployments(tmp_path) == [deployment(number) for number in (4, 3, 2, 1, 0)]
    assert snapshots(HUB, NAME, tmp_path)[2].taken == NOON + timedelta(hours=-5)


def test_a_rollback_after_the_clock_was_set_back_goes_to_the_newest_that_differs(tmp_path: Path) -> None:
    take(HUB, deployment(1), tmp_path, now=NOON)
    take(HUB, deployment(2), tmp_path, now=NOON - timedelta(hours=2))
    take(HUB, deployment(3), tmp_path, now=NOON - timedelta(hours=1))
    assert find(HUB, NAME, tmp_path, None, deployment(3).configuration()).deployment == deployment(2)
    assert find(HUB, NAME, tmp_path, 1, None).deployment == deployment(3)


def test_a_clock_that_was_set_back_drops_the_oldest_all_the_same(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        take(HUB, deployment(number), tmp_path, now=NOON - timedelta(days=number))
    assert deployments(tmp_path) == [deployment(number) for number in range(KEPT + 2, 2, -1)]


def test_a_folder_that_cannot_be_written_to_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "deployments").write_text("a file where the folder belongs")
    with pytest.raises(InputError, match="could not write the snapshot") as caught:
        take(HUB, deployment(1), tmp_path)
    assert "MANIFESTGEN_STATE" in caught.value.fix


def test_snapshots_of_earlier_versions_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "deployments" / "contoso.azure-devices.net" / "scorer"
    folder.mkdir(parents=True)
    old = deployment(1)
    data = {
        "format": 1, "hub": HUB, "deployment": NAME, "id": old.id, "taken": NOON.isoformat(),
        "condition": old.condition, "priority": old.priority, "labels": {}, "metrics": dict(old.metrics),
        "content": old.content,
    }  # fmt: skip
    (folder / "20261122T120000.000000Z.json").write_text(json.dumps(data))
    take(HUB, deployment(2), tmp_path, now=NOON - timedelta(days=1))
    assert deployments(tmp_path) == [deployment(2), old]
