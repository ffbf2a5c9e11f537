"""Rolls back an automatic deployment: to a snapshot or, without any, to the hub's previous configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from manifestgen.cloud import Hub
from manifestgen.credentials.rotation import renewed
from manifestgen.deployments.deployment import Deployment, Survey, of_generation, survey, with_content
from manifestgen.deployments.proposal import Proposal, propose
from manifestgen.deployments.snapshots import find, snapshots
from manifestgen.errors import InputError


def propose_rollback(hub: Hub, name: str, root: Path, number: int | None, say: Callable[[str], None]) -> Proposal:
    """Propose a rollback of a deployment, with the current passwords; changes nothing.

    Args:
        say: called with the target of the rollback, and with each password that was replaced.

    Raises:
        NoSnapshotError, InputError: see `rollback_target`.
    """
    was, source = rollback_target(hub, name, root, number)
    say(f"rolling back to {source}")
    content, notes = renewed(was.content, root)
    for note in notes:
        say(note)
    return propose(hub, with_content(was, content) if notes else was)


def rollback_target(hub: Hub, name: str, root: Path, number: int | None) -> tuple[Deployment, str]:
    """The state that a rollback restores, and its origin in words.

    Args:
        hub: of the deployment.
        name: from `name_of`.
        root: from `state.state_folder`.
        number: of a snapshot; None for the newest that differs from the current state.

    Raises:
        NoSnapshotError: there is nothing to roll back to.
        InputError: a number is given without any snapshots, although the hub has a previous configuration; or a
                snapshot cannot be read.
    """
    known = survey(hub, name)
    below = previous(known)
    if below is None or snapshots(hub.host, name, root):
        found = find(hub.host, name, root, number, known.current)
        return found.deployment, f"the snapshot {found.path}"
    if number is not None:
        raise InputError(
            f"there are no snapshots of it in {root}, but the hub still has its previous configuration {below.id!r}",
            where=f"deployment {name!r}",
            fix=f"go back to that one with 'manifestgen rollback --deployment {name}'",
        )
    return below, f"the previous configuration {below.id!r}, which the hub still has: no snapshot of it is in {root}"


def previous(known: Survey) -> Deployment | None:
    """The deployment that devices would follow if the current configuration were deleted; None if there is none.

    The hub has one during a replacement, and after one that was interrupted, not waited for, or failed.
    """
    if len(known.generations) < 2:
        return None
    return of_generation(known.generations[1], known.generations[-1])
