"""The fields that we use in a hub's responses. Missing or null members have defaults; others are ignored.

Source: learn.microsoft.com/rest/api/iothub/service, api-version 2021-04-12.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Shape(msgspec.Struct, rename="camel"):
    """Names as JSON has them."""

    def __repr__(self) -> str:
        return type(self).__name__  # twins, identities and configurations hold secrets


class Capabilities(_Shape):
    """Of an identity."""

    iot_edge: bool | None = None


class SymmetricKey(_Shape):
    """Of an identity."""

    primary_key: str | None = None


class Authentication(_Shape):
    """Of an identity."""

    type: str | None = None
    symmetric_key: SymmetricKey | None = None


class Identity(_Shape):
    """A device identity."""

    device_scope: str | None = None
    authentication: Authentication | None = None
    capabilities: Capabilities | None = None


class Module(_Shape):
    """A module identity."""

    module_id: str


class DeviceTwin(_Shape):
    """A device twin, also as a row of a query."""

    device_id: str
    status: str | None = None
    connection_state: str | None = None
    last_activity_time: str | None = None
    capabilities: Capabilities | None = None
    parent_scopes: list[str] | None = None
    tags: dict[str, Any] | None = None


class Properties(_Shape):
    """Of a module twin, each with `$metadata` and `$version`."""

    desired: dict[str, Any] | None = None
    reported: dict[str, Any] | None = None


class Targeting(_Shape):
    """The relation of an automatic deployment to a device."""

    status: str | None = None


class ModuleTwin(_Shape):
    """A module twin."""

    module_id: str
    connection_state: str | None = None
    properties: Properties | None = None
    configurations: dict[str, Targeting | None] | None = None


class Content(_Shape):
    """Of a configuration: for edge devices only `modulesContent`."""

    modules_content: dict[str, Any] | None = None
    device_content: dict[str, Any] | None = None
    module_content: dict[str, Any] | None = None


class Metrics(_Shape):
    """Of a configuration."""

    queries: dict[str, str] | None = None
    results: dict[str, int | None] | None = None


class Configuration(_Shape):
    """An automatic deployment."""

    id: str
    content: Content | None = None
    target_condition: str | None = None
    priority: int | None = None
    labels: dict[str, str] | None = None
    metrics: Metrics | None = None
    system_metrics: Metrics | None = None
    etag: str | None = None
    created_time_utc: str | None = None


class Objections(_Shape):
    """The answer to `testQueries`."""

    target_condition_error: str | None = None
    custom_metric_query_errors: dict[str, str | None] | None = None


class MethodAnswer(_Shape):
    """The answer of a direct method."""

    status: int
    payload: Any = None
