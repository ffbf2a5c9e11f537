from __future__ import annotations

import base64
import json
import pickle
from urllib.parse import quote_plus

import pytest

from manifestgen.secret import Secret, redact, redact_json

CANARY = 'c4n/ary+pa"ss=word é'


def test_a_secret_shows_itself_to_nobody_but_reveal() -> None:
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY
    for text in (repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{[secret]}", "%s" % secret):  # noqa: UP031
        assert "c4n" not in text


def test_a_secret_cannot_be_written_by_accident() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret("one-value") == Secret("one-value")
    assert Secret("one-value") != Secret("another-value")
    assert Secret("one-value") != "one-value"
    assert len({Secret("one-value"), Secret("one-value")}) == 1
    assert Secret("one-value")
    assert not Secret("")


@pytest.mark.parametrize(
    "form",
    [
        CANARY,
        json.dumps(CANARY),
        json.dumps(CANARY, ensure_ascii=False),
        quote_plus(CANARY),
        base64.b64encode(CANARY.encode()).decode(),
        base64.urlsafe_b64encode(CANARY.encode()).decode(),
    ],
)
def test_a_secret_is_found_in_every_form_it_takes_on_the_way(form: str) -> None:
    Secret(CANARY)
    hidden = redact(f"before {form} after")
    assert form not in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


def test_a_secret_that_contains_another_is_hidden_whole() -> None:
    Secret("inner-part")
    Secret("outer-inner-part-outer")
    assert redact("outer-inner-part-outer") == "***"


def test_short_texts_are_not_hunted_for() -> None:
    Secret("abc")
    assert redact("abcdef") == "abcdef"


@pytest.mark.parametrize(
    "text",
    [
        "HostName=h;SharedAccessKeyName=owner;SharedAccessKey=Zm9yLXRoZS10ZXN0LW9ubHk=",
        "https://store.blob.core.windows.net/c/b?sv=2019&sig=Zm9yLXRoZS10ZXN0LW9ubHk%3D",
        "Authorization: Bearer Zm9yLXRoZS10ZXN0LW9ubHk.Zm9yLXRoZS10ZXN0LW9ubHk",
        "Authorization: SharedAccessSignature sr=h&sig=Zm9yLXRoZS10ZXN0LW9ubHk%3D&se=1",
        "Authorization: Basic Zm9yLXRoZS10ZXN0LW9ubHk=",
    ],
)
def test_what_looks_like_a_key_is_hidden_though_nobody_named_it(text: str) -> None:
    assert "Zm9yLXRoZS10ZXN0LW9ubHk" not in redact(text)


def test_json_data_is_searched_to_its_ends() -> None:
    secret = Secret("deep-down-secret")
    data = {"a": [{"b": "x deep-down-secret y"}, secret, 3, None, True], "deep-down-secret": ()}
    assert redact_json(data) == {"a": [{"b": "x *** y"}, "***", 3, None, True], "***": []}
