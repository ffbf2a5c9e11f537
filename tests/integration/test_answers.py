"""Whatever a service answers, a command ends with a result or an error of two lines, and shows nothing of it.

Each answer of each command is changed in turn: cut, malformed, of another shape, or from another kind of server. The
suite takes a share of the changes, always the same; `--whole-walk` takes all, and `-s` prints the table.
"""

from __future__ import annotations

import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.hurry import hurry
from integration.answers import CANARY, Answer, Answers, Change, changes_of_all, changes_of_parts
from integration.command_line import Completed, in_this_process
from integration.scenarios import HUB, SCENARIOS, Stage, with_a_vault

from manifestgen import secret
from manifestgen.credentials.rotation import password
from manifestgen.sandbox.arm import provider

pytestmark = [
    pytest.mark.no_cover,  # the same ways again and again
    # The SDKs leave sockets of their many sessions to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# Changes of each scenario in the suite, and seconds that none may take.
SHARE = 6
SLOW = 30.0
BUG = 70  # with a traceback; one in the SDKs' logs, which -vv shows, is none of ours


@pytest.fixture(autouse=True)
def hasty(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up at once what will not come."""
    from manifestgen.device import apply
    from manifestgen.target import Patience as RolloutPatience

    hurry(monkeypatch, total=0.02, unreachable=0.02, first=0.005, longest=0.01)
    monkeypatch.setattr(apply, "PATIENCE", RolloutPatience(1.0, 1.0, 0.02, 0.1))
    monkeypatch.setattr(provider, "_RETRY_AFTER", "0")
    monkeypatch.setattr(password, "_PULL_TIME", 0.1)


@pytest.fixture
def answers(quick: Any, monkeypatch: pytest.MonkeyPatch) -> Answers:
    found = Answers()
    found.come_between(quick, monkeypatch)
    return found


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no secret, as a new process."""
    from manifestgen.azure import auth

    nothing: dict[str, Any] = {"_forms": set(), "_cores": set()}
    for name, value in nothing.items():
        monkeypatch.setattr(secret, name, value)
    auth._credential.cache_clear()


def outcome(ended: Completed, answers: Answers, *, texts: bool, discloses: bool) -> str:
    """What came of a changed answer; what must not be is named."""
    said = ended.stderr if discloses else ended.output
    if ended.code == BUG:
        return f"TRACEBACK {[line for line in ended.stderr.splitlines() if line][-8:]}"
    if shown := answers.shown_in(said):
        return f"SECRET {shown}"
    # Of an answer that can be parsed, a text may be part of a result, but not of an error.
    errors = [line for line in said.splitlines() if texts or line.startswith(("error: ", "  fix: ", "  cause: "))]
    if quoting := [line for line in errors if CANARY in line]:
        return f"CANARY in {quoting[0][:300]}"
    if ended.code in (2, 3):
        lines = ended.stderr.splitlines()
        errors = [line for line in lines if line.startswith(("error: ", "  fix: "))]
        if len(errors) != 2:
            return f"NOT TWO LINES {lines[-4:]}"
    elif ended.code not in (0, 1):
        return f"EXIT {ended.code} {ended.stderr[-300:]}"
    return f"exit {ended.code}"


def walk(
    scenario: str, stage: Stage, answers: Answers, most: int | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    """Change each answer in turn; the outcomes by what was changed."""
    arguments = SCENARIOS[scenario](stage)
    answers.seen.clear()
    undisturbed = in_this_process(*map(str, arguments()), "-vv")
    assert undisturbed.code in (0, 1), undisturbed
    discloses = scenario == "device connection-string"
    assert answers.shown_in(undisturbed.stderr if discloses else undisturbed.output) == []
    for what, place, change, texts in chosen(answers, most):
        answers.change(place, change)
        forget(monkeypatch)
        started = time.monotonic()
        verbosity = ("-v", "-vv", "-q")[zlib.crc32(what.encode()) % 3]
        ended = in_this_process(*map(str, arguments()), verbosity)
        answers.leave()
        seconds = time.monotonic() - started
        came = outcome(ended, answers, texts=texts, discloses=discloses)
        yield what, came if seconds < SLOW else f"SLOW {seconds:.0f} s {came}"


def chosen(answers: Answers, most: int | None) -> list[tuple[str, str, Change, bool]]:
    """What to change: all, or so many that are spread over all of them and always the same."""
    found = [
        (f"{place}: {name}", place, change, texts)
        for place, answer in answers.seen.items()
        for name, change, texts in changes(answer)
    ]
    if most is None:
        return found
    found.sort(key=lambda one: zlib.crc32(one[0].encode()))
    whole = [one for one in found if one[3]]
    return whole[: most // 2] + [one for one in found if not one[3]][: most // 2]


def changes(answer: Answer) -> Iterator[tuple[str, Change, bool]]:
    """Name, change, and whether no text of the answer may be shown, since it cannot be parsed."""
    for name, change in changes_of_all(answer).items():
        yield name, change, True
    for name, change in changes_of_parts(answer).items():
        yield name, change, False


@pytest.fixture
def stage(ready_made: Any, quick: Any, tmp_path: Path) -> Stage:
    return Stage(ready_made, quick, tmp_path)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_answer_is_quoted_or_ends_in_a_traceback(
    scenario: str, stage: Stage, answers: Answers, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    table: Counter[str] = Counter()
    wrong = []
    most = None if request.config.getoption("--whole-walk") else SHARE
    for what, came in walk(scenario, stage, answers, most, monkeypatch):
        table[came if came.startswith("exit ") else "wrong"] += 1
        if not came.startswith("exit "):
            wrong.append(f"{what}: {came}")
            print(wrong[-1])
    print(f"\n{scenario:<26} {len(answers.seen):>3} answers, {sum(table.values()):>5} changes: {dict(table)}")
    assert wrong == []


def _passwords(answer: Answer, edit: Callable[[bytes], bytes]) -> Answer:
    return Answer(answer.status, edit(answer.body), answer.type)


_PASSWORDS: dict[str, Callable[[bytes], bytes]] = {
    "not quite JSON": lambda body: body[:-1] + b",}",
    "another element": lambda body: body.replace(b'"passwords": [', b'"passwords": [5, '),
    "an element that is a list": lambda body: body.replace(b'"passwords": [{', b'"passwords": [["x"], {'),
    "passwords by name": lambda body: body.replace(b'"passwords": [', b'"passwords": {"all": [').replace(b"]", b"]}"),
}


@pytest.mark.parametrize("verbosity", ["-v", "-vv"])
@pytest.mark.parametrize("edit", _PASSWORDS)
def test_passwords_that_are_not_understood_are_not_quoted(
    edit: str, verbosity: str, stage: Stage, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_this_process("render", stage.project).code == 0
    (place,) = (place for place in answers.seen if place.endswith("/listCredentials"))
    answers.change(place, lambda answer: _passwords(answer, _PASSWORDS[edit]))
    forget(monkeypatch)
    ended = in_this_process("render", stage.project, verbosity)
    assert "the answer of Azure Resource Manager was not understood" in complaint_of(ended)
    assert len(answers.secrets) >= 2
    assert answers.shown_in(ended.output) == []


def test_a_vaults_secret_that_is_not_understood_is_not_quoted(
    stage: Stage, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = with_a_vault(stage)()
    assert in_this_process(*map(str, arguments)).code == 0
    (place,) = (place for place in answers.seen if place.endswith("/secrets/canary/"))
    answers.change(place, lambda answer: _passwords(answer, _PASSWORDS["not quite JSON"]))
    forget(monkeypatch)
    ended = in_this_process(*map(str, arguments), "-v")
    assert "the answer of the vault was not understood" in complaint_of(ended)
    assert "canary-in-a-key-vault" not in ended.output


def complaint_of(ended: Completed) -> str:
    """The two lines of an error of a service."""
    assert ended.code == 3, ended
    return "\n".join(line for line in ended.stderr.splitlines() if line.startswith(("error: ", "  fix: ")))


def test_an_empty_twin_and_a_page_in_the_place_of_arm_are_named(stage: Stage, answers: Answers) -> None:
    assert in_this_process("render", stage.project).code == 0
    assert in_this_process("status", "--device", stage.device).code in (0, 1)
    (twin,) = (place for place in answers.seen if place.endswith(f"{HUB}/twins/*"))
    answers.change(twin, lambda answer: Answer(200, b"", answer.type))
    said = complaint_of(in_this_process("status", "--device", stage.device))
    assert f"{HUB}: the answer of IoT Hub was not understood: it is not JSON" in said
    assert "proxy" in said
    for place in [place for place in answers.seen if place.startswith("GET management.azure.com")]:
        answers.change(place, lambda answer: Answer(200, b"<html>Sign in</html>", "text/html"))
        assert "the answer of Azure Resource Manager was not understood" in complaint_of(
            in_this_process("render", stage.project)
        )
