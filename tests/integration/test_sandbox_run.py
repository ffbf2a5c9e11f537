"""`manifestgen sandbox` as people and pipelines run it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from integration.command_line import Completed, in_this_process

_MANIFESTGEN = [sys.executable, "-m", "manifestgen"]
_PATIENCE = 30

posix = pytest.mark.skipif(os.name != "posix", reason="signals and sessions are POSIX's")


def _run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings.pop("env", {})}  # type: ignore[dict-item] # a mapping of texts
    return subprocess.run([*_MANIFESTGEN, *arguments], capture_output=True, text=True, timeout=60, env=environment)


@pytest.fixture
def run_here(capfd: pytest.CaptureFixture[str]) -> Callable[..., Completed]:
    """Run in this process what needs no other: a new one imports the sandbox for a third of a second."""

    def run(*arguments: str) -> Completed:
        capfd.readouterr()
        ended = in_this_process(*arguments)
        of_command = capfd.readouterr()
        return replace(ended, stdout=of_command.out + ended.stdout, stderr=of_command.err + ended.stderr)

    return run


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _answers(admin: str) -> bool:
    address = urlsplit(admin)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    login = base64.b64encode(f"{address.username}:{address.password}".encode()).decode()
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/", headers={"Authorization": f"Basic {login}"})
            return connection.getresponse().status == 200
        except OSError:
            return False


def _wait_until_gone(admin: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while _answers(admin):
        assert time.monotonic() < deadline, "the sandbox is still there"
        time.sleep(0.05)


def _wait_for(path: Path) -> str:
    """The text of a file that another process writes, ending in a newline."""
    deadline = time.monotonic() + _PATIENCE
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < deadline, f"nothing was written to {path.name}"
        time.sleep(0.05)
    return path.read_text().strip()


@pytest.fixture
def spawned() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended, if they are still there, when the test ends."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_the_command_gets_the_way_to_the_sandbox_and_a_home_of_its_own(tmp_path: Path) -> None:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    outcome = _run(
        *("sandbox", "run", "--state", str(tmp_path), "--", *_python(code)),
        env={"AZURE_CLIENT_ID": "mine", "AZURE_EXTRA": "mine", "IOTHUB_CONNECTION_STRING": "mine", "ALL_PROXY": "x"},
    )
    assert outcome.returncode == 0, outcome.stderr
    seen = json.loads(outcome.stdout)
    assert "mine" not in seen.values()
    assert "ALL_PROXY" not in seen
    assert Path(seen["HOME"]).parent == tmp_path.resolve()
    assert seen["IOTHUB_CONNECTION_STRING"].startswith("HostName=sandbox-hub.azure-devices.net;")
    assert Path(seen["REQUESTS_CA_BUNDLE"]).parent == tmp_path.resolve()
    assert outcome.stderr.count("not Azure") == 1


def test_an_unmodified_client_talks_to_it() -> None:
    code = (
        "import requests; from azure.identity import DefaultAzureCredential as C; "
        "print(len(C().get_token('https://management.azure.com/.default').token) > 100)"
    )
    outcome = _run("sandbox", "run", "--", *_python(code))
    assert (outcome.returncode, outcome.stdout) == (0, "True\n"), outcome.stderr


def test_the_exit_code_is_the_commands(run_here: Callable[..., Completed]) -> None:
    assert run_here("sandbox", "run", "--", *_python("raise SystemExit(7)")).code == 7


@posix
def test_a_command_that_a_signal_ended_has_the_shells_exit_code(run_here: Callable[..., Completed]) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_here("sandbox", "run", "--", *_python(code)).code == 137


def test_options_after_the_command_are_the_commands(run_here: Callable[..., Completed]) -> None:
    outcome = run_here("sandbox", "run", *_python("import sys; print(sys.argv[1:])"), "--help", "-q")
    assert outcome.stdout == "['--help', '-q']\n"


def test_an_unknown_command_is_wrong_input(run_here: Callable[..., Completed]) -> None:
    outcome = run_here("sandbox", "run", "--", "no-such-program")
    assert outcome.code == 2
    assert "error: cannot run 'no-such-program'" in outcome.stderr
    assert "fix: " in outcome.stderr


def test_a_missing_command_is_wrong_usage(run_here: Callable[..., Completed]) -> None:
    assert run_here("sandbox", "run").code == 2


def test_what_is_not_served_is_reported_at_the_end() -> None:
    code = "import urllib.request as r\ntry: r.urlopen('https://example.com')\nexcept OSError as e: print(e)"
    outcome = _run("sandbox", "run", "--", *_python(code))
    assert "example.com is not served by the manifestgen sandbox" in outcome.stdout
    assert outcome.stderr.endswith("clients sent requests that it does not support:\n  CONNECT example.com\n")


def test_the_state_is_kept_and_a_temporary_one_removed(tmp_path: Path, run_here: Callable[..., Completed]) -> None:
    code = "import os; print(os.environ['AZURE_CLIENT_SECRET'], os.environ['HOME'])"
    kept = [run_here("sandbox", "run", "--state", str(tmp_path), "--", *_python(code)).stdout for _ in range(2)]
    assert kept[0] == kept[1]
    secret, home = run_here("sandbox", "run", "--", *_python(code)).stdout.split()
    assert secret not in kept[0]
    assert not Path(home).parent.exists()


@posix
def test_signals_reach_the_command(tmp_path: Path, spawned: list[subprocess.Popen[bytes]]) -> None:
    ready, code = tmp_path / "ready", tmp_path / "code.py"
    code.write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        f"open({str(ready)!r}, 'w').write('ready\\n')\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([*_MANIFESTGEN, "sandbox", "run", "--", sys.executable, str(code)])
    spawned.append(process)
    _wait_for(ready)
    process.send_signal(signal.SIGTERM)
    assert process.wait(_PATIENCE) == 3


def _command_that_tells_and_stays(path: Path) -> list[str]:
    return _python(
        "import os, time; "
        f"open({str(path)!r}, 'w').write(os.environ['MANIFESTGEN_SANDBOX'] + ' ' + str(os.getpid()) + '\\n'); "
        "time.sleep(60)"
    )


@posix
def test_it_stops_when_it_is_killed(tmp_path: Path, spawned: list[subprocess.Popen[bytes]]) -> None:
    told = tmp_path / "told"
    run = [*_MANIFESTGEN, "sandbox", "run", "--state", str(tmp_path / "state"), "--"]
    process = subprocess.Popen([*run, *_command_that_tells_and_stays(told)])
    spawned.append(process)
    admin, orphan = _wait_for(told).split()
    process.kill()
    _wait_until_gone(admin)
    os.kill(int(orphan), signal.SIGKILL)


@posix
def test_it_stops_with_its_command_when_its_parent_is_killed(
    tmp_path: Path, spawned: list[subprocess.Popen[bytes]]
) -> None:
    told = tmp_path / "told"
    command = [*_MANIFESTGEN, "sandbox", "run", "--", *_command_that_tells_and_stays(told)]
    parent = subprocess.Popen(_python(f"import subprocess; subprocess.run({command!r})"))
    spawned.append(parent)
    admin, child = _wait_for(told).split()
    parent.kill()
    _wait_until_gone(admin)
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)


@posix
def test_a_started_one_leads_a_shell_there_until_it_is_stopped(tmp_path: Path) -> None:
    script = f"""
    set -e
    eval "$({sys.executable} -m manifestgen sandbox start --state {tmp_path})"
    curl --noproxy '*' -sf "$MANIFESTGEN_SANDBOX/" | grep -q 'not Azure'
    echo "$AZURE_TENANT_ID $MANIFESTGEN_SANDBOX"
    {sys.executable} -m manifestgen sandbox stop
    """
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    outcome = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    tenant, admin = outcome.stdout.split()
    assert tenant == "7e4a4700-0000-4000-8000-000000000001"
    assert not _answers(admin)
    assert "the sandbox has stopped" in outcome.stderr
    assert (tmp_path / "sandbox.log").read_text() == ""


@posix
def test_a_started_one_stops_with_its_session(tmp_path: Path, spawned: list[subprocess.Popen[bytes]]) -> None:
    told = tmp_path / "told"
    command = f"{sys.executable} -m manifestgen sandbox start --output json > {told}; sleep 60"
    shell = subprocess.Popen(["bash", "-c", command], start_new_session=True)
    spawned.append(shell)
    admin = json.loads(_wait_for(told))["MANIFESTGEN_SANDBOX"]
    assert _answers(admin)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    _wait_until_gone(admin)


@posix
def test_one_in_the_foreground_stops_with_its_parent(tmp_path: Path, spawned: list[subprocess.Popen[bytes]]) -> None:
    told = tmp_path / "told"
    start = [*_MANIFESTGEN, "sandbox", "start", "--foreground"]
    code = f"import subprocess; subprocess.run({start!r}, stdout=open({str(told)!r}, 'w'))"
    parent = subprocess.Popen(_python(code))
    spawned.append(parent)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in _wait_for(told).splitlines())
    assert _answers(exports["MANIFESTGEN_SANDBOX"])
    parent.kill()
    _wait_until_gone(exports["MANIFESTGEN_SANDBOX"])


@posix
def test_one_in_the_foreground_stops_with_a_signal(spawned: list[subprocess.Popen[bytes]]) -> None:
    process = subprocess.Popen(
        [*_MANIFESTGEN, "sandbox", "start", "--foreground", "--output", "json"], stdout=subprocess.PIPE
    )
    spawned.append(process)
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"{\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(_PATIENCE) == 0


def test_a_state_in_use_is_wrong_input(tmp_path: Path, run_here: Callable[..., Completed]) -> None:
    inner = [*_MANIFESTGEN, "sandbox", "start", "--state", str(tmp_path)]
    outcome = run_here("sandbox", "run", "--state", str(tmp_path), "--", *inner)
    assert outcome.code == 2
    assert "another sandbox uses this folder" in outcome.stderr


def test_stopping_without_one_says_where_to_stop_it(
    run_here: Callable[..., Completed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MANIFESTGEN_SANDBOX", raising=False)
    outcome = run_here("sandbox", "stop")
    assert outcome.code == 2
    assert "MANIFESTGEN_SANDBOX is not set" in outcome.stderr


def test_stopping_one_that_is_gone_is_reported(
    run_here: Callable[..., Completed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANIFESTGEN_SANDBOX", "http://127.0.0.1:9")
    outcome = run_here("sandbox", "stop")
    assert outcome.code == 3
    assert "no sandbox responds at http://127.0.0.1:9" in outcome.stderr


@pytest.mark.parametrize("missing", ["aiohttp", "trustme"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['manifestgen', 'sandbox', 'run', '--', 'true']; "
        "from manifestgen.cli import main; main()"
    )
    outcome = subprocess.run(_python(code), capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 2
    assert outcome.stderr == ("error: the sandbox is not installed\n  fix: run: pip install 'manifestgen[sandbox]'\n")


@pytest.mark.parametrize("command", [[], ["run"], ["start"], ["stop"]])
def test_help_needs_neither_the_extra_nor_an_sdk(command: list[str]) -> None:
    code = (
        "import sys; from manifestgen.cli import run; "
        f"code = run(['sandbox', *{command!r}, '--help']); "
        "heavy = {'aiohttp', 'trustme', 'azure', 'requests', 'jinja2'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else code)"
    )
    outcome = subprocess.run(_python(code), capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    assert "Usage: manifestgen sandbox" in outcome.stdout
