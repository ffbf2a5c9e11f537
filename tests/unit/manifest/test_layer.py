"""What a layer sets, in a manifest without a fault of its own."""

from __future__ import annotations

import copy
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from manifestgen.check import Kind, check, check_data, read
from manifestgen.manifest.layer import completed
from manifestgen.manifest.manifest import Manifest

DESIRED = "properties.desired"


def layer(agent: dict[str, Any] | None = None, hub: dict[str, Any] | None = None) -> Manifest:
    entries = {"$edgeAgent": agent or {}, "$edgeHub": hub or {}}
    return Manifest.of(
        {
            "modulesContent": {
                name: {f"{DESIRED}.{path}": value for path, value in pieces.items()} for name, pieces in entries.items()
            }
        },
        layered=True,
    )


def test_the_whole_without_a_piece_has_no_errors() -> None:
    whole = completed(layer(hub={"routes.toCloud.priority": 1}))

    assert whole is not None
    assert not [finding for finding in check_data(dict(whole.manifest.content)) if finding.severity.value == "error"]


def test_a_layer_of_twins_only_completes_nothing() -> None:
    assert (
        completed(Manifest.of({"modulesContent": {"$edgeAgent": {}, "m": {f"{DESIRED}.a": 1}}}, layered=True)) is None
    )


def test_pieces_are_set_whatever_their_order_and_the_rest_is_filled_in() -> None:
    whole = completed(layer({"modules.a.settings.image": "x:1", "modules.a": {"status": "stopped", "Type": "docker"}}))

    assert whole is not None
    assert whole.manifest.content["modulesContent"]["$edgeAgent"][DESIRED]["modules"] == {
        "a": {"status": "stopped", "Type": "docker", "restartPolicy": "always", "settings": {"image": "x:1"}}
    }


def test_a_place_of_the_whole_is_found_in_the_layer() -> None:
    whole = completed(layer({"modules.a": {"env": {}}, "modules.a.status": "bad", "modules.b/c.status": "bad"}))
    base = f"/modulesContent/$edgeAgent/{DESIRED}"

    assert whole is not None
    assert whole.in_layer(f"{base}/modules/a/status") == f"{base}.modules.a.status"
    assert whole.in_layer(f"{base}/modules/a/env/X") == f"{base}.modules.a/env/X"
    assert whole.in_layer(f"{base}/modules/b~1c/status") == f"{base}.modules.b~1c.status"
    assert whole.in_layer(f"{base}/modules/b~1c/type") is None
    assert whole.in_layer(f"{base}/schemaVersion") is None


def test_what_a_piece_cannot_be_put_into_is_left_to_the_piece_that_is_there() -> None:
    whole = completed(layer({"modules.a": "text", "modules.a.status": "bad"}))

    assert whole is not None
    assert whole.manifest.content["modulesContent"]["$edgeAgent"][DESIRED]["modules"] == {"a": "text"}


PARTS = st.sampled_from(["modules", "routes", "runtime", "settings", "registryCredentials", "a", "A", "status", "env"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(PARTS, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)
PIECES = st.dictionaries(st.lists(PARTS, min_size=1, max_size=4).map(".".join), VALUES, max_size=5)


@given(PIECES, PIECES)
def test_completing_leaves_the_layer_alone_and_every_place_in_it_is_there(
    agent: dict[str, Any], hub: dict[str, Any]
) -> None:
    source = layer(agent, hub)
    before = copy.deepcopy(source.content)

    whole = completed(source)

    assert source.content == before
    for path, pointer in (whole.pieces if whole else {}).items():
        entry, key = pointer.split("/")[2:]
        value: Any = source.content["modulesContent"][entry][key.replace("~1", "/").replace("~0", "~")]
        placed: Any = whole and whole.manifest.content
        for name in path:
            placed = placed[name]
        assert isinstance(placed, dict) if isinstance(value, dict) else placed == value


def test_many_pieces_and_deep_ones_are_completed_at_once() -> None:
    start = time.process_time()  # of this process alone: how busy the machine is does not count

    assert completed(layer({f"modules.m{number}.status": "running" for number in range(50_000)}))
    assert completed(layer({".".join(["a"] * 50_000): 1}))

    assert time.process_time() - start < 10


def test_createoptions_alone_may_have_chunks_in_the_base() -> None:
    text = f'{{"modulesContent": {{"$edgeAgent": {{"{DESIRED}.modules.scorer.settings.createOptions": "{{"}}}}}}'

    document = read(text)

    assert document.kind is Kind.LAYERED
    assert [finding.rule for finding in check(document)] == ["layer-partial-module"]
