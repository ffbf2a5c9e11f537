"""An automatic deployment as users see it: its content can change, although that of a hub's configuration cannot.

Each content is a separate configuration, `NAME-<hash of the content>`, with the label `manifestgen: NAME`.
Replacing a deployment is creating the next one beside it; only configurations with that label are ever deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from manifestgen.cloud import Configuration, Hub
from manifestgen.deployments.layers import rank
from manifestgen.device.saved_plan import fingerprint
from manifestgen.errors import CloudError, InputError
from manifestgen.manifest.manifest import Manifest
from manifestgen.project.lock import Lock

#: Label of every configuration that manifestgen created: the deployment's name.
NAME_LABEL: Final = "manifestgen"
#: Label that says which registered model a configuration brings, `name:version`.
MODEL_LABEL: Final = "manifestgen-model"
#: Label of a configuration that is being rolled out in stages: the stage, such as `2/3`.
STAGE_LABEL: Final = "manifestgen-stage"
#: Label of a configuration above those it replaces: the priority that it gets once they are deleted.
PRIORITY_LABEL: Final = "manifestgen-priority"
#: Temporary labels, removed once the rollout is complete.
TEMPORARY_LABELS: Final = frozenset({STAGE_LABEL, PRIORITY_LABEL})

#: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling: deployments of a hub, and of a free one
MOST: Final = 100
MOST_ON_FREE: Final = 10
#: learn.microsoft.com/azure/iot-hub/iot-hub-automatic-device-management: custom metrics of one deployment
MOST_METRICS: Final = 5
#: A priority is a 32-bit number; the higher wins.
HIGHEST_PRIORITY: Final = 2**31 - 1
DEFAULT_PRIORITY: Final = 10

#: Placeholder for the configuration's id in the query of a metric: each content has its own id.
ID_PLACEHOLDER: Final = "{deployment}"
#: The metric that counts devices that fail with the deployment's modules; see `metrics_for`.
FAILING_METRIC: Final = "failing"

_HASH_DIGITS: Final = 12
_LONGEST_ID: Final = 128
_LONGEST_NAME: Final = _LONGEST_ID - _HASH_DIGITS - 1
# Allowed by learn.microsoft.com/azure/iot-edge/how-to-deploy-at-scale.
_NOT_IN_IDS: Final = re.compile(r"[^a-z0-9\-:+%_#*?!(),=@;']+")

_ON_DEVICE: Final = f"configurations.[[{ID_PLACEHOLDER}]].status = 'Applied'"
_AGENTS: Final = f"SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent' AND {_ON_DEVICE}"  # noqa: S608 - fixed text
# An agent that rejects a manifest reports the version it had before, so the version alone is not enough.
_CURRENT: Final = "properties.desired.$version = properties.reported.lastDesiredVersion"
_REFUSED: Final = "properties.reported.lastDesiredStatus.code IN [400, 412, 417]"
_FAILED: Final = "properties.reported.lastDesiredStatus.code != 200"
_BAD_STATUSES: Final = "['failed', 'backoff', 'unhealthy', 'dead']"
_CONDITION_FORM: Final = "write it as \"tags.site = 'lab' AND NOT tags.old = true\"; '*' is all devices"
_QUERY_FORM: Final = f'write it as "SELECT deviceId FROM devices WHERE …"; {ID_PLACEHOLDER} stands for the id'  # noqa: S608 - advice
# A query has about 8,200 characters at most (Azure/azure-iot-sdk-csharp#1680); the hub wraps a condition in one.
LONGEST_QUERY: Final = 8000
LONGEST_CONDITION: Final = 6000


@dataclass(frozen=True)
class Deployment:
    """An automatic deployment as it should be.

    Attributes:
        name: as `name_of` makes it.
        content: `{"modulesContent": …}`; may hold passwords.
        condition: which devices it targets.
        labels: the user's own, and that of the model.
        metrics: custom metrics, name to query; `{deployment}` in one is replaced with the configuration's ID.
    """

    name: str
    content: Mapping[str, Any] = field(repr=False)
    condition: str
    priority: int = DEFAULT_PRIORITY
    labels: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The configuration's id, derived from the content."""
        return f"{self.name}-{fingerprint(self.content)[:_HASH_DIGITS]}"

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of its modules, without the system modules."""
        return tuple(module.name for module in Manifest.of(self.content).modules() if not module.system)

    def configuration(self) -> Configuration:
        """The configuration that the hub should have in the end."""
        return Configuration(
            self.id,
            self.content,
            self.condition,
            self.priority,
            {**self.labels, NAME_LABEL: self.name},
            {name: query.replace(ID_PLACEHOLDER, self.id) for name, query in self.metrics.items()},
        )


def of_configuration(configuration: Configuration) -> Deployment:
    """The deployment that a configuration of manifestgen's belongs to."""
    labels = {name: value for name, value in configuration.labels.items() if name not in TEMPORARY_LABELS}
    name = labels.pop(NAME_LABEL)
    lasting = configuration.labels.get(PRIORITY_LABEL, "")
    return Deployment(
        name,
        configuration.content,
        configuration.condition,
        int(lasting) if lasting.isdecimal() else configuration.priority,
        labels,
        {metric: query.replace(configuration.id, ID_PLACEHOLDER) for metric, query in configuration.metrics.items()},
    )


