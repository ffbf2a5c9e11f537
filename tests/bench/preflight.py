"""How long a preflight takes: `python tests/bench/preflight.py`.

ImageRegistries of our own, in another process, with TLS, with tokens as Azure's have them, and with a delay before each
answer as over the internet. The yardstick is one image, asked for by itself: its round trips come one after the other
and cannot be had side by side. Thirty images on three registries may take three times as long.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_HOSTS, _IMAGES = 3, 30
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def main() -> None:
    """Print milliseconds, and the ratio of many images to one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--delay", type=float, nargs="*", default=[0.02, 0.05, 0.1], help="in seconds")
    parser.add_argument("--serve", nargs=2, metavar=("DELAY", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(_serve(float(arguments.serve[0]), Path(arguments.serve[1])))
        return
    print(f"{'delay':>8} {'1 image':>10} {f'{_IMAGES} on {_HOSTS}':>10} {'ratio':>6}")
    for delay in arguments.delay:
        one, many = measure(delay, arguments.runs)
        print(f"{delay * 1000:5.0f} ms {one * 1000:7.0f} ms {many * 1000:7.0f} ms {many / one:6.2f}")


def measure(delay: float, runs: int) -> tuple[float, float]:
    """Medians in seconds of asking for one image, and for all of them; taken in turn, since machines are noisy."""
    with _registries(delay) as (hosts, ca):
        images = [f"{hosts[number % _HOSTS]}/team/module-{number}:1" for number in range(_IMAGES)]
        times = [(_ask(images[:1], hosts, ca), _ask(images, hosts, ca)) for _ in range(runs)]
    return statistics.median(one for one, _ in times), statistics.median(many for _, many in times)


def _ask(images: list[str], hosts: list[str], ca: Path) -> float:
    """Seconds of a preflight with connections of its own."""
    from manifestgen.azure.registry_api import ImageRegistries
    from manifestgen.cloud.distribution import Platform
    from manifestgen.images.preflight import State, preflight
    from manifestgen.manifest.manifest import Manifest

    entries = {f"r{number}": {"address": host, "username": "me", "password": "x"} for number, host in enumerate(hosts)}
    desired = {
        "runtime": {"settings": {"registryCredentials": entries}},
        "modules": {f"m{number}": {"settings": {"image": image}} for number, image in enumerate(images)},
    }
    manifest = Manifest.of({"modulesContent": {"$edgeAgent": {"properties.desired": desired}}})
    # As a command does: what it trusts is read within the time.
    started = time.perf_counter()
    registries = ImageRegistries(environ={"SSL_CERT_FILE": str(ca)})
    pulls = preflight(manifest, registries, Platform("linux", "arm64"))
    seconds = time.perf_counter() - started
    registries.close()
    if any(pull.state is not State.FOUND for pull in pulls):
        raise SystemExit("\n".join(f"{pull.image}: {pull.words}" for pull in pulls))
    return seconds


@contextmanager
def _registries(delay: float) -> Iterator[tuple[list[str], Path]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--serve", str(delay), folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline()), Path(folder) / "ca.pem"
        finally:
            server.terminate()
            server.wait(20)
            server.stdout.close()


async def _serve(delay: float, folder: Path) -> None:
    import trustme
    from aiohttp import web

    content = _content()

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(delay)
        known = request.headers.get("Authorization", "")
        if request.path == "/token":
            return web.json_response({"access_token": "a-token"}, status=200 if known.startswith("Basic ") else 401)
        if known != "Bearer a-token":
            challenge = f'Bearer realm="https://{request.host}/token",service="{request.host}"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        found = content.get(request.path.rpartition("/")[2])
        if found is None:
            return web.Response(status=404)
        media_type, body = found
        return web.Response(body=body, headers={"Content-Type": media_type})

    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    hosts = []
    for _ in range(_HOSTS):
        server = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0, ssl=context, backlog=256)
        hosts.append(f"localhost:{server.sockets[0].getsockname()[1]}")
    print(json.dumps(hosts), flush=True)
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)


def _content() -> dict[str, tuple[str, bytes]]:
    """An index for two platforms under the tag `1`, and its parts by digest."""
    found: dict[str, tuple[str, bytes]] = {}
    parts: list[dict[str, Any]] = []
    for architecture in ("amd64", "arm64"):
        config = {"digest": "sha256:" + "c" * 64, "size": 7}
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": []}
        body = json.dumps({**manifest, "annotations": {"for": architecture}}).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        found[digest] = (_MANIFEST, body)
        platform = {"os": "linux", "architecture": architecture}
        parts.append({"mediaType": _MANIFEST, "digest": digest, "size": len(body), "platform": platform})
    found["1"] = (_INDEX, json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": parts}).encode())
    return found


if __name__ == "__main__":
    main()
