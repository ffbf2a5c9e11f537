"""The status of an automatic deployment: each of its configurations, and the failing devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from manifestgen.cloud import Configuration, Hub
from manifestgen.deployments.counts import Progress, Trouble, failing_devices, measure, models
from manifestgen.deployments.deployment import name_of, survey
from manifestgen.errors import InputError
from manifestgen.manifest.nearest import nearest
from manifestgen.target import Patience, Wait


@dataclass(frozen=True)
class Status:
    """An automatic deployment as it is now.

    Attributes:
        generations: its configurations, the one that devices follow first, and how far each has come.
        troubles: the first devices that fail with that one, and why.
        models: how many devices have which registered model.
    """

    hub: str
    name: str
    generations: tuple[tuple[Configuration, Progress], ...]
    troubles: tuple[Trouble, ...]
    models: Mapping[str, int]

    @property
    def healthy(self) -> bool:
        """Whether one configuration is left and all of its devices run it."""
        progress = self.generations[0][1]
        return len(self.generations) == 1 and progress.reached(1.0) and not progress.failing


def status(
    hub: Hub,
    text: str,
    *,
    patience: Patience | None = None,
    progress: Callable[[str, Progress], None] = lambda title, progress: None,
    waiting: Callable[[Wait], None] = lambda wait: None,
    most: int = 20,
) -> Status:
    """The status of an automatic deployment and its devices.

    Args:
        hub: which is asked.
        text: its name, or the id of any configuration.
        patience: how long to watch until all devices run it; None looks once.
        progress: called with what each look says while watching.
        waiting: called before that with how long it will be watched.
        most: how many failing devices are looked at.

    Raises:
        InputError: the hub has no such deployment.
    """
    found = _look(hub, text, most)
    if patience is None:
        return found
    begun, pauses = patience.clock(), patience.pauses()
    deadline = begun + patience.timeout
    while True:
        waiting(Wait(begun, deadline))
        progress("rollout", found.generations[0][1])
        left = deadline - patience.clock()
        if found.healthy or left <= 0:
            return found
        patience.sleep(min(next(pauses), left))
        found = _look(hub, text, most)


def _look(hub: Hub, text: str, most: int) -> Status:
    known = survey(hub, name_of(text))
    found = known.generations or tuple(each for each in known.others if each.id == text)
    if not found:
        names = sorted({each.id for each in known.others})
        near = nearest(text, names)
        fix = f"choose one of {', '.join(map(repr, names[:10]))}" if names else "create it with 'manifestgen apply'"
        fix = f"did you mean {near[0]!r}?" if near else fix
        raise InputError("no such deployment", where=f"deployment {text!r} in {hub.host}", fix=fix)
    others = tuple(each for each in known.others if each not in found)
    generations = tuple((each, measure(hub, each.id, others)) for each in found)
    current, progress = generations[0]
    troubles = tuple(failing_devices(hub, current, most)) if progress.failing else ()
    return Status(hub.host, text, generations, troubles, models(each for each, _ in generations))
