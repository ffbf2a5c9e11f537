"""What can go wrong: what the log and the twin say, and what the process ends with. `pytest -s` shows a table."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from runner.broker import Certificates, Mosquitto
from runner.conftest import ECHO, Run
from runner.process import LOG_LINE, RunnerProcess
from runner.proxy import CONNECT, proxy

RAISES = "init = lambda: None\ndef run(data): raise ValueError('no ' + data)\n"
FOR_EVER = "import time\ninit = lambda: None\ndef run(data):\n    while True: time.sleep(0.1)\n"


Record = Callable[[str, object], None]


def row(name: str, runner: RunnerProcess, edge_hub: Mosquitto, code: int) -> list[str]:
    """A fault's line in the table: its name, what the log, the twin and the output `errors` say of it, and the code."""
    said = [line for line in runner.lines if re.match("<2>" if code else "<[234]>", line)]
    log = re.sub(r"^<\d> \S+ \S+ \S+ ", "", said[0]) if said else ""
    twin = [f"runner.error: {edge_hub.reported['runner']['error']}"] if code and edge_hub.reported else []
    for key, value in edge_hub.reported.items():
        if isinstance(value, dict) and value.get("ac", 200) != 200:
            twin.append(f"{key}: {value['ac']}, {value['ad']}")
    errors = [result.json["error"] for result in edge_hub.cloud.results if result.output == "errors"]
    cells = [name, log, "; ".join(twin), errors[0] if errors else "", str(code)]
    return [re.sub(r"/\S*/(?=app/|score\.py|broker/|samples)", "…/", cell) for cell in cells]


