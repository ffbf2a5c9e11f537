"""Automatic deployments, queries and tags of `cloud.Hub`, with Microsoft's IoT Hub service SDK.

Answers are read from the response's own JSON: the SDK's classes drop what they do not know and convert what they do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from azure.iot.hub.protocol import models

from manifestgen.azure.iot_hub_retry import Requests, refusal_of
from manifestgen.azure.iot_hub_time import read_time
from manifestgen.cloud import Configuration
from manifestgen.errors import CloudError, InputError

_SCHEMA_VERSION: Final = "2.0"
# More than a hub can have, of both kinds: it answers with those there are.
_ALL: Final = 1000
_PAGE: Final = 1000


class Configurations:
    """The part of a hub that keeps fleets in line."""

    def __init__(self, host: str, client: Any, requests: Requests) -> None:
        self._host = host
        self._client = client
        self._requests = requests

    def configurations(self) -> Sequence[Configuration]:
        """All automatic deployments, by id."""
        answer = self._requests.read(
            "the automatic deployments", lambda: self._client.configuration.get_configurations(_ALL, raw=True)
        )
        return sorted(map(_configuration_of, _json(answer)), key=lambda configuration: configuration.id)

    def configuration(self, configuration_id: str) -> Configuration:
        """One automatic deployment, with the results of its metrics."""
        about = _about(configuration_id)
        return _configuration_of(
            _json(
                self._requests.read(about, lambda: self._client.configuration.get(_path_of(configuration_id), raw=True))
            )
        )

    def create_configuration(self, configuration: Configuration) -> None:
        """Create an automatic deployment."""
        self._put(configuration, None)

    def update_configuration(self, configuration: Configuration) -> None:
        """Change what may change of an automatic deployment, if nobody else did since it was read."""
        self._put(configuration, _quoted(configuration.etag))

    def _put(self, configuration: Configuration, match: str | None) -> None:
        about = _about(configuration.id)
        body = models.Configuration(
            id=configuration.id,
            schema_version=_SCHEMA_VERSION,
            labels=dict(configuration.labels),
            content=models.ConfigurationContent(modules_content=configuration.content["modulesContent"]),
            target_condition=configuration.condition,
            priority=configuration.priority,
            metrics=models.ConfigurationMetrics(queries=dict(configuration.metrics)),
        )
        send = partial(self._client.configuration.create_or_update, _path_of(configuration.id), body, match, raw=True)
        try:
            self._requests.write(about, send)
        except CloudError as error:
            raise _explained(error, f"{about} in {self._host}") from error.__cause__

    def delete_configuration(self, configuration: Configuration) -> None:
        """Delete an automatic deployment, if nobody changed it since it was read."""
        match = _quoted(configuration.etag)
        self._requests.write(
            _about(configuration.id),
            lambda: self._client.configuration.delete(_path_of(configuration.id), match),
        )

    def test_queries(self, condition: str, metrics: Mapping[str, str]) -> Mapping[str, str]:
        """What the hub has against a target condition and custom metrics."""
        asked = models.ConfigurationQueriesTestInput(
            target_condition=condition, custom_metric_queries=dict(metrics) or None
        )
        # It changes nothing, although it is a POST.
        answer = _json(
            self._requests.read(
                "the target condition", lambda: self._client.configuration.test_queries(asked, raw=True)
            )
        )
        errors = {name: str(text) for name, text in (answer.get("customMetricQueryErrors") or {}).items() if text}
        if answer.get("targetConditionError"):
            errors[""] = str(answer["targetConditionError"])
        return errors

    def query(self, text: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a query."""
        asked = models.QuerySpecification(query=text)
        token: str | None = None
        while True:
            page = self._requests.read(
                "a query", partial(self._client.query.get_twins, asked, token, str(_PAGE), raw=True)
            )
            yield from _json(page)
            token = page.headers.get("x-ms-continuation")
            if not token:
                return

    def set_tags(self, device_id: str, tags: Mapping[str, Any]) -> None:
        """Merge tags into those of a device."""
        if not device_id or "/" in device_id:
            raise InputError(f"{device_id!r} is not a device id", fix="give an id as the hub has it")
        twin = models.Twin(tags=dict(tags))
        # Sending the same tags again changes nothing, so that a lost answer needs no reading.
        self._requests.read(f"device {device_id!r}", lambda: self._client.devices.update_twin(device_id, twin, '"*"'))


def _explained(error: CloudError, where: str) -> CloudError:
    """Says what to do about a refusal that the general advice does not fit."""
    refusal = refusal_of(error)
    if refusal is None:
        return error
    if refusal.status == 413 or refusal.code == "ConfigurationCountLimitExceeded":
        fix = "delete automatic deployments that are not needed any more: a hub has at most 100, a free one 10"
    elif refusal.status == 409:
        fix = "choose another name, or delete the one that is there"
    else:
        return error
    return CloudError(error.what, where=where, fix=fix)


def _about(configuration_id: str) -> str:
    return f"deployment {configuration_id!r}"


def _path_of(configuration_id: str) -> str:
    if not configuration_id or "/" in configuration_id:
        raise InputError(f"{configuration_id!r} is not the id of a deployment", fix="give an id as the hub has it")
    return configuration_id


def _quoted(etag: str) -> str:
    return f'"{etag or "*"}"' if not etag.startswith(('"', "W/")) else etag


def _json(answer: Any) -> Any:
    return json.loads(answer.response.text)


def _configuration_of(data: Any) -> Configuration:
    content = dict(data.get("content") or {})
    return Configuration(
        id=data["id"],
        content={**content, "modulesContent": content.get("modulesContent") or {}},
        condition=data.get("targetCondition") or "",
        priority=data.get("priority") or 0,
        labels=data.get("labels") or {},
        metrics=(data.get("metrics") or {}).get("queries") or {},
        etag=data.get("etag") or "",
        created=read_time(data.get("createdTimeUtc")),
        counts=(data.get("systemMetrics") or {}).get("results") or {},
        results=(data.get("metrics") or {}).get("results") or {},
    )
