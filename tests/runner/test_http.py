"""HTTP beside, or instead of, edgeHub."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from runner.broker import Mosquitto, free_port
from runner.conftest import ECHO, Run
from runner.process import RunnerProcess


def ask(
    port: int,
    method: str = "POST",
    path: str = "/score",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


@pytest.fixture
def port() -> int:
    return free_port()


def serve(run: Run, port: int, script: str = ECHO, **environment: str) -> RunnerProcess:
    runner = run({"RUNNER_HTTP": str(port), **environment}, script)
    runner.wait_for("listening at")
    return runner


def test_it_scores_without_an_edge_hub(run: Run, port: int) -> None:
    runner = serve(run, port)
    status, body, headers = ask(port, body=b'{"a": 1}', headers={"x-ms-client-request-id": "mine"})
    assert (status, json.loads(body)) == (200, {"echo": {"a": 1}})
    assert headers["content-type"] == "application/json"
    assert headers["x-ms-client-request-id"] == headers["x-ms-request-id"] == "mine"
    assert float(headers["x-ms-run-fn-exec-ms"]) >= 0
    assert runner.stop() == 0


def test_it_listens_on_loopback_unless_a_host_is_given(run: Run, port: int) -> None:
    assert f"http://127.0.0.1:{port}" in serve(run, port).wait_for("listening at")
    other = free_port()
    assert f"http://0.0.0.0:{other}" in run({"RUNNER_HTTP": f"0.0.0.0:{other}"}).wait_for("listening at")


def test_a_port_that_is_taken_ends_the_start(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        runner = run({"RUNNER_HTTP": str(taken.getsockname()[1])})
        assert runner.wait() == 2
    assert "RUNNER_HTTP: cannot listen at 127.0.0.1" in runner.log


def test_a_request_that_is_too_large_or_has_no_length_is_refused(run: Run, port: int) -> None:
    serve(run, port)
    assert ask(port, headers={"Content-Length": "100000000"})[0] == 413
    assert ask(port, headers={"Transfer-Encoding": "chunked"})[0] == 411


def test_run_is_called_by_one_thread_the_main_thread(run: Run, port: int) -> None:
    script = """\
import threading
init = lambda: None
busy = False
def run(data):
    global busy
    assert not busy and threading.current_thread() is threading.main_thread()
    busy = True
    __import__("time").sleep(0.02)
    busy = False
    return 1