def name_of(text: str) -> str:
    """The name in a form that the hub accepts: lower-case, forbidden characters replaced by `-`.

    Raises:
        InputError: nothing is left, or it is too long to have the content's hash behind it.
    """
    name = _NOT_IN_IDS.sub("-", text.strip().lower()).strip("-")
    if not name:
        raise InputError(f"{text!r} cannot name a deployment", fix="use lower-case letters, digits and '-'")
    if len(name) > _LONGEST_NAME:
        raise InputError(
            f"the deployment's name has {len(name)} characters",
            fix=f"use at most {_LONGEST_NAME}: an id has {_LONGEST_ID}, and a hash of the content is added",
        )
    return name


def intended(
    name: str,
    content: Mapping[str, Any],
    known: Deployment | None,
    *,
    condition: str | None = None,
    priority: int | None = None,
    labels: Mapping[str, str] | None = None,
    metrics: Mapping[str, str] | None = None,
    model: str | None = None,
    model_module: str | None = None,
) -> Deployment:
    """The deployment as it should be: arguments that are None keep what the hub has.

    Args:
        name: as `name_of` makes it.
        content: `{"modulesContent": …}`.
        known: what the hub has of it; None if it is new.
        labels: the user's own; None keeps those there are.
        metrics: the user's own; None keeps those there are.
        model: `name:version` of the registered model in it.
        model_module: the module that runs it.

    Raises:
        InputError: it is new and has no target condition, or a label or metric has a name of ours.
    """
    if condition is None and known is None:
        raise InputError(
            "a new deployment needs a target condition",
            where=f"deployment {name!r}",
            fix="add --target-condition \"tags.site = 'lab'\", or '*' for all devices",
        )
    own = metrics_for(content, model_module)
    for mine in (*(found for found in labels or {} if found.startswith(NAME_LABEL)), *(own.keys() & (metrics or {}))):
        kind = "metric" if mine in own else "label"
        raise InputError(f"{kind} {mine!r} is reserved for manifestgen", fix="choose another name")
    if known is not None:
        previous = metrics_for(known.content, model_module)
        if labels is None:
            labels = {key: value for key, value in known.labels.items() if key != MODEL_LABEL}
        if metrics is None:
            metrics = {key: query for key, query in known.metrics.items() if key not in previous and key not in own}
    brought = {} if model is None else {MODEL_LABEL: model}
    return Deployment(
        name,
        content,
        condition if condition is not None else known.condition if known is not None else "",
        priority if priority is not None else known.priority if known is not None else DEFAULT_PRIORITY,
        {**(labels or {}), **brought},
        {**own, **(metrics or {})},
    )


def models_in(built: Iterable[Lock], manifest: Manifest) -> str | None:
    """The registered models in a manifest, `name:version`, with commas; None if the project built none of its images.

    Args:
        built: the project's modules in its lock file.
        manifest: with the images by their tags or digests.
    """
    images = [module.image_text or "" for module in manifest.modules()]
    found = []
    for lock in built:
        pinned = f"@{lock.digest}" if lock.digest else "@"
        if lock.model is not None and any(image == lock.image or image.endswith(pinned) for image in images):
            found.append(f"{lock.model.name}:{lock.model.version}")
    return ", ".join(dict.fromkeys(found)) or None


def metrics_for(content: Mapping[str, Any], model_module: str | None = None) -> dict[str, str]:
    """The custom metrics that manifestgen adds to a deployment.

    `failing` counts devices that reject it, cannot apply it, or on which a module of it crashes: the hub's own count
    of failures does not include the last. `running` counts devices on which the model's module runs.

    Args:
        content: `{"modulesContent": …}`.
        model_module: the module that runs the model; without it, or without such a module, the only one there is.
    """
    modules = [module for module in Manifest.of(content).modules() if not module.system]
    found: dict[str, str] = {}
    failing = f"({_CURRENT} AND {_FAILED}) OR {_REFUSED}"
    for module in modules:
        longer = f"{failing} OR ({_CURRENT} AND {_status_of(module.name)} IN {_BAD_STATUSES})"
        if len(_AGENTS) + len(longer) > LONGEST_QUERY - _LONGEST_ID:
            break
        failing = longer
    found[FAILING_METRIC] = f"{_AGENTS} AND ({failing})"
    names = [module.name for module in modules]
    chosen = model_module if model_module in names else names[0] if len(names) == 1 else None
    if chosen is not None:
        found["running"] = f"{_AGENTS} AND {_CURRENT} AND {_status_of(chosen)} = 'running'"
    return found


def _status_of(module: str) -> str:
    return f"properties.reported.modules.[[{module}]].runtimeStatus"


