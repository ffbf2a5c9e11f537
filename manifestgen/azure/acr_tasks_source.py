"""The source of a run: the build context of one platform, packed, and uploaded in blocks."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote

from manifestgen.azure.acr_tasks_arm import LOCAL
from manifestgen.azure.rest import Answer, Rest
from manifestgen.cloud.context import Context
from manifestgen.errors import CloudError, InputError

#: Bytes of the largest source that ACR Tasks take. Microsoft documents no number; about 100 MB is what users report.
MOST: Final = 100_000_000
#: Name of the argument that marks a run: the first step of its log names what it builds.
MARK: Final = "MANIFESTGEN_BUILD"

_BLOCK: Final = 4 << 20
_UPLOADS: Final = 3
_VERSION: Final = {"x-ms-version": "2021-08-06"}


class _ExpiredError(Exception):
    """The URL to upload to no longer grants access."""


def marked(context: Context, mark: str) -> Context:
    """The context, with a first step in its Dockerfile that changes no image and shows in the log what is built."""
    files = []
    for file in context.files:
        if file.name == context.dockerfile:
            text = b"".join(file.pieces()).decode("utf-8", "surrogateescape")
            file = replace(file, content=_with_step(text, f"ARG {MARK}={mark}").encode("utf-8", "surrogateescape"))
        files.append(file)
    return replace(context, files=tuple(files))


def _with_step(dockerfile: str, step: str) -> str:
    """A Dockerfile with a step added before all others, but after any parser directives."""
    lines = dockerfile.splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if line.strip() and line.lstrip()[0] != "#"), len(lines))
    return "".join((*lines[:first], f"{step}\n", *lines[first:]))


@contextmanager
def packed(context: Context) -> Iterator[Path]:
    """The context as a file, which exists during the block.

    Raises:
        InputError: it is too large for ACR Tasks, or a file of it cannot be read.
    """
    with TemporaryDirectory(prefix="manifestgen-") as folder:
        path = Path(folder) / "source.tar.gz"
        size = 0
        try:
            with path.open("wb") as out:
                for piece in context.archive():
                    size += out.write(piece)
                    if size > MOST:
                        break
        except OSError as error:
            what = f"could not pack the build context: {error.strerror}"
            raise InputError(what, where=folder, fix="free disk space, or set TMPDIR to another folder") from error
        if size > MOST:
            raise InputError(
                f"the build context is larger than the {MOST // 10**6} MB that ACR Tasks take, compressed "
                f"({context.size / 10**6:.0f} MB uncompressed)",
                where="image",
                fix=LOCAL,
            )
        yield path


def upload(source: Path, place: Callable[[], tuple[str, str]], rest: Rest) -> str:
    """Upload a file.

    Args:
        source: the file.
        place: where to put it; is called again if the URL expires.
        rest: sends the requests.

    Returns:
        The path of the source for ACR Tasks.

    Raises:
        CloudError: the storage rejected the upload, or could not be reached.
    """
    for _ in range(_UPLOADS):
        url, path = place()
        try:
            _put(source, url, rest)
        except _ExpiredError:
            continue
        return path
    raise CloudError(
        f"the address for the upload expired {_UPLOADS} times before the upload was complete",
        where="build context",
        fix="check this machine's clock and the speed of its connection",
    )


def _put(source: Path, url: str, rest: Rest) -> None:
    """Put a file in one piece, or in blocks of which only one is in memory."""
    with source.open("rb") as file:
        first = file.read(_BLOCK)
        following = file.read(_BLOCK)
        if not following:
            _check(rest.send("PUT", url, content=first, headers={**_VERSION, "x-ms-blob-type": "BlockBlob"}))
            return
        ids: list[str] = []
        block = first
        while block:
            ids.append(base64.b64encode(f"{len(ids):08}".encode()).decode())
            where = f"{url}&comp=block&blockid={quote(ids[-1], safe='')}"
            _check(rest.send("PUT", where, content=block, headers=_VERSION))
            block, following = following, file.read(_BLOCK) if following else b""
    listed = "".join(f"<Latest>{one}</Latest>" for one in ids)
    text = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
    _check(rest.send("PUT", f"{url}&comp=blocklist", content=text.encode(), headers=_VERSION))


def _check(answer: Answer) -> None:
    if answer.ok:
        return
    code = answer.headers.get("x-ms-error-code") or f"status {answer.status}"
    if answer.status == 403 and code == "AuthenticationFailed":
        raise _ExpiredError
    raise CloudError(
        f"the storage of ACR Tasks rejected the upload: {code}",
        where="build context",
        fix="run the same command again; if a proxy is in use, allow *.blob.core.windows.net",
    )
