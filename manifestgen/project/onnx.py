"""The input of an ONNX model, read from its file without any package.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

# Field numbers of messages in onnx.proto.
_GRAPH, _INITIALIZER, _INPUT, _TENSOR_NAME = 7, 5, 11, 8
_NAME, _TYPE, _TENSOR_TYPE, _SHAPE, _DIM, _DIM_VALUE = 1, 2, 1, 2, 1, 1
_READ: Final = 64 * 1024 * 1024


class OnnxInput(Struct, frozen=True):
    """An input.

    Attributes:
        shape: its dimensions, 1 for those that may vary; empty if the file does not say.
    """

    name: str
    shape: tuple[int, ...]


def onnx_input(file: Path) -> OnnxInput | None:
    """The first input of a model; None if the file is not an ONNX model, or is too large to look into."""
    if file.stat().st_size > _READ:
        return None
    try:
        graph = _first(file.read_bytes(), _GRAPH)
        weights = {_first(tensor, _TENSOR_NAME) for tensor in _all(graph, _INITIALIZER)}
        for value in _all(graph, _INPUT):
            name = _first(value, _NAME)
            if name not in weights:
                shape = _first(_first(_first(value, _TYPE), _TENSOR_TYPE), _SHAPE)
                return OnnxInput(name.decode(), tuple(map(_size, _all(shape, _DIM))))
    except (ValueError, IndexError):
        pass
    return None


def _size(dimension: bytes) -> int:
    found = [value for number, value in _fields(dimension) if number == _DIM_VALUE and isinstance(value, int)]
    return max(1, found[0]) if found else 1


def _first(message: bytes, number: int) -> bytes:
    return next(_all(message, number), b"")


def _all(message: bytes, number: int) -> Iterator[bytes]:
    return (value for field, value in _fields(message) if field == number and isinstance(value, bytes))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: their numbers, and numbers or bytes. Raises ValueError, IndexError."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind == 2:
            size, place = _varint(message, place)
        else:
            size = {1: 8, 5: 4}.get(kind, -1)
        if size < 0 or place + size > len(message):
            raise ValueError("not a message of protobuf")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("not a number of protobuf")
