"""Rolls out an automatic deployment; no device is ever without one.

The content of a configuration never changes, so that another content is another configuration: it is created above the
old one, the old one is deleted once devices run the new one, and the new one gets the requested priority. Each step
can be seen on the hub, so a run that was killed anywhere resumes when it is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Final

from manifestgen.cloud import Configuration, Hub
from manifestgen.deployments.counts import Progress, Trouble, measure
from manifestgen.deployments.deployment import (
    HIGHEST_PRIORITY,
    PRIORITY_LABEL,
    STAGE_LABEL,
    Deployment,
    Survey,
    check_limits,
    of_configuration,
    survey,
)
from manifestgen.deployments.failure import RolloutError, failing, share_failing
from manifestgen.deployments.layers import rank
from manifestgen.deployments.proposal import Proposal
from manifestgen.deployments.snapshots import take
from manifestgen.deployments.stages import Stage, StageSpec, interrupted_stage, prepare, tag
from manifestgen.deployments.writing import Writer, same
from manifestgen.errors import CloudError, InputError, Interrupted
from manifestgen.target import SENDING, Observer, Outcome, Patience, Wait

#: How to wait for the devices of a stage: they take their time to come online, and the hub allows twenty queries a
#: minute and works its own metrics out every few minutes.
PATIENCE: Final = Patience(timeout=1800.0, grace=60.0, first=2.0, longest=15.0)


@dataclass(frozen=True)
class Goal:
    """When a stage is complete, and when the rollout is aborted.

    Attributes:
        wait_for: share of the devices that must run it, from 0 to 1.
        abort_if_failing: if more than this share of the devices fails, restore the previous state; fewer are not waited
            for. None waits for all devices and restores nothing.
        restore: also restore the previous state when the time is up.
        tag_devices: whether devices may be tagged for the stages; see `stages`.
        pause: seconds between two stages.
    """

    wait_for: float = 1.0
    abort_if_failing: float | None = None
    restore: bool = False
    tag_devices: bool = False
    pause: float = 0.0


def carry_out(
    hub: Hub,
    proposal: Proposal,
    *,
    state: Path | None,
    goal: Goal | None = None,
    patience: Patience | None = None,
    stages: Sequence[StageSpec] = (),
    observer: Observer[Proposal, Progress] | None = None,
) -> Outcome[Progress]:
    """Apply a proposed deployment: confirm it, take a snapshot, roll it out and wait; see `replace`.

    Args:
        state: the state folder, where the deployment is kept before it changes; None takes no snapshot.
        patience: how to wait; None does not wait: configurations that are replaced stay until it is run again.
        observer: confirms the proposal if there is something to do, and follows the progress.
    """
    observer = observer or Observer()
    if not proposal.nothing_to_do:
        observer.permit(proposal)
    return replace(
        hub,
        proposal.wanted,
        goal=goal,
        patience=patience,
        stages=stages,
        observer=observer,
        state=state,
        wait=patience is not None,
        known=proposal.known,
    )


def replace(
    hub: Hub,
    wanted: Deployment,
    *,
    goal: Goal | None = None,
    patience: Patience | None = None,
    stages: Sequence[StageSpec] = (),
    observer: Observer[Proposal, Progress] | None = None,
    state: Path | None = None,
    wait: bool = True,
    known: Survey | None = None,
) -> Outcome[Progress]:
    """Roll out an automatic deployment, and wait until its devices run it.

    Writes nothing if the hub has it already. After an interruption, running it again resumes.

    Args:
        hub: which is changed.
        wanted: its content may be new, and so may condition, priority, labels and metrics.
        goal: when it is done.
        patience: how to wait.
        stages: from `stages.parse`; only for a new content.
        observer: follows the progress.
        state: the state folder, where the deployment is kept before it changes; None takes no snapshot.
        wait: False returns at once: the old configurations stay until it is run again.
        known: the hub's state; None reads it. Later changes are detected by ETag.

    Raises:
        InputError: the hub would reject it, or no priority is free above the old one.
        RolloutError: too few devices run it; says whether the previous state was restored.
        CloudError: the hub refused a step.
        Interrupted: by Ctrl-C, with what had been done by then.
    """
    run = _Run(hub, wanted, goal or Goal(), patience or PATIENCE, observer or Observer(), state, known)
    try:
        return run.roll_out(stages, wait=wait)
    except KeyboardInterrupt:
        done = "; ".join([*run.steps, *filter(None, [run.unconfirmed])]) or "nothing was changed"
        raise Interrupted(f"interrupted; {done}", fix="run the same command again to resume") from None


class _Run:
    """One run of `replace`: the hub as it was found, and what has been done since."""

    def __init__(
        self,
        hub: Hub,
        wanted: Deployment,
        goal: Goal,
        patience: Patience,
        observer: Observer[Proposal, Progress],
        state: Path | None,
        known: Survey | None,
    ) -> None:
        self.steps: list[str] = []
        self._hub = hub
        sending = changed(SENDING, clock=patience.clock, sleep=patience.sleep)
        self._writer = Writer(hub, wanted.name, self._step, sending)
        self._wanted = wanted
        self._final = wanted.configuration()
        self._goal = goal
        self._patience = patience
        self._observer = observer
        self._state = state
        self._known: Survey = known or survey(hub, wanted.name)
        check_limits(wanted, self._known, host=hub.host)
        self._old = tuple(found for found in self._known.generations if found.id != self._final.id)
        self._there = next((found for found in self._known.generations if found.id == self._final.id), None)
        there = self._there
        # Only its settings are new then: rolling back restores them and does not delete it.
        self._kept = there if there is not None and not self._old and STAGE_LABEL not in there.labels else None

    @property
    def unconfirmed(self) -> str:
        """See `Writer.unconfirmed`."""
        return self._writer.unconfirmed

    def roll_out(self, asked: Sequence[StageSpec], *, wait: bool) -> Outcome[Progress]:
        staged = self._old or self._there is None or STAGE_LABEL in self._there.labels
        stages = self._stages(asked) if staged else ()
        # The state before any interrupted run.
        previous = next((old for old in reversed(self._old) if STAGE_LABEL not in old.labels), None)
        previous = previous or self._kept
        if self._state is not None and previous is not None:
            before = of_configuration(previous)
            if before != of_configuration(self._final):
                take(self._hub.host, before, self._state)
        progress: Progress | None = None
        begin = interrupted_stage(self._there, len(stages))
        for number, stage in enumerate(stages[:-1]):
            if number < begin:
                continue
            if stage.untagged:
                tag(self._hub, stage.untagged)
                self._step(f"tagged {len(stage.untagged)} devices for stage {stage.title}")
            self._put(self._in_stage(stage, number, len(stages), resumed=number == begin))
            title = f"stage {number + 1} of {len(stages)} ({stage.title})"
            progress = self._wait(title)
            self._pause(title)
        self._put(self._above_old(self._final))
        if wait:
            title = f"stage {len(stages)} of {len(stages)} ({stages[-1].title})" if len(stages) > 1 else "rollout"
            progress = self._wait(title)
            for old in self._old:
                self._writer.remove(old)
            if self._old:
                self._put(self._final)
        return Outcome(bool(self.steps), wait or not self._old, progress)

    def _stages(self, asked: Sequence[StageSpec]) -> tuple[Stage, ...]:
        begun = self._there if self._there is not None and STAGE_LABEL in self._there.labels else None
        goal = self._goal
        return prepare(self._hub, asked, self._wanted.condition, begun=begun, tag_devices=goal.tag_devices)

    def _in_stage(self, stage: Stage, number: int, stages: int, *, resumed: bool) -> Configuration:
        mark = f"{number + 1}/{stages}"
        condition = stage.condition
        if resumed and self._there is not None and self._there.labels.get(STAGE_LABEL) == mark:
            # A stage that has begun keeps its devices, even if others match by now.
            condition = self._there.condition
        labels = {**self._final.labels, STAGE_LABEL: mark}
        return self._above_old(changed(self._final, condition=condition, labels=labels))

    def _above_old(self, configuration: Configuration) -> Configuration:
        """The configuration with a priority above the old ones, if any, and a label for its final priority."""
        priority = self._priority() if self._old else self._final.priority
        if priority == self._final.priority:
            return configuration
        labels = {**configuration.labels, PRIORITY_LABEL: str(self._final.priority)}
        return changed(configuration, priority=priority, labels=labels)

    def _priority(self) -> int:
        """A priority that overrides the old configurations and no other deployment that they do not override."""
        top = max(old.priority for old in self._old)
        if self._wanted.priority > top:
            return self._wanted.priority
        there = self._there
        if there is not None and all(rank(there) > rank(old) for old in self._old):
            return there.priority
        taken = {other.priority for other in self._known.others}
        if top < HIGHEST_PRIORITY and top + 1 not in taken:
            return top + 1
        if there is None:
            # Of equal priorities the one created last wins.
            return top
        raise InputError(
            f"the new version needs priority {top + 1}, which another deployment uses",
            where=f"deployment {self._wanted.name!r} in {self._hub.host}",
            fix="change the other deployment's priority",
            options=(f"set --priority above {top + 1}",),
        )

    def _put(self, configuration: Configuration) -> None:
        self._there = self._writer.put(configuration)

    def _step(self, text: str) -> None:
        self.steps.append(text)
        self._observer.step(text)

    def _pause(self, title: str) -> None:
        """Wait between two stages; devices that begin to fail meanwhile still abort the rollout."""
        patience, limit = self._patience, self._goal.abort_if_failing
        begun = patience.clock()
        until = begun + self._goal.pause
        while (left := until - patience.clock()) > 0:
            self._observer.waiting(Wait(begun, until, then="continues"))
            patience.sleep(min(left, patience.longest))
            if limit is None:
                continue
            progress = self._measured()
            self._observer.progress(f"pause after {title}", progress)
            if progress.exceeds(limit):
                self._wait(title)

    def _measured(self) -> Progress:
        return measure(self._hub, self._final.id, self._known.others)

    def _wait(self, title: str) -> Progress:
        """Poll until enough devices run it. Raises RolloutError."""
        patience = self._patience
        begun = patience.clock()
        deadline = begun + patience.timeout
        failing_since: float | None = None
        pauses = patience.pauses()
        limit = self._goal.abort_if_failing
        while True:
            progress = self._measured()
            now = patience.clock()
            if limit is None or not progress.exceeds(limit):
                failing_since = None
                self._observer.waiting(Wait(begun, deadline))
            else:
                failing_since = now if failing_since is None else failing_since
                aborts = failing_since + patience.grace
                self._observer.waiting(Wait(begun, deadline, aborts, share_failing(progress, limit), "aborts"))
            self._observer.progress(title, progress)
            # If some devices may fail, do not wait for them: a device that cannot run it never will.
            accepted = 0 if limit is None else progress.failing
            if failing_since is None and progress.reached(self._goal.wait_for, failing=accepted):
                return progress
            if failing_since is not None and now - failing_since >= patience.grace:
                raise self._given_up(title, progress, limit or 0.0)
            if now >= deadline:
                raise self._too_slow(title, progress)
            patience.sleep(max(0.0, min(next(pauses), deadline - now)))

    def _given_up(self, title: str, progress: Progress, limit: float) -> RolloutError:
        return self._failed(title, progress, f"{title}: {share_failing(progress, limit)}", restore=True)

    def _too_slow(self, title: str, progress: Progress) -> RolloutError:
        timeout = self._patience.timeout
        after = f"{timeout:.0f} s" if timeout < 90 else f"{timeout / 60:.0f} min"
        failing = f", {progress.failing} fail" if progress.failing else ""
        what = f"{title}: {progress.healthy} of {progress.due} devices run it after {after}{failing}"
        return self._failed(title, progress, what, restore=self._goal.restore)

    def _failed(self, title: str, progress: Progress, what: str, *, restore: bool) -> RolloutError:
        """The error for a stage, with every device that fails; they are read before the old version is restored."""
        troubles: Sequence[Trouble] = ()
        first = ""
        if progress.failing:
            troubles, first = failing(self._hub, self._hub.configuration(self._final.id))
        fix = next((trouble.fix for trouble in troubles if trouble.fix), "")
        name, restored = self._wanted.name, ""
        back = f"roll back with 'manifestgen rollback --deployment {name}'"
        options: tuple[str, ...] = ()
        if restore:
            try:
                restored = self._restore()
                rest = f"; {restored}"
                fix = fix or f"see the devices with 'manifestgen status --deployment {name}'"
            except CloudError as error:
                rest = f"; the old version could not be restored: {error}"
                fix = f"{back}; then {fix}" if fix else back
        else:
            rest = f"; {self._old[0].id!r} stays below it" if self._old else ""
            go_on = f"run the same command again to keep waiting, or {back}"
            fix = f"{fix}; then {go_on}" if fix else go_on
            options = ("accept fewer devices with --wait-for 95%",)
        return RolloutError(
            f"{what}{first}{rest}",
            fix=fix,
            name=name,
            stage=title,
            progress=progress,
            troubles=troubles,
            restored=restored,
            options=options,
        )

    def _restore(self) -> str:
        """Delete the new configuration and wait until devices follow the old one; returns the outcome in words."""
        if self._kept is not None:
            settings_changed = not same(self._kept, self._final)
            self._put(self._kept)
            return "its old settings were restored" if settings_changed else "nothing was changed"
        self._writer.remove(self._final)
        previous = self._old[0] if self._old else None
        if previous is None:
            return "it was deleted; there was none before it, so devices keep their modules"
        before = previous.counts.get("reportedSuccessfulCount", 0)
        patience = self._patience
        begun = patience.clock()
        deadline = begun + patience.timeout
        pauses = patience.pauses()
        while True:
            progress = measure(self._hub, previous.id, self._known.others)
            self._observer.waiting(Wait(begun, deadline))
            self._observer.progress("back", progress)
            back = progress.targeted >= progress.matched and progress.applied >= progress.due
            if (back and progress.succeeded >= min(before, progress.due)) or patience.clock() >= deadline:
                return (
                    f"it was deleted, and {progress.applied} of {progress.due} devices are back at {previous.id!r}, "
                    f"{progress.succeeded} of them report success"
                )
            patience.sleep(next(pauses))
