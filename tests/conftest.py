"""Fixtures for all tests: a sandbox to talk to, and the certainty that nothing leaves this machine."""

from __future__ import annotations

import asyncio
import base64
import gc
import http.client
import ipaddress
import json
import logging
import multiprocessing.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import coverage
import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from manifestgen import secret

# So that every test can say `from fakes.registry import FakeRegistry`.
sys.path.insert(0, str(Path(__file__).parent))

requests = pytest.importorskip("requests")


# What `--fast` forbids a test, by the names of Python's audit events.
_REACHING_OUT = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "socket.bind", "socket.connect")
# Importing one of these takes as long as a hundred fast tests.
_LARGE = ("azureml", "sklearn")
_fast = False


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files; read the diff afterwards")
    parser.addoption(
        "--whole-walk",
        action="store_true",
        help="change every answer in every way, withhold each, and interrupt it (hours)",
    )
    parser.addoption(
        "--fast",
        action="store_true",
        help="skip each test at its first process, connection, or import of a large package, and slow tests",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C reach what tests start, and a worker be measured once.

    In a worker pytest-cov begins when its options are read, and again when the session starts: it would pause the
    second measuring only, and `no_cover` be without effect.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what it runs in the background so, and commands that tests interrupt would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long a draw or an example takes says something about the machine only: others' tests run beside it.
    settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("here")
    if config.getoption("--fast"):
        settings.register_profile("fast", settings.get_profile("here"), max_examples=5)
        settings.load_profile("fast")
        sys.addaudithook(_skip_when_reaching_out)
        # Python raises no audit event where multiprocessing starts a process.
        multiprocessing.util.spawnv_passfds = _skip_a_worker  # type: ignore[assignment]
        # What a test that is skipped halfway leaves open; the full run has no such excuse.
        for warning in ("ResourceWarning", "pytest.PytestUnraisableExceptionWarning"):
            config.addinivalue_line("filterwarnings", f"ignore::{warning}")
    if "PYTEST_XDIST_WORKER" in os.environ:
        while (measured := coverage.Coverage.current()) is not None:
            measured.stop()


def _skip_when_reaching_out(event: str, arguments: tuple[Any, ...]) -> None:
    """Skip the running test of `--fast` in place of what it is about to do: no list of fast tests has to be kept."""
    if _fast and event in _REACHING_OUT:
        if event.startswith("socket."):
            arguments[0].close()  # or a later test would be blamed for it
        pytest.skip(f"--fast: {event}")
    if _fast and event == "import" and arguments[0].partition(".")[0] in _LARGE:
        pytest.skip(f"--fast: import {arguments[0]}")


def _skip_a_worker(*_: object) -> NoReturn:
    pytest.skip("--fast: multiprocessing")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tell the hook above when a test runs: a worker of pytest-xdist has connections of its own."""
    global _fast
    _fast = item.config.getoption("--fast")
    try:
        return (yield)
    finally:
        _fast = False


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the folders in which nearly all tests connect.

    Importing the SDKs for them takes longer than a fast test, and a server that is interrupted while it starts leaves
    things behind.
    """
    about_connections = [Path(__file__).parent / folder for folder in ("integration", "unit/sandbox")]
    return True if config.getoption("--fast") and collection_path in about_connections else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for garbage once all tests are collected, and leave what is alive then out of later searches.

    A million objects come into being there and stay: to look at them again and again takes a quarter of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Leave coverage out of what goes the same ways a hundred times: it would double their time and add no line.

    And a whole walk takes the time it takes.
    """
    for item in items:
        if config.getoption("--whole-walk"):
            item.add_marker(pytest.mark.timeout(0))
        if config.getoption("--fast") and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="--fast: slow"))
        if item.get_closest_marker("slow") or is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compares a text with a file that is kept; `--update-golden` writes the file."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: run pytest with --update-golden and read it"
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(autouse=True, scope="session")
def _models_are_tested_on_purpose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test but those about it runs a model before an image is built; those share environments."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANIFESTGEN_NO_TEST", "1")
        # uv asks no index and downloads no Python but from this machine.
        patch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        patch.setenv("UV_HTTP_RETRIES", "0")
        patch.setenv("UV_PYTHON_DOWNLOADS", "never")
        patch.setenv("MANIFESTGEN_ENVIRONMENTS", str(shared / "environments"))
        yield


@pytest.fixture(autouse=True)
def _secrets_of_its_own() -> Iterator[None]:
    """Forget the secrets that a test made: another's words would be hidden if they happen to be one."""
    known = (secret._forms, secret._cores)
    before = [forms.copy() for forms in known]
    yield
    for forms, kept in zip(known, before, strict=True):
        forms.intersection_update(kept)


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """Take the handler away that a command of this test left, or it would write into another's output."""
    root, ours = logging.getLogger(), logging.getLogger("manifestgen")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    if root.handlers != handlers or (root.level, ours.level) != levels:
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])


class LeavesThisMachine(Exception):
    """A test tried to connect to another machine."""


