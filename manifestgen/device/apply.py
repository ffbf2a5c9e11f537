"""Proposes a plan for a device, applies it through a Hub, and waits until the device runs its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from manifestgen.cloud import Hub, Twin
from manifestgen.compare.diff import diff
from manifestgen.device.plan import DeviceState, Plan
from manifestgen.device.plan import plan as make_plan
from manifestgen.device.rollout import Rollout, State, assess
from manifestgen.device.snapshots import take
from manifestgen.device.steady import Steady
from manifestgen.errors import CloudError, FoundError, InputError, Interrupted, ReplacedError, UnconfirmedError
from manifestgen.manifest.manifest import Manifest
from manifestgen.target import SENDING, Observer, Outcome, Patience, Wait, rounds

#: How to wait for a device that is online.
PATIENCE: Final = Patience(timeout=600.0, grace=60.0, first=0.5, longest=10.0)

# Parallel reads of one device's twins: fifty modules, as many as a deployment may have, and the two of the runtime are
# read in two round trips. The hub takes a hundred reads a second in its smallest tier.
_READERS = 64


def read_state(hub: Hub, device_id: str) -> DeviceState:
    """Read a device and the twins of its modules, in parallel.

    Raises:
        NotFoundError: the hub has no such device.
    """
    pool = ThreadPoolExecutor(_READERS)
    try:
        device, modules = pool.submit(hub.device, device_id), pool.submit(hub.modules, device_id)
        # The device first: that it is unknown is a clearer error than that its modules are.
        found = device.result()
        twins = pool.map(lambda module: hub.module_twin(device_id, module), modules.result())
        return DeviceState(hub.host, found, {twin.module: twin for twin in twins if twin is not None})
    finally:
        # After an error or Ctrl-C, do not wait for the other reads: they may keep retrying for minutes.
        pool.shutdown(wait=False, cancel_futures=True)


def apply(plan: Plan, hub: Hub, sending: Patience | None = None) -> bool:
    """Set the plan's modules on its device.

    The hub has no ETag for this call, so the device's state is read again just before: if it changed since the plan was
    made, nothing is sent. After a lost answer, the device is read before the request is retried.

    Args:
        sending: how long to send again what was not made; None for `target.SENDING`.

    Returns:
        Whether anything was sent; False if the device has the manifest already.

    Raises:
        CloudError: the hub refused, or the device changed since the plan, or the modules are not set after all rounds.
        UnconfirmedError: the answer was lost, and the device cannot be read.
    """
    if not plan.changes:
        return False
    agent = hub.module_twin(plan.device, "$edgeAgent")
    if (agent.desired_version if agent else 0) != plan.version:
        raise CloudError(
            "its modules have changed since the plan was created",
            where=f"device {plan.device!r}",
            fix="run the same command again, and review the new plan",
        )
    lost: UnconfirmedError | None = None
    for _ in rounds(sending or SENDING):
        try:
            hub.set_modules(plan.device, plan.manifest.content)
        except UnconfirmedError as error:
            lost = error
            if _is_set(plan, hub):
                return True
        else:
            return True
    raise CloudError(
        f"its modules are not set: {lost.what if lost else 'no answer'}",
        where=f"device {plan.device!r} in {hub.host}",
        fix="run the same command again",
    ) from lost


def _is_set(plan: Plan, hub: Hub) -> bool:
    """Whether the device has the plan's modules. Raises UnconfirmedError if the hub cannot be read."""
    try:
        return not diff(read_state(hub, plan.device).manifest, plan.manifest)
    except CloudError as error:
        raise UnconfirmedError(
            f"its modules may or may not be set: {error.what}",
            where=f"device {plan.device!r} in {hub.host}",
            fix=f"see what it has with 'manifestgen status --device {plan.device}', or run the same command again",
        ) from error


def watch(
    hub: Hub,
    device_id: str,
    patience: Patience,
    *,
    sent: Manifest | None = None,
    waiting: Callable[[Wait], None] = lambda wait: None,
) -> Iterator[Rollout]:
    """Read a device's progress until the rollout succeeds or fails, or the time is up; yields the result of each read.

    The last one yielded is the outcome: HEALTHY (twice in a row, so that a module that crashes at once does not count
    as running; see `Steady` for one that crashed before), REFUSED or FAILED; anything else means that the time was up.

    Args:
        sent: what was set; None waits for whatever the device should run.
        waiting: called before each read is yielded.

    Raises:
        ReplacedError: the device's desired modules are no longer what was sent.
    """
    begun = patience.clock()
    deadline = begun + patience.timeout
    failing_since: float | None = None
    healthy = 0
    pauses = patience.pauses()
    version: int | None = None
    steady = Steady(patience, device_id)
    while True:
        agent, edge_hub = _agent_and_hub(hub, device_id)
        if sent is not None and agent.desired_version != version:
            version = agent.desired_version
            _require_unchanged(agent, sent, device_id)
        rollout = steady.judge(assess(agent, edge_hub, device_id))
        failing = rollout.state is State.FAILING
        if failing and failing_since is None:
            failing_since = patience.clock()
        elif not failing and not steady.settling:
            failing_since = None
        aborts = failing_since + patience.grace if failing and failing_since is not None else None
        waiting(Wait(begun, deadline, aborts))
        yield rollout
        now = patience.clock()
        healthy = healthy + 1 if rollout.state is State.HEALTHY else 0
        decided = (
            rollout.state in (State.REFUSED, State.FAILED)
            or healthy > 1
            or (failing and failing_since is not None and now - failing_since >= patience.grace)
        )
        if decided or now >= deadline:
            return
        patience.sleep(max(0.0, min(next(pauses), deadline - now)))
        if healthy:
            pauses = patience.pauses()


