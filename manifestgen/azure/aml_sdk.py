"""Contains azureml-core: how it is imported, and what its calls may do to the process around them.

The SDK reads settings at import, prints to stdout, warns on every call of its older half, leaves files in the temporary
folder, takes paths only below the working directory, sends some requests without a timeout, repeats requests that
create something, and catches Ctrl-C in places. Each call goes through `calling`, which undoes all that and has it send
with our transport, and through `bounded`, so that Ctrl-C reaches us.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from requests.adapters import BaseAdapter

from manifestgen.azure.transport import Transport
from manifestgen.errors import CloudError, InputError
from manifestgen.sandboxed import sandbox_home
from manifestgen.secret import without_quotes

_LOG = logging.getLogger("manifestgen.azure.aml")

_SETTINGS = {
    # Without it the SDK asks ARM for its list of clouds first, and throws the answer away.
    "AZUREML_CURRENT_CLOUD": "AzureCloud",
    # Of the parts of the Azure CLI that the SDK brings along.
    "AZURE_CORE_COLLECT_TELEMETRY": "no",
}

# Working directory, stdout, temporary folder and warning filters belong to the process: one call at a time.
_PROCESS = threading.RLock()

_T = TypeVar("_T")


def load() -> None:
    """Import azureml-core. A setting that the environment has already stays as it is.

    Raises:
        InputError: it is not installed, or cannot be imported.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        with calling(), _home():
            for name in ("azureml.core", "azureml.core.image", "azureml.core.model"):
                importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "azureml":
            raise InputError(
                "Azure ML support is not installed", fix="run: pip install 'manifestgen[azureml]'"
            ) from error
        raise _broken(error) from error
    except ImportError as error:
        raise _broken(error) from error
    listen("azureml", "msrest", "msrestazure")
    # The SDK raises the level of this logger; undone, because -vv shows its records.
    logging.getLogger("azure.core").setLevel(logging.NOTSET)


def _broken(error: ImportError) -> InputError:
    return InputError(
        f"Azure ML support cannot be loaded: {error}",
        fix="install it again: pip install --force-reinstall 'manifestgen[azureml]'",
    )


@contextlib.contextmanager
def calling(folder: Path | None = None, transport: BaseAdapter | None = None) -> Iterator[None]:
    """Surround a call of the SDK: log what it prints as debug, and undo its side effects.

    Args:
        folder: the working directory during the call.
        transport: sends every request that is made with a session of requests, and decides alone what is sent again.
    """
    with (
        _PROCESS,
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(prefix="manifestgen-", ignore_cleanup_errors=True) as scratch,
        contextlib.redirect_stdout(_DebugStream()),
        _temporary_files_in(scratch),
        _working_in(folder),
        _sent_with(transport),
    ):
        warnings.simplefilter("ignore")
        yield


def bounded(call: Callable[[], _T], seconds: float | None, what: str) -> _T:
    """The result of a call that might never return, or would catch Ctrl-C.

    It runs in a separate thread; after the timeout, that thread is left behind, to end with its connection or the
    process. A sum of many requests needs many times the seconds of one.

    Args:
        seconds: None for no limit but those of its requests.

    Raises:
        CloudError: it took longer.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # handed to the caller below, whatever it is
            errors.append(error)

    thread = threading.Thread(target=run, name="azureml", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        assert seconds is not None  # noqa: S101 - without a limit there is a result or an error
        raise CloudError(
            f"timed out after {seconds:.0f} s while {what}",
            where="Azure ML",
            fix="check the network and the proxy, then run the same command again",
        )
    return results[0]


@contextlib.contextmanager
def _home() -> Iterator[None]:
    """In the sandbox, import the SDK with the sandbox's home: it decides then where it caches service addresses."""
    home = sandbox_home()
    if home is None:
        yield
        return
    before = {name: os.environ.get(name) for name in ("HOME", "USERPROFILE")}
    os.environ.update(dict.fromkeys(before, str(home)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _working_in(folder: Path | None) -> Iterator[None]:
    if folder is None:
        yield
        return
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    before = tempfile.tempdir
    tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextlib.contextmanager
def _sent_with(transport: BaseAdapter | None) -> Iterator[None]:
    """Make every session of requests send with this adapter, and switch off the SDK's own retries."""
    if transport is None:
        yield
        return
    from requests import Session

    client: Any = importlib.import_module("azureml._restclient.clientbase")
    find, retries = Session.get_adapter, client.DEFAULT_RETRIES

    def adapter(self: Session, url: str) -> BaseAdapter:
        found = find(self, url)
        return found if isinstance(found, Transport) else transport

    Session.get_adapter, client.DEFAULT_RETRIES = adapter, 0  # type: ignore[method-assign]
    try:
        yield
    finally:
        Session.get_adapter, client.DEFAULT_RETRIES = find, retries  # type: ignore[method-assign]


class _DebugStream(io.TextIOBase):
    """A stream whose lines become debug log."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text.strip():
            _LOG.debug("azureml-core: %s", text.rstrip())
        return len(text)


# Logs whole answers, line by line.
_BODIES: Final = "msrest.http_logger"


class _ToDebug(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.name != _BODIES:
            _LOG.debug("%s: %s", record.name, without_quotes(record.getMessage()))


def listen(*names: str) -> None:
    """Turn the log records of an SDK's loggers, of any level, into our debug records: its errors are raised as well."""
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(handler, _ToDebug) for handler in logger.handlers):
            logger.addHandler(_ToDebug())
        logger.propagate = False
