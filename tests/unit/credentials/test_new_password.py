"""Which of a token's passwords is replaced, and how long the registry has to accept the new one."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from fakes.registry import FakeRegistry, registry_id

from manifestgen.cloud import Credential, RegistryInfo, Token
from manifestgen.credentials.rotation import DeviceOutcome
from manifestgen.credentials.rotation.password import choose, verify_pull
from manifestgen.errors import DeniedError
from manifestgen.secret import Secret

HOST = "acme.azurecr.io"
IMAGE = f"{HOST}/scorer:1"


class Slow(FakeRegistry):
    """A registry that accepts a password after so many refusals."""

    refusals = 0

    def digest(self, image: str, credential: Credential | None) -> str | None:
        if self.refusals:
            self.refusals -= 1
            raise DeniedError("not yet", where=HOST, fix="wait")
        return "sha256:1"


def asked(refusals: int) -> list[float]:
    """The pauses until a registry that refuses so often has accepted the new password."""
    registry, pauses = Slow(), list[float]()
    registry.refusals = refusals
    credential = Credential(HOST, "pull", Secret("canary-new"))
    verify_pull(registry, credential, IMAGE, clock=lambda: sum(pauses), sleep=pauses.append)
    return pauses


def test_a_registry_has_a_minute_and_a_half_to_accept_a_new_password() -> None:
    assert asked(0) == []
    assert asked(2) == [3.0, 3.0]
    assert sum(asked(30)) == 90.0
    with pytest.raises(DeniedError, match=f"the new password of token pull does not pull {IMAGE}: not yet"):
        asked(31)


def test_of_a_token_without_a_password_that_works_the_first_is_made(tmp_path: Path) -> None:
    token = Token(RegistryInfo(registry_id("acme"), HOST, True), "pull", "pull-map")
    assert choose(token, tmp_path, None, datetime(2026, 11, 1, tzinfo=timezone.utc)) == "password1"


def test_a_device_is_not_said_to_be_changed_unless_it_was() -> None:
    assert DeviceOutcome("edge-01", "offline").changed is False
