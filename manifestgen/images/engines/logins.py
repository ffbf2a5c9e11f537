"""An engine's logins: its own, or the project's in a file that only its owner can read."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from manifestgen.cloud import Login
from manifestgen.files import OWNER_ONLY


def own_logins(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The logins that people keep for engines, as the content of a file `config.json`; empty without any.

    https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
    """
    merged: dict[str, Any] = {}
    for path in _places(environ):
        try:
            data = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(data, dict):
            for key in ("auths", "credHelpers"):
                if isinstance(data.get(key), dict):
                    merged[key] = {**data[key], **merged.get(key, {})}
            if isinstance(data.get("credsStore"), str):
                merged.setdefault("credsStore", data["credsStore"])
    return merged


def has_login(config: Mapping[str, Any], host: str) -> bool:
    """Whether an engine can log in to a registry by itself; a helper for all registries may have it."""
    return any(host in config.get(key, {}) for key in ("auths", "credHelpers"))


def write_logins(config: Mapping[str, Any], logins: Mapping[str, Login], path: Path) -> None:
    """Write a file of logins: the engine's own, and others for hosts that those do not have."""
    auths = dict(config.get("auths", {}))
    for host, login in logins.items():
        pair = f"{login.username}:{login.password.reveal()}"
        auths[host] = {"auth": base64.b64encode(pair.encode()).decode("ascii")}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump({**config, "auths": auths}, stream)


def _places(environ: Mapping[str, str]) -> Iterable[Path]:
    if environ.get("REGISTRY_AUTH_FILE"):
        yield Path(environ["REGISTRY_AUTH_FILE"])
    if environ.get("XDG_RUNTIME_DIR"):
        yield Path(environ["XDG_RUNTIME_DIR"], "containers", "auth.json")
    if hasattr(os, "getuid"):
        yield Path("/run/containers", str(os.getuid()), "auth.json")
    home = Path(environ.get("HOME") or Path.home())
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "containers", "auth.json")
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker", "config.json")
