"""Wheels made here, in a folder that takes the place of the package index: no test downloads any."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.metadata
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

AMD64, ARM64 = "manylinux_2_17_x86_64", "manylinux_2_17_aarch64"


def make_wheel(
    index: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    scripts: Sequence[str] = (),
) -> Path:
    """Put a wheel into the index.

    Args:
        files: its modules by their paths.
        requires: other packages.
        tag: `py3-none-any`, or `py3-none-PLATFORM` for compiled code.
        scripts: names of programs that it installs.
    """
    stem = name.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    needed = "".join(f"Requires-Dist: {one}\n" for one in requires)
    entries = "".join(f"{script} = {stem}:main\n" for script in scripts)
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        **({f"{info}/entry_points.txt": f"[console_scripts]\n{entries}".encode()} if scripts else {}),
    }
    return _packed(index / f"{stem}-{version}-{tag}.whl", info, content)


def installed_wheel(index: Path, name: str, tags: Sequence[str]) -> None:
    """Put a package that is installed here into the index, once for each tag, without its tests.

    Under another platform's tag it has this machine's code: that shows where files go, not that they run there.
    """
    found = importlib.metadata.distribution(name)
    info = next(str(path.parent) for path in found.files or () if path.name == "METADATA")
    content = {
        path.as_posix(): Path(str(path.locate())).read_bytes()
        for path in found.files or ()
        if not {"..", "tests"} & set(path.parts)
        and path.suffix != ".pyc"
        and path.name not in ("RECORD", "INSTALLER", "REQUESTED")
    }
    for tag in tags:
        changed = {**content, f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()}
        stem = found.metadata["Name"].replace("-", "_")
        _packed(index / f"{stem}-{found.version}-{tag}.whl", info, changed)


@contextmanager
def package_index(folder: Path, cache: Path) -> Iterator[dict[str, str]]:
    """A package index on loopback with the wheels of a folder, and the variables with which uv takes them from there.

    https://packaging.python.org/en/latest/specifications/simple-repository-api/
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, _, name = self.path.strip("/").partition("/")
            file = folder / Path(name.strip("/")).name
            if kind == "files" and file.is_file():
                self._answer(file.read_bytes(), "application/zip")
                return
            wheels = [
                path for path in sorted(folder.glob("*.whl")) if _normal(path.name.split("-")[0]) == name.strip("/")
            ]
            if kind != "simple" or not wheels:
                self.send_error(404)
                return
            links = "".join(
                f'<a href="/files/{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>'
                for path in wheels
            )
            self._answer(f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html")

        do_HEAD = do_GET

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                # uv reads what it needs of a wheel, and no more.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/simple"
        yield {"UV_DEFAULT_INDEX": address, "UV_CACHE_DIR": str(cache), "NO_PROXY": "127.0.0.1"}
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@contextmanager
def index_in_use(folder: Path, cache: Path) -> Iterator[None]:
    """A package index as `package_index` makes it, from which uv takes packages in the block."""
    with package_index(folder, cache) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _packed(path: Path, info: str, content: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in sorted(content.items()):
            wheel.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}\n")
        wheel.writestr(f"{info}/RECORD", "".join([*lines, f"{info}/RECORD,,\n"]))
    return path
