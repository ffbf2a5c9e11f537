"""Renders rows in several processes, because one alone renders fewer per second than a large hub accepts.

Each worker has its own pipe with at most one batch in it, so that neither end ever waits for the other to read. A
worker ends when its pipe does, however this process ends. A row that a worker cannot render, because it needs a
registry login that has not been asked for yet, this process does.
"""

from __future__ import annotations

import math
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from manifestgen.errors import InputError
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.placeholder import Styles
from manifestgen.render import Login
from manifestgen.rows.render import Ready, Refused, Registries, Renderer
from manifestgen.rows.rows import Row
from manifestgen.rows.source import Source, load_again
from manifestgen.secret import Secret

# A process renders several hundred manifests a second, and has the requests of a run to make besides.
_RATE_OF_ONE: Final = 100
# Starting a process takes as long as rendering some hundred rows.
_WORTH_STARTING: Final = 1000
_BATCH: Final = 16

#: A registry login as it goes through a pipe: user name and password.
_Plain = Mapping[Registries, Mapping[str, tuple[str, str]]]


class _Login(msgspec.Struct, frozen=True):
    username: str
    password: Secret


class _Setup(msgspec.Struct, frozen=True):
    """The inputs of a worker's renderer; see `Source`."""

    name: str
    root: Path
    hash: str
    base: Mapping[str, Any]
    ignore: tuple[str, ...]
    force: bool
    styles: Styles


class _UnknownLogin(Exception):
    """The manifest needs logins that this worker was not given."""


def processes_for(rate: float, rows: int) -> int:
    """How many worker processes a run needs; 0 if this process alone keeps up.

    Args:
        rate: rows a second that are wanted; infinite for as many as can be.
        rows: how many there are.
    """
    cores = os.cpu_count() or 1
    if rate <= _RATE_OF_ONE or rows < _WORTH_STARTING or cores < 2:
        return 0
    return cores if math.isinf(rate) else min(cores, math.ceil(rate / _RATE_OF_ONE))


class Workers:
    """Worker processes that render rows. A context manager; the processes end with it.

    Args:
        renderer: of this process; it renders the first row, and those that the workers cannot.
        source: what it renders from.
        processes: how many.
    """

    def __init__(self, renderer: Renderer, source: Source, processes: int) -> None:
        self._renderer = renderer
        context = get_context("spawn")
        base = dict(renderer.base)
        ignore = tuple(renderer.ignore)
        setup = _Setup(source.name, source.root, source.hash, base, ignore, renderer.force, renderer.styles)
        self._pipes: list[Connection] = []
        for number in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, setup), name=f"renderer-{number}", daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()

    def render_all(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Ready | Refused]]:
        """Each row with its manifest, in their order.

        Raises:
            CloudError: the registry credentials could not be read.
            InputError: the template was changed, or cannot be read any more.
        """
        source = iter(rows)
        while not self._renderer.reported and (row := next(source, None)) is not None:
            yield row, self._renderer.render(row)
        under_way: deque[tuple[Connection, list[Row]]] = deque()
        idle = deque(self._pipes)
        while True:
            while idle and (batch := list(islice(source, _BATCH))):
                pipe = idle.popleft()
                _send(pipe, batch, self._renderer.known)
                under_way.append((pipe, batch))
            if not under_way:
                return
            pipe, batch = under_way.popleft()
            results = _receive(pipe, len(batch))
            idle.append(pipe)
            if batch_next := list(islice(source, _BATCH)):
                # Before this batch is used: the worker is not to wait for that.
                _send(idle.popleft(), batch_next, self._renderer.known)
                under_way.append((pipe, batch_next))
            for row, result in zip(batch, results, strict=True):
                yield row, self._renderer.render(row) if result is None else result


def _send(pipe: Connection, batch: list[Row], known: Mapping[Registries, Mapping[str, Login]]) -> None:
    plain = {
        registries: {host: (login.username, _text(login.password)) for host, login in logins.items()}
        for registries, logins in known.items()
    }
    try:
        pipe.send((batch, plain))
    except OSError:
        return  # the worker is gone: `_receive` says so


def _text(password: Secret | str) -> str:
    return password.reveal() if isinstance(password, Secret) else password


def _receive(pipe: Connection, count: int) -> list[Ready | Refused | None]:
    """The results for a batch; None for what this process has to do itself, for example because the worker died."""
    try:
        found: list[Ready | Refused | None] | tuple[str, str, str] = pipe.recv()
    except (EOFError, OSError):
        return [None] * count
    if isinstance(found, tuple):
        where, what, fix = found
        raise InputError(what, where=where, fix=fix)
    return found


def _work(pipe: Connection, setup: _Setup) -> None:
    """The main loop of a worker, until its pipe ends."""
    # Ctrl-C reaches every process of the terminal; the one that was started by the user decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    learned: _Plain = {}
    try:
        renderer: Renderer | InputError
        try:
            renderer = _renderer(setup)
        except InputError as error:
            renderer = error
        while True:
            batch, known = pipe.recv()
            if isinstance(renderer, InputError):
                pipe.send((renderer.where, renderer.what, renderer.fix))
                continue
            if known != learned:
                renderer.known, learned = _logins_of(known), known
            pipe.send([_rendered(renderer, row) for row in batch])
    except (EOFError, OSError):
        return


def _renderer(setup: _Setup) -> Renderer:
    """A renderer that knows only the given logins."""

    def unknown(manifest: Manifest) -> NoReturn:
        raise _UnknownLogin

    template = load_again(setup.name, setup.root, setup.hash)
    return Renderer(template, setup.base, unknown, ignore=setup.ignore, force=setup.force, styles=setup.styles)


def _logins_of(known: _Plain) -> dict[Registries, Mapping[str, Login]]:
    return {
        registries: {host: _Login(username, Secret(password)) for host, (username, password) in logins.items()}
        for registries, logins in known.items()
    }


def _rendered(renderer: Renderer, row: Row) -> Ready | Refused | None:
    try:
        return renderer.render(row)
    except _UnknownLogin:
        return None
