"""Asking a registry for a digest, where it is not as simple as with an Azure container registry."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from manifestgen.azure.registry_api import ImageRegistries, digest
from manifestgen.cloud import Credential
from manifestgen.cloud.distribution import Platform, PullError, RemoteImage
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
        # Not `or`: to aiohttp before 3.11, an answer without attributes is false.
        return web.json_response({"token": token}) if self.answer is None else self.answer

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
    with pytest.raises(DeniedError, match="requires a login to read 'scorer'"):
        digest("tokens.example/scorer:1", None)
    with pytest.raises(DeniedError, match="user 'me'"):
        digest("tokens.example/scorer:1", Credential("tokens.example", "me", Secret("wrong-password")))


def test_a_login_is_never_sent_without_encryption(registry: TokenRegistry) -> None:
    registry.realm = "http://tokens.example/token"
    with pytest.raises(CloudError, match="so no password was sent"):
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
        (lambda: web.Response(text="<html>"), "status 200 without a token"),
        (lambda: web.json_response({}, status=418), "status 418 without a token"),
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
    with pytest.raises(CloudError, match="status 200 without a digest"):
        digest("broken:1", None)


@pytest.mark.parametrize("image", ["", "a:b:c/d", "tokens.example/", "tokens.example/Scorer:1", "a b"])
def test_what_is_not_an_image_is_wrong_input(image: str) -> None:
    with pytest.raises(InputError, match="is not an image reference"):
        digest(image, None)


INDEX, MANIFEST = "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"
CONFIG = {"digest": "sha256:" + "c" * 64, "size": 100}


@dataclass
class OddRegistry:
    """A registry that lets everybody read, and answers what it is told to, by the last part of the path."""

    HOSTS = ("odd.example",)

    answers: dict[str, tuple[int, Any, dict[str, str]]] = field(default_factory=dict)

    def create(self, world: Any) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        status, body, headers = self.answers.get(request.path.rpartition("/")[2], (200, b"{}", {}))
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=raw, headers=headers)

    def has(self, reference: str, body: Any, status: int = 200, **headers: str) -> None:
        self.answers[reference] = (status, body, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.fixture
def odd(sandbox_of: Callable[..., Any]) -> OddRegistry:
    registry = OddRegistry()
    sandbox_of(registry)
    return registry


def found(image: str = "odd.example/x:1") -> RemoteImage:
    registries = ImageRegistries()
    try:
        return registries.find(image, None, Platform("linux", "arm64"))
    finally:
        registries.close()


def test_an_index_without_platforms_is_asked_for_its_first_image(odd: OddRegistry) -> None:
    part = {"config": CONFIG, "layers": [{"size": 1000}]}
    digest = f"sha256:{hashlib.sha256(json.dumps(part).encode()).hexdigest()}"
    odd.has("1", {"manifests": [{"digest": digest}]}, Content_Type=INDEX)
    odd.has(digest, part, Content_Type=MANIFEST)
    odd.has(CONFIG["digest"], {"os": "linux", "architecture": "arm64", "variant": "v8"})  # type: ignore[arg-type] # a text
    assert (found().platforms, found().size) == ((Platform("linux", "arm64"),), 1100)


def test_what_a_builder_says_about_its_build_is_not_a_platform(odd: OddRegistry) -> None:
    entry = {"digest": "sha256:" + "1" * 64, "platform": {"os": "unknown", "architecture": "unknown"}}
    other = {"digest": "sha256:" + "2" * 64, "platform": {"os": "linux", "architecture": "s390x"}}
    odd.has("1", {"manifests": [entry, other, {"digest": "../../etc"}, 5]}, Content_Type=INDEX)
    assert found().platforms == (Platform("linux", "s390x"),)


@pytest.mark.parametrize(
    ("status", "body", "headers", "words"),
    [
        (200, b"<html>", {}, "not a JSON object"),
        (200, [], {}, "not a JSON object"),
        (200, {"config": {}}, {"Content_Type": MANIFEST}, "is not a container image"),
        (200, {"config": {"digest": "../x"}}, {"Content_Type": MANIFEST}, "is not a container image"),
        (200, {}, {"Docker_Content_Digest": "sha256:" + "0" * 64}, "sent different content than sha256:0000"),
        (418, {"errors": [{"code": "TEAPOT", "message": "I am a teapot"}]}, {}, "status 418: I am a teapot"),
        (
            403,
            {"errors": [{"code": "DENIED", "message": "not from here"}]},
            {},
            "requires a login to read 'x': not from here",
        ),
    ],
)
def test_an_odd_answer_is_said_and_not_guessed_at(
    status: int, body: Any, headers: dict[str, str], words: str, odd: OddRegistry
) -> None:
    odd.has("1", body, status, **headers)
    with pytest.raises(PullError) as caught:
        found()
    assert words in caught.value.what


def test_a_next_page_elsewhere_is_not_read(odd: OddRegistry) -> None:
    odd.has("list", {"tags": ["1", 2]}, Link='<https://evil.example/v2/x/tags/list>; rel="next"')
    registries = ImageRegistries()
    assert registries.tags("odd.example/x:1", None) == ("1",)
    registries.close()
