"""The checks that every request to Azure Resource Manager passes before its handler runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.entra import ARM_AUDIENCES, TokenError, challenge, verify_token
from manifestgen.sandbox.error_response import arm_error
from manifestgen.sandbox.world import World


class ArmError(Exception):
    """A request that ARM rejects, with status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def not_found(kind: str, name: str, group: str) -> ArmError:
    """The error for a missing resource."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def page(items: Sequence[Any]) -> web.Response:
    """A list in ARM's form, all on one page."""
    return web.json_response({"value": list(items)})


async def body_of(request: web.Request) -> dict[str, Any]:
    """The request's JSON object, empty if there is none. Raises ArmError."""
    text = await request.read()
    try:
        data = json.loads(text or b"{}")
    except ValueError as error:
        raise ArmError(
            400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{error}'."
        ) from error
    if not isinstance(data, dict):
        raise ArmError(
            400,
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: not an object.",
        )
    return data


@dataclass(frozen=True)
class Route:
    """A path of ARM.

    Attributes:
        path: may contain the variables `subscription` and `group`.
        kind: the resource type, for the error about the api-version.
        versions: the supported api-versions.
        public: whether the path needs no token.
    """

    method: str
    path: str
    kind: str
    versions: Collection[str]
    handle: Callable[[Arm, web.Request], Awaitable[web.Response]]
    public: bool = False


class Arm:
    """ARM's view of the world: resource groups and asynchronous operations."""

    def __init__(self, world: World) -> None:
        self.world = world

    def handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The route's handler, preceded by all checks."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                if not route.public:
                    verify_token(self.world, request, ARM_AUDIENCES)
                self._check(route, request)
                response = await route.handle(self, request)
            except TokenError as error:
                response = arm_error(401, error.code, str(error))
                response.headers["WWW-Authenticate"] = challenge(self.world, error)
            except ArmError as error:
                response = arm_error(error.status, error.code, error.message)
            request_id = str(uuid.uuid4())
            response.headers["x-ms-request-id"] = request_id
            response.headers["x-ms-correlation-request-id"] = request_id
            return response

        return handle

    def groups(self) -> list[str]:
        """The resource groups of the subscription."""
        names = self.world.names
        found = {names.resource_group, *(registry["group"] for registry in accounts.registries(self.world))}
        return sorted(found)

    def registry_id(self, registry: Mapping[str, Any]) -> str:
        """A registry's full ARM ID."""
        return (
            f"/subscriptions/{self.world.names.subscription_id}/resourceGroups/{registry['group']}"
            f"/providers/Microsoft.ContainerRegistry/registries/{registry['name']}"
        )

    def operation(self, result: Mapping[str, Any]) -> str:
        """Record a completed operation, for a client that polls it; returns its ID."""
        operation = f"registries-{uuid.uuid4()}"
        self.world.store.put("arm-operation", operation, dict(result))
        return operation

    def _check(self, route: Route, request: web.Request) -> None:
        self._check_version(route, request.query.get("api-version"))
        subscription = request.match_info.get("subscription")
        if subscription is not None and subscription.lower() != self.world.names.subscription_id:
            raise ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")
        group = request.match_info.get("group")
        if group is not None and group.lower() not in {name.lower() for name in self.groups()}:
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")

    def _check_version(self, route: Route, version: str | None) -> None:
        if version is None:
            raise ArmError(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if version not in route.versions:
            known = ", ".join(sorted(route.versions, reverse=True))
            if "/providers/" not in route.path:
                words = f"The api-version '{version}' is invalid. The supported versions are '{known}'."
                raise ArmError(400, "InvalidApiVersionParameter", words)
            raise ArmError(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for location '{self.world.names.location}' and API version "
                f"'{version}' for type '{route.kind}'. The supported api-versions are '{known}'.",
            )
