"""What is unpacked of an image's layers, and what is refused."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.edge.files.unpack import LayerFile, UnpackError, unpack

BELOW = ("opt/app",)
Add = Callable[[tarfile.TarFile], None]


def entry(name: str, content: bytes = b"", **fields: object) -> Add:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in fields.items():
            setattr(info, key, value)
        tar.addfile(info, io.BytesIO(content))

    return add


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Add:
    return entry(name, type=kind, linkname=target)


def layer(folder: Path, *entries: Add, compressed: bool = True) -> LayerFile:
    path = folder / f"layer-{len(list(folder.glob('layer-*')))}"
    with tarfile.open(path, "w:gz" if compressed else "w") as tar:
        for add in entries:
            add(tar)
    return LayerFile(path, compressed)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_the_application_is_unpacked(tmp_path: Path) -> None:
    made = layer(tmp_path, entry("etc/passwd", b"x"), entry("./opt/app/score.py", b"a"), entry("opt/apple/b", b"b"))
    plain = layer(tmp_path, entry("opt/app/run.sh", b"c", mode=0o700), compressed=False)
    unpack([made, plain], BELOW, tmp_path / "root")
    assert files(tmp_path / "root") == {"opt/app/score.py": b"a", "opt/app/run.sh": b"c"}
    assert (tmp_path / "root/opt/app/run.sh").stat().st_mode & 0o777 == 0o755


def test_a_later_layer_replaces_and_removes(tmp_path: Path) -> None:
    lower = layer(tmp_path, entry("opt/app/a", b"1"), entry("opt/app/b", b"1"), entry("opt/app/d/e", b"1"))
    upper = layer(tmp_path, entry("opt/app/a", b"2"), entry("opt/app/.wh.b"), entry("opt/app/d/.wh..wh..opq"))
    unpack([lower, upper], BELOW, tmp_path / "root")
    assert files(tmp_path / "root") == {"opt/app/a": b"2"}


def test_links_inside_the_application_work(tmp_path: Path) -> None:
    made = layer(
        tmp_path,
        entry("opt/app/v1/model", b"m"),
        link("opt/app/current", "/opt/app/v1"),
        link("opt/app/hard", "opt/app/v1/model", tarfile.LNKTYPE),
    )
    unpack([made], BELOW, tmp_path / "root")
    assert (tmp_path / "root/opt/app/current/model").read_bytes() == b"m"
    assert (tmp_path / "root/opt/app/hard").read_bytes() == b"m"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry("opt/app/../../../outside", b"x")], "leads out of the image"),
        ([link("opt/app/out", "/etc")], "outside the application"),
        ([link("opt/app/out", "../../../..")], "outside the application"),
        ([link("opt/app/in", "v1"), entry("opt/app/in/x", b"x")], "lies below the link"),
        ([link("opt/app/in", "v1"), link("opt/app/x", "opt/app/in/y", tarfile.LNKTYPE)], "lies below the link"),
        ([link("opt/app/h", "etc/shadow", tarfile.LNKTYPE)], "which is not there"),
        ([entry("opt/app/device", type=tarfile.CHRTYPE)], "neither a file, a folder nor a link"),
        ([entry("opt/app/big", b"x" * 2000)], "has more than 0 MiB"),
    ],
)
def test_what_could_lead_out_is_refused_and_nothing_stays(tmp_path: Path, entries: list[Add], words: str) -> None:
    with pytest.raises(UnpackError, match=words):
        unpack([layer(tmp_path, *entries)], BELOW, tmp_path / "root", most_bytes=1000)
    assert [path.name for path in tmp_path.iterdir()] == ["layer-0"]


def test_a_damaged_layer_is_refused(tmp_path: Path) -> None:
    made = layer(tmp_path, entry("opt/app/a", b"x" * 5000))
    made.path.write_bytes(made.path.read_bytes()[:60])
    with pytest.raises(UnpackError, match="is damaged"):
        unpack([made], BELOW, tmp_path / "root")


_PARTS = st.sampled_from(["opt", "app", "..", ".", "a", "", "etc"])
_PATHS = st.lists(_PARTS, min_size=1, max_size=6).map("/".join)


@given(st.lists(st.tuples(_PATHS, st.one_of(st.none(), _PATHS)), max_size=6))
def test_nothing_is_ever_written_outside(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str | None]]
) -> None:
    folder = tmp_path_factory.mktemp("unpack")
    target = folder / "deep" / "root"
    made = [entry(name, b"x") if to is None else link(name, to) for name, to in entries if name.strip("/.")]
    with contextlib.suppress(UnpackError, OSError):
        unpack([layer(folder, *made)], BELOW, target)
    outside = [path for path in folder.rglob("*") if not path.is_relative_to(target)]
    assert {path.name for path in outside} <= {"layer-0", "deep"}
    if target.is_dir():
        # Unlike Path.resolve, realpath takes links that lead to each other in a circle.
        inside = [Path(os.path.realpath(path)) for path in target.rglob("*") if path.is_symlink()]
        assert all(path.is_relative_to(os.path.realpath(target / "opt/app")) for path in inside)
