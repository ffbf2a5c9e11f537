"""Writes an automatic deployment's configurations to the hub, one at a time, and never one of someone else's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace as changed
from typing import Final

from manifestgen.cloud import Configuration, Hub
from manifestgen.deployments.deployment import NAME_LABEL, TEMPORARY_LABELS
from manifestgen.errors import CloudError, NotFoundError, UnconfirmedError

# After a lost answer, check the hub before retrying.
_ATTEMPTS: Final = 4


class Writer:
    """Creates, updates and deletes the configurations of one deployment, each only if it has the deployment's label."""

    def __init__(self, hub: Hub, name: str, step: Callable[[str], None]) -> None:
        """Write to a hub.

        Args:
            name: of the deployment.
            step: is called with each change that was made.
        """
        self._hub = hub
        self._name = name
        self._step = step

    def put(self, configuration: Configuration) -> Configuration | None:
        """Create or update a configuration; after a lost answer, check the hub before retrying.

        Returns:
            the configuration as the hub has it then.

        Raises:
            CloudError: the hub refused it, or the configuration has lost its label.
        """
        sent = ""
        for attempt in range(1, _ATTEMPTS + 1):
            found = _find(self._hub, configuration.id)
            if found is not None and same(found, configuration):
                if sent:
                    self._step(sent)
                break
            if found is not None and found.labels.get(NAME_LABEL) != self._name:
                raise _not_ours(found.id, self._hub.host)
            sent = _words(found, configuration)
            try:
                if found is None:
                    self._hub.create_configuration(configuration)
                else:
                    self._hub.update_configuration(changed(configuration, etag=found.etag, content=found.content))
            except UnconfirmedError:
                if attempt == _ATTEMPTS:
                    raise
                continue
            self._step(sent)
            break
        return _find(self._hub, configuration.id)

    def remove(self, configuration: Configuration) -> None:
        """Delete a configuration, if it is still there.

        Raises:
            CloudError: the hub refused it, or the configuration has lost its label.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            found = _find(self._hub, configuration.id)
            if found is None:
                if attempt > 1:
                    self._step(f"deleted {configuration.id!r}")
                return
            if found.labels.get(NAME_LABEL) != self._name:
                raise _not_ours(found.id, self._hub.host)
            try:
                self._hub.delete_configuration(found)
            except NotFoundError:
                return
            except UnconfirmedError:
                if attempt == _ATTEMPTS:
                    raise
                continue
            self._step(f"deleted {configuration.id!r}")
            return


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


def _not_ours(configuration_id: str, host: str) -> CloudError:
    return CloudError(
        "it has lost the label that marks it as manifestgen's, so it was not changed",
        where=f"deployment {configuration_id!r} in {host}",
        fix=f"restore its label {NAME_LABEL!r}, or delete it yourself",
    )