@dataclass(frozen=True)
class Survey:
    """A hub's automatic deployments: the configurations of one of them, and all others.

    Attributes:
        name: of that one.
        generations: its configurations; devices follow the first.
        others: all other configurations.
    """

    name: str
    generations: tuple[Configuration, ...]
    others: tuple[Configuration, ...]

    @property
    def current(self) -> Configuration | None:
        """The configuration that devices follow; None if the deployment is new."""
        return self.generations[0] if self.generations else None

    @property
    def used(self) -> int:
        """How many deployments for IoT Edge the hub has."""
        return sum(bool(found.content["modulesContent"]) for found in (*self.generations, *self.others))


def configurations(hub: Hub) -> list[Configuration]:
    """All of a hub's automatic deployments, those first that win where several target a device."""
    return sorted(hub.configurations(), key=rank, reverse=True)


def survey(hub: Hub, name: str) -> Survey:
    """Read a hub's automatic deployments.

    Args:
        name: as `name_of` makes it.
    """
    found = configurations(hub)
    return Survey(
        name,
        tuple(each for each in found if each.labels.get(NAME_LABEL) == name),
        tuple(each for each in found if each.labels.get(NAME_LABEL) != name),
    )


def current(hub: Hub, name: str, *, condition: str | None = None, known: Survey | None = None) -> Deployment | None:
    """The deployment of this name as devices follow it now; None if the hub has none.

    A configuration that replaces another in stages has a temporary target condition: the result then has the condition
    of the one below it.

    Args:
        hub: which is asked.
        name: as `name_of` makes it.
        condition: overrides the deployment's own.
        known: what the hub has; None reads it.

    Raises:
        InputError: its first rollout, in stages, was interrupted, and no condition is given: its own is unknown then.
    """
    generations = (known or survey(hub, name)).generations
    if not generations:
        return None
    found, first = generations[0], generations[-1]
    if STAGE_LABEL in found.labels and found is first and condition is None:
        raise InputError(
            "its first rollout was interrupted between stages",
            where=f"deployment {name!r}",
            fix="finish it by running its apply again",
            options=("give --target-condition",),
        )
    whole = of_generation(found, first)
    return whole if condition is None else replace(whole, condition=condition)


def of_generation(found: Configuration, first: Configuration) -> Deployment:
    """The deployment of one of its configurations, with its own condition: that of a rollout in stages is temporary.

    Args:
        first: the lowest of its configurations.
    """
    return replace(of_configuration(found), condition=(first if STAGE_LABEL in found.labels else found).condition)


def check_limits(wanted: Deployment, known: Survey, *, host: str) -> None:
    """Make sure that a hub can accept a deployment, before anything is sent.

    Raises:
        InputError: it exceeds one of the hub's limits, or its name is taken.
        CloudError: the hub has reached its maximum number of deployments.
    """
    where = f"deployment {wanted.name!r}"
    if not 0 <= wanted.priority <= HIGHEST_PRIORITY:
        raise InputError(
            f"priority {wanted.priority} is out of range", where=where, fix=f"use a number from 0 to {HIGHEST_PRIORITY}"
        )
    if len(wanted.metrics) > MOST_METRICS:
        raise InputError(
            f"it has {len(wanted.metrics)} custom metrics, {_listed(wanted.metrics)}",
            where=where,
            fix=f"keep at most {MOST_METRICS}, including manifestgen's own 'failing' and 'running'",
        )
    if len(wanted.condition) > LONGEST_CONDITION:
        raise InputError(
            f"the target condition has {len(wanted.condition)} characters, and the hub rejects queries over 8,200",
            where=where,
            fix="tag the devices, and name the tag in the condition",
        )
    for other in known.others:
        if other.id in (wanted.name, wanted.id):
            raise InputError(
                "the hub has a deployment of this name that manifestgen did not create, and will not change",
                where=f"deployment {other.id!r} in {host}",
                fix="choose another name; delete the other deployment once the new one runs",
            )
    if known.used >= MOST and all(found.id != wanted.id for found in known.generations):
        spare = ", and replacing one temporarily needs a second one" if known.generations else ""
        raise CloudError(
            f"the hub has {known.used} deployments; its limit is {MOST}{spare}",
            where=f"{where} in {host}",
            fix="delete deployments that are no longer needed",
        )


def try_queries(hub: Hub, wanted: Deployment) -> None:
    """Let the hub validate the target condition and the metrics.

    Raises:
        InputError: it rejects them; in its own words.
    """
    metrics = wanted.configuration().metrics
    errors = hub.test_queries(wanted.condition, metrics)
    for name, words in errors.items():
        what = f"the hub rejects {'the target condition' if not name else f'metric {name!r}'}: {words}"
        seen = metrics.get(name, "") if name else wanted.condition
        fix = _QUERY_FORM if name else _CONDITION_FORM
        raise InputError(what.rstrip(". "), where=repr(seen), fix=fix)


def with_content(deployment: Deployment, content: Mapping[str, Any]) -> Deployment:
    """The deployment with another content, and the metrics that belong to it."""
    own = metrics_for(deployment.content)
    made = metrics_for(content)
    kept = {name: query for name, query in deployment.metrics.items() if name not in own and name not in made}
    return replace(deployment, content=content, metrics={**made, **kept})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
