"""What `apply`, `status`, `history` and `rollback` do with `--deployment NAME`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._console import Console
from manifestgen.cli._deployment_options import Arguments
from manifestgen.errors import InputError, Interrupted
from manifestgen.services import open_hub, project_here

if TYPE_CHECKING:
    from manifestgen.cloud import Hub
    from manifestgen.deployments.counts import Progress
    from manifestgen.deployments.deployment import Deployment
    from manifestgen.deployments.proposal import Proposal
    from manifestgen.deployments.replace import Goal, Observer, Outcome, Patience
    from manifestgen.deployments.stages import Ask
    from manifestgen.manifest.document import Document
    from manifestgen.project.load import Project

# Devices take their time to come online; the default of --timeout is for one that is.
_TIMEOUT = 1800.0


def seconds(timeout: float) -> float:
    """`--timeout` as it was given, else what suits a fleet."""
    source = click.get_current_context().get_parameter_source("timeout")
    return timeout if source is click.core.ParameterSource.COMMANDLINE else _TIMEOUT


def apply_deployment(
    file: Path,
    given: Arguments,
    *,
    yes: bool,
    no_wait: bool,
    timeout: float,
    restore: bool,
    force: bool,
    hub: str | None,
    console: Console,
) -> None:
    """Make an automatic deployment of a manifest, and wait until its devices run it."""
    from manifestgen.cli._manifest import findings_reporter
    from manifestgen.deployments.deployment import current, intended, name_of
    from manifestgen.deployments.proposal import propose, verify_meetings

    project = project_here()
    goal, stages = _goal(given, restore=restore, no_wait=no_wait)
    name = name_of(given.name)
    if name != given.name:
        console.progress(f"deployment {given.name!r} is {name!r} on the hub")
    document = _document(file, given, console, force=force)
    base = _base(given.base)
    service = open_hub(hub, project)
    condition, priority = given.condition, given.priority
    target = project.target if project is not None else None
    if target is not None and target.deployment is not None and name_of(target.deployment) == name:
        condition = target.condition if condition is None else condition
        priority = target.priority if priority is None else priority
    wanted = intended(
        name,
        _manifest(document),
        current(service, name, condition=condition),
        condition=condition,
        priority=priority,
        labels=_pairs("--label", given.labels) if given.labels else None,
        metrics=_pairs("--metric", given.metrics) if given.metrics else None,
        **_model(project, document),
    )
    proposal = propose(service, wanted, base=base)
    verify_meetings(proposal, document.name, force=force, report=findings_reporter(console))
    targets = _targets(service, wanted, console) if given.show_targets else None
    show(proposal, console)
    carry_out(
        service,
        proposal,
        console,
        yes=yes,
        wait=not no_wait,
        goal=goal,
        patience=patience(seconds(timeout), given.pause),
        stages=stages,
        more={} if targets is None else {"targets": targets},
    )


def _goal(given: Arguments, *, restore: bool, no_wait: bool) -> tuple[Goal, tuple[Ask, ...]]:
    from manifestgen.deployments.replace import Goal
    from manifestgen.deployments.stages import parse, share_of

    if no_wait and (given.stages is not None or given.abort_if_failing is not None):
        raise InputError("--no-wait excludes --stages and --abort-if-failing", fix="drop --no-wait: both need waiting")
    if given.stage_tag is not None and given.stages is None:
        raise InputError("--stage-tag is about --stages", fix="add --stages VALUE,VALUE,100%, or drop it")
    limit = given.abort_if_failing
    goal = Goal(
        wait_for=share_of(given.wait_for, where="--wait-for"),
        abort_if_failing=None if limit is None else share_of(limit, where="--abort-if-failing"),
        restore=restore,
        tag_devices=given.tag_devices,
    )
    return goal, () if given.stages is None else parse(given.stages, given.stage_tag)


def patience(timeout: float, pause: float = 0.0) -> Patience:
    """How to wait for devices; see `fleet.replace.Patience`."""
    from manifestgen.deployments.replace import Patience

    return Patience(timeout=timeout, pause=pause)


def _document(file: Path, given: Arguments, console: Console, *, force: bool) -> Document:
    """The manifest, checked; a layer if it is one or shall be one."""
    from manifestgen.cli._manifest import findings_reporter, load_document, warn_of_credentials
    from manifestgen.gate import settable, verify
    from manifestgen.manifest.document import Kind, read

    noticed: list[str] = []
    document = load_document(file, noticed.append)
    manifest = settable(document, layered=True)
    if given.layered and document.kind is Kind.MANIFEST:
        if manifest.agent.whole is not None:
            raise InputError(
                "it sets all of $edgeAgent, and so is no layer",
                where=document.name,
                fix="set 'properties.desired.modules.NAME' instead, or drop --layered",
            )
        document = read(document.text, document.name, layered=True)
    elif given.base is not None and document.kind is not Kind.LAYERED:
        raise InputError("--base is about layers, and this is none", where=document.name, fix="drop --base")
    verify(document, force=force, report=findings_reporter(console))
    warn_of_credentials(file, manifest, noticed, console)
    return document


def _manifest(document: Document) -> Mapping[str, Any]:
    assert document.manifest is not None  # noqa: S101 - `settable` has made sure
    return document.manifest.content


def _base(file: Path | None) -> tuple[str, Mapping[str, Any]] | None:
    if file is None:
        return None
    from manifestgen.cli._manifest import load_document
    from manifestgen.gate import settable

    return str(file), settable(load_document(file)).content


def _model(project: Project | None, document: Document) -> dict[str, str | None]:
    """The registered model that a manifest brings, if the project built its image, and the module that runs it."""
    from manifestgen.deployments.deployment import model_of
    from manifestgen.project import lock

    if project is None or document.manifest is None:
        return {}
    module = project.manifest.module if project.manifest is not None else None
    return {"model_module": module, "model": model_of(lock.read(project), document.manifest)}


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{text!r} is not NAME=VALUE", where=option, fix=f"write it as {option} NAME=VALUE")
        pairs[name.strip()] = value
    return pairs


def _targets(service: Hub, wanted: Deployment, console: Console) -> list[str]:
    from manifestgen.deployments.counts import matching

    found = matching(service, wanted.condition)
    for device in found:
        console.result(device)
    return found


def show(proposal: Proposal, console: Console) -> None:
    """What would be done, and its warnings."""
    from manifestgen.report.deployment import proposal_text

    for warning in proposal.warnings:
        console.warn(warning)
    console.result(proposal_text(proposal))


def carry_out(
    service: Hub,
    proposal: Proposal,
    console: Console,
    *,
    yes: bool,
    wait: bool,
    goal: Goal | None = None,
    patience: Patience,
    stages: tuple[Ask, ...] = (),
    more: Mapping[str, Any] | None = None,
) -> None:
    """Ask, replace the deployment, say what came of it."""
    from manifestgen.deployments.replace import replace

    if not proposal.nothing_to_do:
        permission(console, yes=yes)(proposal)
    outcome = replace(
        service,
        proposal.wanted,
        goal=goal,
        patience=patience,
        stages=stages,
        observer=observer(lambda: service.host, console),
        wait=wait,
    )
    tell(proposal, outcome, console, more)


def tell(proposal: Proposal, outcome: Outcome, console: Console, more: Mapping[str, Any] | None = None) -> None:
    """What came of it; `more` goes into the JSON document too."""
    from manifestgen.report.deployment import outcome_data, outcome_text, proposal_data

    console.result(outcome_text(outcome))
    console.document({**(more or {}), "plan": proposal_data(proposal), **outcome_data(outcome)})


def permission(console: Console, *, yes: bool) -> Callable[[Proposal], None]:
    """Asks whoever sits at the terminal, unless `yes`."""

    def permit(proposal: Proposal) -> None:
        from manifestgen.report.deployment import devices

        if yes:
            return
        name = proposal.wanted.name
        if not console.interactive:
            raise InputError("nobody can be asked whether to apply this", fix="add --yes")
        try:
            permitted = console.confirm(f"apply deployment {name!r} to {devices(proposal.matched)}?")
        except click.Abort:  # Ctrl-C, or the end of the input
            permitted = False
            console.progress("")
        if not permitted:
            what = f"stopped; deployment {name!r} was not changed"
            raise Interrupted(what, fix="run the same command again to apply it")

    return permit


def observer(host: Callable[[], str], console: Console) -> Observer:
    """Says each step and how far the devices are, and keeps what they had."""
    from manifestgen.deployments.replace import Observer
    from manifestgen.deployments.snapshots import take
    from manifestgen.state import state_folder

    return Observer(
        step=console.progress,
        progress=Watching(console).show,
        snapshot=lambda deployment: take(host(), deployment, state_folder()),
    )


class Watching:
    """Shows how far a rollout is, on stderr: a bar on a terminal, what changed in a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[str, Progress] | None = None

    def show(self, title: str, progress: Progress) -> None:
        """One look at the hub."""
        from manifestgen.report.deployment import bar, counts

        if self._console.live:
            self._console.redraw([bar(title, progress)])
        elif (title, progress) != self._last:
            self._console.progress(f"{title}: {counts(progress)}")
        self._last = (title, progress)


