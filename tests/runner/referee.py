"""Asks Azure ML's own server what the scripts in `scripts/` answer: `python referee.py [PYTHON] > referee.json`.

azureml-inference-server-http pins versions that manifestgen cannot live with, so it is not installed beside it. Without
PYTHON a virtual environment is made for it, which downloads it from PyPI. The answers are kept in `referee.json`; the
tests compare the runner with them, and a slow one makes them anew.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
PACKAGES = ("azureml-inference-server-http==1.5.1", "inference-schema==1.8")
KEPT = ("content-type", "x-ms-run-function-failed", "x-why", "x-model", "x-length")
JSON = {"Content-Type": "application/json"}


class Question(NamedTuple):
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = JSON


def post(body: bytes, headers: dict[str, str] = JSON) -> Question:
    return Question("POST", "/score", body, headers)


QUESTIONS: dict[str, list[Question]] = {
    "plain": [
        post(b'{"x": 21}'),
        post(b"{"),
        post(b'{"y": 1}'),
        post(b"\xff\xfe"),
        Question("GET", "/score?x=4"),
        Question("GET", "/"),
        Question("POST", "/"),
        Question("OPTIONS", "/score"),
        Question("PUT", "/score", b"{}"),
        Question("GET", "/nowhere"),
    ],
    "headers": [
        post(b"[1]", {**JSON, "X-Site": "north"}),
        post(b""),
        Question("GET", "/score?a=1&b=[1,2]&c=word&d=null&e=1&e=x"),
    ],
    "typed": [
        post(b'{"data": [1, 2], "scale": 2}'),
        post(b'{"data": [1, 2]}'),
        post(b'{"scale": 2}'),
        post(b"[1]"),
        post(b"{"),
        post(b""),
        post(b'{"data": [1]}', {"Content-Type": "text/plain"}),
        Question("GET", "/score?data=[1,2]&scale=5"),
    ],
    "raw": [
        post(b"\x00\x01\x02", {"Content-Type": "image/png"}),
        post(b"bad"),
        post(b"fail"),
        Question("GET", "/score?a=1&a=2&b=x"),
    ],
    "contrib": [post(b'{"a": 1}')],
    "list_result": [post(b"1")],
    "json_texts": [post(b"1")],
    "nothing": [post(b"1")],
    "raising": [post(b"1")],
    "text": [post(b"plain words"), post(b'{"a": 1}'), post("Köln".encode())],
    "response": [post(b"1")],
    "unsayable": [post(b"1")],
    "not_a_number": [post(b"1")],
}
REFUSED = sorted(path.stem for path in (SCRIPTS / "refused").glob("*.py"))


def ask(port: int, question: Question) -> dict[str, Any]:
    """A server's answer, without what differs each time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(question.method, question.path, question.body, question.headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    headers = {name.lower(): value for name, value in response.getheaders() if name.lower() in KEPT}
    return {"status": response.status, "headers": headers, "body": base64.b64encode(body).decode()}


def environment(script: Path) -> dict[str, str]:
    return {"AML_APP_ROOT": str(script.parent), "AZUREML_ENTRY_SCRIPT": script.name}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# Its imports take a second and a half: they are made once, and each server is a fork of the process that has made them.
_SERVERS = """\
import gc, importlib, json, os, runpy, signal, sys
for name in ("flask", "gunicorn.app.wsgiapp", "pydantic_settings", "azure.monitor.opentelemetry.exporter"):
    importlib.import_module(name)
gc.freeze()
said = os.fdopen(os.dup(1), "w")
for descriptor in (1, 2):
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
pids = {}
servers = json.loads(sys.argv[1])
for name, (folder, variables, port) in servers.items():
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        os.environ.update(variables)
        sys.argv = ["amlserver", "--entry_script", variables["AZUREML_ENTRY_SCRIPT"], "--port", str(port)]
        runpy.run_module("azureml_inference_server_http.amlserver", run_name="__main__")
        sys.exit()
    pids[name] = pid
ended = {name: os.waitstatus_to_exitcode(os.waitpid(pids.pop(name), 0)[1]) for name in json.loads(sys.argv[2])}
said.write(json.dumps(ended) + "\\n")
said.flush()
sys.stdin.read()
for pid in pids.values():
    os.kill(pid, signal.SIGTERM)
for pid in pids.values():
    os.waitpid(pid, 0)
"""


@contextmanager
def _servers(
    python: str, scripts: dict[str, Path], ending: list[str]
) -> Iterator[tuple[dict[str, int], Callable[[], dict[str, int]]]]:
    """A server for each script: their ports, and what waits for the exit codes of those that end by themselves."""
    ports = {name: _free_port() for name in scripts}
    servers = {name: (str(path.parent), environment(path), ports[name]) for name, path in scripts.items()}
    command = [python, "-c", _SERVERS, json.dumps(servers), json.dumps(ending)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    read = process.stdout.readline
    try:
        yield ports, lambda: json.loads(read())
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def _answers(port: int, questions: list[Question]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 60
    while True:
        try:
            ask(port, Question("GET", "/"))
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    return [ask(port, question) for question in questions]


def record(python: str) -> dict[str, Any]:
    """What the server answers, and what it ends with for the scripts that it refuses."""
    refused = {name: SCRIPTS / "refused" / f"{name}.py" for name in REFUSED}
    scripts = {name: SCRIPTS / f"{name}.py" for name in QUESTIONS}
    with _servers(python, scripts | refused, REFUSED) as (ports, codes):
        return {
            "packages": list(PACKAGES),
            "answers": {name: _answers(ports[name], questions) for name, questions in QUESTIONS.items()},
            "refused": codes(),
        }


def install(folder: Path) -> str:
    """A virtual environment with the server in it; its interpreter."""
    venv.create(folder)
    python = str(folder / "bin" / "python")
    # Pip is here already; and most of what is installed is never imported.
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", *PACKAGES]
    subprocess.run(command, check=True)
    return python


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        python = sys.argv[1] if len(sys.argv) > 1 else install(Path(folder))
        json.dump(record(python), sys.stdout, indent=1)
        sys.stdout.write("\n")
