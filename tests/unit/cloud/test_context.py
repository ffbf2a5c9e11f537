from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from manifestgen.cloud.context import Context, ContextFile, target_arch
from manifestgen.errors import InputError


@pytest.fixture
def files(tmp_path: Path) -> list[ContextFile]:
    (tmp_path / "model.pkl").write_bytes(b"model" * 1000)
    return [
        ContextFile("model/model.pkl", tmp_path / "model.pkl"),
        ContextFile("Dockerfile", b"FROM scratch\n"),
        ContextFile("packages/linux-amd64/a.so", b"amd", platform="linux/amd64"),
        ContextFile("packages/linux-arm64/a.so", b"arm", platform="linux/arm64"),
        ContextFile("app/run.sh", b"#!/bin/sh\n", executable=True),
    ]


def test_the_archive_has_the_files_in_order_without_times_and_owners(files: list[ContextFile]) -> None:
    packed = b"".join(Context.of(files).archive())
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = tar.getmembers()
        content = tar.extractfile("model/model.pkl")
        assert content is not None and content.read() == b"model" * 1000
    names = [member.name for member in members if member.isfile()]
    assert names == sorted(file.name for file in files)
    assert {member.name for member in members if member.isdir()} >= {"app", "packages", "packages/linux-amd64"}
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.name: m.mode for m in members if m.isfile()}["app/run.sh"] == 0o755
    assert {m.mode for m in members if m.isfile()} == {0o644, 0o755}


def test_order_times_and_modes_of_files_change_no_byte(files: list[ContextFile], tmp_path: Path) -> None:
    context = Context.of(files)
    first, sha256 = b"".join(context.archive()), context.sha256
    os.utime(tmp_path / "model.pkl", (1, 1))
    (tmp_path / "model.pkl").chmod(0o600)
    again = Context.of(files[::-1])
    assert b"".join(again.archive()) == first
    assert again.sha256 == sha256
    assert first[4:8] == b"\0\0\0\0"  # the time in gzip's header


def test_another_content_name_or_mode_is_another_hash(files: list[ContextFile]) -> None:
    sha256 = Context.of(files).sha256
    changed = [
        ContextFile("Dockerfile", b"FROM base\n"),
        ContextFile("Dockerfile2", b"FROM scratch\n"),
        ContextFile("Dockerfile", b"FROM scratch\n", executable=True),
    ]
    assert len({sha256, *(Context.of([*files[:1], one, *files[2:]]).sha256 for one in changed)}) == 4


def test_the_archive_is_a_plain_tar_in_gzip(files: list[ContextFile]) -> None:
    context = Context.of(files)
    assert gzip.decompress(b"".join(context.archive())) == b"".join(context.tar())


def test_a_platform_gets_only_its_own_files(files: list[ContextFile]) -> None:
    names = {file.name for file in Context.of(files).for_platforms(["linux/arm64"]).files}
    assert "packages/linux-arm64/a.so" in names and "Dockerfile" in names
    assert "packages/linux-amd64/a.so" not in names


def test_a_folder_has_the_same_files_as_the_archive(files: list[ContextFile], tmp_path: Path) -> None:
    context, folder = Context.of(files), tmp_path / "written"
    folder.mkdir()
    (tmp_path / "model.pkl").chmod(0o600)
    context.write(folder)
    with tarfile.open(fileobj=io.BytesIO(b"".join(context.tar()))) as tar:
        packed = {m.name: (m.mode, tar.extractfile(m).read()) for m in tar if m.isfile()}  # type: ignore[union-attr]
    written = {
        path.relative_to(folder).as_posix(): (path.stat().st_mode & 0o777, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert written == packed


def test_two_files_of_one_name_are_a_bug(files: list[ContextFile]) -> None:
    with pytest.raises(ValueError, match="two files 'Dockerfile'"):
        Context.of([*files, ContextFile("Dockerfile", b"")])


def test_a_file_that_is_gone_is_named(files: list[ContextFile], tmp_path: Path) -> None:
    (tmp_path / "model.pkl").unlink()
    context = Context.of(files)
    folder = tmp_path / "written"
    folder.mkdir()
    for read in (lambda: list(context.archive()), lambda: context.sha256, lambda: context.write(folder)):
        with pytest.raises(InputError) as caught:
            read()
        assert (caught.value.where, caught.value.what) == (str(tmp_path / "model.pkl"), "not found")


def test_a_file_that_grows_while_it_is_read_is_an_error(files: list[ContextFile], tmp_path: Path) -> None:
    pieces = Context.of(files).tar()
    seen = b""
    with pytest.raises(InputError, match="changed while it was read") as caught:
        for piece in pieces:
            seen += piece
            if b"model/model.pkl" in piece:
                (tmp_path / "model.pkl").write_bytes(b"longer" * 5000)
    assert caught.value.where == str(tmp_path / "model.pkl")


def test_a_large_file_is_streamed(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(64 << 20)
    pieces = [len(piece) for piece in Context.of([ContextFile("model/large", tmp_path / "large")]).tar()]
    assert sum(pieces) > 64 << 20
    assert max(pieces) <= 1 << 20


@pytest.mark.parametrize(
    ("platform", "value"), [("linux/amd64", "amd64"), ("linux/arm64", "arm64"), ("linux/arm/v7", "arm")]
)
def test_target_arch_is_what_engines_set(platform: str, value: str) -> None:
    assert target_arch(platform) == value
