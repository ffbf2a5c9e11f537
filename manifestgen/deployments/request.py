"""Turns a user's request for an automatic deployment into a proposal, a goal and stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from manifestgen.check import Finding
from manifestgen.cloud import Hub
from manifestgen.deployments.deployment import current, intended, models_in, name_of, survey
from manifestgen.deployments.proposal import Proposal, propose, verify_meetings
from manifestgen.deployments.replace import Goal
from manifestgen.deployments.stages import StageSpec, parse, share_of
from manifestgen.errors import InputError
from manifestgen.gate import require_manifest, require_no_errors
from manifestgen.manifest.document import Document, Kind, with_data
from manifestgen.manifest.manifest import Manifest
from manifestgen.project import lock
from manifestgen.project.load import Project
from manifestgen.project.lock import Lock

Report = Callable[[Document, Sequence[Finding]], None]


@dataclass(frozen=True)
class Request:
    """A request; attributes that are None stay as they are on the hub.

    Attributes:
        name: as it was written; the hub's is that of `deployment.name_of`.
        condition: which devices it targets.
        base: for a layer, the name and the content of the base that it is checked with instead of the hub's.
    """

    name: str
    condition: str | None = None
    priority: int | None = None
    labels: Mapping[str, str] | None = None
    metrics: Mapping[str, str] | None = None
    base: tuple[str, Manifest] | None = None


@dataclass(frozen=True)
class Strategy:
    """How to roll it out.

    Attributes:
        stages: from `stages.parse`; empty for all devices at once.
    """

    goal: Goal
    stages: tuple[StageSpec, ...] = ()


def strategy_of(
    *,
    wait: bool,
    wait_for: str = "100%",
    stages: str | None = None,
    stage_tag: str | None = None,
    tag_devices: bool = False,
    pause: float = 0.0,
    abort_if_failing: str | None = None,
    restore: bool = False,
) -> Strategy:
    """Parse the options of `apply` about the rollout.

    Args:
        wait: whether its devices are waited for.
        wait_for: share of the devices that must run it, such as `95%`.
        stages: such as `5%,25%,100%`; see `stages.parse`.
        stage_tag: path of the tag whose values `stages` may name.
        tag_devices: whether devices may be tagged for the stages.
        pause: seconds between two stages.
        abort_if_failing: share of failing devices above which the previous state is restored.
        restore: restore it too when the time is up.

    Raises:
        InputError: an option is not of its form, or excludes another.
    """
    if not wait and (stages is not None or abort_if_failing is not None):
        raise InputError(
            "--no-wait cannot be used with --stages or --abort-if-failing", fix="drop --no-wait: both need to wait"
        )
    if stage_tag is not None and stages is None:
        raise InputError("--stage-tag needs --stages", fix="add --stages VALUE,VALUE,100%, or drop --stage-tag")
    limit = abort_if_failing
    goal = Goal(
        wait_for=share_of(wait_for, where="--wait-for"),
        abort_if_failing=None if limit is None else share_of(limit, where="--abort-if-failing"),
        restore=restore,
        tag_devices=tag_devices,
        pause=pause,
    )
    return Strategy(goal, () if stages is None else parse(stages, stage_tag))


def pairs(option: str, texts: Iterable[str]) -> dict[str, str] | None:
    """`KEY=VALUE` strings as a mapping; None if there are none.

    Raises:
        InputError: one of them has no `=` or no key.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{text!r} is not NAME=VALUE", where=option, fix=f"write it as {option} NAME=VALUE")
        found[name.strip()] = value
    return found or None


def verified(document: Document, *, layered: bool, based: bool, force: bool, report: Report) -> Document:
    """A document whose manifest can be deployed and in which `check` has no error; a layer if one is requested.

    Args:
        layered: read it as a layer.
        based: whether a base is given, which only a layer has.
        force: as for `gate.require_no_errors`.
        report: is given all findings.

    Raises:
        InputError: it is not a manifest, or not a layer where it has to be one.
        FoundError: it has errors.
    """
    manifest = require_manifest(document, layered=True)
    if layered and document.kind is Kind.MANIFEST:
        if manifest.agent.whole is not None:
            raise InputError(
                "not a layer: it sets all of $edgeAgent",
                where=document.name,
                fix="set 'properties.desired.modules.NAME' instead, or drop --layered",
            )
        document = with_data(document, document.data, layered=True)
    elif based and document.kind is not Kind.LAYERED:
        raise InputError("--base is for layers, and this is not a layer", where=document.name, fix="drop --base")
    require_no_errors(document, force=force, report=report)
    return document


def propose_request(
    hub: Hub, request: Request, document: Document, project: Project | None, *, force: bool, report: Report
) -> Proposal:
    """Propose the changes of a request to a hub; changes nothing.

    Args:
        hub: is asked what it has, and tries condition and metrics.
        request: what it leaves open comes from the project's target, if that names the same deployment.
        document: from `verified`.
        project: whose lock file says which model the manifest brings.
        force: as for `gate.require_no_errors`.
        report: is given all findings about what devices would end up with where a layer meets a base.

    Raises:
        InputError: the hub would reject it.
        FoundError: a layer and a base make a manifest with errors.
        CloudError: the hub has reached its maximum number of deployments.
    """
    manifest = require_manifest(document, layered=True)
    request = _completed(request, project)
    name = name_of(request.name)
    known = survey(hub, name)
    built: list[Lock] = []
    module = None
    if project is not None:
        built = list(lock.read_file(project).modules.values())
        module = next((one.name for one in project.modules if one.model is not None), project.modules[0].name)
    wanted = intended(
        name,
        manifest.content,
        current(hub, name, condition=request.condition, known=known),
        condition=request.condition,
        priority=request.priority,
        labels=request.labels,
        metrics=request.metrics,
        model=models_in(built, manifest),
        model_module=module,
    )
    base = None if request.base is None else (request.base[0], request.base[1].content)
    proposal = propose(hub, wanted, base=base, known=known)
    verify_meetings(proposal, document.name, force=force, report=report)
    return proposal


def _completed(request: Request, project: Project | None) -> Request:
    """The request with condition and priority of the project's target, if that is the same deployment."""
    target = project.target if project is not None else None
    if target is None or target.deployment is None or name_of(target.deployment) != name_of(request.name):
        return request
    return replace(
        request,
        condition=target.condition if request.condition is None else request.condition,
        priority=target.priority if request.priority is None else request.priority,
    )