def _check_loopback(address: Any) -> None:
    if not isinstance(address, tuple):
        return  # a Unix socket
    host = str(address[0])
    if host == "localhost":
        return
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise LeavesThisMachine(f"a test tried to connect to {address!r}")


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """Refuse every connection beyond loopback, and resolve no other name; all SDKs come through these functions."""
    patch = pytest.MonkeyPatch()

    def guard(name: str) -> None:
        original = getattr(socket.socket, name)

        def checked(self: socket.socket, address: Any, *rest: Any) -> Any:
            _check_loopback(address)
            return original(self, address, *rest)

        patch.setattr(socket.socket, name, checked)

    guard("connect")
    guard("connect_ex")
    resolve = socket.getaddrinfo

    def resolve_loopback(host: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        try:
            _check_loopback((name or "localhost",))
        except LeavesThisMachine as error:
            raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
        return resolve(host, *rest, **named)

    patch.setattr(socket, "getaddrinfo", resolve_loopback)
    yield
    patch.undo()


@pytest.fixture(params=["sdk", "rest"])
def hub_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What sends requests to IoT Hub: Microsoft's SDK, or the REST API; a test that uses this runs with both."""
    if request.param == "sdk":
        pytest.importorskip("uamqp", reason="Microsoft's SDK for IoT Hub is not installed")
    monkeypatch.setenv("MANIFESTGEN_HUB_CLIENT", request.param)
    return str(request.param)


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox in a thread of this process.

    Attributes:
        sandbox: the `manifestgen.sandbox.server.Sandbox`; touch its world only through `call`, or when nothing runs.
        environment: what leads a client to it.
    """

    sandbox: Any
    environment: dict[str, str]
    loop: asyncio.AbstractEventLoop

    @property
    def world(self) -> Any:
        return self.sandbox.world

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine in the sandbox's event loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the admin API; the answer's JSON. Not with `requests`, whose sessions take longer than the call."""
        address = urlsplit(self.environment["MANIFESTGEN_SANDBOX"])
        login = base64.b64encode(f"{address.username}:{address.password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body)
        with closing(http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)) as connection:
            connection.request(method, requests.utils.requote_uri(path), sent, headers)
            response = connection.getresponse()
            text = response.read().decode()
        assert response.status < 400, text
        return json.loads(text)

    def fault(self, kind: str, **settings: Any) -> None:
        """Switch a fault of requests on."""
        self.admin("POST", "/faults", {"kind": kind, **settings})


# The folders and files whose tests are about the sandbox itself, or go ways in it that no others go.
_OF_THE_SANDBOX = ("sandbox", "contract", "test_faults.py", "test_key_vault.py", "test_pipeline_login.py")


@contextmanager
def running_sandbox(services: Any = None, path: Path | None = None) -> Iterator[RunningSandbox]:
    """A sandbox in a thread, with these services or all.

    Where a test is not about the sandbox, its lines are not counted: they are the same ones for each command, and to
    count them takes as long as the command.

    Args:
        services: classes of `manifestgen.sandbox`.
        path: of the test.
    """
    from manifestgen.sandbox.server import Sandbox

    if _fast:
        pytest.skip("--fast: a sandbox")  # before a thread is started that would have to be stopped again
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sandbox", daemon=True)
    counting = threading.gettrace()
    if path is not None and not any(name in path.parts for name in _OF_THE_SANDBOX):
        threading.settrace(None)  # type: ignore[arg-type]
    thread.start()
    threading.settrace(counting)  # type: ignore[arg-type]

    async def start() -> Sandbox:
        sandbox = Sandbox(None, services)
        await sandbox.start()
        return sandbox

    async def stop(sandbox: Sandbox) -> None:
        await sandbox.stop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # the ends of connections are read, and their sockets closed, before the loop ends
        # A closed TLS connection waits half a minute for its client to agree; asyncio has no public list of them.
        for transport in list(getattr(loop, "_transports", {}).values()):
            transport.abort()
        await asyncio.sleep(0)

    sandbox = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield RunningSandbox(sandbox, sandbox.environment, loop)
    finally:
        asyncio.run_coroutine_threadsafe(stop(sandbox), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def shared_sandbox(request: pytest.FixtureRequest) -> Iterator[RunningSandbox]:
    """One sandbox for all tests of a module; prefer `sandbox`, which hands it over clean of faults."""
    with running_sandbox(path=request.path) as running:
        yield running


@pytest.fixture
def sandbox_of(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Callable[..., RunningSandbox]]:
    """Start a sandbox of services of the test's own; this process's environment leads to it."""
    with ExitStack() as stack:

        def start(*services: Any) -> RunningSandbox:
            running = stack.enter_context(running_sandbox(services, request.path))
            for name, value in running.environment.items():
                monkeypatch.setenv(name, value)
            return running

        yield start


@pytest.fixture
def sandbox(shared_sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    """The module's sandbox, with this process's environment leading to it and no fault switched on."""
    _lead_to(shared_sandbox, monkeypatch)
    shared_sandbox.admin("DELETE", "/requests")
    yield shared_sandbox
    shared_sandbox.admin("DELETE", "/faults")


@pytest.fixture
def new_sandbox(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[RunningSandbox]:
    """A sandbox that no other test has used, with this process's environment leading to it."""
    with running_sandbox(path=request.path) as running:
        _lead_to(running, monkeypatch)
        yield running


def _lead_to(running: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("AZURE_", "AZUREML_", "IOTHUB_")) or name.upper() == "HTTP_PROXY":
            monkeypatch.delenv(name)
    chosen = os.environ.get("MANIFESTGEN_STATE")
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    if chosen is not None:
        monkeypatch.setenv("MANIFESTGEN_STATE", chosen)  # of this test, not of all tests that use this sandbox
    monkeypatch.setenv("HOME", str(running.sandbox.home))