def show_status(name: str, *, watch: bool, timeout: float, hub: str | None, console: Console) -> int:
    """How a deployment stands; exit code 1 if not all of its devices run it."""
    from manifestgen.deployments.replace import Patience
    from manifestgen.deployments.status import stand
    from manifestgen.report.deployment import standing_data, standing_text

    service = open_hub(hub, project_here())
    patience = Patience(timeout=seconds(timeout) if watch else 0)
    watching = Watching(console)
    deadline, pause = patience.clock() + patience.timeout, patience.first
    while True:
        standing = stand(service, name)
        if watch:
            watching.show("rollout", standing.generations[0][1])
        left = deadline - patience.clock()
        if standing.healthy or left <= 0:
            break
        patience.sleep(min(pause, left))
        pause = min(pause * 1.5, patience.longest)
    console.result(standing_text(standing))
    console.document(standing_data(standing))
    return 0 if standing.healthy else 1


def roll_back(
    name: str, number: int | None, *, yes: bool, no_wait: bool, timeout: float, hub: str | None, console: Console
) -> None:
    """Make a deployment again what it was before."""
    from manifestgen.credentials.rotation import renewed
    from manifestgen.deployments.deployment import name_of, survey, with_content
    from manifestgen.deployments.proposal import propose
    from manifestgen.deployments.snapshots import find
    from manifestgen.state import state_folder

    service = open_hub(hub, project_here())
    name = name_of(name)
    former = find(service.host, name, state_folder(), number, survey(service, name).current)
    content, notes = renewed(former.deployment.content, state_folder())
    for note in notes:
        console.progress(note)
    proposal = propose(service, with_content(former.deployment, content) if notes else former.deployment)
    show(proposal, console)
    carry_out(service, proposal, console, yes=yes, wait=not no_wait, patience=patience(seconds(timeout)))


def show_history(name: str, *, hub: str | None, console: Console) -> None:
    """What a deployment was before each change."""
    from manifestgen.deployments.deployment import name_of
    from manifestgen.deployments.snapshots import snapshots
    from manifestgen.state import state_folder

    host, name = open_hub(hub, project_here()).host, name_of(name)
    found = list(enumerate(snapshots(host, name, state_folder()), start=1))
    for number, former in found:
        taken = former.taken.strftime("%Y-%m-%d %H:%M:%S UTC")
        modules = ", ".join(former.deployment.modules) or "no modules"
        settings = f"priority {former.deployment.priority}, for {former.deployment.condition}"
        console.result(f"{number:>2}  {taken}  {former.deployment.id}  {settings}  {modules}")
    if not found:
        console.progress(f"no snapshots of deployment {name!r} on {host}")
    console.document(
        {
            "hub": host,
            "deployment": name,
            "snapshots": [
                {
                    "number": number,
                    "taken": former.taken.isoformat(),
                    "id": former.deployment.id,
                    "condition": former.deployment.condition,
                    "priority": former.deployment.priority,
                    "modules": list(former.deployment.modules),
                }
                for number, former in found
            ],
        }
    )
