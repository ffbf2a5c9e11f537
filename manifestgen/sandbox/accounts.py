"""The sandbox's container registries as ARM sees them: accounts and their permissions.

Documents in `World.store`, keyed by the registry's name in lower case:

    kind            key              value
    acr             REGISTRY         {"name", "group", "login_server", "admin_enabled", "created"}
    acr-scope-map   REGISTRY/NAME    {"name", "actions", "description", "created"}
    acr-token       REGISTRY/NAME    {"name", "scope_map", "status", "created", "passwords": {NAME: {"value", "created",
                                     "expiry"}}}
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from manifestgen.sandbox.world import World

ADMIN_PASSWORDS = ("password", "password2")
TOKEN_PASSWORDS = ("password1", "password2")

# Every registry has these: "System-defined scope maps" in the documentation of Azure Container Registry.
_SYSTEM_SCOPE_MAPS = {
    "_repositories_pull": ["content/read"],
    "_repositories_pull_metadata_read": ["content/read", "metadata/read"],
    "_repositories_push": ["content/read", "content/write"],
    "_repositories_push_metadata_write": ["content/read", "content/write", "metadata/read", "metadata/write"],
    "_repositories_admin": ["content/delete", "content/read", "content/write", "metadata/read", "metadata/write"],
}

# Actions needed by a device's pull, by a push, and by listing tags.
READ, WRITE, METADATA = "content/read", "content/write", "metadata/read"

_ACTION = re.compile(r"repositories/(?P<repository>.+)/(?P<action>(?:content|metadata)/(?:read|write|delete))")


@dataclass(frozen=True)
class Access:
    """The permissions of an account in a registry.

    Attributes:
        account: the account's name.
        actions: allowed actions, as in a scope map; None allows everything.
    """

    account: str
    actions: Sequence[str] | None = None

    def allows(self, repository: str, action: str) -> bool:
        """Whether the action (such as `content/read`) is allowed on the repository."""
        if self.actions is None:
            return True
        for granted in self.actions:
            match = _ACTION.fullmatch(granted)
            if match and match["action"] == action and _covers(match["repository"], repository):
                return True
        return False


def registries(world: World) -> Iterator[Mapping[str, Any]]:
    """All registries."""
    return (value for _, value in world.store.items("acr"))


def registry(world: World, name: str) -> Mapping[str, Any] | None:
    """A registry by its name."""
    value: Mapping[str, Any] | None = world.store.get("acr", name.lower())
    return value


def registry_of_host(world: World, host: str) -> Mapping[str, Any] | None:
    """The registry with this login server."""
    return next((value for value in registries(world) if value["login_server"].lower() == host.lower()), None)


def add_registry(world: World, name: str, *, group: str = "", login_server: str = "", admin: bool = True) -> None:
    """Create a registry. As in Azure, its login server need not begin with its name."""
    value = {
        "name": name,
        "group": group or world.names.registry_group,
        "login_server": login_server or f"{name.lower()}.azurecr.io",
        "admin_enabled": admin,
        "created": iso(world.now()),
    }
    world.store.put("acr", name.lower(), value)


def add_first_registry(world: World) -> None:
    """Create the registry of a new sandbox, which the workspace uses from its first image build on."""
    if world.store.get("acr", world.names.registry) is None:
        add_registry(world, world.names.registry)


def set_admin(world: World, name: str, enabled: bool) -> Mapping[str, Any]:
    """Enable or disable a registry's admin user. Raises LookupError."""
    value = registry(world, name)
    if value is None:
        raise LookupError(name)
    world.store.put("acr", name.lower(), {**value, "admin_enabled": enabled})
    return {**value, "admin_enabled": enabled}


def admin_passwords(world: World, name: str) -> list[dict[str, str]]:
    """Both passwords of a registry's admin user, named like the registry; they work only while it is enabled."""
    return [{"name": which, "value": world.secret(_admin_secret(name, which))} for which in ADMIN_PASSWORDS]


def regenerate_admin_password(world: World, name: str, which: str) -> None:
    """Replace one of the admin user's passwords."""
    world.store.put("secret", _admin_secret(name, which), secrets.token_urlsafe(36))


def scope_maps(world: World, name: str) -> list[Mapping[str, Any]]:
    """A registry's scope maps, system-defined ones first."""
    own = [value for _, value in world.store.items("acr-scope-map", prefix=f"{name.lower()}/")]
    return [*(scope for system in _SYSTEM_SCOPE_MAPS if (scope := scope_map(world, name, system))), *own]


