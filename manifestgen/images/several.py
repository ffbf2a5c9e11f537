"""The images of a project's modules, built one beside the other where that helps.

Builders that build from a context run at the same time, each in a thread: most of a build is waiting for a registry or
an engine. Azure ML builds one image after the other: its SDK is not made for several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Final

from manifestgen.cloud import Services
from manifestgen.errors import Interrupted
from manifestgen.images.build import PATIENCE, Prepared, Reporter, prepare
from manifestgen.project.builders import entry_of
from manifestgen.project.load import Project
from manifestgen.target import Patience

_AT_ONCE: Final = 4


@dataclass(frozen=True)
class Build:
    """How the images are built; see `build.prepare`.

    Attributes:
        first: is called once, before the first image of all is built or model registered.
        before_build: is called for each module whose image must be built, one after the other.
    """

    rebuild: bool = False
    locked: bool = False
    first: Callable[[], None] = lambda: None
    before_build: Callable[[Project], None] = lambda project: None
    patience: Patience = PATIENCE
    report: Reporter = field(default_factory=Reporter)


def prepare_each(projects: Sequence[Project], services: Services, build: Build) -> dict[str, Prepared]:
    """The images of modules, by the modules' names.

    An image that fails does not stop those that are being built; what was built stays in the lock file.

    Args:
        projects: of one module each, see `Project.each`; each builds its image.
        services: of the whole project.
        build: how.

    Raises:
        ManifestgenError: see `build.prepare`; the first image that failed, in the order of the modules.
    """
    run = _Run(services, build, _Once(build.first))
    waiting = [one for one in projects if one.image is not None and entry_of(one.image).context]
    found = run.at_once(waiting) if len(waiting) > 1 else {}
    rest = [one for one in projects if one.module.name not in found]
    found |= {one.module.name: run.prepared(one, build.patience) for one in rest}
    return {one.module.name: found[one.module.name] for one in projects}


class _Once:
    """Calls something once; who comes later waits for it, and fails as it did."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._lock = threading.Lock()
        self._done: Future[None] = Future()

    def __call__(self) -> None:
        with self._lock:
            if not self._done.done():
                try:
                    self._action()
                    self._done.set_result(None)
                except BaseException as error:
                    self._done.set_exception(error)
        self._done.result()


@dataclass(frozen=True)
class _Run:
    services: Services
    build: Build
    first: Callable[[], None]

    def prepared(self, project: Project, patience: Patience, turn: threading.Lock | None = None) -> Prepared:
        name = project.module.name
        turn = turn or threading.Lock()

        def before_build() -> None:
            with turn:
                self.build.before_build(project)

        return prepare(
            project,
            self.services.of(name),
            rebuild=self.build.rebuild,
            locked=self.build.locked,
            first=self.first,
            before_build=before_build,
            patience=patience,
            report=self.build.report.of(name) if project.modular else self.build.report,
        )

    def at_once(self, projects: Sequence[Project]) -> dict[str, Prepared]:
        stop, turn = threading.Event(), threading.Lock()

        def pause(seconds: float) -> None:
            if stop.wait(seconds):
                raise KeyboardInterrupt  # as if Ctrl-C had reached this thread: it ends or leaves its build

        patience = replace(self.build.patience, sleep=pause)
        names = ", ".join(one.module.name for one in projects)
        self.build.report.step(f"building or reusing the images of {names}, up to {_AT_ONCE} at a time")
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="image") as pool:
            running = [pool.submit(self.prepared, one, patience, turn) for one in projects]
            try:
                wait(running)
            except KeyboardInterrupt:
                stop.set()
                for one in running:
                    one.cancel()
                wait(running)
                raise _interrupted(running) from None
        return {one.module.name: future.result() for one, future in zip(projects, running, strict=True)}


def _interrupted(running: Sequence[Future[Prepared]]) -> Interrupted:
    """The message of the first build that Ctrl-C interrupted; other builds were done, or had not begun."""
    errors = [one.exception() for one in running if not one.cancelled()]
    said = next((error for error in errors if isinstance(error, Interrupted)), None)
    fix = "run the same command again: it resumes"
    what = said.what if said is not None else "interrupted; nothing was being built"
    return Interrupted(what, fix=fix)
