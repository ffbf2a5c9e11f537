"""Stages of a rollout, as target conditions: the hub stays the engine and finds each stage's devices itself.

The query language has no hash and no sample. A share of the devices is therefore either named one by one in the
condition, or, where that would be longer than a query may be, by a tag that is written to its devices once:
`tags.manifestgen.bucket`, a number from 0 to 99 computed from the device ID. The user's own tag needs neither.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from manifestgen.cloud import Configuration, Hub
from manifestgen.deployments.counts import ids, matching, narrowed, quoted
from manifestgen.deployments.deployment import LONGEST_CONDITION, STAGE_LABEL
from manifestgen.errors import InputError

_BUCKETS: Final = 100
_BUCKET: Final = "tags.manifestgen.bucket"
_WRITERS: Final = 8
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True)
class StageSpec:
    """A stage as it was requested.

    Attributes:
        text: as written, such as `5%` or `canary`.
        share: from 0 to 1; None if it is named by values of a tag.
        condition: that the tag has one of the values up to here.
    """

    text: str
    share: float | None
    condition: str = ""


@dataclass(frozen=True)
class Stage:
    """A stage as it will be carried out.

    Attributes:
        title: such as `5%`.
        condition: the whole target condition while it lasts.
        untagged: devices that get their bucket as a tag before it begins.
    """

    title: str
    condition: str
    untagged: tuple[str, ...] = ()


def parse(text: str, tag: str | None = None) -> tuple[StageSpec, ...]:
    """Read `5%,25%,100%`, or with a tag `canary,early,100%`. The last stage is always all devices.

    Args:
        tag: path of a tag, with or without `tags.` before it.

    Raises:
        InputError: a share is malformed, or not larger than the one before it.
    """
    path = None if tag is None else tag.strip().removeprefix("tags.")
    if path is not None and _PATH.fullmatch(path) is None:
        raise InputError(
            f"{tag!r} is not the path of a tag", where="--stage-tag", fix="write it as 'ring' or 'site.ring'"
        )
    asked: list[StageSpec] = []
    values: list[str] = []
    largest = 0.0
    for part in (part.strip() for part in text.split(",")):
        if part.endswith("%"):
            share = share_of(part, where="--stages")
            if share <= largest:
                raise InputError(f"stage {part!r} must be larger than the stage before it", where="--stages", fix=_FORM)
            largest = share
            asked.append(StageSpec(part, share))
        elif path is not None and part and not largest:
            values.append(part)
            asked.append(StageSpec(part, None, f"tags.{path} IN [{', '.join(_either_kind(values))}]"))
        else:
            raise InputError(f"{part!r} is not a stage", where="--stages", fix=_FORM)
    return tuple(asked if largest == 1.0 else [*asked, StageSpec("100%", 1.0)])


_FORM: Final = "write shares that grow, such as 5%,25%,100%, or values of a tag before them and --stage-tag TAG"


def share_of(text: str, *, where: str) -> float:
    """The share from 0 to 1 that a text such as `95%` means.

    Raises:
        InputError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", text.strip())
    share = float(match[1]) / 100 if match else -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{text!r} is not a share", where=where, fix="write it as a percentage, such as 5%")
    return share


def _either_kind(values: Iterable[str]) -> Iterable[str]:
    """The values of a tag as strings, and also as numbers where they look like numbers."""
    for value in values:
        yield quoted(value)
        if value.isdecimal():
            yield value


def prepare(
    hub: Hub,
    asked: Sequence[StageSpec],
    condition: str,
    *,
    begun: Configuration | None = None,
    tag_devices: bool = False,
) -> tuple[Stage, ...]:
    """The stages' target conditions; nothing is changed yet.

    Args:
        condition: of the whole deployment.
        begun: the configuration of an interrupted run; its devices stay in the stage.
        tag_devices: whether devices may be tagged where a share cannot be named otherwise.

    Raises:
        InputError: a share has more devices than a condition can name, and they may not be tagged.
    """
    shares = [ask.share for ask in asked if ask.share is not None and ask.share < 1]
    members = matching(hub, condition) if shares else []
    inside = set(matching(hub, begun.condition)) & set(members) if begun is not None and shares else set()
    stages: list[Stage] = []
    for ask in asked:
        if ask.share is None:
            stages.append(Stage(ask.text, narrowed(condition, ask.condition)))
        elif ask.share >= 1:
            stages.append(Stage(ask.text, condition))
        else:
            first = sorted(members, key=_place)[: math.ceil(ask.share * len(members) - 1e-9)]
            # A device in one stage is in all later ones.
            inside = inside | set(first)
            stages.append(_share(hub, ask, condition, members, sorted(inside), tag_devices=tag_devices))
    return tuple(stages)


def _share(
    hub: Hub, ask: StageSpec, condition: str, members: Sequence[str], chosen: Sequence[str], *, tag_devices: bool
) -> Stage:
    """A stage of these devices, or of about as many with a tag."""
    assert ask.share is not None  # noqa: S101 - the caller checked
    named = narrowed(condition, ids(chosen or [""]))
    if len(named) <= LONGEST_CONDITION:
        return Stage(ask.text, named)
    if not tag_devices:
        raise InputError(
            f"stage {ask.text} has {len(chosen)} devices, too many to name in a target condition",
            where="--stages",
            fix=f"add --tag-devices to write '{_BUCKET}' to them once, or use a tag of your own with --stage-tag",
        )
    below = math.floor(ask.share * _BUCKETS + 1e-9)
    if not below:
        raise InputError(
            f"stage {ask.text} is less than 1% of the devices",
            where="--stages",
            fix="use at least 1%, or a tag of your own with --stage-tag",
        )
    tagged = f"{_BUCKET} < {below}"
    known = set(matching(hub, narrowed(condition, tagged)))
    untagged = tuple(device for device in members if bucket(device) < below and device not in known)
    others = [device for device in chosen if bucket(device) >= below]
    if others:
        tagged = f"({tagged} OR {ids(others)})"
    return Stage(ask.text, narrowed(condition, tagged), untagged)


def bucket(device: str) -> int:
    """The bucket of a device: stable, and evenly distributed."""
    return int.from_bytes(_digest(device)[:8], "big") % _BUCKETS


def _place(device: str) -> tuple[int, bytes]:
    """The order of devices: by bucket, so that shares by ID and by tag select the same ones."""
    return bucket(device), _digest(device)


def _digest(device: str) -> bytes:
    return hashlib.sha256(device.encode()).digest()


def tag(hub: Hub, devices: Sequence[str]) -> None:
    """Write the bucket of each device into its tags; doing it again changes nothing."""
    pool = ThreadPoolExecutor(_WRITERS)
    try:
        list(pool.map(lambda device: hub.set_tags(device, {"manifestgen": {"bucket": bucket(device)}}), devices))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def interrupted_stage(configuration: Configuration | None, stages: int) -> int:
    """The stage, counted from 0, that an interrupted run of as many stages was in; 0 if there was none."""
    mark = configuration.labels.get(STAGE_LABEL, "") if configuration is not None else ""
    match = re.fullmatch(r"(\d+)/(\d+)", mark)
    if match is None or int(match[2]) != stages or not 1 <= int(match[1]) <= stages:
        return 0
    return int(match[1]) - 1
