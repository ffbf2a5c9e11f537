"""Asks Azure ML's own server what the scripts in `scripts/` answer: `python referee.py [PYTHON] > referee.json`.

azureml-inference-server-http pins versions that manifestgen cannot live with, so it is not installed beside it. Without
PYTHON a virtual environment is made for it, which downloads it from PyPI. The answers are kept in `referee.json`; the
tests compare the runner with them, and a slow one makes them anew.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
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


def _start(python: str, script: Path, port: int) -> subprocess.Popen[bytes]:
    command = [
        python,
        "-m",
        "azureml_inference_server_http.amlserver",
        "--entry_script",
        script.name,
        "--port",
        str(port),
    ]
    return subprocess.Popen(
        command, cwd=script.parent, env={**os.environ, **environment(script)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _answers(python: str, script: Path, questions: list[Question]) -> list[dict[str, Any]]:
    port = _free_port()
    server = _start(python, script, port)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                ask(port, Question("GET", "/"))
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        return [ask(port, question) for question in questions]
    finally:
        server.terminate()
        server.wait(30)


def record(python: str) -> dict[str, Any]:
    """What the server answers, and what it ends with for the scripts that it refuses."""
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda name: _answers(python, SCRIPTS / f"{name}.py", QUESTIONS[name]), QUESTIONS)
        codes = pool.map(
            lambda name: _start(python, SCRIPTS / "refused" / f"{name}.py", _free_port()).wait(120), REFUSED
        )
        return {
            "packages": list(PACKAGES),
            "answers": dict(zip(QUESTIONS, answers, strict=True)),
            "refused": dict(zip(REFUSED, codes, strict=True)),
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
