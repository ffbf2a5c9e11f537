from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.errors import InputError
from manifestgen.manifest.create_options import CHUNK_BYTES, ChunkError, join, keys, split, with_text_options


def test_text_up_to_the_limit_stays_in_one_piece() -> None:
    assert split("x" * 4096) == {"createOptions": "x" * 4096}


def test_longer_text_is_cut_into_numbered_chunks() -> None:
    assert {key: len(chunk) for key, chunk in split("x" * 10000).items()} == {
        "createOptions": 4096,
        "createOptions01": 4096,
        "createOptions02": 1808,
    }


@given(st.text(alphabet=st.characters(), min_size=1500, max_size=3000).map(lambda text: text * 5))
def test_chunks_never_end_inside_a_character_and_join_to_the_text(text: str) -> None:
    chunks = split(text)

    assert all(len(chunk.encode("utf-8", "surrogatepass")) <= CHUNK_BYTES for chunk in chunks.values())
    assert join({"image": "a:1", **chunks}) == text


def test_text_for_more_than_a_hundred_chunks_is_refused() -> None:
    assert len(split("x" * 4096 * 100)) == 100
    with pytest.raises(InputError, match="100 chunks"):
        split("x" * (4096 * 100 + 1))


@pytest.mark.parametrize(
    "settings",
    [
        {"createOptions": "{", "createOptions1": "", "createOptions2": "}"},
        {"CreateOptions": "{", "createoptions01": "}"},
        {"createOptions01": "}", "createOptions": "{"},
        {"createOptions": "{", "createOptions0001": "}"},
        {"myCreateOptions": "{}"},
    ],
)
def test_sequences_that_edge_agent_takes(settings: dict[str, str]) -> None:
    assert join(settings) == "{}"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"createOptions": "{", "createOptions02": "}"}, "createOptions02"),
        ({"createOptions01": "{}"}, "createOptions01"),
        ({"createOptions": "{", "createOptions00": "}"}, "createOptions00"),
        ({"createOptions": "{", "CreateOptions": "}"}, "CreateOptions"),
        ({"createOptions": "{", "createOptionsNote": "}"}, "createOptionsNote"),
        ({"createOptions": "{", "createOptions99999999999": "}"}, "createOptions99999999999"),
        ({f"createOptions{number or ''}": "" for number in range(11)}, "createOptions10"),
    ],
)
def test_sequences_that_edge_agent_refuses(settings: dict[str, str], key: str) -> None:
    with pytest.raises(ChunkError) as caught:
        join(settings)

    assert caught.value.key == key
    assert caught.value.fix


def test_chunks_after_the_hundredth_are_not_read() -> None:
    settings = {"createOptions": "0", **{f"createOptions{number:03d}": "1" for number in range(1, 120)}}

    assert len(keys(settings)) == 120
    assert join(settings) == "0" + "1" * 99


def test_values_that_are_no_text_are_read_as_their_text() -> None:
    assert join({"createOptions": {"Env": ["é"]}}) == '{"Env":["é"]}'
    assert join({"createOptions": None}) == ""
    assert join({"createOptions": True}) == "True"
    assert join({"image": "a:1"}) == ""


def test_object_becomes_text_and_old_chunks_go() -> None:
    settings = {"image": "a:1", "createOptions": {"HostConfig": {}}, "createOptions01": "left over"}

    assert with_text_options(settings) == {"image": "a:1", "createOptions": '{"HostConfig":{}}'}


@pytest.mark.parametrize("settings", [{"createOptions": "{}"}, {"createOptions": None}, {"image": "a:1"}])
def test_other_settings_stay_as_they_are(settings: dict[str, object]) -> None:
    assert with_text_options(settings) == settings
