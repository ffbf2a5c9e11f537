"""The main thread: it takes one job after the other, and it alone calls the scorer."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from queue import Empty
from typing import Any

from . import __version__, log, memory, routing
from .edge import EdgeModule
from .errors import EXIT_MAX_ERRORS, EXIT_STOPPED, ScorerError
from .forward import ForwardError, ScorerAway
from .inflight import Delivery
from .jobs import Configure, Job, Jobs, Reload, Score, Stop
from .log import logger
from .message import Outgoing
from .metrics import FAILED, FILTERED, REJECTED, SCORED, Metrics, utc
from .model import Model
from .outcome import Failure, Outcome, outcome_of
from .pauses import Pauses
from .request import BadInput, Request
from .routing import JSON, Sender, Unsendable
from .samples import Samples
from .script import Scorer, describe
from .settings import Answer, Settings, override
from .swagger import Swagger
from .watchdog import GRACE, Watchdog

_HERE = Path(__file__).parent

# With at-most-once, accepted inputs are still scored for this long after a signal.
_DRAIN = 5.0


class Runner:
    """Scores what comes in until it is stopped.

    Attributes:
        jobs: what the main thread is to do.
        stopping: set once nothing new is begun.
        settings: those in effect.
        edge: the module at edgeHub; None if there is none.
    """

    def __init__(
        self,
        scorer: Scorer,
        reload: Callable[[], Scorer],
        settings: Settings,
        metrics: Metrics,
        watchdog: Watchdog,
        *,
        sender: Sender,
        stopping: threading.Event,
        samples: Samples | None = None,
    ) -> None:
        """Nothing runs before `serve`.

        Args:
            scorer: ready to run.
            reload: makes another one; raises `ScorerError`.
            settings: what the variables gave.
            metrics: what to count in.
            watchdog: started.
            sender: what results say about where they come from.
            stopping: set once nothing new is begun.
            samples: where samples are kept, if they are.
        """
        self.jobs: Jobs = Jobs()
        self.stopping = stopping
        self.edge: EdgeModule | None = None
        self.model = Model(sender.model, sender.version)
        self._scorer, self._reload = scorer, reload
        self._start_settings = self.settings = settings
        self._metrics, self._watchdog, self._sender, self._samples = metrics, watchdog, sender, samples
        self._desired: Mapping[str, Any] = {}
        self._version = 0
        self._error = ""
        self._backlog: deque[Job] = deque()
        watchdog.watch(self._signalled, self._overrun, lambda: self.settings.run_timeout)

    @property
    def swagger(self) -> Swagger:
        """The scorer's description of its inputs and results. May be read in any thread."""
        return self._scorer.swagger

    def submit(self, job: Job) -> None:
        """Give the main thread something to do. May be called in any thread."""
        self.jobs.put(job)

    def set_sha256(self, digest: str) -> None:
        """The model's hash is known now. May be called in any thread."""
        self.model = replace(self.model, sha256=digest)
        if self.edge is not None:
            self.edge.report_soon()

    def status(self) -> dict[str, Any]:
        """The reported properties, also the answer of the method `status`. May be called in any thread."""
        metrics = self._metrics
        runner: dict[str, Any] = {
            "version": __version__,
            "started": utc(metrics.started),
            "delivery": "at-least-once" if self.settings.at_least_once else "at-most-once",
        }
        if metrics.last_scored is not None:
            runner["lastScored"] = utc(metrics.last_scored)
        if metrics.busy(time.time()) and (since := metrics.busy_since) is not None:
            runner["busySince"] = utc(since)
        if self._error:
            runner["error"] = self._error
        counts = {outcome: metrics.total(outcome) for outcome in (SCORED, FILTERED, FAILED, REJECTED)}
        counts["sent"] = metrics.sent
        model = {name: value for name, value in self.model.labels.items() if value}
        return {"runner": runner, "model": model, "counts": counts}

    def serve(self) -> int:
        """Work until something ends it; the exit code."""
        while True:
            job = self._next()
            if isinstance(job, Stop):
                return self._end(job)
            if isinstance(job, Delivery):
                self._deliveries(job)
            else:
                self._do(job)

    def _do(self, job: Score | Reload | Configure) -> None:
        if isinstance(job, Configure):
            self._configure(job)
        elif self.stopping.is_set():
            job.reply(Outcome(503, b"", reason="the module is stopping"))
        else:
            job.reply(self._outcome(job) if isinstance(job, Score) else self._reload_scorer())

    def _end(self, stop: Stop) -> int:
        self.stopping.set()
        self._scorer.close()
        self._error = stop.reason
        if self.edge is not None:
            stop_at = self._watchdog.stop_at
            seconds = max(0.5, stop_at - time.monotonic() - 1.5) if stop_at is not None else 6.0
            (self.edge.stop_reported if stop.reason else self.edge.stop)(seconds)
        return stop.exit_code

    # Inputs.

    def _deliveries(self, first: Delivery) -> None:
        batch = self.settings.batch
        if batch is None or batch.max == 1 or not self._scorer.batches or first.at_least_once:
            self._one(first)
        else:
            self._many(self._collect(first, batch.max, batch.wait_ms / 1000))

    def _collect(self, first: Delivery, most: int, seconds: float) -> list[Delivery]:
        found = [first]
        deadline = time.monotonic() + seconds
        while len(found) < most:
            try:
                job = self._next(max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            if not isinstance(job, Delivery) or job.at_least_once:
                self._backlog.appendleft(job)
                break
            found.append(job)
        return found

    def _next(self, timeout: float | None = None) -> Job:
        return self._backlog.popleft() if self._backlog else self.jobs.get(timeout=timeout)

    def _begins(self, delivery: Delivery) -> bool:
        stop_at = self._watchdog.stop_at
        if not self.stopping.is_set():
            begins = delivery.begin()
        else:
            drains = stop_at is not None and time.monotonic() < stop_at - GRACE + _DRAIN
            begins = not delivery.at_least_once and drains
        if not begins:
            self._skip(delivery)
        return begins

    def _skip(self, delivery: Delivery) -> None:
        if self.edge is not None:
            self.edge.skip(delivery)

    def _one(self, delivery: Delivery) -> None:
        if not self._begins(delivery):
            return
        message = delivery.message
        request = Request(message.body, {"Content-Type": JSON, **message.properties})
        answer = self._run_patiently(request)
        if answer is None:
            self._skip(delivery)
            return
        self._judge(self._finish(delivery, *answer))

    def _many(self, deliveries: list[Delivery]) -> None:
        begun = [delivery for delivery in deliveries if self._begins(delivery)]
        usable: list[Delivery] = []
        for delivery in begun:
            try:
                json.loads(delivery.message.body)
                usable.append(delivery)
            except ValueError:
                self._finish(delivery, None, Failure(REJECTED, "the input is not JSON, as one in a batch must be", 400))
        if not usable:
            return
        body = b"[" + b",".join(delivery.message.body for delivery in usable) + b"]"
        answer = self._run_patiently(Request(body, {"Content-Type": JSON}))
        if answer is None:
            for delivery in usable:
                self._skip(delivery)
            return
        results, failure = answer
        if failure is None and not (isinstance(results, (list, tuple)) and len(results) == len(usable)):
            failure = Failure(
                FAILED, f"run() got {len(usable)} inputs and did not return a list of {len(usable)} results"
            )
            logger.error(failure.reason)
        failures = [
            self._finish(delivery, None if failure else results[number], failure)
            for number, delivery in enumerate(usable)
        ]
        self._judge(next(filter(None, failures), None))

    def _run_patiently(self, request: Request) -> tuple[Any, Failure | None] | None:
        """Call the scorer; wait for one that is away, and do other jobs meanwhile; None if the process ends first."""
        try:
            return self._run(request)
        except ScorerAway as error:
            return self._run_again(request, str(error))

    def _run_again(self, request: Request, reason: str) -> tuple[Any, Failure | None] | None:
        pauses = Pauses(0.2, 5)
        said = ""
        while not self.stopping.is_set():
            logger.log(logging.WARNING if reason != said else logging.DEBUG, "%s: retrying", reason)
            said = reason
            until = time.monotonic() + pauses.next()
            while not self.stopping.is_set() and (left := until - time.monotonic()) > 0:
                try:
                    job = self.jobs.get(timeout=left)
                except Empty:
                    break
                if isinstance(job, (Delivery, Stop)):
                    self._backlog.append(job)
                else:
                    self._do(job)
            if self.stopping.is_set():
                break
            try:
                return self._run(request)
            except ScorerAway as error:
                reason = str(error)
        return None

    def _run(self, request: Request) -> tuple[Any, Failure | None]:
        """Call the scorer, with what is known about it afterwards: a result, or why there is none."""
        started = time.monotonic()
        self._watchdog.begin(started)
        self._metrics.busy_since = time.time()
        try:
            result = self._scorer.run(request)
        except BadInput as error:
            return None, Failure(REJECTED, str(error), error.status)
        except ScorerAway:
            raise
        except ForwardError as error:
            logger.error("%s", error)
            return None, Failure(FAILED, str(error))
        except (Exception, SystemExit) as error:
            reason = describe(error)
            # The exception's own text is cut, and not in the traceback again: it may hold the whole input.
            logger.error("run() raised %s\n%s", reason, _frames(error))
            return None, Failure(FAILED, reason)
        finally:
            self._watchdog.end()
            self._metrics.busy_since = None
            self._metrics.took(time.monotonic() - started)
        self._metrics.last_scored = time.time()
        return result, None

    def _finish(self, delivery: Delivery, result: Any, failure: Failure | None) -> Failure | None:
        """Send what an input becomes; what it failed by, after all."""
        message = delivery.message
        outgoing: list[Outgoing] = []
        if failure is None:
            try:
                outgoing = routing.results(message, result, self.settings, self._sender)
            except Unsendable as error:
                logger.error("no result for message %s: %s", message.id, error)
                failure = Failure(FAILED, str(error))
        if failure is not None:
            outgoing = routing.error(message, failure.kind, failure.reason, self.settings, self._sender)
        self._metrics.count(message.input, failure.kind if failure else FILTERED if result is None else SCORED)
        if self.edge is not None:
            self.edge.finish(delivery, outgoing, more=not self.jobs.empty())
        if self._samples is not None and failure is None:
            self._samples.offer(self.settings.sample_every, message, result)
        return failure

    def _judge(self, failure: Failure | None) -> None:
        """End the process after too many failures in a row: a restart may help, and `status` shows it."""
        if failure is None:
            self._metrics.errors_in_a_row = 0
        elif failure.kind == FAILED:
            self._metrics.errors_in_a_row += 1
            most = self.settings.max_errors
            if most and self._metrics.errors_in_a_row >= most and not self.stopping.is_set():
                reason = f"maxErrors ({most}) reached, last error: {failure.reason}"
                logger.critical("%s; exiting", reason)
                self.stopping.set()
                self.submit(Stop(EXIT_MAX_ERRORS, reason))

    # Methods and HTTP.

    def _outcome(self, job: Score) -> Outcome:
        started = time.perf_counter()
        try:
            result, failure = self._run(job.request)
        except ScorerAway as error:
            result, failure = None, Failure(FAILED, str(error), 503)
        milliseconds = (time.perf_counter() - started) * 1000
        outcome = outcome_of(result, failure, milliseconds)
        kind = failure.kind if failure else FAILED if outcome.reason else SCORED
        self._metrics.count(job.source, kind)
        return outcome

    def _reload_scorer(self) -> Outcome:
        try:
            scorer = self._reload()
        except ScorerError as error:
            logger.error("reload: %s", error, exc_info=error.__cause__ or False)
            return Outcome(500, b"", reason=str(error))
        self._scorer.close()
        self._scorer = scorer
        del scorer
        memory.settle()
        logger.info("reloaded the scorer")
        self._configure(Configure(self._desired, self._version))
        return Outcome(200, b"{}")

    # Settings.

    def _configure(self, job: Configure) -> None:
        self._desired, self._version = job.desired, job.version
        settings, answers, others = override(self._start_settings, job.desired)
        if settings.batch is not None and not self._scorer.batches and "batch" in answers:
            why = "run() is decorated with @input_schema or @rawhttp and does not accept arrays of inputs"
            answers["batch"] = Answer(None, 400, why)
            settings = replace(settings, batch=self._start_settings.batch)
        answers.update(self._scorer.configure(others))
        log.set_level(settings.log_level)
        for name, answer in answers.items():
            if answer.code != 200:
                logger.warning("desired property %s rejected: %s", name, answer.why)
        self.settings = settings
        if self.edge is not None:
            self.edge.configured(settings, {name: _report(a, job.version) for name, a in answers.items()})

    # Called by the watchdog, in its thread.

    def _signalled(self) -> None:
        self.stopping.set()
        self.submit(Stop(EXIT_STOPPED))

    def _overrun(self, reason: str) -> None:
        self._error = reason
        if self.edge is not None:
            self.edge.stop_reported(3)


def _frames(error: BaseException) -> str:
    """The frames of a traceback from the scorer's first on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and Path(trace.tb_frame.f_code.co_filename).parent == _HERE:
        trace = trace.tb_next
    return "".join(traceback.format_tb(trace)).rstrip()


def _report(answer: Answer, version: int) -> dict[str, Any]:
    """An answer as IoT Plug and Play has it: value, ac(k code), av (ack version), ad (ack description)."""
    report: dict[str, Any] = {"ac": answer.code, "av": version}
    if answer.value is not None and len(json.dumps(answer.value)) <= 1024:
        report["value"] = answer.value
    if answer.why:
        report["ad"] = answer.why[:1024]
    return report
