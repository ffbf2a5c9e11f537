"""Runs a project's layout: its modules as processes, the routes between them, `$upstream` to the observer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from manifestgen.edge.agent.agent import Agent, ModuleSpec, ModuleState
from manifestgen.edge.agent.logs import LogLine
from manifestgen.edge.cloud import LocalCloud
from manifestgen.edge.device import Code, EdgeDevice
from manifestgen.edge.files.image import program
from manifestgen.edge.message import DEVICE, MODULE, OUTPUT, Message, readable
from manifestgen.errors import FoundError, InputError, ManifestgenError, os_reason
from manifestgen.run.layout import Layout, Origin
from manifestgen.runner.twin import difference

_DEVICE: Final = "local"
_HUB: Final = "local.azure-devices.net"
# Seconds: of the first back-off, which is 10 on a device; between SIGTERM and SIGKILL; between two checks.
_FIRST_PAUSE: Final = 1.0
_GRACE: Final = 10.0
_LOOK: Final = 0.25
# Messages of a file that wait in edgeHub at once, and the last lines of a module's log that an error shows.
_MOST_WAITING: Final = 500
_SHOWN: Final = 20

Shown = dict[str, Any]


@dataclass(frozen=True)
class Observer:
    """Callbacks; all but `progress` come from other threads.

    Attributes:
        message: each message that reaches `$upstream`.
        printed: each line that a module prints: its name and the line.
        progress: what happens, in a sentence.
    """

    message: Callable[[Shown], None] = lambda message: None
    printed: Callable[[str, str], None] = lambda module, line: None
    progress: Callable[[str], None] = lambda text: None


def run(
    make: Callable[[], Layout],
    *,
    messages: Iterator[bytes] | None = None,
    origin: str = "",
    watch: bool = False,
    observer: Observer | None = None,
) -> int:
    """Run until interrupted; with messages, until all of them have been routed.

    Args:
        make: lays out the project, again for each change of its files.
        messages: bodies to send into the routes.
        origin: their sender `MODULE/OUTPUT`; by default the source of a route into the model.
        watch: lay it out again, and replace the modules, when a file changes.
        observer: is called with what happens.

    Returns:
        How many messages reached `$upstream`.

    Raises:
        FoundError: the model's module ended before all messages were scored.
        ManifestgenError: the project cannot be laid out.
    """
    layout = make()
    place = layout.origin(origin) if messages is not None else None
    return _Run(layout, place, observer or Observer()).carry_out(messages, make if watch else None)


class _Run:
    def __init__(self, layout: Layout, place: Origin | None, observer: Observer) -> None:
        self._layout, self._place, self._observer = layout, place, observer
        self._changed = threading.Event()
        self._arrived = 0
        self._cloud = LocalCloud(layout.twins, heard=self._heard)
        self._device = EdgeDevice(
            _DEVICE,
            _HUB,
            self._cloud,
            first_pause=_FIRST_PAUSE,
            grace=_GRACE,
            changed=self._changed.set,
            printed=self._printed,
            log=lambda text: observer.printed("edgeHub", text),
        )
        self._known: dict[str, ModuleState] = {}
        self._seen = _stamps(layout.files)

    def _heard(self, message: Message) -> None:
        self._arrived += 1
        self._observer.message(shown(message))

    def _printed(self, module: str, line: LogLine) -> None:
        self._observer.printed(module, line.message if line.stream == "agent" else line.text)

    def carry_out(self, messages: Iterator[bytes] | None, make: Callable[[], Layout] | None) -> int:
        self._device.start()
        try:
            self._apply(self._layout)
            while True:
                self._changed.wait(_LOOK)
                self._changed.clear()
                self._say_changes()
                if make is not None:
                    self._check_files(make)
                if self._place is not None:
                    self._require_own()
                if self._place is not None and messages is not None:
                    messages = self._feed(messages, self._place)
                elif self._place is not None and make is None and not self._device.hub.waiting():
                    return self._arrived
        finally:
            self._device.stop()

    def _apply(self, layout: Layout) -> None:
        place = self._place
        self._device.hub.configure(layout.hub)
        # Messages from a file replace the module that would send them.
        runs = [module for module in layout.modules if place is None or module.name != place.module]
        self._device.apply(runs)
        for name, image in layout.left_out.items():
            self._observer.progress(f"module {name!r} is left out: {image} is not built here")
        if place is not None:
            self._observer.progress(f"messages are sent as from module {place.module!r}, output {place.output!r}")

    def _feed(self, messages: Iterator[bytes], place: Origin) -> Iterator[bytes] | None:
        """Send messages up to edgeHub's limit; returns the remaining ones, None at the end."""
        while sum(self._device.hub.waiting().values()) < _MOST_WAITING:
            body = next(messages, None)
            if body is None:
                return None
            system = {DEVICE: _DEVICE, MODULE: place.module, OUTPUT: place.output}
            system |= {"contentType": "application/json", "contentEncoding": "utf-8"}
            self._device.hub.publish(
                Message(body, {}, system, device=_DEVICE, module=place.module, output=place.output)
            )
        return messages

    def _require_own(self) -> None:
        """Raise FoundError if a model's module has ended."""
        states = self._device.agent.states()
        ended = [name for name in self._layout.own if name in states and states[name].status in ("backoff", "failed")]
        if not ended:
            return
        log, state = self._device.agent.log(ended[0]), states[ended[0]]
        lines = [line.text for line in log.lines(tail=_SHOWN)] if log is not None else []
        raise FoundError(
            f"module {ended[0]!r} ended with exit code {state.exit_code}",
            fix="see its last lines above, and try its score.py with 'manifestgen test'",
            detail=tuple(lines),
        )

    def _say_changes(self) -> None:
        states = dict(self._device.agent.states())
        for name, state in states.items():
            before = self._known.get(name)
            if before is None or before.status != state.status or before.restarts != state.restarts:
                self._observer.progress(f"module {name!r}: {_words(state)}")
            elif before.started != state.started:
                self._observer.progress(f"module {name!r}: started again")
        self._known = states

    def _check_files(self, make: Callable[[], Layout]) -> None:
        stamps = _stamps(self._layout.files)
        if stamps == self._seen:
            return
        changed = sorted(path.name for path in {**stamps, **self._seen} if stamps.get(path) != self._seen.get(path))
        self._seen = stamps
        self._observer.progress(f"changed: {', '.join(changed)}")
        try:
            layout = make()
            self._apply(layout)
        except ManifestgenError as error:
            self._observer.progress(f"error: {error}; the running modules are unchanged")
            return
        old, self._layout = self._layout, layout
        self._seen = _stamps(layout.files)
        for name, desired in layout.twins.items():
            if patch := difference(dict(old.twins.get(name, {})), dict(desired)):
                self._device.hub.desired_changed(name, patch, self._cloud.desire(name, patch))


