from __future__ import annotations

import base64
import html
import itertools
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifestgen import secret
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


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def lower(quoted: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda code: code.group().lower(), quoted)


@pytest.mark.parametrize(
    "form",
    [
        lower(quote_plus(CANARY)),
        lower(quote(CANARY)),
        quote(CANARY, safe="!*'()"),
        base64.b64encode(CANARY.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(CANARY.encode()).decode().rstrip("="),
        *(basic("u" * length, CANARY) for length in range(1, 5)),
        quote(basic("acme", CANARY), safe=""),
        lower(quote(basic("acme", CANARY), safe="")),
        repr(CANARY)[1:-1],
        ascii(CANARY)[1:-1],
        repr(CANARY.encode())[2:-1],
        repr({"both": f"'{CANARY}"}),
        json.dumps(json.dumps({"auth": CANARY})),
        repr(json.dumps(CANARY)),
        html.escape(CANARY),
        f"https://user:{quote(CANARY, safe='')}@proxy.example:8080",
    ],
)
def test_no_form_of_a_secret_leaves_a_piece_of_it(form: str) -> None:
    Secret(CANARY)
    hidden = redact(f"before {form} after")
    assert "***" in hidden
    for piece in ("c4n", "ary", "pa", "word", "YzRuL2", "YXJ5", "cnkrcGEic3M", "hcnk"):
        assert piece not in hidden


@pytest.mark.parametrize("text", ["it's-a-password", 'say-"please"', "back\\slash", "tab\tand\nline", "gr\u00fc-dich"])
def test_python_shows_no_secret_whatever_its_quotes(text: str) -> None:
    Secret(text)
    for form in (repr([text]), repr({"a": f'"{text}'}), repr(f"'{text}"), repr(f"{text}'\""), ascii(text)):
        assert redact(form).count("***") == 1
        assert not any(word in redact(form) for word in ("password", "please", "slash", "line", "dich"))


def test_a_proxy_of_nobody_s_shows_no_password() -> None:
    assert redact("via http://me:hunter2@proxy:8080/") == "via http://***@proxy:8080/"
    assert redact("see https://example.com:8080/a@b") == "see https://example.com:8080/a@b"


@pytest.mark.parametrize("order", list(itertools.permutations(["first-overlap", "overlap-second", "SharedAcc"])))
def test_overlapping_secrets_are_hidden_in_any_order(order: tuple[str, ...]) -> None:
    # In a process of its own: this one knows the secrets of all tests.
    code = (
        "import sys; from manifestgen.secret import Secret, redact\n"
        "for text in sys.argv[1:]: Secret(text)\n"
        "print(redact('a first-overlap-second b SharedAccessKey=Zm9yLXRoZS10ZXN0'))"
    )
    done = subprocess.run([sys.executable, "-c", code, *order], capture_output=True, text=True, check=True)
    assert done.stdout == "a *** b ***essKey=***\n"


@contextmanager
def nothing_known() -> Iterator[None]:
    """Keeps what a test makes up from the tests after it."""
    with (
        patch.object(secret, "_forms", set()),
        patch.object(secret, "_cores", set()),
    ):
        yield


@settings(deadline=None)
@given(
    secrets=st.lists(st.text(st.sampled_from("aB1/+'\"\\ ü%&"), min_size=4, max_size=9), min_size=1, max_size=3),
    before=st.text(st.sampled_from("xyz:")),
)
def test_base64_of_any_text_around_a_secret_hides_it(secrets: list[str], before: str) -> None:
    with nothing_known():
        for value in secrets:
            Secret(value)
        for value in secrets:
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                encoded = encode(f"{before}{value}!".encode()).decode()
                assert len(value.strip()) < 4 or redact(f'"{encoded}"') == '"***"'


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


@pytest.mark.parametrize(
    "mark", ["sharedaccesskey=", "accountkey=", "?sig=", "bearer ", "basic "], ids=lambda mark: mark.strip("?= ")
)
def test_letters_that_unicode_takes_for_the_same_hide_no_key(mark: str) -> None:
    alike = {"s": "sS\u017f", "k": "kK\u212a", "i": "iI\u0130\u0131"}
    for letters in itertools.product(*(alike.get(letter, letter + letter.upper()) for letter in mark[:6])):
        text = f" {''.join(letters)}{mark[6:]}Zm9yLXRoZS10ZXN0LW9ubHk"
        assert "Zm9yLXRo" not in redact(text), text


def test_json_data_is_searched_to_its_ends() -> None:
    secret = Secret("deep-down-secret")
    data = {"a": [{"b": "x deep-down-secret y"}, secret, 3, None, True], "deep-down-secret": ()}
    assert redact_json(data) == {"a": [{"b": "x *** y"}, "***", 3, None, True], "***": []}


@pytest.mark.parametrize(
    "form",
    [
        quote(quote(CANARY, safe=""), safe=""),
        lower(quote(CANARY, safe="")).replace("%2f", "%2F"),
        repr({"key": CANARY}),
        json.dumps(repr({"key": CANARY})),
    ],
)
def test_a_form_within_a_form_is_found_too(form: str) -> None:
    Secret(CANARY)
    assert "***" in redact(form)
    assert "c4n" not in redact(form)


def test_a_text_without_secrets_costs_no_pattern_however_many_are_known() -> None:
    """A client of storage learns a secret with each address that it asks for."""
    with nothing_known(), patch.object(secret, "_any_of", side_effect=AssertionError("compiled")):
        for number in range(200):
            Secret(f"signature-{number}-of-an-address")
            assert redact("GET /runs/cb1 was answered") == "GET /runs/cb1 was answered"


@pytest.mark.parametrize("known", ["_forms", "_cores"])
def test_a_secret_may_be_learned_while_a_text_is_redacted(known: str) -> None:
    """Modules are built in threads, each of which learns secrets and says what it does."""

    class Meanwhile(str):
        def casefold(self) -> str:
            Secret("another-secret-of-another-thread")
            return super().casefold()

    with nothing_known(), patch.object(secret, known, {Meanwhile("a-secret-that-is-known")}):
        assert redact("it is a-secret-that-is-known, or is it?") != "it is a-secret-that-is-known, or is it?"


def test_a_secret_that_is_no_text_of_unicode_is_hidden_too() -> None:
    # As Python reads a file name or a variable with bytes that are not UTF-8.
    odd = Secret("pass\udcff-word")
    assert redact(f"before {odd.reveal()} after") == "before *** after"
    assert odd == Secret("pass\udcff-word") != Secret("pass-word")


def test_base64_is_hidden_to_the_end_of_a_text() -> None:
    secret = Secret("a-password-in-base64")
    for text in (b"user:" + secret.reveal().encode(), secret.reveal().encode()):
        assert redact(base64.b64encode(text).decode()) == "***"
