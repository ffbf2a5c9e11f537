"""Ctrl-C at a request that is never answered ends every command within two seconds, which says what goes on.

The suite interrupts each command at one kind of its requests; `--whole-walk` at each, and `-s` prints the table.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from integration.answers import VARIABLE
from integration.command_line import Completed, eventually, in_this_process
from integration.forked import Forks
from integration.scenarios import SCENARIOS, Stage

from manifestgen.azure import auth
from manifestgen.credentials.rotation import password

pytestmark = [
    pytest.mark.xdist_group("forks"),
    pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals"),
    pytest.mark.no_cover,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# Two seconds, and what a busy machine needs to end a process.
LONGEST = 4.0

HUB, ARM, LOGIN = r"sandbox-hub\..*", r"management\.azure\.com", r"login\.microsoftonline\.com"
REGISTRY, AML, BLOB = r".*\.azurecr\.io|mcr\.microsoft\.com", r".*\.azureml\.ms", r".*\.blob\..*"
NAMES = {
    HUB: "the IoT hub",
    ARM: "Azure Resource Manager",
    LOGIN: "Microsoft Entra ID",
    REGISTRY: "the registry",
    AML: "Azure ML",
    BLOB: "Azure ML",
}


@dataclass(frozen=True)
class Kind:
    """Requests that are alike: their method, their host, and their path with patterns for what differs between runs."""

    method: str
    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.host} {self.path.replace('[^/]+', '*').replace(chr(92), '')}"

    @property
    def service(self) -> str:
        return next((service for service in NAMES if re.fullmatch(service, self.host)), "")


# Where the suite interrupts each command: a piece of the kind's name, and what is then said.
SAMPLE = {
    "render": ("POST login.", "interrupted while waiting for Microsoft Entra ID"),
    "doctor": ("/modules/", "interrupted while waiting for the IoT hub"),
    "preflight": ("/manifests/", "interrupted while waiting for the registry"),
    "plan": ("/modules/$edgeHub", "interrupted while waiting for the IoT hub"),
    "deploy": ("/listCredentials", "interrupted while waiting for Azure Resource Manager"),
    "apply": ("applyConfigurationContent", "may or may not have been set"),
    "apply a deployment": ("PUT ", "may or may not be set"),
    "status": ("/modules/", "interrupted while waiting for the IoT hub"),
    "rollback": ("applyConfigurationContent", "may or may not have been set"),
    "credentials show": ("GET management.", "interrupted while waiting for Azure Resource Manager"),
    "credentials create-token": ("/generateCredentials", "may or may not be made"),
    "credentials rotate": ("/generateCredentials", "every password that a device has still works"),
    "model list": ("/models", "interrupted while waiting for Azure ML"),
    "image": ("PUT ", "Azure ML continues with what it was sent"),
}


@pytest.fixture
def stage(ready_made: Any, quick: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(password, "_PULL_TIME", 0.1)
    return Stage(ready_made, quick, tmp_path)


def kinds(stage: Stage, arguments: Sequence[object]) -> list[Kind]:
    """The kinds of requests of a command, in their order."""
    stage.quick.admin("DELETE", "/requests")
    auth._credential.cache_clear()
    ended = in_this_process(*map(str, arguments))
    assert ended.code in (0, 1), ended
    return list(dict.fromkeys(_kind_of(entry) for entry in stage.quick.admin("GET", "/requests")))


def _kind_of(entry: dict[str, Any]) -> Kind:
    path = "[^/]+".join(map(re.escape, VARIABLE.split(entry["path"])))
    return Kind(entry["method"], entry["host"].partition(":")[0], f"^{path}$")


def interrupt(forked: Forks, stage: Stage, arguments: Sequence[object], kind: Kind) -> tuple[Completed, float] | None:
    """Run a command, interrupt it once a request of a kind has come, and return how it ended and in how many seconds.

    None if no such request comes: what only a first run asks for is cached then.
    """
    quick = stage.quick
    quick.fault("silence", times="forever", method=kind.method, host=re.escape(kind.host), path=kind.path)
    running = forked.start(*map(str, arguments), cwd=stage.folder)
    try:
        eventually(lambda: _hit(quick) or not running.is_running, f"a request {kind}", 180)
        if not _hit(quick):
            running.ended()
            return None
        began = time.monotonic()
        return running.interrupt(), time.monotonic() - began
    finally:
        quick.admin("DELETE", "/faults")


def _hit(quick: Any) -> bool:
    return any(fault["hit"] for fault in quick.admin("GET", "/faults"))


def said_at_the_end(ended: Completed) -> str:
    assert ended.code == 130, ended
    assert "Traceback" not in ended.output, ended
    *_, said, fix = ended.stderr.splitlines()
    assert said.startswith("interrupted"), ended
    assert fix.startswith("  fix: run the same command again"), ended
    return said


# POSTs that change nothing.
_READS = re.compile(r"oauth2|/devices/query|listCredentials|listKeys|testQueries|/token")


def is_told(kind: Kind, said: str) -> bool:
    """Whether words say what goes on: what was waited for and, of a change that was sent, that it may be made."""
    changes = kind.method not in ("GET", "HEAD") and not _READS.search(kind.path)
    if changes:
        return (
            re.search("may or may not|continues with what it was sent|every password that a device", said) is not None
        )
    # Azure ML's SDK asks others as well.
    names = (NAMES[kind.service], "Azure ML")
    return said.startswith(("interrupted; ", *(f"interrupted while waiting for {name}" for name in names)))


def walk(forked: Forks, stage: Stage, command: str, piece: str) -> Iterator[tuple[Kind, str, float]]:
    """Interrupt a command at each kind of its requests that has a piece in its name: what is said, after how long."""
    arguments = SCENARIOS[command](stage)
    for kind in [kind for kind in kinds(stage, arguments()) if piece in f"{kind} "]:
        came = interrupt(forked, stage, arguments(), kind)
        if came is not None:
            said = said_at_the_end(came[0])
            print(f"{command:<24} {came[1]:>4.1f} s  {str(kind)[:100]:<100} {said}")
            yield kind, said, came[1]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=[pytest.mark.azureml] if command in ("model list", "image") else [])
        for command in SAMPLE
    ],
)
def test_ctrl_c_ends_a_command_at_a_request(
    command: str, forked: Forks, stage: Stage, request: pytest.FixtureRequest
) -> None:
    piece, words = SAMPLE[command]
    if request.config.getoption("--whole-walk"):
        piece = words = ""
    came = 0
    wrong = []
    for kind, said, seconds in walk(forked, stage, command, piece):
        came += 1
        if seconds >= LONGEST or not is_told(kind, said) or words not in said:
            wrong.append(f"{kind}: {seconds:.1f} s, {said}")
        if piece:
            break
    assert wrong == []
    assert came > 0
