"""Snapshots keep the order in which they were taken, whatever the clock says."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from manifestgen.device.snapshots import find, snapshots, take
from manifestgen.errors import InputError
from manifestgen.state import KEPT

HUB, DEVICE = "contoso.azure-devices.net", "edge-01"
NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


def content(number: int) -> dict[str, Any]:
    return {"modulesContent": {"scorer": {"properties.desired": {"number": number}}}}


def keep(root: Path, number: int, now: datetime) -> None:
    assert take(HUB, DEVICE, number, content(number), root, now=now)


def versions(root: Path) -> list[int]:
    return [snapshot.version for snapshot in snapshots(HUB, DEVICE, root)]


def test_a_clock_that_was_set_back_changes_no_order(tmp_path: Path) -> None:
    for number, hours in enumerate((0, 1, -5, -5, 2)):
        keep(tmp_path, number, NOON + timedelta(hours=hours))
    assert versions(tmp_path) == [4, 3, 2, 1, 0]
    assert snapshots(HUB, DEVICE, tmp_path)[2].taken == NOON + timedelta(hours=-5)
    assert find(HUB, DEVICE, tmp_path, None, content(4)).version == 3


def test_a_clock_that_was_set_back_drops_the_oldest_all_the_same(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        keep(tmp_path, number, NOON - timedelta(days=number))
    assert versions(tmp_path) == list(range(KEPT + 2, 2, -1))


def test_files_that_are_no_snapshots_are_passed_over(tmp_path: Path) -> None:
    keep(tmp_path, 1, NOON)
    folder = next(tmp_path.rglob("*.json")).parent
    (folder / "zzz.json").write_text("{}")
    (folder / "aaa.json").write_text("no JSON")
    keep(tmp_path, 2, NOON)
    assert versions(tmp_path) == [2, 1]


@pytest.mark.parametrize("damage", ["", "{", '{"format": 1}', "[]"])
def test_a_damaged_newest_snapshot_is_said_and_not_passed_over(tmp_path: Path, damage: str) -> None:
    for number in (1, 2):
        keep(tmp_path, number, NOON + timedelta(hours=number))
    newest = max(tmp_path.rglob("*.json"))
    newest.write_text(damage)
    with pytest.raises(InputError, match="a snapshot is damaged") as caught:
        find(HUB, DEVICE, tmp_path, None, content(3))
    assert caught.value.where == str(newest)
    assert f"'manifestgen history --device {DEVICE}' with --to" in caught.value.fix
    assert find(HUB, DEVICE, tmp_path, 1, content(3)).version == 1


def test_an_older_damaged_snapshot_is_nothing_to_a_rollback(tmp_path: Path) -> None:
    for number in (1, 2):
        keep(tmp_path, number, NOON + timedelta(hours=number))
    min(tmp_path.rglob("*.json")).write_text("")
    assert find(HUB, DEVICE, tmp_path, None, content(3)).version == 2
