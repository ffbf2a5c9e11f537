"""Fixtures of the edge room's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from edge.hubs import Hub, running


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running() as hub:
        yield hub
