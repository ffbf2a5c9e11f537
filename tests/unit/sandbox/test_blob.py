"""Blob Storage of the sandbox, by its REST interface."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("aiohttp", reason="the sandbox is not installed")

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from manifestgen.sandbox import blob, blob_sas
from manifestgen.sandbox.world import Store, World

T = TypeVar("T")
HOST = {"Host": "sandboxmodelstore.blob.core.windows.net"}
PUT = {**HOST, "x-ms-blob-type": "BlockBlob"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store()
    yield World(store, tmp_path)
    store.close()


def talk(world: World, conversation: Callable[[Any], Awaitable[T]]) -> T:
    async def run() -> T:
        async with TestClient(TestServer(blob.create(world))) as client:
            return await conversation(client)

    return asyncio.run(run())


def local(url: str) -> URL:
    return URL(URL(url).raw_path_qs, encoded=True)


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


async def refusal(response: ClientResponse) -> tuple[int, str]:
    return response.status, response.headers.get("x-ms-error-code", "")


def test_blob_that_was_put_can_be_read(world: World) -> None:
    url = local(blob_sas.sas_url(world, "azureml", "LocalUpload/a b/mödel.pkl", "rcw"))

    async def conversation(client: Any) -> None:
        async with client.put(url, data=b"model", headers={**PUT, "Content-MD5": md5(b"model")}) as put:
            assert put.status == 201
            assert put.headers["Content-MD5"] == md5(b"model")
        async with client.head(url, headers=HOST) as head:
            assert head.status == 200
            assert head.headers["Content-Length"] == "5"
            assert head.headers["x-ms-blob-type"] == "BlockBlob"
            assert head.headers["ETag"] == put.headers["ETag"]
        async with client.get(url, headers=HOST) as get:
            assert await get.read() == b"model"

    talk(world, conversation)
    assert blob.exists(world, "azureml", "LocalUpload/a b/mödel.pkl")


def test_blocks_become_a_blob_in_the_order_of_the_list(world: World) -> None:
    url = local(blob_sas.sas_url(world, "c", "big", "rcw"))
    ids = [base64.b64encode(name).decode() for name in (b"one", b"two", b"six")]

    async def conversation(client: Any) -> None:
        for block_id, data in zip(ids, (b"1" * 100_000, b"22", b"666"), strict=True):
            block = url.extend_query(comp="block", blockid=block_id)
            async with client.put(block, data=data, headers={**HOST, "Content-MD5": md5(data)}) as put:
                assert put.status == 201
        async with client.get(url, headers=HOST) as get:
            assert get.status == 404  # nothing is there before the list
        listed = "".join(f"<Latest>{block_id}</Latest>" for block_id in (ids[1], ids[0]))
        body = f'<?xml version="1.0"?><BlockList>{listed}</BlockList>'
        async with client.put(url.extend_query(comp="blocklist"), data=body, headers=HOST) as put:
            assert put.status == 201
        async with client.get(url, headers=HOST) as get:
            assert await get.read() == b"22" + b"1" * 100_000

    talk(world, conversation)
    assert len(list((world.blobs / "storage").iterdir())) == 1  # the blocks are gone
    assert list(world.store.items("block")) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [("<BlockList><Latest>bm9wZQ==</Latest></BlockList>", "InvalidBlockList"), ("<BlockList>", "InvalidXmlDocument")],
)
def test_block_list_that_is_wrong_is_refused(world: World, body: str, code: str) -> None:
    url = local(blob_sas.sas_url(world, "c", "big", "rcw")).extend_query(comp="blocklist")

    async def conversation(client: Any) -> tuple[int, str]:
        async with client.put(url, data=body, headers=HOST) as put:
            return await refusal(put)

    assert talk(world, conversation) == (400, code)


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ({**PUT, "Content-MD5": md5(b"other")}, {}, (400, "Md5Mismatch")),
        (HOST, {}, (400, "MissingRequiredHeader")),
        ({**HOST, "x-ms-blob-type": "PageBlob"}, {}, (400, "InvalidHeaderValue")),
        (PUT, {"comp": "lease"}, (400, "InvalidQueryParameterValue")),
        (PUT, {"comp": "block", "blockid": "%%%"}, (400, "InvalidQueryParameterValue")),
    ],
)
def test_put_that_is_wrong_is_refused_and_leaves_nothing(
    world: World, headers: dict[str, str], query: dict[str, str], expected: tuple[int, str]
) -> None:
    url = local(blob_sas.sas_url(world, "c", "b", "rcw")).extend_query(query)

    async def conversation(client: Any) -> tuple[int, str]:
        async with client.put(url, data=b"data", headers=headers) as put:
            return await refusal(put)

    assert talk(world, conversation) == expected
    assert not blob.exists(world, "c", "b")
    assert list((world.blobs / "storage").iterdir()) == []


def test_upload_of_unknown_length_is_refused(world: World) -> None:
    url = local(blob_sas.sas_url(world, "c", "b", "rcw"))

    async def parts() -> Any:
        yield b"part"

    async def conversation(client: Any) -> tuple[int, str]:
        async with client.put(url, data=parts(), headers=PUT) as put:
            return await refusal(put)

    assert talk(world, conversation) == (411, "MissingContentLengthHeader")


def test_upload_that_breaks_off_leaves_nothing(world: World) -> None:
    url = local(blob_sas.sas_url(world, "c", "b", "rcw"))

    async def conversation(client: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = f"PUT {url.raw_path_qs} HTTP/1.1\r\nHost: {HOST['Host']}\r\nx-ms-blob-type: BlockBlob\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\nonly this".encode())
        await writer.drain()
        writer.close()
        await reader.read()

    talk(world, conversation)
    assert not blob.exists(world, "c", "b")
    assert list((world.blobs / "storage").iterdir()) == []


@pytest.mark.parametrize(
    ("wanted", "status", "body", "content_range"),
    [
        ("bytes=3-", 206, b"defghij", "bytes 3-9/10"),
        ("bytes=2-4", 206, b"cde", "bytes 2-4/10"),
        ("bytes=8-99", 206, b"ij", "bytes 8-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("lines=1-2", 200, b"abcdefghij", None),
    ],
)
def test_ranges(world: World, wanted: str, status: int, body: bytes | None, content_range: str | None) -> None:
    blob.create(world)
    blob.append(world, "c", "log", "abcde")
    blob.append(world, "c", "log", "fghij")
    url = local(blob_sas.sas_url(world, "c", "log", "r"))

    async def conversation(client: Any) -> None:
        async with client.get(url, headers={**HOST, "Range": wanted}) as get:
            assert get.status == status
            assert get.headers.get("Content-Range") == content_range
            if body is not None:
                assert await get.read() == body
            else:
                assert get.headers["x-ms-error-code"] == "InvalidRange"

    talk(world, conversation)


def test_signature_times_and_permissions_are_checked(world: World) -> None:
    blob.create(world)
    blob.append(world, "c", "b", "text")
    good = blob_sas.sas_url(world, "c", "b", "r")
    attempts = {
        "none": (local(good.partition("?")[0]), HOST, (409, "PublicAccessNotPermitted")),
        "other blob": (local(good.replace("/c/b?", "/c/a?")), HOST, (403, "AuthenticationFailed")),
        "more permissions": (local(good.replace("sp=r", "sp=rw")), HOST, (403, "AuthenticationFailed")),
        "expired": (local(blob_sas.sas_url(world, "c", "b", "r", seconds=-1)), HOST, (403, "AuthenticationFailed")),
        "other account": (local(good), {"Host": "other.blob.core.windows.net"}, (403, "AuthenticationFailed")),
        "write only": (local(blob_sas.sas_url(world, "c", "b", "w")), HOST, (403, "AuthorizationPermissionMismatch")),
    }

    async def conversation(client: Any) -> None:
        for name, (url, headers, expected) in attempts.items():
            async with client.get(url, headers=headers) as get:
                assert await refusal(get) == expected, name
        async with client.put(local(good), data=b"x", headers=PUT) as put:
            assert await refusal(put) == (403, "AuthorizationPermissionMismatch")

    talk(world, conversation)


def test_blob_that_is_there_already_is_kept_when_asked_so(world: World) -> None:
    url = local(blob_sas.sas_url(world, "c", "b", "rcw"))

    async def conversation(client: Any) -> None:
        statuses = []
        for data in (b"first", b"second"):
            async with client.put(url, data=data, headers={**PUT, "If-None-Match": "*"}) as put:
                statuses.append(put.status)
        assert statuses == [201, 409]
        async with client.put(url, data=b"third", headers=PUT) as put:
            assert put.status == 201

    talk(world, conversation)
    assert [file.read_bytes() for file in (world.blobs / "storage").iterdir()] == [b"third"]


def test_names_below_a_prefix_are_those_of_the_folder(world: World) -> None:
    blob.create(world)
    for path in ("run/model", "run/model/a", "run/model/b/c", "run/model-2", "other"):
        blob.append(world, "c", path, "x")
    assert list(blob.names(world, "c", "run/model")) == ["run/model", "run/model/a", "run/model/b/c"]
    assert all(blob.local_file(world, "c", path) is not None for path in itertools.chain(["other"], ["run/model"]))
    assert blob.local_file(world, "c", "missing") is None