"""
    serve(run, port, script)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(port, body=b"1")[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8


def test_the_scripts_own_swagger_is_served(run: Run, port: int, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "swagger3.json").write_text('{"openapi": "3.0.1", "info": {"title": "mine"}}')
    serve(run, port)
    assert json.loads(ask(port, "GET", "/swagger.json?version=3")[1])["info"] == {"title": "mine"}
    second = json.loads(ask(port, "GET", "/swagger.json")[1])
    assert (second["swagger"], list(second["paths"])) == ("2.0", ["/", "/score"])
    assert json.loads(ask(port, "GET", "/swagger.json?version=3.1")[1])["openapi"] == "3.1.0"
    assert ask(port, "GET", "/swagger.json?version=4")[0] == 404


def test_a_thread_for_http_or_metrics_runs_only_if_it_is_asked_for(edge_hub: Mosquitto, run: Run) -> None:
    runner = run(edge_hub.environment())
    runner.wait_for("desired properties")
    threads = [path.read_text().strip() for path in Path(f"/proc/{runner.pid}/task").glob("*/comm")]
    # The main thread, the session and the watchdog.
    assert len(threads) == 3


def test_metrics_are_prometheus_text(edge_hub: Mosquitto, run: Run, port: int) -> None:
    environment = {"RUNNER_METRICS": str(port), "RUNNER_MODEL_NAME": 'a "b"', "RUNNER_MODEL_VERSION": "3"}
    runner = run({**edge_hub.environment(), **environment})
    runner.wait_for("desired properties")
    for body in (b"1", b"2", b"\xff"):
        edge_hub.send(body)
        edge_hub.result()
    deadline = time.monotonic() + 5
    while "runner_sent_total 3" not in (text := ask(port, "GET", "/metrics")[1].decode()):
        assert time.monotonic() < deadline, text
    status, _, headers = ask(port, "GET", "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'runner_requests_total{input="amlInput",outcome="scored"} 2' in text
    assert 'runner_requests_total{input="amlInput",outcome="rejected"} 1' in text
    assert 'runner_model_info{name="a \\"b\\"",version="3",sha256=""} 1' in text
    assert "runner_connected 1" in text
    assert "runner_queue_length 0" in text
    assert 'runner_run_seconds_bucket{le="+Inf"} 3' in text
    assert "runner_run_seconds_count 3" in text
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) .+|[a-z_]+(\{([a-z_0-9]+="(\\.|[^"\\])*",?)+\})? [-+.e0-9]+', line), line
    assert ask(port, "GET", "/score")[0] == 404


class Server:
    """A scoring server that is not ours: answers by a function, and keeps what it was asked."""

    def __init__(self, answer: Any, port: int = 0) -> None:
        import http.server

        self.asked: list[tuple[str, Any]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, json.loads(body)))
                status, content = answer(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_the_bridge_sends_inputs_on_and_results_back(edge_hub: Mosquitto, run: Run) -> None:
    server = Server(lambda body: (200, json.dumps({"got": body}).encode()))
    run(edge_hub.environment(), None, "--forward", f"http://127.0.0.1:{server.port}/score?x=1")
    edge_hub.send(b'{"a": 1}', {"$.mid": "m"})
    result = edge_hub.result()
    assert (result.json, result.properties["$.cid"]) == ({"got": {"a": 1}}, "m")
    assert server.asked == [("/score?x=1", {"a": 1})]
    server.stop()


def test_the_bridge_waits_for_a_server_that_is_away_and_loses_nothing(edge_hub: Mosquitto, run: Run, port: int) -> None:
    runner = run(edge_hub.environment(), None, "--forward", f"http://127.0.0.1:{port}/")
    edge_hub.send(b"1")
    edge_hub.send(b"2")
    runner.wait_for(r"\[WRN\] the server at 127.0.0.1:\d+ is not reachable: .*refused: retrying")
    assert edge_hub.call("score", b"3")[0] == 503
    states = iter([503, 200, 200])
    server = Server(lambda body: (next(states), b"%d" % body), port)
    assert [edge_hub.result().json, edge_hub.result().json] == [1, 2]
    assert runner.stop() == 0
    server.stop()


def test_what_a_server_rejects_becomes_an_error(edge_hub: Mosquitto, run: Run) -> None:
    server = Server(lambda body: (400, b'{"message": "no"}') if body == 1 else (200, b"null"))
    run(edge_hub.environment(), None, "--forward", f"http://127.0.0.1:{server.port}/")
    edge_hub.send(b"1")
    assert edge_hub.result().json["error"] == 'the server answered with status 400: {"message": "no"}'
    server.stop()


@pytest.mark.parametrize(
    ("kind", "sent", "asked", "answer", "result"),
    [
        ("mlflow", {"t": 1.5}, {"dataframe_records": [{"t": 1.5}]}, {"predictions": [1]}, 1),
        ("mlflow", [{"t": 1}, {"t": 2}], {"dataframe_records": [{"t": 1}, {"t": 2}]}, {"predictions": [1, 2]}, [1, 2]),
        ("mlflow", {"inputs": [[1]]}, {"inputs": [[1]]}, {"predictions": [1]}, [1]),
        (
            "kserve",
            {"t": 1.5, "n": 2},
            {
                "inputs": [
                    {"name": "t", "shape": [1], "datatype": "FP64", "data": [1.5]},
                    {"name": "n", "shape": [1], "datatype": "INT64", "data": [2]},
                ]
            },
            {"outputs": [{"name": "label", "shape": [1], "datatype": "INT64", "data": [7]}]},
            {"label": 7},
        ),
        (
            "kserve",
            [[1.0, 2.0], [3.0, 4.0]],
            {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1.0, 2.0, 3.0, 4.0]}]},
            {"outputs": [{"name": "y", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}]},
            {"y": [[1, 2], [3, 4]]},
        ),
    ],
)
def test_the_bridge_speaks_the_servers_protocol(
    edge_hub: Mosquitto, run: Run, kind: str, sent: Any, asked: Any, answer: Any, result: Any
) -> None:
    server = Server(lambda body: (200, json.dumps(answer).encode()))
    environment = {
        **edge_hub.environment(),
        "RUNNER_FORWARD": f"http://127.0.0.1:{server.port}/",
        "RUNNER_FORWARD_BODY": kind,
        "RUNNER_FORWARD_INPUT": "x",
    }
    run(environment, None)
    edge_hub.send(json.dumps(sent).encode())
    assert edge_hub.result().json == result
    assert server.asked == [("/", asked)]
    server.stop()
