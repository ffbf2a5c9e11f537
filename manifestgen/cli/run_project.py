"""`manifestgen run`: a project's modules and routes on this machine."""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._console import Console
from manifestgen.cli._environment import environment_option
from manifestgen.cli._modules import module_option, values_options
from manifestgen.cli._options import common_options, usage_of
from manifestgen.errors import InputError, Interrupted

if TYPE_CHECKING:
    from manifestgen.run.layout import Layout
    from manifestgen.run.run import Observer

_PORT = 5001
_KEPT = 1000


@click.command(
    epilog=usage_of(
        "manifestgen run samples/anomaly-detection",
        "manifestgen run --watch",
        "manifestgen run --module scorer --input messages.jsonl",
        "manifestgen run --input messages.jsonl --quiet > results.jsonl",
        "manifestgen run --serve 5001",
    )
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@module_option("Module to run; by default all of the project")
@click.option(
    "--input",
    "message_file",
    metavar="FILE",
    help="Send these messages, one a line or a JSON array, and end when all are handled; - for stdin.",
)
@click.option(
    "--as",
    "origin",
    metavar="MODULE/OUTPUT",
    default="",
    help="What messages of --input are sent as; by default what a route into the model names.",
)
@click.option("--watch", is_flag=True, help="Start the modules again when a file of the project changes.")
@click.option(
    "--serve",
    "port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Serve score.py over HTTP on this port of loopback, without other modules and routes.",
)
@click.option("--here", is_flag=True, help="Use this Python and its packages, not an environment of the project's.")
@values_options
@environment_option
@common_options
def command(
    project: Path,
    modules: tuple[str, ...],
    message_file: str | None,
    origin: str,
    watch: bool,
    port: int | None,
    here: bool,
    files: tuple[str, ...],
    sets: tuple[str, ...],
    console: Console,
) -> None:
    """Run the project's modules on this machine, without a hub.

    The model runs as a process of the same runner as in its image, the simulated temperature
    sensor as another, and the manifest's routes carry their messages. Messages that reach $upstream are
    printed on stdout, one JSON object per line; the output of modules goes to stderr. Ctrl-C ends it.
    """
    from manifestgen.cli._extra import needs_extra
    from manifestgen.project import load, values
    from manifestgen.services import ProjectServices

    with needs_extra("runner", "what runs modules", "paho", "trustme"):
        from manifestgen.run.layout import lay_out_project
        from manifestgen.run.run import bodies, run

    if port is not None and (message_file is not None or origin):
        raise InputError("--serve takes no messages of --input", fix="drop one of the two")
    if origin and message_file is None:
        raise InputError("--as says what messages of --input are sent as", fix="add --input FILE, or drop --as")
    if message_file is not None and watch:
        raise InputError("--input and --watch cannot be used together", fix="drop one of the two")
    given = values.given(files, sets)
    load(project).only(modules)
    kept: deque[dict[str, Any]] = deque(maxlen=_KEPT)
    observer = _observer(console, kept)
    with tempfile.TemporaryDirectory(prefix="manifestgen-run-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if port is not None:
            _serve(project, modules, port, folder, observer, console, here=here, watch=watch)
            return

        def make() -> Layout:
            loaded = load(project).only(modules)
            with ProjectServices(loaded, report=console.progress, progress=console.progress) as services:
                return lay_out_project(loaded, services, folder, here=here, values=given, report=console.progress)

        messages: Iterator[bytes] | None = bodies(_read(message_file)) if message_file is not None else None
        try:
            arrived = run(make, messages=messages, origin=origin, watch=watch, observer=observer)
        except KeyboardInterrupt:
            raise Interrupted("stopped, with everything that it started", fix="run the same command again") from None
    console.document({"arrived": arrived, "messages": list(kept)})


def _serve(
    project: Path,
    modules: tuple[str, ...],
    port: int,
    folder: Path,
    observer: Observer,
    console: Console,
    *,
    here: bool,
    watch: bool,
) -> None:
    from manifestgen.edge.device import Code
    from manifestgen.project import load
    from manifestgen.run.layout import own_code, watched
    from manifestgen.run.run import serve
    from manifestgen.services import ProjectServices

    def make() -> tuple[Code, tuple[Path, ...]]:
        loaded = load(project).only(modules)
        if len(loaded.modules) > 1:
            names = ", ".join(module.name for module in loaded.modules)
            fix = f"choose one with --module: {names}"
            raise InputError("--serve is for one module, and there are several", where=str(loaded.path), fix=fix)
        with ProjectServices(loaded, report=console.progress, progress=console.progress) as services:
            code = own_code(loaded, services, folder, here=here, report=console.progress)
        if code is None:
            fix = "add 'entry_script: score.py' and a builder under 'image'"
            raise InputError("there is no entry script to serve", where=str(loaded.path), fix=fix)
        return code, watched(loaded)

    scratch = folder / "scratch"
    scratch.mkdir()
    serve(make, port, scratch, watch=watch, observer=observer)


def _observer(console: Console, kept: deque[dict[str, Any]]) -> Observer:
    from manifestgen.run.run import Observer

    def message(shown: dict[str, Any]) -> None:
        kept.append(shown)
        console.result(json.dumps(shown))

    return Observer(
        message=message,
        printed=lambda module, line: console.progress(f"{module} | {line}"),
        progress=console.progress,
    )


def _read(name: str) -> bytes:
    from manifestgen.files import read_stdin, read_text

    return read_stdin() if name == "-" else read_text(Path(name), "messages").encode()
