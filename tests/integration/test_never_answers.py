"""Services that never answer: every command ends in time and says what it waited for.

`pytest -s --whole-walk tests/integration/test_never_answers.py` walks over every request of every command instead of
the first one to each service, and prints the table.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from integration.command_line import Completed, complaint, in_this_process

pytestmark = [
    pytest.mark.no_cover,  # the same ways again and again
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WAYS: dict[str, dict[str, Any]] = {
    "never": {"kind": "silence"},
    "drips": {"kind": "drip", "seconds": 0.2},
    "100 Continue": {"kind": "continue", "seconds": 0.2},
}
_FACTOR = 0.02
# The longest patience of a client with its last attempt: 120 s and 60 s.
_LONGEST = 180.0 * _FACTOR
# For what a busy machine does besides.
_SLACK = 15.0
MOST_REQUESTS = 120

HUB, ARM, LOGIN = r"sandbox-hub\..*", r"management\.azure\.com", r"login\.microsoftonline\.com"
REGISTRY, VAULT, AML, BLOB = r".*\.azurecr\.io", r".*\.vault\.azure\.net", r".*\.azureml\.ms", r".*\.blob\..*"


@dataclass(frozen=True)
class Walked:
    """A command line with its project or device, and the services that it asks."""

    arguments: tuple[str, ...]
    services: Mapping[str, str]
    azureml: bool = False


COMMANDS: dict[str, Walked] = {
    "status": Walked(("status", "--device", "DEVICE"), {"hub": HUB}),
    "device list": Walked(("device", "list"), {"hub": HUB}),
    "export": Walked(("export", "--device", "DEVICE"), {"hub": HUB}),
    "plan": Walked(("plan", "MANIFEST", "--device", "DEVICE"), {"hub": HUB}),
    "apply": Walked(("apply", "MANIFEST", "--device", "DEVICE", "--yes"), {"hub": HUB}),
    "preflight": Walked(("preflight", "MANIFEST"), {"registry": REGISTRY}),
    "render": Walked(("render", "PROJECT"), {"login": LOGIN, "ARM": ARM}),
    "credentials show": Walked(("credentials", "show", "PROJECT"), {"ARM": ARM}),
    "render with a vault": Walked(("render", "VAULTED"), {"vault": VAULT}),
    "deploy": Walked(("deploy", "PROJECT", "--yes"), {"login": LOGIN, "ARM": ARM, "registry": REGISTRY, "hub": HUB}),
    "model list": Walked(("model", "list", "MODEL"), {"login": LOGIN, "ARM": ARM, "Azure ML": AML}, azureml=True),
    "image": Walked(("image", "MODEL"), {"blob storage": BLOB, "Azure ML": AML}, azureml=True),
}
_ways = itertools.cycle(WAYS)
# One way for each service of each command; the ways take turns.
FIRST_REQUESTS = [
    pytest.param(name, service, next(_ways), marks=[pytest.mark.azureml] if walked.azureml else [])
    for name, walked in COMMANDS.items()
    for service in walked.services
]


@pytest.fixture
def command_line(request: pytest.FixtureRequest, quick: Any) -> Callable[[str], list[str]]:
    """A command's arguments, with what they name made."""

    def value(name: str) -> str:
        if name == "MODEL":
            pytest.importorskip("azureml.core")
            return str(request.getfixturevalue("project"))
        if name not in ("DEVICE", "PROJECT", "MANIFEST", "VAULTED"):
            return name
        project = request.getfixturevalue("ready_made")
        if name == "DEVICE":
            return str(project.device)
        if name == "MANIFEST":
            assert in_this_process("render", project).code == 0
            return str(project.root / "deployment.json")
        if name == "VAULTED":
            quick.admin("PUT", "/vaults/sandbox-vault/secrets/pwd", {"value": "a-password-from-a-vault"})
            project.file.write_text(
                project.file.read_text() + "registry:\n  credentials: keyvault\n"
                "  keyvault: {vault: sandbox-vault, name: pwd, username: sandboxmodels}\n"
            )
        return str(project)

    return lambda name: [value(part) for part in COMMANDS[name].arguments]


@pytest.fixture(autouse=True)
def no_former_login() -> None:
    from manifestgen.azure import auth

    auth._credential.cache_clear()


def run(arguments: list[str]) -> tuple[Completed, float]:
    from manifestgen.azure import auth

    auth._credential.cache_clear()
    began = time.monotonic()
    ended = in_this_process(*arguments)
    return ended, time.monotonic() - began


def hits(quick: Any) -> int:
    return sum(fault["hit"] for fault in quick.admin("GET", "/faults"))


@pytest.mark.parametrize(("command", "service", "way"), FIRST_REQUESTS)
def test_a_service_that_never_answers_ends_the_command_in_time(
    command: str,
    service: str,
    way: str,
    command_line: Callable[[str], list[str]],
    quick: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = command_line(command)
    quick.fault(host=COMMANDS[command].services[service], times="forever", **WAYS[way])
    for times in (1, 5):
        monkeypatch.setenv("MANIFESTGEN_TIMEOUT_FACTOR", str(times * _FACTOR))
        ended, seconds = run(arguments)
        # On a busy machine the command may have given up before it asks this service.
        if hits(quick) > 0:
            break
    assert hits(quick) > 0
    assert ended.code in (1, 3), ended
    assert "Traceback" not in ended.output
    if command not in ("preflight", "credentials show"):  # which report it in a row
        complaint(ended, ended.code)
    assert re.search(r"no response within|was not complete after|timed out|did not respond|\d s\b", ended.output), ended
    assert seconds < 2 * times * _LONGEST + _SLACK


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_request_of_any_command_can_hold_it(
    command: str,
    way: str,
    command_line: Callable[[str], list[str]],
    quick: Any,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    if not pytestconfig.getoption("--whole-walk"):
        pytest.skip("takes half an hour: --whole-walk")
    arguments = command_line(command)
    slowest, codes = 0.0, set[int]()
    for number in range(MOST_REQUESTS):
        # The sandbox's own wakefulness is not walked over.
        quick.fault(after=number, times="forever", **WAYS[way])
        with monkeypatch.context() as patch:
            patch.setenv("MANIFESTGEN_TIMEOUT_FACTOR", str(_FACTOR))
            ended, seconds = run(arguments)
        hit = hits(quick)
        quick.admin("DELETE", "/faults")
        if not hit:
            break
        assert "Traceback" not in ended.output, (number, ended)
        slowest, codes = max(slowest, seconds), codes | {ended.code}
    else:
        pytest.fail("the walk has no end")
    print(f"\n{command:<20} {way:<13} {number:>3} requests  slowest {slowest:>5.1f} s  exit {sorted(codes)}")
    assert slowest < 3 * _LONGEST + _SLACK


def test_a_long_wait_is_reported_unless_quiet(
    command_line: Callable[[str], list[str]], quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = command_line("status")
    monkeypatch.setenv("MANIFESTGEN_TIMEOUT_FACTOR", str(_FACTOR))
    quick.fault(host=HUB, times="forever", kind="silence")
    said, _ = run(arguments)
    assert re.search(r"^waiting for the IoT hub, \d+ s$", said.stderr, re.MULTILINE), said
    quiet, _ = run([*arguments, "-q"])
    assert "waiting for" not in quiet.stderr
