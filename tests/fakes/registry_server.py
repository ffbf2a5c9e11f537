"""A real container registry on loopback: Debian's docker-registry, with TLS and passwords, filled by skopeo."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_CONFIG = """\
version: 0.1
log: {{level: info, formatter: text, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, maintenance: {{readonly: {{enabled: {frozen}}}}}}}
http:
  addr: 127.0.0.1:0
{tls}
auth: {{htpasswd: {{realm: registry, path: {folder}/htpasswd}}}}
"""
_TLS = "  tls: {{certificate: {folder}/cert.pem, key: {folder}/key.pem}}"

USER, PASSWORD = "robot", "canary-robot-password"

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


def require_programs() -> None:
    """Leave the module's tests out, saying why, where the real programs are not installed."""
    missing = [name for name in ("docker-registry", "skopeo") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: apt-get install docker-registry skopeo")


@dataclass(frozen=True)
class RegistryServer:
    """A registry that runs.

    Attributes:
        host: `127.0.0.1:PORT`.
        ca: file with the authority that its certificate is from.
    """

    host: str
    folder: Path
    ca: Path
    tls: bool = True

    def push(
        self,
        image: str,
        platforms: Sequence[str] = ("linux/amd64",),
        *,
        layer: bytes = b"layer",
        environment: Sequence[str] = (),
    ) -> str:
        """Push an image, or for several platforms an index, and return the digest that the registry has it under.

        Args:
            layer: its one layer; a tar, if an engine is to unpack it.
            environment: variables that it sets, `NAME=VALUE`.
        """
        layout = self.folder / "layouts" / hashlib.sha256(repr((image, platforms, layer)).encode()).hexdigest()[:12]
        write_layout(layout, platforms, layer, environment)
        certificates = self.folder / "certificates"
        certificates.mkdir(exist_ok=True)
        shutil.copy(self.ca, certificates / "ca.crt")
        command = ["skopeo", "copy", "--quiet", "--all", f"oci:{layout}:image", f"docker://{self.host}/{image}"]
        told = layout / "digest"
        if not self.tls:
            command.insert(3, "--dest-tls-verify=false")
        login = ["--dest-cert-dir", str(certificates), "--dest-creds", f"{USER}:{PASSWORD}", "--digestfile", str(told)]
        pushed = subprocess.run([*command, *login], capture_output=True, text=True, timeout=60, check=False)
        assert pushed.returncode == 0, pushed.stderr
        return told.read_text().strip()


def write_layout(folder: Path, platforms: Sequence[str], layer: bytes, environment: Sequence[str] = ()) -> None:
    """Write an OCI image layout by hand."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, **more: Any) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data), **more}

    entries = []
    for text in platforms:
        name, architecture, *variant = text.split("/")
        platform = {"os": name, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        config: dict[str, Any] = {
            **platform,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
        if environment:
            config |= {"config": {"Env": list(environment)}, "history": [{"created_by": "a test"}]}
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": put(json.dumps(config).encode(), mediaType="application/vnd.oci.image.config.v1+json"),
            "layers": [put(layer, mediaType="application/vnd.oci.image.layer.v1.tar")],
        }
        entries.append(put(json.dumps(manifest).encode(), mediaType=_MANIFEST, platform=platform))
    top = entries[0]
    if len(entries) > 1:
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}
        top = put(json.dumps(index).encode(), mediaType=_INDEX)
    named = {**top, "annotations": {"org.opencontainers.image.ref.name": "image"}}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))


@contextmanager
def registry_server(folder: Path, *, tls: bool = True, frozen: bool = False) -> Iterator[RegistryServer]:
    """Start a registry, read-only if it is frozen, and stop it in the end."""
    import bcrypt
    import trustme

    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    authority.cert_pem.write_to_path(folder / "ca.pem")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$", 1)
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
    lines = _TLS.format(folder=folder) if tls else ""
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder, tls=lines, frozen=str(frozen).lower()))
    process = subprocess.Popen(
        ["docker-registry", "serve", str(folder / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"OTEL_TRACES_EXPORTER": "none", "PATH": "/usr/bin:/bin"},
        text=True,
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if "listening on" in line:
            break
    port = said.rpartition("listening on 127.0.0.1:")[2].partition(",")[0].strip().strip('"').split('"')[0]
    assert port.isdecimal(), said
    drain = threading.Thread(target=process.stderr.read, daemon=True)
    drain.start()
    try:
        yield RegistryServer(f"127.0.0.1:{port}", folder, folder / "ca.pem", tls)
    finally:
        process.terminate()
        process.wait(20)
        drain.join(20)
        process.stderr.close()


@contextmanager
def refusing_pushes(status: int, body: str) -> Iterator[str]:
    """An empty registry that answers so to whoever begins a push; gives its host."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/v2/"
            self._answer(200 if known else 404, "{}" if known else '{"errors": [{"code": "NAME_UNKNOWN"}]}')

        def do_POST(self) -> None:
            self._answer(status, body)

        do_HEAD = do_GET

        def _answer(self, status: int, body: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass
class Front:
    """What stands before a registry in a company: a proxy with TLS that limits, delays and counts.

    Attributes:
        host: `localhost:PORT`.
        refusals: statuses and headers of the next answers that it gives by itself.
        delay: seconds before each answer.
        asked: method and path of every request, with what it was authorized by.
    """

    upstream: str
    host: str = ""
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    delay: float = 0.0
    asked: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def front_of(server: RegistryServer) -> Iterator[Front]:
    """A front before a registry, with the same certificate."""
    import aiohttp
    from aiohttp import web

    front = Front(server.host)
    trusting = ssl.create_default_context(cafile=str(server.ca))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server.folder / "cert.pem", server.folder / "key.pem")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def handle(request: web.Request) -> web.StreamResponse:
        front.asked.append((request.method, request.path, request.headers.get("Authorization", "").partition(" ")[0]))
        await asyncio.sleep(front.delay)
        if front.refusals:
            status, headers = front.refusals.pop(0)
            return web.Response(status=status, headers=headers)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            url = f"https://{front.upstream}{request.path_qs}"
            async with session.request(request.method, url, headers=headers, ssl=trusting) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() != "transfer-encoding"}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving)
        await site.start()
        front.host = f"localhost:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr] # aiohttp has no public way
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield front
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