def scope_map(world: World, name: str, scope: str) -> Mapping[str, Any] | None:
    """One scope map."""
    if scope in _SYSTEM_SCOPE_MAPS:
        actions = [f"repositories/*/{action}" for action in _SYSTEM_SCOPE_MAPS[scope]]
        return {"name": scope, "actions": actions, "description": "", "created": None, "system": True}
    value: Mapping[str, Any] | None = world.store.get("acr-scope-map", f"{name}/{scope}".lower())
    return value


def put_scope_map(world: World, name: str, scope: str, actions: Sequence[str], description: str) -> Mapping[str, Any]:
    """Create or replace a scope map. Raises ValueError with the invalid action."""
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise ValueError(action)
    old = scope_map(world, name, scope)
    value = {
        "name": scope,
        "actions": list(actions),
        "description": description,
        "created": old["created"] if old else iso(world.now()),
    }
    world.store.put("acr-scope-map", f"{name}/{scope}".lower(), value)
    return value


def tokens(world: World, name: str) -> list[Mapping[str, Any]]:
    """A registry's tokens."""
    return [value for _, value in world.store.items("acr-token", prefix=f"{name.lower()}/")]


def token(world: World, name: str, token_name: str) -> Mapping[str, Any] | None:
    """One token."""
    value: Mapping[str, Any] | None = world.store.get("acr-token", f"{name}/{token_name}".lower())
    return value


def put_token(world: World, name: str, token_name: str, **changes: Any) -> Mapping[str, Any]:
    """Create a token or change its `scope_map`, `status` or `passwords`."""
    old = token(world, name, token_name) or {
        "name": token_name,
        "scope_map": "",
        "status": "enabled",
        "created": iso(world.now()),
        "passwords": {},
    }
    value = {**old, **changes}
    world.store.put("acr-token", f"{name}/{token_name}".lower(), value)
    return value


def generate_token_passwords(
    world: World, name: str, token_name: str, which: Sequence[str], expiry: str | None
) -> Mapping[str, Any]:
    """Replace passwords of a token; the new ones are visible only in this result."""
    known = token(world, name, token_name)
    passwords = dict(known["passwords"]) if known else {}
    for one in which:
        passwords[one] = {"value": secrets.token_urlsafe(36), "created": iso(world.now()), "expiry": expiry}
    return put_token(world, name, token_name, passwords=passwords)


def set_password_expiry(world: World, name: str, token_name: str, which: str, expiry: str) -> str:
    """Change when a token's password expires, also to the past; returns the time in ARM's form. Raises ValueError."""
    known = token(world, name, token_name)
    if known is None or which not in known["passwords"]:
        raise ValueError(f"the token {token_name!r} of registry {name!r} has no {which!r}")
    text = iso(parse_time(expiry))
    put_token(
        world, name, token_name, passwords={**known["passwords"], which: {**known["passwords"][which], "expiry": text}}
    )
    return text


def parse_time(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 time, in UTC if it has no zone. Raises ValueError."""
    # Python 3.10 does not parse a trailing Z, nor more than six decimals of a second.
    read = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*|[Zz]$", lambda found: found[1] or "+00:00", text))
    return (read if read.tzinfo else read.replace(tzinfo=timezone.utc)).timestamp()


def log_in(world: World, host: str, username: str, password: str) -> Access | None:
    """The access that a user name and password give in the registry at `host`; None if the login fails."""
    found = registry_of_host(world, host)
    if found is None:
        return None
    name = found["name"]
    if username.lower() == name.lower() and found["admin_enabled"]:
        if any(_same(entry["value"], password) for entry in admin_passwords(world, name)):
            return Access(name)
        return None
    known = token(world, name, username)
    if known is None or known["status"] != "enabled":
        return None
    for entry in known["passwords"].values():
        expired = entry["expiry"] and datetime.fromisoformat(entry["expiry"]).timestamp() <= world.now()
        if _same(entry["value"], password) and not expired:
            scope = scope_map(world, name, known["scope_map"])
            return Access(known["name"], scope["actions"] if scope else ())
    return None


def iso(seconds: float) -> str:
    """A time in ARM's form."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds")


def _admin_secret(name: str, which: str) -> str:
    return f"acr:{name.lower()}:{which}"


def _covers(pattern: str, repository: str) -> bool:
    if pattern == "*":
        return True
    if pattern.endswith("/*"):
        return repository.startswith(pattern[:-1])
    return pattern == repository


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))
