"""The state folder: whose it is, and who may use it at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.errors import InputError
from manifestgen.state import chosen_folder, lock, state_folder, using

BUSY = InputError("another run is at work", fix="wait until it has ended")


def test_the_environment_chooses_the_folder() -> None:
    assert state_folder({"MANIFESTGEN_STATE": "/srv/state"}) == Path("/srv/state")
    assert state_folder({}).name == "manifestgen"


def test_a_lock_is_had_by_one_at_a_time(tmp_path: Path) -> None:
    held = lock(tmp_path / "run.lock", busy=BUSY)
    with pytest.raises(InputError, match="another run is at work"):
        lock(tmp_path / "run.lock", busy=BUSY)
    held.release()
    lock(tmp_path / "run.lock", busy=BUSY).release()


def test_a_lock_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        lock(tmp_path / "file" / "run.lock", busy=BUSY)


def test_a_chosen_folder_is_used_while_the_block_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANIFESTGEN_STATE", "/before")
    with using(tmp_path):
        assert state_folder() == tmp_path
        with using(None):
            assert state_folder() == tmp_path
    assert state_folder() == Path("/before")
    monkeypatch.delenv("MANIFESTGEN_STATE")
    with using(tmp_path):
        assert chosen_folder() == tmp_path
    assert chosen_folder() is None


def test_the_folder_of_a_sandbox_is_no_ones_choice() -> None:
    sandbox = {"MANIFESTGEN_SANDBOX_HOME": "/sandbox/home", "MANIFESTGEN_STATE": "/sandbox/home/manifestgen"}
    assert chosen_folder(sandbox) is None
    assert chosen_folder({**sandbox, "MANIFESTGEN_STATE": "/srv/state"}) == Path("/srv/state")
