"""Snapshots keep the order in which they were taken, whatever the clock says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from manifestgen.device.snapshots import find, snapshots, take
from manifestgen.errors import InputError
from manifestgen.manifest.manifest import Manifest
from manifestgen.state import KEPT

HUB, DEVICE = "contoso.azure-devices.net", "edge-01"
NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


def manifest(number: int) -> Manifest:
    return Manifest.of_twins({"scorer": {"number": number}})


def keep(root: Path, number: int, now: datetime) -> None:
    assert take(HUB, DEVICE, number, manifest(number), root, now=now)


def versions(root: Path) -> list[int]:
    return [snapshot.version for snapshot in snapshots(HUB, DEVICE, root)]


def test_a_clock_that_was_set_back_changes_no_order(tmp_path: Path) -> None:
    for number, hours in enumerate((0, 1, -5, -5, 2)):
        keep(tmp_path, number, NOON + timedelta(hours=hours))
    assert versions(tmp_path) == [4, 3, 2, 1, 0]
    assert snapshots(HUB, DEVICE, tmp_path)[2].taken == NOON + timedelta(hours=-5)
    assert find(HUB, DEVICE, tmp_path, None, manifest(4)).version == 3


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
        find(HUB, DEVICE, tmp_path, None, manifest(3))
    assert caught.value.where == str(newest)
    assert f"'manifestgen history --device {DEVICE}' with --to" in caught.value.fix
    assert find(HUB, DEVICE, tmp_path, 1, manifest(3)).version == 1


def test_an_older_damaged_snapshot_is_nothing_to_a_rollback(tmp_path: Path) -> None:
    for number in (1, 2):
        keep(tmp_path, number, NOON + timedelta(hours=number))
    min(tmp_path.rglob("*.json")).write_text("")
    assert find(HUB, DEVICE, tmp_path, None, manifest(3)).version == 2


def test_two_runs_that_read_the_same_clock_both_keep_their_snapshot(tmp_path: Path) -> None:
    paths = [take(HUB, DEVICE, number, manifest(number), tmp_path, now=NOON) for number in (1, 2)]
    # As if both had looked before either wrote: the names are told apart by more than the time.
    assert len({path.name.partition("-")[2] for path in paths if path}) == 2
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: take(HUB, DEVICE, number, manifest(number), tmp_path, now=NOON), range(3, 11)))
    assert sorted(versions(tmp_path)) == list(range(1, 11))


def test_a_folder_without_room_for_a_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise InputError("output folder is not writable", fix="make it writable")

    monkeypatch.setattr("manifestgen.state.write_atomic", refuse)
    with pytest.raises(InputError, match="could not write the snapshot: output folder is not writable") as caught:
        take(HUB, DEVICE, 1, manifest(1), tmp_path)
    assert "MANIFESTGEN_STATE" in caught.value.fix and "--state" in caught.value.options[0]


def test_a_snapshot_of_a_newer_version_is_neither_passed_over_nor_damaged(tmp_path: Path) -> None:
    keep(tmp_path, 1, NOON)
    newest = max(tmp_path.rglob("*.json"))
    newest.write_text(newest.read_text().replace('"format": 1', '"format": 2'))
    for read in (lambda: find(HUB, DEVICE, tmp_path, None, manifest(3)), lambda: keep(tmp_path, 2, NOON)):
        with pytest.raises(InputError, match="written by a newer version") as caught:
            read()
        assert caught.value.where == str(newest)
