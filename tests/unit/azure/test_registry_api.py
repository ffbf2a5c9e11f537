"""Asking a registry for a digest, where it is not as simple as with an Azure container registry."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from manifestgen.azure.registry_api import digest
from manifestgen.cloud import Credential
from manifestgen.errors import CloudError, DeniedError, InputError
from manifestgen.secret import Secret

_DIGEST = "sha256:" + "d" * 64


@dataclass
class TokenRegistry:
    """A registry that takes nothing but tokens of its own token service, as Docker Hub does."""

    HOSTS = ("registry-1.docker.io", "tokens.example")

    realm: str = "https://tokens.example/token"
    tokens: dict[str, str] = field(default_factory=lambda: {"": "public"})
    answer: Any = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def create(self, world: Any) -> web.Application:
        app = web.Application()
        app.router.add_get("/token", self.token)
        app.router.add_route("HEAD", "/v2/{name:.+}/manifests/{reference}", self.manifest)
        return app

    async def token(self, request: web.Request) -> web.Response:
        user = request.headers.get("Authorization", "").removeprefix("Basic ")
        self.asked.append((base64.b64decode(user).decode(), request.query.get("scope", "")))
        token = self.tokens.get(base64.b64decode(user).decode())
        if token is None:
            return web.json_response({}, status=401)
        return self.answer or web.json_response({"token": token})

    async def manifest(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if request.headers.get("Authorization") not in {f"Bearer {token}" for token in self.tokens.values()}:
            challenge = f'Bearer realm="{self.realm}",service="tokens",scope="repository:{name}:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        return web.Response(headers={"Docker-Content-Digest": _DIGEST} if name != "library/broken" else {})


@pytest.fixture
def registry(sandbox_of: Callable[..., Any]) -> TokenRegistry:
    registry = TokenRegistry()
    sandbox_of(registry)
    return registry


def test_the_public_gets_a_token_first(registry: TokenRegistry) -> None:
    assert digest("tokens.example/team/scorer:1", None) == _DIGEST
    assert registry.asked == [("", "repository:team/scorer:pull")]


@pytest.mark.parametrize("image", ["ubuntu:22.04", "docker.io/ubuntu:22.04", "index.docker.io/ubuntu"])
def test_an_image_without_a_host_is_docker_hubs(registry: TokenRegistry, image: str) -> None:
    assert digest(image, None) == _DIGEST
    assert registry.asked == [("", "repository:library/ubuntu:pull")]


def test_a_login_gets_its_own_token(registry: TokenRegistry) -> None:
    registry.tokens = {"me:pässword": "mine"}
    assert digest("tokens.example/scorer:1", Credential("tokens.example", "me", Secret("pässword"))) == _DIGEST
    with pytest.raises(DeniedError, match="a client without a login"):
        digest("tokens.example/scorer:1", None)
    with pytest.raises(DeniedError, match="user 'me'"):
        digest("tokens.example/scorer:1", Credential("tokens.example", "me", Secret("wrong-password")))


def test_a_login_is_never_sent_without_encryption(registry: TokenRegistry) -> None:
    registry.realm = "http://tokens.example/token"
    with pytest.raises(CloudError, match="gets no password"):
        digest("tokens.example/scorer:1", Credential("tokens.example", "me", Secret("password-1")))
    assert registry.asked == []


def test_a_login_that_someone_left_in_netrc_is_not_used(
    registry: TokenRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine tokens.example login someone password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert digest("tokens.example/scorer:1", None) == _DIGEST
    assert registry.asked == [("", "repository:scorer:pull")]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: web.Response(text="<html>"), "status 200 and no token"),
        (lambda: web.json_response({}, status=418), "status 418 and no token"),
    ],
)
def test_a_token_service_that_makes_no_sense_is_an_error(
    registry: TokenRegistry, answer: Callable[[], web.Response], words: str
) -> None:
    registry.answer = answer()
    with pytest.raises(CloudError, match=words):
        digest("tokens.example/scorer:1", None)


def test_a_token_service_without_a_token_is_a_denial(registry: TokenRegistry) -> None:
    registry.answer = web.json_response({})
    with pytest.raises(DeniedError):
        digest("tokens.example/scorer:1", None)


def test_an_answer_without_a_digest_is_an_error(registry: TokenRegistry) -> None:
    with pytest.raises(CloudError, match="status 200 and no digest"):
        digest("broken:1", None)


@pytest.mark.parametrize("image", ["", "a:b:c/d", "tokens.example/", "tokens.example/Scorer:1", "a b"])
def test_what_is_no_image_is_wrong_input(image: str) -> None:
    with pytest.raises(InputError, match="is no image reference"):
        digest(image, None)
