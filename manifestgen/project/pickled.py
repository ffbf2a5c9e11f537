"""Identifies a model's file without loading it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from msgspec import Struct

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_LFS: Final = b"version https://git-lfs"
#: Suffixes of files that are treated as pickled scikit-learn models.
PICKLES: Final = (".pkl", ".pickle", ".joblib")
_SUFFIXES: Final = (*PICKLES, ".sav")
_STARTS: Final = (
    b"\x80",  # a pickle of protocol 2 and later
    *(b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"BZh", b"\xfd7zXZ", b"\x04\x22M\x18", b"PK"),
)
_READ: Final = 64 * 1024 * 1024


class Trouble(Struct, frozen=True):
    """Why a file is not a model, and what to do."""

    what: str
    fix: str


def not_a_pickle(file: Path) -> Trouble | None:
    """Why a file with a pickle's suffix is not a pickle; None if it may be one, or has another suffix."""
    with file.open("rb") as stream:
        start = stream.read(200)
    if start.startswith(_LFS):
        return Trouble("this is a pointer of Git LFS, not the model", "run: git lfs pull")
    if file.suffix.lower() not in _SUFFIXES:
        return None
    fix = "save the model with pickle.dump or joblib.dump, or correct model.path"
    if not start:
        return Trouble("the model's file is empty", fix)
    if start.startswith(_STARTS) or _is_old_pickle(start):
        return None
    text = start.decode("utf-8", "replace")
    if "\ufffd" in text[:-3]:
        return Trouble("this is not a pickle", fix)
    shown = " ".join(text.split())[:40]
    return Trouble(f"this is not a pickle but a text, which begins with {shown!r}", fix)


def pickled_version(file: Path) -> str:
    """The version of scikit-learn that saved a pickle; empty if it does not say."""
    found = _search(rb"_sklearn_version.{1,12}?(\d+\.\d+(?:\.\d+)?(?:\.?(?:rc|dev|post)\d+)?)", file)
    return found[1].decode() if found else ""


def pickled_features(file: Path) -> int:
    """How many features a pickled model of scikit-learn takes; 0 if it does not say."""
    found = _search(rb"n_features_in_(?:\x94|q.)?(?:K(.)|M(..))", file)
    return int.from_bytes(found[1] or found[2], "little") if found else 0


def _search(pattern: bytes, file: Path) -> re.Match[bytes] | None:
    with file.open("rb") as stream:
        return re.search(pattern, stream.read(_READ), re.S)


def _is_old_pickle(start: bytes) -> bool:
    """Whether this may be a pickle of protocol 0, which is text: an opcode with its argument."""
    return (
        re.match(rb"[(cIFNSVLdl\]})].*?[\n(.]", start, re.S) is not None and b"\n" in start and b" " not in start[:20]
    )
