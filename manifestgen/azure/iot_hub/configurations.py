"""Automatic deployments, queries and tags of `cloud.Hub`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from manifestgen.azure.answer import decoded, not_understood
from manifestgen.azure.iot_hub import shapes
from manifestgen.azure.iot_hub.retry import Requests, refusal_of
from manifestgen.azure.iot_hub.timestamp import read_time
from manifestgen.azure.iot_hub.wire import (
    DELETE_CONFIGURATION,
    GET_CONFIGURATION,
    LIST_CONFIGURATIONS,
    PUT_CONFIGURATION,
    QUERY,
    TEST_QUERIES,
    UPDATE_TWIN,
    Call,
)
from manifestgen.cloud import Configuration
from manifestgen.errors import CloudError, InputError

_T = TypeVar("_T")

_SCHEMA_VERSION: Final = "2.0"
# More than a hub can have, of both kinds: it answers with those there are.
_ALL: Final = 1000
_PAGE: Final = 1000


class Configurations:
    """The operations of a hub on automatic deployments, queries and tags."""

    def __init__(self, host: str, requests: Requests) -> None:
        self._host = host
        self._requests = requests

    def configurations(self) -> Sequence[Configuration]:
        """All automatic deployments, by id."""
        call = Call(LIST_CONFIGURATIONS, query={"top": str(_ALL)})
        found = self._requests.value("the automatic deployments", call, list[shapes.Configuration])
        return sorted(map(_configuration_of, found), key=lambda configuration: configuration.id)

    def configuration(self, configuration_id: str) -> Configuration:
        """One automatic deployment, with the results of its metrics."""
        call = Call(GET_CONFIGURATION, _ids(configuration_id))
        return _configuration_of(self._requests.value(_about(configuration_id), call, shapes.Configuration))

    def create_configuration(self, configuration: Configuration) -> None:
        """Create an automatic deployment."""
        self._put(configuration, {})

    def update_configuration(self, configuration: Configuration) -> None:
        """Change the mutable parts of an automatic deployment, unless it has changed since it was read."""
        self._put(configuration, {"If-Match": _quoted(configuration.etag)})

    def _put(self, configuration: Configuration, headers: Mapping[str, str]) -> None:
        about = _about(configuration.id)
        body = {
            "id": configuration.id,
            "schemaVersion": _SCHEMA_VERSION,
            "labels": dict(configuration.labels),
            "content": {"modulesContent": configuration.content["modulesContent"]},
            "targetCondition": configuration.condition,
            "priority": configuration.priority,
            "metrics": {"queries": dict(configuration.metrics)},
        }
        call = Call(PUT_CONFIGURATION, _ids(configuration.id), headers=headers, body=body)
        try:
            self._requests.write(about, call)
        except CloudError as error:
            raise _explained(error, f"{about} in {self._host}") from error.__cause__

    def delete_configuration(self, configuration: Configuration) -> None:
        """Delete an automatic deployment, unless it has changed since it was read."""
        headers = {"If-Match": _quoted(configuration.etag)}
        call = Call(DELETE_CONFIGURATION, _ids(configuration.id), headers=headers)
        self._requests.write(_about(configuration.id), call)

    def test_queries(self, condition: str, metrics: Mapping[str, str]) -> Mapping[str, str]:
        """The hub's objections to a target condition and custom metrics."""
        body: dict[str, Any] = {"targetCondition": condition}
        if metrics:
            body["customMetricQueries"] = dict(metrics)
        # It changes nothing, although it is a POST.
        answer = self._requests.value("the target condition", Call(TEST_QUERIES, body=body), shapes.Objections)
        errors = {name: text for name, text in (answer.custom_metric_query_errors or {}).items() if text}
        if answer.target_condition_error:
            errors[""] = answer.target_condition_error
        return errors

    def query(self, text: str, **columns: type) -> Iterator[Mapping[str, Any]]:
        """The rows of a query."""
        for row in self._rows(text, "a query", _PAGE, dict[str, Any]):
            for name, kind in columns.items():
                if not isinstance(row.get(name), kind):
                    raise not_understood("IoT Hub", f"a query in {self._host}", f"expected {kind.__name__} at $.{name}")
            yield row

    def _rows(self, text: str, about: str, page: int, shape: type[_T]) -> Iterator[_T]:
        headers = {"x-ms-max-item-count": str(page)}
        while True:
            reply = self._requests.read(about, Call(QUERY, headers=headers, body={"query": text}))
            yield from decoded(reply.json, list[shape], service="IoT Hub", where=f"{about} in {self._host}")  # type: ignore[valid-type]
            token = reply.headers.get("x-ms-continuation")
            if not token:
                return
            headers = {**headers, "x-ms-continuation": token}

    def set_tags(self, device_id: str, tags: Mapping[str, Any]) -> None:
        """Merge tags into those of a device."""
        if not device_id or "/" in device_id:
            raise InputError(f"{device_id!r} is not a valid device ID", fix="check the device ID")
        # Sending the same tags again changes nothing, so a lost response can be retried.
        self._requests.read(f"device {device_id!r}", tags_call(device_id, tags))


def tags_call(device_id: str, tags: Mapping[str, Any]) -> Call:
    """The request that merges tags into those of a device."""
    return Call(UPDATE_TWIN, {"device": device_id}, headers={"If-Match": '"*"'}, body={"tags": dict(tags)})


def _explained(error: CloudError, where: str) -> CloudError:
    """Gives the advice for rejections that the general advice does not fit."""
    refusal = refusal_of(error)
    if refusal is None:
        return error
    if refusal.status == 413 or refusal.code == "ConfigurationCountLimitExceeded":
        fix = "delete automatic deployments that are no longer needed: a hub takes at most 100, or 10 in the free tier"
    elif refusal.status == 409:
        fix = "choose another name, or delete the existing one"
    else:
        return error
    return CloudError(error.what, where=where, fix=fix)


def _about(configuration_id: str) -> str:
    return f"deployment {configuration_id!r}"


def _ids(configuration_id: str) -> Mapping[str, str]:
    if not configuration_id or "/" in configuration_id:
        raise InputError(f"{configuration_id!r} is not a valid deployment ID", fix="check the deployment ID")
    return {"configuration": configuration_id}


def _quoted(etag: str) -> str:
    return f'"{etag or "*"}"' if not etag.startswith(('"', "W/")) else etag


def _configuration_of(data: shapes.Configuration) -> Configuration:
    content, metrics, counts = (
        data.content or shapes.Content(),
        data.metrics or shapes.Metrics(),
        data.system_metrics or shapes.Metrics(),
    )
    return Configuration(
        id=data.id,
        content={"modulesContent": content.modules_content or {}},
        condition=data.target_condition or "",
        priority=data.priority or 0,
        labels=data.labels or {},
        metrics=metrics.queries or {},
        etag=data.etag or "",
        created=read_time(data.created_time_utc),
        counts={name: number for name, number in (counts.results or {}).items() if number is not None},
        results={name: number for name, number in (metrics.results or {}).items() if number is not None},
    )