@dataclass(frozen=True)
class Fault:
    """A fault that ends the process.

    Attributes:
        script: score.py; None is none.
        log: a pattern that a line of the log matches.
        code: the exit code.
        reported: a pattern of `runner.error` in the reported twin; None where the twin cannot be reached.
        inputs: what is sent.
        environment: variables besides those of IoT Edge.
    """

    name: str
    script: str | None
    log: str
    code: int
    reported: str | None
    inputs: tuple[bytes, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


FATAL = [
    Fault(
        "score.py is missing", None, r"\[FTL\] there is no .*score.py: set AML_APP_ROOT", 3, "there is no .*score.py"
    ),
    Fault("a syntax error", "def init(:", r"\[FTL\] .*cannot be imported: SyntaxError", 3, "SyntaxError"),
    Fault(
        "an import error",
        "import nowhere",
        r"\[FTL\] .*cannot be imported: ModuleNotFoundError: No module named 'nowhere'",
        3,
        "No module named 'nowhere'",
    ),
    Fault("no run", "init = lambda: None", r"\[FTL\] .*defines no function run\(\)", 3, "defines no function"),
    Fault(
        "init raises",
        "def init(): raise FileNotFoundError('model.pkl')\ndef run(data): return 1\n",
        r"\[FTL\] init\(\) of .*score.py raised FileNotFoundError: model.pkl",
        3,
        r"init\(\) of .* raised FileNotFoundError: model.pkl",
    ),
    Fault(
        "init calls exit",
        "def init(): raise SystemExit(0)\ndef run(data): return 1\n",
        r"\[FTL\] init\(\) of .* raised SystemExit: 0",
        3,
        "SystemExit",
    ),
    Fault(
        "every input fails",
        RAISES,
        r"\[FTL\] errors in a row: 3, the last: ValueError: no 1: the process ends",
        4,
        "errors in a row: 3, the last: ValueError: no 1",
        (b"1",) * 3,
        {"RUNNER_MAX_ERRORS": "3"},
    ),
    Fault(
        "every result is what JSON cannot say",
        "init = lambda: None\ndef run(data): return {1, 2}\n",
        r"\[ERR\] no result for message None: run\(\) returned what JSON cannot say: Object of type set",
        4,
        "errors in a row: 2, the last: run.. returned what JSON cannot say",
        (b"1",) * 2,
        {"RUNNER_MAX_ERRORS": "2"},
    ),
    Fault(
        "an exception that cannot say what it is",
        "class Odd(Exception):\n    def __str__(self): raise ValueError\n"
        "init = lambda: None\ndef run(data): raise Odd\n",
        r"\[ERR\] run\(\) raised Odd",
        4,
        "errors in a row: 1, the last: Odd",
        (b"1",),
        {"RUNNER_MAX_ERRORS": "1"},
    ),
    Fault(
        "run never returns",
        FOR_EVER,
        r"\[FTL\] run\(\) did not return within 1 s: the process ends",
        5,
        r"run\(\) did not return within 1 s",
        (b"1",),
        {"RUNNER_RUN_TIMEOUT": "1"},
    ),
    Fault(
        "a variable with a wrong value",
        ECHO,
        r"\[FTL\] RUNNER_DELIVERY is 'twice': expected one of at-least-once, at-most-once",
        2,
        None,
        environment={"RUNNER_DELIVERY": "twice"},
    ),
    Fault(
        "batches and at least once",
        ECHO,
        r"\[FTL\] RUNNER_BATCH needs at-most-once delivery",
        2,
        None,
        environment={"RUNNER_DELIVERY": "at-least-once", "RUNNER_BATCH": '{"max": 2, "wait_ms": 5}'},
    ),
    Fault(
        "batches of what takes no arrays",
        "from azureml_inference_server_http.api.aml_request import rawhttp\n"
        "init = lambda: None\n@rawhttp\ndef run(request): return 1\n",
        r"\[FTL\] RUNNER_BATCH: run\(\) is decorated with @input_schema or @rawhttp, and takes no arrays",
        2,
        None,
        environment={"RUNNER_BATCH": '{"max": 2, "wait_ms": 5}'},
    ),
    Fault(
        "a variable of IoT Edge is missing",
        ECHO,
        r"\[FTL\] IOTEDGE_GATEWAYHOSTNAME is not set",
        2,
        None,
        environment={"IOTEDGE_GATEWAYHOSTNAME": ""},
    ),
    Fault(
        "another way to authenticate",
        ECHO,
        r"\[FTL\] IOTEDGE_AUTHSCHEME is 'x509': only sasToken is supported",
        2,
        None,
        environment={"IOTEDGE_AUTHSCHEME": "x509"},
    ),
]


@pytest.mark.parametrize("fault", FATAL, ids=[fault.name for fault in FATAL])
def test_what_ends_the_process_is_in_the_log_the_twin_and_the_exit_code(
    edge_hub: Mosquitto, run: Run, tmp_path: Path, fault: Fault, record_property: Record
) -> None:
    script: Any = tmp_path / "score.py" if fault.script is None else fault.script
    runner = run({**edge_hub.environment(), **fault.environment}, script)
    for body in fault.inputs:
        edge_hub.send(body)
    code = runner.wait(30)
    assert code == fault.code
    assert re.search(fault.log, runner.log), runner.log
    record_property("fault", row(fault.name, runner, edge_hub, code))
    error = edge_hub.reported.get("runner", {}).get("error")
    if fault.reported is None:
        assert error is None
    else:
        assert error is not None
        assert re.search(fault.reported, error), error
    assert all(line.startswith("<") for line in runner.lines), "a line without its level"


def test_nothing_to_serve_says_what_to_set(run: Run) -> None:
    runner = run({})
    assert runner.wait() == 2
    assert "nothing to serve: neither IOTEDGE_… variables nor RUNNER_HTTP are set" in runner.log


# Faults that the runner gets over: the log says so, and the input is scored after all.


def _one_bad_input(bad: bytes, error: str, script: str = ECHO) -> Callable[[Mosquitto, Run, Path], RunnerProcess]:
    """An input that becomes a message on `errors`, and the next one that is scored."""

    def fault(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
        runner = run(edge_hub.environment(), script)
        edge_hub.send(bad, {"$.mid": "bad"})
        edge_hub.send(b"1", {"$.mid": "good"})
        first, second = edge_hub.result(), edge_hub.result()
        assert (first.output, first.properties["$.cid"]) == ("errors", "bad")
        assert re.search(error, first.json["error"]), first.json
        assert (second.output, second.properties["$.cid"]) == ("amlOutput", "good")
        return runner

    return fault


def _largest_input(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run(edge_hub.environment(), "init = lambda: None\ndef run(data): return len(data)\n")
    edge_hub.send(b"x" * 256 * 1024)
    assert edge_hub.result().json == 256 * 1024
    return runner


def _edge_hub_away(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    edge_hub.stop()
    runner = run(edge_hub.environment())
    runner.wait_for(r"\[WRN\] edgeHub at localhost:\d+ is not reachable: .*Connection refused.*next attempt in")
    edge_hub.start()
    edge_hub.send(b"1")
    assert edge_hub.result(20).json == {"echo": 1}
    return runner


def _cut(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run(edge_hub.environment())
    runner.wait_for("desired properties")
    edge_hub.cut()
    runner.wait_for(r"\[WRN\] lost the connection to edgeHub: closed by the other side; next attempt in")
    edge_hub.send(b"1")
    assert edge_hub.result(20).json == {"echo": 1}
    return runner


def _wrong_type(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    edge_hub.desire({"maxErrors": "many"})
    runner = run(edge_hub.environment())
    runner.wait_for(r"\[WRN\] desired property maxErrors rejected: expected a whole number")
    edge_hub.cloud.wait(lambda: edge_hub.reported.get("maxErrors", {}).get("ac") == 400)
    return runner


def _patch_while_away(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run(edge_hub.environment())
    runner.wait_for("desired properties, version 1")
    edge_hub.stop()
    runner.wait_for(r"\[WRN\] lost the connection")
    edge_hub.cloud.desire({"output": "other"}, tell=False)
    edge_hub.start()
    runner.wait_for("desired properties, version 2")
    edge_hub.send(b"1")
    assert edge_hub.result().output == "other"
    return runner


def _bad_method(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run(edge_hub.environment())
    runner.wait_for("desired properties")
    assert edge_hub.call("score", b"{") == (400, {"message": "the payload is not JSON"})
    assert edge_hub.call("nothing", b"null")[0] == 404
    return runner


def _unusable_samples(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    environment = {"RUNNER_SAMPLES": "/dev/full/samples", "RUNNER_SAMPLE_EVERY": "1"}
    runner = run({**edge_hub.environment(), **environment})
    for _ in range(3):
        edge_hub.send(b"1")
        assert edge_hub.result().json == {"echo": 1}
    runner.wait_for(r"\[WRN\] samples cannot be written to /dev/full/samples: ")
    assert runner.log.count("samples cannot be written") == 1
    return runner


def _wrong_certificate(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    other = Certificates(tmp_path / "other")
    with proxy(edge_hub.plain_port, other.server_context()) as impostor:
        runner = run({**edge_hub.environment(), "RUNNER_PORT": str(impostor.port)})
        runner.wait_for(
            r"\[WRN\] the certificate of edgeHub at localhost is not trusted: (self.signed|unable to get local issuer)"
        )
        assert impostor.of("module", CONNECT) == []
        # The CA is renewed, and the trust bundle with it.
        edge_hub.workload.trust_bundle += other.bundle
        impostor.refuse = False
        runner.wait_for("connected to edgeHub", 20)
        edge_hub.send(b"1")
        assert edge_hub.result().json == {"echo": 1}
    return runner


def _certificate_for_another_name(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run({**edge_hub.environment(), "IOTEDGE_GATEWAYHOSTNAME": "127.0.0.1"})
    runner.wait_for(r"\[WRN\] the certificate of edgeHub at 127.0.0.1 is not trusted: IP address mismatch")
    return runner


def _unknown_host(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run({**edge_hub.environment(), "IOTEDGE_GATEWAYHOSTNAME": "edge.invalid"})
    runner.wait_for(r"\[WRN\] the name of edgeHub, edge.invalid, cannot be resolved")
    return runner


def _not_tls(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run({**edge_hub.environment(), "RUNNER_PORT": str(edge_hub.plain_port)})
    runner.wait_for(r"\[WRN\] (TLS with edgeHub at localhost:\d+ failed|edgeHub at localhost:\d+ is not reachable)")
    return runner


def _rejected_token(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    edge_hub.stop()
    edge_hub.start(accept=False)
    runner = run(edge_hub.environment())
    # Signed anew at once, then with pauses.
    first = runner.wait_for(r"\[WRN\] edgeHub at localhost rejected the connection: not authorized")
    assert first.endswith("next attempt in 0.0 s")
    deadline = time.monotonic() + 10
    while len([r for r in edge_hub.workload.requests if "sign" in r]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    edge_hub.stop()
    edge_hub.start()
    edge_hub.send(b"1")
    assert edge_hub.result(30).json == {"echo": 1}
    return runner


def _closed_workload_connections(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    edge_hub.workload.close_next = 3
    runner = run(edge_hub.environment())
    edge_hub.send(b"1")
    assert edge_hub.result().json == {"echo": 1}
    assert "[WRN]" not in runner.log
    return runner


def _workload_away(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    path = edge_hub.workload.path
    path.rename(path.with_suffix(".away"))
    runner = run(edge_hub.environment())
    runner.wait_for(r"\[WRN\] the workload API at unix:///.* is not reachable: .*No such file")
    path.with_suffix(".away").rename(path)
    edge_hub.send(b"1")
    assert edge_hub.result(20).json == {"echo": 1}
    return runner


def _wrong_workload_answer(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    edge_hub.workload.answer = (200, b'{"nothing": 1}')
    runner = run(edge_hub.environment())
    runner.wait_for(r"\[WRN\] the workload API's answer to GET /trust-bundle has no 'certificate'")
    edge_hub.workload.answer = (500, b"{}")
    runner.wait_for(r"\[WRN\] the workload API answered GET /trust-bundle with status 500")
    edge_hub.workload.answer = (200, b'{"certificate": "not PEM"}')
    runner.wait_for(
        r"\[WRN\] TLS with edgeHub at localhost:\d+ failed: .*|\[WRN\] edgeHub at .* is not reachable: not enough"
    )
    edge_hub.workload.answer = None
    edge_hub.send(b"1")
    assert edge_hub.result(30).json == {"echo": 1}
    return runner


def _slow_edge_hub(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as slow:
        slow.delay = 0.3
        runner = run({**edge_hub.environment(), "RUNNER_PORT": str(slow.port)})
        edge_hub.send(b"1")
        assert edge_hub.result(20).json == {"echo": 1}
        assert "[WRN]" not in runner.log
        assert runner.stop() == 0
    return runner


def _no_twin(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    edge_hub.cloud.answer_twin = False
    runner = run(edge_hub.environment())
    edge_hub.send(b"1")
    assert edge_hub.result(20).json == {"echo": 1}
    runner.wait_for(r"\[WRN\] no twin from edgeHub within 10 s: going on with the settings so far")
    return runner


def _version_gap(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run(edge_hub.environment())
    runner.wait_for("desired properties, version 1")
    edge_hub.cloud.desire({"output": "other"}, tell=False)
    edge_hub.desire({"logLevel": "debug"})
    runner.wait_for("went from version 1 to 3: reading the twin")
    runner.wait_for("desired properties, version 3")
    edge_hub.send(b"1")
    assert edge_hub.result().output == "other"
    return runner


def _full_disk(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    folder = tmp_path / "samples"
    folder.mkdir()
    disk = ("unshare", "-m", "sh", "-ec", f'mount -t tmpfs -o size=16k none {folder} && exec "$@"', "sh")
    if os.geteuid() or not shutil.which("unshare") or subprocess.run([*disk, "true"], check=False).returncode:
        pytest.skip("needs root and unshare, for a disk that is small")
    environment = {"RUNNER_SAMPLES": str(folder), "RUNNER_SAMPLE_EVERY": "1"}
    runner = run({**edge_hub.environment(), **environment}, prefix=disk)
    text = "x" * 6000
    for _ in range(4):
        edge_hub.send(f'"{text}"'.encode())
        assert edge_hub.result().json == {"echo": text}
    runner.wait_for(r"\[WRN\] samples cannot be written to /.*: \[Errno 28\] No space left on device")
    assert runner.log.count("samples cannot be written") == 1
    return runner


def _odd_property_names(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run(edge_hub.environment())
    odd = {"a b": "c/d", "ü&=": "%41", "empty": "", "plus+#": "x" * 1000, "new\nline": "\x00\x1b"[1:]}
    edge_hub.send(b"1", odd)
    sent = {k: v for k, v in edge_hub.result().properties.items() if not k.startswith("$.")}
    assert sent == odd
    return runner


def _too_many_properties(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    runner = run({**edge_hub.environment(), "RUNNER_MODEL_NAME": "anomaly"})
    edge_hub.send(b"1", {"$.mid": "m", "long": "x" * 65_420})
    error = edge_hub.result()
    assert error.output == "errors"
    assert re.search("properties are too large: 65,.* bytes, and MQTT takes 65,535", error.json["error"])
    assert error.properties["$.cid"] == "m"
    return runner


def _two_with_one_identity(edge_hub: Mosquitto, run: Run, tmp_path: Path) -> RunnerProcess:
    first = run(edge_hub.environment())
    first.wait_for("connected to edgeHub")
    second = run(edge_hub.environment())
    pattern = (
        r"\[WRN\] edgeHub closed \d connections within seconds: does another client use the identity edge-1/scorer"
    )
    first.wait_for(pattern, 60)
    edge_hub.send(b"1")
    assert edge_hub.result(60).json == {"echo": 1}
    assert second.stop() == 0
    return first


SURVIVED: dict[str, Callable[[Mosquitto, Run, Path], RunnerProcess]] = {
    "run raises": _one_bad_input(
        b"0", "ZeroDivisionError", "init = lambda: None\ndef run(data): return 1 / int(data)\n"
    ),
    "a result that JSON cannot say": _one_bad_input(
        b"0", "returned what JSON cannot say", "init = lambda: None\ndef run(data): return {0} if data == '0' else 1\n"
    ),
    "a result of 300 KB": _one_bad_input(
        b"0",
        "the result is too large: 300,002 bytes",
        "init = lambda: None\ndef run(data): return 'x' * 300_000 if data == '0' else 1\n",
    ),
    "an input that is not UTF-8": _one_bad_input(b"\xff", "the input is not UTF-8: invalid start byte at byte 0"),
    "an input that is not JSON": _one_bad_input(b"{", "JSONDecodeError"),
    "an input of 256 KiB": _largest_input,
    "edgeHub is away at the start": _edge_hub_away,
    "a connection that is cut": _cut,
    "a desired property of a wrong type": _wrong_type,
    "a patch while edgeHub is away": _patch_while_away,
    "a method with a bad payload, and an unknown one": _bad_method,
    "a folder for samples that cannot be made": _unusable_samples,
    "a wrong certificate": _wrong_certificate,
    "a certificate for another name": _certificate_for_another_name,
    "an unknown host": _unknown_host,
    "no TLS": _not_tls,
    "a rejected token": _rejected_token,
    "workload connections closed without an answer": _closed_workload_connections,
    "no workload socket": _workload_away,
    "wrong answers of the workload API": _wrong_workload_answer,
    "a slow edgeHub": _slow_edge_hub,
    "no answer to the twin request": _no_twin,
    "a gap in the twin's versions": _version_gap,
    "a disk that is full": _full_disk,
    "odd property names": _odd_property_names,
    "too many properties": _too_many_properties,
    "two runners with one identity": _two_with_one_identity,
}


@pytest.mark.parametrize("name", SURVIVED)
def test_what_the_runner_gets_over(
    edge_hub: Mosquitto, run: Run, tmp_path: Path, name: str, record_property: Record
) -> None:
    runner = SURVIVED[name](edge_hub, run, tmp_path)
    code = runner.stop()
    assert code == 0
    record_property("fault", row(name, runner, edge_hub, code))
    assert "unexpectedly" not in runner.log
    for line in runner.lines:
        match = LOG_LINE.match(line)
        assert match is not None
        assert match["logLevel"] is not None, line


# Stops at any point.


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.2, 0.3, 0.45, 0.6])
def test_a_stop_at_any_point_of_the_start_is_a_clean_one(edge_hub: Mosquitto, run: Run, seconds: float) -> None:
    edge_hub.send(b"1")
    runner = run(edge_hub.environment(), "import time\ninit = lambda: time.sleep(0.2)\ndef run(data): return 1\n")
    time.sleep(seconds)
    code = runner.stop()
    # Before the interpreter has come to the runner, the signal does what it does by default.
    assert code == 0 or (code == -15 and runner.lines == [])
    assert "Traceback" not in runner.log


def test_a_stop_while_edge_hub_is_away_does_not_wait_for_it(edge_hub: Mosquitto, run: Run) -> None:
    edge_hub.stop()
    runner = run(edge_hub.environment())
    runner.wait_for("is not reachable")
    started = time.monotonic()
    assert runner.stop() == 0
    assert time.monotonic() - started < 3
    edge_hub.start()


def test_interrupting_it_by_hand_is_a_clean_stop(edge_hub: Mosquitto, run: Run) -> None:
    runner = run(edge_hub.environment())
    runner.wait_for("desired properties")
    os.kill(runner.pid, 2)
    assert runner.wait() == 0
    assert "Traceback" not in runner.log


def test_a_library_that_takes_the_signals_does_not_keep_it_from_stopping(edge_hub: Mosquitto, run: Run) -> None:
    script = """\
import signal
def init():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def run(data):
    return 1
"""
    runner = run(edge_hub.environment(), script)
    runner.wait_for("desired properties")
    assert runner.stop() == 0


# What must not be in a log.


def test_neither_a_body_nor_a_token_is_in_the_log_even_when_run_fails(edge_hub: Mosquitto, run: Run) -> None:
    secret = b"canary-" + b"x" * 500
    runner = run({**edge_hub.environment(), "RUNNER_LOG_LEVEL": "debug"}, RAISES)
    edge_hub.send(secret)
    edge_hub.result()
    runner.stop()
    assert "SharedAccessSignature" not in runner.log
    assert secret.decode() not in runner.log
    # An exception's own words may quote the input: they are cut.
    assert max(len(line) for line in runner.lines) < 400


def test_a_level_can_be_filtered_by_as_edge_agent_does(edge_hub: Mosquitto, run: Run) -> None:
    script = """\
import logging
init = lambda: logging.getLogger("model").warning("first line\\nsecond line")
def run(data):
    print("printed")
    raise ValueError("two\\nlines")
"""
    runner = run(edge_hub.environment(), script)
    edge_hub.send(b"1")
    edge_hub.result()
    runner.stop()
    found: dict[str, list[str]] = {}
    for line in runner.lines:
        match = LOG_LINE.match(line)
        assert match is not None
        found.setdefault(match["logLevel"] or "6", []).append(match["logtext"])
        assert match["timestamp"] or line == "printed"
    assert found["4"] == ["[WRN] first line", "[WRN] second line"]
    assert found["3"][0] == "[ERR] run() raised ValueError: two lines"
    assert any("score.py" in line for line in found["3"])
    assert "printed" in found["6"]
