"""Writes an automatic deployment's configurations to the hub, one at a time, and never another deployment's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace as changed

from manifestgen.cloud import Configuration, Hub
from manifestgen.deployments.deployment import NAME_LABEL, TEMPORARY_LABELS
from manifestgen.errors import CloudError, NotFoundError, UnconfirmedError
from manifestgen.target import SENDING, Patience, rounds


class Writer:
    """Creates, updates and deletes the configurations of one deployment, each only if it has the deployment's label.

    After a lost response, the hub is checked before the request is retried, with pauses in between.

    Attributes:
        unconfirmed: a change whose response has not arrived, in a sentence; empty without one.
    """

    def __init__(self, hub: Hub, name: str, step: Callable[[str], None], sending: Patience = SENDING) -> None:
        """Write to a hub.

        Args:
            name: of the deployment.
            step: called with each change that was made.
            sending: how long to retry a change that was not made.
        """
        self.unconfirmed = ""
        self._hub = hub
        self._name = name
        self._step = step
        self._sending = sending

    def put(self, configuration: Configuration) -> Configuration | None:
        """Create or update a configuration.

        Returns:
            The configuration on the hub afterwards.

        Raises:
            CloudError: the hub rejected it, it is not made after all retries, or the configuration has lost its label.
            UnconfirmedError: the answer was lost, and the hub cannot be read.
        """
        words = ""

        def send(found: Configuration | None) -> None:
            nonlocal words
            words = _words(found, configuration)
            if found is None:
                self._hub.create_configuration(configuration)
            else:
                self._hub.update_configuration(changed(configuration, etag=found.etag, content=found.content))

        if self._sent(configuration.id, lambda found: found is not None and same(found, configuration), send, "set"):
            self._step(words)
        return _find(self._hub, configuration.id)

    def remove(self, configuration: Configuration) -> None:
        """Delete a configuration, if it is still there.

        Raises:
            CloudError: the hub rejected it, it still exists after all retries, or the configuration has lost its label.
            UnconfirmedError: the answer was lost, and the hub cannot be read.
        """

        def send(found: Configuration | None) -> None:
            assert found is not None  # noqa: S101 - or there is nothing to do
            self._hub.delete_configuration(found)

        try:
            if self._sent(configuration.id, lambda found: found is None, send, "deleted"):
                self._step(f"deleted {configuration.id!r}")
        except NotFoundError:
            return

    def _sent(
        self,
        configuration_id: str,
        is_made: Callable[[Configuration | None], bool],
        send: Callable[[Configuration | None], None],
        made: str,
    ) -> bool:
        """Send a change until the hub has it; whether that was necessary.

        Args:
            is_made: whether the configuration, or its absence, is as wanted.
            send: called with the configuration as it is now.
            made: what happens to the configuration, as a participle.
        """
        where = f"deployment {configuration_id!r} in {self._hub.host}"
        lost: UnconfirmedError | None = None
        for _ in rounds(self._sending):
            found = self._look(configuration_id, lost, made)
            if is_made(found):
                self.unconfirmed = ""
                return lost is not None
            if found is not None and found.labels.get(NAME_LABEL) != self._name:
                raise _not_ours(where)
            self.unconfirmed = f"{configuration_id!r} may or may not be {made}"
            try:
                send(found)
            except UnconfirmedError as error:
                lost = error
            else:
                self.unconfirmed = ""
                return True
        if is_made(self._look(configuration_id, lost, made)):
            return True
        what = f"it is not {made}: {lost.what if lost else 'no answer'}"
        raise CloudError(what, where=where, fix="run the same command again") from lost

    def _look(self, configuration_id: str, lost: UnconfirmedError | None, made: str) -> Configuration | None:
        """The configuration as it is now. Raises UnconfirmedError if a change was sent and the hub cannot be read."""
        try:
            return _find(self._hub, configuration_id)
        except CloudError as error:
            if lost is None:
                raise
            raise UnconfirmedError(
                f"it may or may not be {made}: {error.what}",
                where=f"deployment {configuration_id!r} in {self._hub.host}",
                fix=f"see 'manifestgen status --deployment {self._name}', or run the same command again",
            ) from error


def _find(hub: Hub, configuration_id: str) -> Configuration | None:
    try:
        return hub.configuration(configuration_id)
    except NotFoundError:
        return None


def same(found: Configuration, configuration: Configuration) -> bool:
    """Whether a configuration of the hub has the settings of another one; contents never change."""
    return (
        found.condition.strip() == configuration.condition.strip()
        and found.priority == configuration.priority
        and found.labels == configuration.labels
        and found.metrics == configuration.metrics
    )


def _words(before: Configuration | None, after: Configuration) -> str:
    """The changes, in a sentence."""
    if before is None:
        return f"created {after.id!r} with priority {after.priority}"
    said = []
    if before.priority != after.priority:
        said.append(f"priority {before.priority} to {after.priority}")
    if before.condition.strip() != after.condition.strip():
        said.append("target condition")
    if _users(before.labels) != _users(after.labels):
        said.append("labels")
    if before.metrics != after.metrics:
        said.append("metrics")
    return f"changed {after.id!r}: {', '.join(said or ['labels'])}"


def _users(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels without the temporary ones."""
    return {name: value for name, value in labels.items() if name not in TEMPORARY_LABELS}


def _not_ours(where: str) -> CloudError:
    return CloudError(
        "it has lost the label that marks it as manifestgen's, so it was not changed",
        where=where,
        fix=f"restore its label {NAME_LABEL!r}, or delete it yourself",
    )
