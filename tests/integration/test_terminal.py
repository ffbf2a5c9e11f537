"""A device's life as a person sees it at a terminal, kept as text: what each command left on the screen.

The commands run in processes of their own on a pseudo-terminal; a terminal emulator draws what they write, so that live
lines replace each other as they do for a person.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import content, module
from integration.command_line import in_this_process

pyte = pytest.importorskip("pyte")

SENSOR = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor"
COLUMNS, ROWS = 112, 60
GOLDEN = Path(__file__).parent.parent / "golden/terminal/device-life.txt"


@dataclass
class Recording:
    """Commands at a terminal, and what the screen showed.

    Attributes:
        text: the commands, each with its exit code, its last screen, and a screen from when modules were on their way.
        frames: every screen of the last command, in order, without repetitions.
        bytes: all that the last command wrote.
    """

    folder: Path
    quick: Any
    text: str = ""
    term: str = "xterm-256color"
    bytes: bytes = b""
    frames: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str, typed: str = "") -> None:
        """Run a command; `typed` is what a person answers to its question."""
        screen = pyte.Screen(COLUMNS, ROWS)
        stream = pyte.ByteStream(screen)
        terminal, its_end = os.openpty()
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.frames, self.bytes = [], b""
        command = [sys.executable, "-m", "manifestgen", *arguments]
        # The size is the terminal's own, whatever the terminal is that the tests run in.
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        environment = {**kept, "TERM": self.term, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            command, cwd=self.folder, env=environment, stdin=its_end, stdout=its_end, stderr=its_end
        ) as running:
            os.close(its_end)
            with contextlib.suppress(OSError):  # the command has ended, and nobody else has the terminal
                while part := os.read(terminal, 65536):
                    self.bytes += part
                    stream.feed(part)
                    shown = "\n".join(line.rstrip() for line in screen.display).rstrip()
                    if not self.frames or self.frames[-1] != shown:
                        self.frames.append(shown)
                    if typed and shown.endswith("[y/N]:"):
                        os.write(terminal, typed.encode())
                        typed = ""
            os.close(terminal)
            code = running.wait(60)
        self.text += f"$ manifestgen {' '.join(arguments)}\n"
        underway = [frame for frame in self.frames if "not created yet" in frame]
        if underway and underway[0] != self.frames[-1]:
            self.text += f"{underway[0]}\n[and at the end]\n"
        self.text += f"{self.frames[-1]}\n[exit {code}]\n\n"

    def saw_in_turn(self, *words: str) -> bool:
        """Whether frames of the last command had these words, one after the other."""
        rest = iter(self.frames)
        return all(any(word in frame for frame in rest) for word in words)


@pytest.fixture
def recording(quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """Devices that pull slowly enough to be watched."""
    from manifestgen.sandbox.world import Pace

    monkeypatch.setattr(quick.world, "pace", Pace(pull=1.5, start=0.1, retry=0.5))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Recording(tmp_path, quick)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    def write(name: str, **images: str) -> None:
        modules = {module_: module(f"{SENSOR}:{tag}") for module_, tag in images.items()}
        (tmp_path / name).write_text(json.dumps(content(modules), indent=2))

    return write


def test_plan_apply_failure_rollback_and_status_at_a_terminal(
    recording: Recording, write: Callable[..., None], golden: Callable[[Path, str], None]
) -> None:
    assert in_this_process("device", "register", "edge-07", "-q").code == 0
    write("site.json", sensor="1.5")
    write("next.json", sensor="1.5", filter="1.6-not-there")
    device = ("--device", "edge-07")

    recording("plan", "site.json", *device)
    recording("apply", "site.json", *device, typed="y\n")
    assert recording.saw_in_turn("not created yet", "ok sensor", "healthy")
    recording("apply", "next.json", *device, "--rollback-on-failure", "--yes")
    assert recording.saw_in_turn("not created yet", "the image does not exist")
    recording("status", *device)

    # The clock of a rollout, which is not the same twice.
    assert re.search(r"^  0:0\d, gives up in (10:00|9:5\d)$", recording.text, re.MULTILINE)
    text = re.sub(r"\d\d:\d\d:\d\d UTC: (.*) was set at .*", r"HH:MM:SS UTC: \1 was set at THEN", recording.text)
    golden(GOLDEN, re.sub(r"\b\d+:\d\d(?=, gives up|$)", "M:SS", text, flags=re.MULTILINE))


def test_the_clock_continues_while_nothing_changes(recording: Recording, write: Callable[..., None]) -> None:
    write("site.json", sensor="1.5")
    in_this_process("device", "register", "edge-08", "-q")
    recording.quick.admin("PUT", "/devices/edge-08", {"online": False})
    recording("apply", "site.json", "--device", "edge-08", "--yes", "--timeout", "4")
    seconds = {
        found[1] for frame in recording.frames if (found := re.search(r"^  0:(0\d), gives up in 0:0", frame, re.M))
    }
    assert len(seconds) >= 4


def test_a_terminal_without_escapes_gets_none(recording: Recording, write: Callable[..., None]) -> None:
    write("site.json", sensor="1.5")
    in_this_process("device", "register", "edge-09", "-q")
    recording.term = "dumb"
    recording("apply", "site.json", "--device", "edge-09", "--yes")
    assert b"\x1b" not in recording.bytes
    assert b".. sensor" in recording.bytes and b"healthy" in recording.bytes


def test_in_a_pipe_the_table_of_modules_comes_once(
    recording: Recording, write: Callable[..., None], tmp_path: Path
) -> None:
    write("site.json", sensor="1.5")
    in_this_process("device", "register", "edge-10", "-q")
    for _ in range(2):  # the second time, the device has it already
        ended = subprocess.run(
            [sys.executable, "-m", "manifestgen", "apply", "site.json", "--device", "edge-10", "--yes"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=True,
        )
        lines = ended.stdout.splitlines()
        assert sum(line.startswith("  ok sensor") and SENSOR in line for line in lines) == 1
        assert len(set(lines)) == len(lines)
