"""Clients that give up soon, for tests of what does not end."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

#: The modules with a `PATIENCE` of their own, which is that of one client.
CLIENTS = ("acr", "aml", "auth", "iot_hub", "key_vault", "registry_api")

#: The modules that send a change again whose answer was lost.
_SENDERS = ("manifestgen.device.apply", "manifestgen.deployments.replace")


def hurry(monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
    """Shorten the limits of all clients, and forget the login, which has the old ones."""
    chosen = {"total": 0.5, "unreachable": 0.3, "first": 0.01, "longest": 0.05, **limits}
    for name in CLIENTS:
        limit(monkeypatch, name, **chosen)
    for name in _SENDERS:
        module = import_module(name)
        monkeypatch.setattr(
            module, "SENDING", replace(module.SENDING, timeout=chosen["total"], first=0.01, longest=0.05)
        )
    import_module("manifestgen.azure.auth")._credential.cache_clear()


def limit(monkeypatch: pytest.MonkeyPatch, client: str, **limits: Any) -> None:
    """Change some limits of one client."""
    if client == "aml" and find_spec("azureml") is None:
        return
    module = import_module(f"manifestgen.azure.{client}")
    monkeypatch.setattr(module, "PATIENCE", replace(module.PATIENCE, **limits))
