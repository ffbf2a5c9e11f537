"""Lists and deletes a hub's automatic deployments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from manifestgen.cloud import Configuration, Hub
from manifestgen.deployments import snapshots
from manifestgen.deployments.deployment import NAME_LABEL, configurations, name_of, of_generation, survey
from manifestgen.errors import InputError, NotFoundError

_LIST = "list those that there are with 'manifestgen deployment list'"


def named(hub: Hub, name: str) -> Sequence[Configuration]:
    """The configurations of a deployment, the one that devices follow first; or the one with this id.

    Raises:
        NotFoundError: the hub has neither.
    """
    found = survey(hub, name_of(name)).generations
    if found:
        return found
    by_id = [each for each in configurations(hub) if each.id == name]
    if not by_id:
        raise NotFoundError("the hub has no such deployment", where=f"deployment {name!r} in {hub.host}", fix=_LIST)
    return by_id


def own(hub: Hub, name: str) -> Sequence[Configuration]:
    """The configurations of a deployment that manifestgen created.

    Raises:
        InputError: manifestgen did not create it.
        NotFoundError: the hub does not have it.
    """
    found = named(hub, name)
    if NAME_LABEL not in found[0].labels:
        raise InputError(
            "manifestgen did not create it, and deletes only what it created",
            where=f"deployment {name!r} in {hub.host}",
            fix="delete it with the tool that created it, such as 'az iot edge deployment delete'",
        )
    return found


def delete(hub: Hub, found: Sequence[Configuration], root: Path) -> Iterator[Configuration]:
    """Take a snapshot of a deployment and delete its configurations, the lowest first; yields each once it is gone.

    In this order, devices never receive previous content in between.

    Raises:
        InputError: the snapshot cannot be written; nothing was deleted then.
    """
    snapshots.take(hub.host, of_generation(found[0], found[-1]), root)
    for each in reversed(found):
        hub.delete_configuration(each)
        yield each
