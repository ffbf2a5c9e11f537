"""`python -m manifestgen_runner`: run score.py, or forward to a server that scores, as an IoT Edge module."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from . import __version__, log, memory
from .edge import EdgeModule, subscriptions
from .endpoint import Endpoint
from .errors import EXIT_INTERNAL, RunnerError, ScorerError, SettingsError
from .forward import Forward
from .identity import Identity, Signer
from .identity import from_environment as identity_from_environment
from .log import logger
from .metrics import Metrics, utc
from .model import hash_in_background
from .routing import Sender
from .runner import Runner
from .samples import Samples
from .script import Scorer, Script
from .session import Session
from .settings import Settings, from_environment, misspelt
from .topics import ModuleTopics
from .watchdog import Watchdog, leave

# Seconds that a start which has failed may take to say so in the twin.
_REPORT_FAILURE = 5.0

_DESCRIPTION = "Run score.py as an IoT Edge module. Settings are variables RUNNER_…; see docs/runner.md."


def main(arguments: list[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run until stopped; the exit code."""
    parser = argparse.ArgumentParser(prog="manifestgen_runner", description=_DESCRIPTION)
    parser.add_argument("--forward", metavar="URL", help="send inputs to this HTTP server instead of a score.py")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    watchdog = Watchdog()
    watchdog.start()
    log.start("info")
    try:
        settings = from_environment(environ)
        if options.forward:
            settings = replace(settings, forward=options.forward)
        return _serve(settings, environ, watchdog)
    except ScorerError as error:
        logger.critical("%s", error, exc_info=error.__cause__ or False)
        return error.exit_code
    except RunnerError as error:
        logger.critical("%s", error)
        return error.exit_code
    except Exception:
        logger.critical("the runner failed unexpectedly", exc_info=True)
        return EXIT_INTERNAL
    finally:
        watchdog.close()


def _serve(settings: Settings, environ: Mapping[str, str], watchdog: Watchdog) -> int:
    log.set_level(settings.log_level)
    for warning in misspelt(environ):
        logger.warning("%s", warning)
    found = identity_from_environment(environ)
    if found is None and settings.http is None:
        raise SettingsError("nothing to serve: neither IOTEDGE_… variables nor RUNNER_HTTP are set")
    logger.info("runner %s, Python %s", __version__, sys.version.split()[0])
    metrics = Metrics()
    module = found[0].module if found else "scorer"
    device = found[0].device if found else ""
    sender = Sender(module, settings.model_name, settings.model_version, ModuleTopics(device, module))
    stopping = threading.Event()
    load = _loader(settings, environ)
    try:
        scorer = load()
    except ScorerError as error:
        if found is not None:
            _report_failure(str(error), found, settings, metrics, sender)
        raise
    if settings.batch is not None and not scorer.batches:
        raise SettingsError("RUNNER_BATCH: run() is decorated with @input_schema or @rawhttp, and takes no arrays")
    watchdog.install()
    memory.settle()

    def hash_model() -> None:
        if folder := environ.get("AZUREML_MODEL_DIR"):
            hash_in_background(Path(folder), runner.set_sha256)

    def reload() -> Scorer:
        loaded = load()
        hash_model()
        return loaded

    samples = Samples(Path(settings.samples), int(settings.samples_max_mb * 1e6)) if settings.samples else None
    runner = Runner(scorer, reload, settings, metrics, watchdog, sender=sender, stopping=stopping, samples=samples)
    if found is not None:
        session = _session(found, settings, sender, lambda: runner.settings.token_ttl)
        runner.edge = EdgeModule(session, sender.topics, settings, metrics, submit=runner.submit, status=runner.status)
    hash_model()
    with _servers(runner, settings, metrics):
        if runner.edge is not None:
            runner.edge.start()
        return runner.serve()


@contextmanager
def _servers(runner: Runner, settings: Settings, metrics: Metrics) -> Iterator[None]:
    with ExitStack() as stack:
        if settings.http is not None or settings.metrics is not None:
            from . import web  # http.server costs memory that most modules can do without
        if settings.http is not None:
            site = web.scoring(runner.submit, lambda: runner.swagger)
            stack.callback(web.serve(settings.http, site, "RUNNER_HTTP"))
        if settings.metrics is not None:
            site = web.metrics(lambda: metrics.text(runner.model.labels))
            stack.callback(web.serve(settings.metrics, site, "RUNNER_METRICS"))
        yield


def _loader(settings: Settings, environ: Mapping[str, str]) -> Callable[[], Scorer]:
    path = Path(environ.get("AML_APP_ROOT") or ".", environ.get("AZUREML_ENTRY_SCRIPT") or "score.py").absolute()

    def load() -> Scorer:
        if settings.forward:
            logger.info("forwarding to %s", settings.forward)
            return Forward(settings.forward, settings.forward_body, settings.forward_input, settings.forward_timeout)
        script = Script(path)
        script.init()
        logger.info("loaded %s", path)
        return script

    return load


def _session(
    found: tuple[Identity, Signer], settings: Settings, sender: Sender, token_ttl: Callable[[], float]
) -> Session:
    identity, signer = found
    websocket = settings.transport == "websocket"
    return Session(
        identity,
        signer,
        Endpoint(identity.gateway, settings.port or (443 if websocket else 8883), websocket),
        subscriptions(sender.topics),
        product=f"manifestgen-runner/{__version__}",
        token_ttl=token_ttl,
        crashed=lambda: leave(EXIT_INTERNAL),
    )


def _report_failure(
    reason: str, found: tuple[Identity, Signer], settings: Settings, metrics: Metrics, sender: Sender
) -> None:
    """Connect for a moment, so that the twin says why the module does not start. Inputs stay unacknowledged."""
    status = {"runner": {"version": __version__, "started": utc(metrics.started), "error": reason[:1024]}}
    session = _session(found, settings, sender, lambda: settings.token_ttl)
    edge = EdgeModule(session, sender.topics, settings, metrics, submit=lambda job: None, status=lambda: dict(status))
    edge.start()
    edge.stop_reported(_REPORT_FAILURE)


if __name__ == "__main__":
    sys.exit(main())
