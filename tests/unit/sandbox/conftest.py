"""Fixtures of the sandbox's own tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from manifestgen.sandbox.world import Store, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world in memory, with no service in it."""
    world = World(Store(), tmp_path)
    yield world
    world.store.close()
