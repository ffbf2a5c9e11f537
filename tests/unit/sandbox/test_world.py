"""The state that the services share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from manifestgen.sandbox.world import Store, World


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.close()


def test_a_document_is_written_read_and_deleted(store: Store) -> None:
    assert store.get("a", "1") is None
    store.put("a", "1", {"x": [1, None]})
    store.put("a", "1", {"x": [2, None]})
    assert store.get("a", "1") == {"x": [2, None]}
    assert [store.delete("a", "1") for _ in range(2)] == [True, False]


def test_documents_are_listed_in_order_by_prefix_and_page(store: Store) -> None:
    for key in ("b/2", "a/1", "b/1", "b_x", "B/3"):
        store.put("k", key, key)
    store.put("other", "b/9", 0)
    assert [key for key, _ in store.items("k", prefix="b/")] == ["b/1", "b/2"]
    assert [key for key, _ in store.items("k", prefix="b/", after="b/1")] == ["b/2"]
    assert [key for key, _ in store.items("k", limit=2)] == ["B/3", "a/1"]
    assert (store.count("k"), store.count("k", prefix="b/")) == (5, 2)
    assert store.counts() == {"k": 5, "other": 1}


def test_a_list_may_be_changed_while_it_is_read(store: Store) -> None:
    for key in ("1", "2"):
        store.put("k", key, key)
    for key, _ in store.items("k"):
        store.delete("k", key)
    assert store.count("k") == 0


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    first = Store(tmp_path / "state")
    first.put("a", "1", "kept")
    second = Store(tmp_path / "state")  # the first was never closed
    assert second.get("a", "1") == "kept"
    first.close()
    second.close()


def test_changes_of_a_kind_are_reported(store: Store) -> None:
    seen: list[str] = []
    store.watch("a", seen.append)
    store.put("a", "1", 0)
    store.put("b", "2", 0)
    store.delete("a", "1")
    store.delete("a", "1")
    assert seen == ["1", "1"]


def test_a_secret_is_random_and_stays(store: Store, tmp_path: Path) -> None:
    world = World(store, tmp_path)
    assert world.secret("one") == world.secret("one")
    assert world.secret("one") != world.secret("two")
    assert len(world.secret("one")) >= 32
