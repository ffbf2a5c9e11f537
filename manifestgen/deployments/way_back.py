"""Where a rollback of an automatic deployment goes: a snapshot or, without any, what the hub still has."""

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
    """Propose going back to what a deployment was, with the passwords that are current now; changes nothing.

    Args:
        say: called with where it goes back to, and with each password that is not the one of then.

    Raises:
        NoSnapshotError, InputError: see `way_back`.
    """
    was, source = way_back(hub, name, root, number)
    say(f"going back to {source}")
    content, notes = renewed(was.content, root)
    for note in notes:
        say(note)
    return propose(hub, with_content(was, content) if notes else was)


def way_back(hub: Hub, name: str, root: Path, number: int | None) -> tuple[Deployment, str]:
    """What a deployment goes back to, and where that is, in words.

    Args:
        hub: which is asked.
        name: as `name_of` makes it.
        root: from `state.state_folder`.
        number: of a snapshot; None for the newest that differs from the present.

    Raises:
        NoSnapshotError: there is nothing to go back to.
        InputError: a number is given and there are no snapshots, but the hub has a former configuration; or a snapshot
            cannot be read.
    """
    known = survey(hub, name)
    below = former(known)
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


def former(known: Survey) -> Deployment | None:
    """The deployment that devices would follow if the present configuration were deleted; None if there is none.

    The hub has one while a replacement is under way, and after one that was interrupted, not waited for, or failed.
    """
    if len(known.generations) < 2:
        return None
    return of_generation(known.generations[1], known.generations[-1])