def wait(
    hub: Hub,
    device_id: str,
    patience: Patience,
    report: Callable[[Rollout], None] = lambda rollout: None,
    *,
    sent: Manifest | None = None,
    waiting: Callable[[Wait], None] = lambda wait: None,
    failed: Callable[[Rollout], tuple[str, ...]] = lambda rollout: (),
) -> Rollout:
    """Wait until the device runs its desired modules; `report` is called with the result of every read.

    See `watch` for `sent` and `waiting`. `failed` gives the error's detail, once it is clear that there is one.

    Raises:
        ReplacedError: see `watch`.
        FoundError: the device refused them, a module failed, or the time was up; with the reason and what to do.
    """
    started = patience.clock()
    rollout = None
    for rollout in watch(hub, device_id, patience, sent=sent, waiting=waiting):
        report(rollout)
    assert rollout is not None  # noqa: S101 - `watch` reads at least once
    if rollout.state is State.HEALTHY:
        return rollout
    reason = rollout.reason
    if rollout.state is State.WAITING:
        reason = f"not running after {patience.clock() - started:.0f} s: {reason}"
    fix = rollout.fix or f"check again with 'manifestgen status --device {device_id}', or wait longer with --timeout"
    raise FoundError(reason, where=f"device {device_id!r}", fix=fix, detail=failed(rollout))


def propose(hub: Hub, manifest: Manifest, device_id: str, *, merge: bool = False) -> Plan:
    """Plan setting a manifest on a device, compared with its current state; see `plan.plan`.

    Raises:
        NotFoundError: the hub has no such device.
        CloudError: the device is not an edge device.
    """
    return make_plan(manifest, read_state(hub, device_id), merge=merge)


def carry_out(
    hub: Hub,
    plan: Plan,
    *,
    state: Path | None,
    prune: bool = False,
    patience: Patience | None = None,
    rollback: bool = False,
    verify: Callable[[Rollout], None] = lambda rollout: None,
    observer: Observer[Plan, Rollout] | None = None,
) -> Outcome[Rollout]:
    """Apply a plan: confirm it, refuse unexpected removals, take a snapshot, send it and wait.

    Args:
        state: the state folder, where what the device has is kept before it changes; None takes no snapshot.
        prune: whether modules that the manifest does not name may be removed.
        patience: how to wait; None does not wait.
        rollback: go back to what the device had if it does not come to run what it should.
        verify: called once it runs what it should; raises FoundError if that is not enough.
        observer: confirms the plan if it changes something, and follows the progress.

    Raises:
        InputError: modules would be removed without `prune`, or the snapshot cannot be written.
        FoundError: the device does not come to run its modules.
        Interrupted: by Ctrl-C, with what had been done by then.
    """
    observer = observer or Observer()
    refuse_removals(plan, prune=prune)
    if plan.changes:
        observer.permit(plan)
        if state is not None:
            take(plan.hub, plan.device, plan.version, plan.before, state)
    applied = False
    try:
        applied = apply(plan, hub)
        observer.step("modules set" if applied else "nothing to change")
        rollout = _followed(plan, plan.manifest, hub, patience, observer) if patience else None
        if rollout is not None:
            verify(rollout)
        return Outcome(applied, finished=True, progress=rollout)
    except ReplacedError:
        # Someone else set other modules in the meantime: rolling back would overwrite them.
        raise
    except FoundError as failure:
        if not (rollback and applied and patience):
            raise
        raise _rolled_back(plan, hub, patience, observer, failure) from failure
    except CloudError as error:
        if not applied:
            raise
        what = f"its modules are set; could not check whether they run: {error}"
        raise CloudError(what, where=f"device {plan.device!r}", fix=error.fix) from error
    except KeyboardInterrupt:
        done = "are set, but the rollout was not waited for" if applied else "may or may not have been set"
        raise Interrupted(
            f"interrupted; the modules of device {plan.device!r} {done}",
            fix=f"run the same command again to resume, or see 'manifestgen status --device {plan.device}'",
        ) from None