def serve(
    make: Callable[[], tuple[Code, tuple[Path, ...]]],
    port: int,
    scratch: Path,
    *,
    watch: bool = False,
    observer: Observer | None = None,
) -> None:
    """Serve score.py over HTTP on loopback, as an image with `RUNNER_HTTP` does, until interrupted.

    Args:
        make: the code, and the files to watch.
        port: of 127.0.0.1.
        scratch: an empty folder.

    Raises:
        InputError: the port cannot be used.
        ManifestgenError: the code cannot be prepared.
    """
    _require_free(port)
    listener = observer or Observer()
    changed = threading.Event()
    agent = Agent(
        first_pause=_FIRST_PAUSE,
        grace=_GRACE,
        changed=changed.set,
        printed=lambda module, line: listener.printed(module, line.text),
    )

    def apply() -> tuple[Path, ...]:
        code, files = make()
        if code.root is None:
            raise AssertionError("only the sensor has no files")
        variables = {"RUNNER_HTTP": f"127.0.0.1:{port}"}
        agent.apply([ModuleSpec("scorer", program(code.root, code.config, code.python, variables, scratch))])
        return files

    agent.start()
    try:
        files = apply()
        seen = _stamps(files)
        listener.progress(f"serving on http://127.0.0.1:{port}/score; Ctrl-C ends it")
        while True:
            changed.wait(_LOOK)
            changed.clear()
            if watch and _stamps(files) != seen:
                listener.progress("a file has changed: starting again")
                try:
                    files = apply()
                except ManifestgenError as error:
                    listener.progress(f"error: {error}; the running modules are unchanged")
                seen = _stamps(files)
    finally:
        agent.stop()


def _require_free(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        words = f"port {port} cannot be used: {os_reason(error)}"
        raise InputError(words, where="--serve", fix="end what listens there, or choose another port") from error


def shown(message: Message) -> Shown:
    """A message as JSON data."""
    return {
        "module": message.module,
        "output": message.output,
        "enqueued": message.enqueued.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "properties": dict(message.properties),
        **readable(message.body),
    }


def bodies(text: bytes) -> Iterator[bytes]:
    """The messages in a file: the items of a JSON array, else the lines, else the whole file."""
    try:
        data = json.loads(text)
    except ValueError:
        yield from (line for line in text.splitlines() if line.strip())
        return
    for item in data if isinstance(data, list) else [data]:
        yield json.dumps(item).encode()


def _words(state: ModuleState) -> str:
    if state.status == "running":
        return "running" if not state.restarts else f"running again, restarted {state.restarts} times"
    reason = f" ({state.reason})" if state.reason else ""
    return f"{state.status}, exit code {state.exit_code}{reason}"


def _stamps(files: tuple[Path, ...]) -> Mapping[Path, tuple[int, int]]:
    found: dict[Path, tuple[int, int]] = {}
    for path in files:
        try:
            status = path.stat()
        except OSError:
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found