def refuse_removals(plan: Plan, *, prune: bool) -> None:
    """Raise InputError if a plan removes modules, unless that is allowed."""
    removed = ", ".join(repr(name) for name in plan.removed_modules)
    if removed and not prune:
        raise InputError(
            f"this would remove {removed}, which the manifest does not have",
            where=f"device {plan.device!r}",
            fix="add them to the manifest, keep them with --merge, or remove them with --prune",
        )


def _followed(plan: Plan, sent: Manifest, hub: Hub, patience: Patience, observer: Observer[Plan, Rollout]) -> Rollout:
    """Wait until the plan's device runs what was sent; the observer follows."""
    title = f"device {plan.device!r}"

    def report(rollout: Rollout) -> None:
        observer.progress(title, rollout)

    def failed(rollout: Rollout) -> tuple[str, ...]:
        return observer.failed(plan.device, rollout)

    return wait(hub, plan.device, patience, report, sent=sent, waiting=observer.waiting, failed=failed)


def status(
    hub: Hub,
    device_id: str,
    *,
    patience: Patience | None = None,
    progress: Callable[[str, Rollout], None] = lambda title, rollout: None,
    waiting: Callable[[Wait], None] = lambda wait: None,
) -> Rollout:
    """The desired and reported state of a device.

    Args:
        patience: how long to watch until it is decided; None looks once.
        progress: called with what each look says while watching.
        waiting: called before that with how long it will be watched.

    Raises:
        NotFoundError: the hub has no such device.
    """
    hub.device(device_id)
    rollout = None
    for rollout in watch(hub, device_id, patience or Patience(timeout=0), waiting=waiting):
        if patience is not None:
            progress(f"device {device_id!r}", rollout)
    assert rollout is not None  # noqa: S101 - `watch` reads at least once
    return rollout


def _rolled_back(
    plan: Plan, hub: Hub, patience: Patience, observer: Observer[Plan, Rollout], failure: FoundError
) -> FoundError:
    """Roll back to what the device had; returns an error with the outcome of apply and rollback."""
    if not plan.before.entries:
        what, fix = f"{failure.what}; there is nothing to roll back to: it had no modules", failure.fix
        return FoundError(what, where=failure.where, fix=fix, detail=failure.detail)
    applied = False
    try:
        back = make_plan(plan.before, read_state(hub, plan.device))
        apply(back, hub)
        applied = True
        _followed(plan, back.manifest, hub, patience, observer)
    except FoundError as second:
        what = f"{failure.what}; the rollback was sent, but failed too: {second.what}"
        return FoundError(what, where=failure.where, fix=_both(failure.fix, second.fix), detail=failure.detail)
    except CloudError as error:
        done = "was sent, but could not check whether it runs" if applied else "did not succeed"
        what = f"{failure.what}; the rollback {done}: {error}"
        fix = _both(failure.fix, error.fix) if applied else f"{_rollback_advice(plan)}; then {failure.fix}"
        raise CloudError(what, where=failure.where, fix=fix) from error
    except KeyboardInterrupt:
        done = "was sent, but the rollout was not waited for" if applied else "may or may not have been sent"
        what = f"interrupted; {failure.where}: {failure.what}; the rollback {done}"
        raise Interrupted(what, fix=_rollback_advice(plan)) from None
    what = f"{failure.what}; rolled back, and it runs what it had before"
    return FoundError(what, where=failure.where, fix=failure.fix, detail=failure.detail)


def _both(fix: str, of_the_rollback: str) -> str:
    """The advice after a rollout and its rollback have failed: the fixes of both."""
    return fix if fix == of_the_rollback else f"{fix}; for the rollback: {of_the_rollback}"


def _rollback_advice(plan: Plan) -> str:
    return f"roll back with 'manifestgen rollback --device {plan.device}'"


def _require_unchanged(agent: Twin, sent: Manifest, device_id: str) -> None:
    """Raise ReplacedError unless `$edgeAgent`'s desired properties are what was sent."""
    wanted = Manifest.of({"modulesContent": {"$edgeAgent": sent.entries.get("$edgeAgent", {})}})
    if diff(Manifest.of_twins({"$edgeAgent": agent.desired}), wanted):
        raise ReplacedError(
            f"other modules were set in the meantime (version {agent.desired_version})",
            where=f"device {device_id!r}",
            fix=f"see what is there with 'manifestgen plan FILE --device {device_id}', and apply again if it is wrong",
        )


def _agent_and_hub(hub: Hub, device_id: str) -> tuple[Twin, Twin | None]:
    agent = hub.module_twin(device_id, "$edgeAgent")
    if agent is None:
        raise CloudError(
            "the device has no $edgeAgent module",
            where=f"device {device_id!r}",
            fix="register an edge device with 'manifestgen device register'",
        )
    return agent, hub.module_twin(device_id, "$edgeHub")
