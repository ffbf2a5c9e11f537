"""Rows of values, one per device, read as a stream.

A file is read twice. `survey` reads it before anything is sent: an error in the file as a whole ends the run there,
duplicate devices are found, rows are counted. `Rows` then yields one row after another. An error in one row becomes
that row's `problem`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from manifestgen.errors import InputError, os_reason
from manifestgen.manifest.nearest import nearest
from manifestgen.rows.values import ABSENT, Place, cell_value, device_problem, flatten, place_of, read_object

#: Names of the column with the device ID.
DEVICE_NAMES: Final = ("device", "device_id", "deviceId")

_CHUNK: Final = 1024 * 1024


class Row(Struct, frozen=True):
    """One row: a device and its values.

    Attributes:
        number: of the row, from 1, blank lines not counted.
        line: of the file where it begins.
        device: id of the device; empty if the row has none.
        places: the position of each value among the values of the template.
        leaves: the values, in the same order; plain JSON data.
        problem: why it cannot be used; empty if it can.
        fix: what to do then.
    """

    number: int
    line: int
    device: str
    places: tuple[Place, ...] = ()
    leaves: tuple[Any, ...] = ()
    problem: str = ""
    fix: str = ""

    def values(self) -> dict[str, Any]:
        """The values as the template sees them, nested."""
        values: dict[str, Any] = {}
        for place, leaf in zip(self.places, self.leaves, strict=True):
            holder = values
            for key in place[:-1]:
                holder = holder.setdefault(key, {})
            holder[place[-1]] = leaf
        return values


@dataclass(frozen=True)
class Survey:
    """The result of a first pass over the file.

    Attributes:
        count: of rows.
        sha256: of the file, hex digest.
        columns: of a CSV file, without the device's; None for JSON lines, where each row has its own names.
        duplicates: rows whose device is in another row too.
    """

    count: int
    sha256: str
    columns: tuple[str, ...] | None
    duplicates: int


class Rows:
    """The rows of a CSV or JSON lines file. Opened by `open_rows`.

    Args:
        path: of the file.
        known: names that the template uses; None if unknown.
        ignored: names that are allowed although the template does not use them; they are left out.
    """

    def __init__(self, path: Path, known: frozenset[str] | None, ignored: frozenset[str]) -> None:
        self._path = path
        self._known = known
        self._ignored = ignored
        self._lines = path.suffix.lower() in (".jsonl", ".ndjson")
        # A private database that spills to disk as needed: any number of devices takes a few MB of memory.
        self._seen = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._seen.execute("PRAGMA journal_mode = OFF")
        self._seen.execute("BEGIN")
        self._seen.execute("CREATE TABLE seen (device BLOB PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._seen.execute("CREATE TABLE duplicates (device BLOB PRIMARY KEY, first INTEGER, second INTEGER)")
        self._state: tuple[int, int] | None = None
        self._columns: tuple[Place, ...] = ()
        try:
            self.survey = self._survey()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the index of devices."""
        self._seen.close()

    def _survey(self) -> Survey:
        """Read the whole file once.

        Raises:
            InputError: it cannot be read, is neither CSV nor JSON lines, or has no column with device IDs.
        """
        digest = hashlib.sha256()
        with _reading(self._path), self._path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        count = duplicates = 0
        for row in self._read():
            count += 1
            if not row.problem:
                duplicates += self._note(row)
        self._seen.execute("DELETE FROM seen")
        if count == 0:
            raise InputError("the file has no rows", where=str(self._path), fix="add a row for each device")
        columns = None if self._lines else tuple(".".join(place) for place in self._columns)
        return Survey(count, digest.hexdigest(), columns, duplicates)

    def _note(self, row: Row) -> int:
        """Record the device of a row; returns how many rows this reveals to be duplicates."""
        key = _hash(row.device)
        if self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, row.line)).rowcount:
            return 0
        (first,) = self._seen.execute("SELECT line FROM seen WHERE device = ?", (key,)).fetchone()
        new = self._seen.execute("INSERT OR IGNORE INTO duplicates VALUES (?, ?, ?)", (key, first, row.line)).rowcount
        return 1 + new

    def __iter__(self) -> Iterator[Row]:
        """The rows, in their order.

        Raises:
            InputError: the file changed since it was surveyed.
        """
        for row in self._read():
            if row.problem or not self.survey.duplicates:
                yield row
            else:
                yield self._unless_duplicate(row)

    def _unless_duplicate(self, row: Row) -> Row:
        found = self._seen.execute(
            "SELECT first, second FROM duplicates WHERE device = ?", (_hash(row.device),)
        ).fetchone()
        if found is None:
            return row
        other = found[1] if found[0] == row.line else found[0]
        return Row(
            row.number,
            row.line,
            row.device,
            problem=f"device {row.device!r} has another row, in line {other}",
            fix="keep one row for each device",
        )

    def _read(self) -> Iterator[Row]:
        with _reading(self._path):
            status = self._path.stat()
        state = (status.st_size, status.st_mtime_ns)
        if self._state is not None and state != self._state:
            raise InputError(
                "the file was changed while it was read", where=str(self._path), fix="run the same command again"
            )
        self._state = state
        rows = self._read_lines() if self._lines else self._read_csv()
        with closing(rows):
            yield from rows

    def _read_csv(self) -> Generator[Row, None, None]:
        with _reading(self._path), self._path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            begin = 1
            try:
                header = next(reader, None)
                at, self._columns = self._header(header)
                kept = [index for index, name in enumerate(header or ()) if index != at and self._keeps(name)]
                begin = reader.line_num + 1
                number = 0
                for cells in reader:
                    line, begin = begin, reader.line_num + 1
                    if cells:
                        number += 1
                        yield self._row_of(number, line, cells, at, kept, len(header or ()))
            except csv.Error as error:
                raise InputError(
                    f"not CSV: {error}",
                    where=f"{self._path}:{begin}",
                    fix="look for an unclosed quote, or a value of more than 131,072 characters",
                ) from error

    def _keeps(self, name: str) -> bool:
        return name.strip() not in self._ignored and place_of(name)[0] not in self._ignored

    def _header(self, header: Sequence[str] | None) -> tuple[int, tuple[Place, ...]]:
        """Parse the header: the column of the device, and the places of the other columns' values."""
        where = f"{self._path}:1"
        names = [name.strip() for name in header or ()]
        found = [index for index, name in enumerate(names) if name in DEVICE_NAMES]
        if not found:
            separated = len(names) == 1 and any(mark in names[0] for mark in ";\t|")
            raise InputError(
                "no column holds the device ID",
                where=where,
                fix="separate the columns with commas"
                if separated
                else "name one column 'device', 'device_id' or 'deviceId'",
            )
        if len(found) > 1:
            what = f"'{names[found[0]]}' and '{names[found[1]]}' both name the device"
            raise InputError(what, where=where, fix="keep one of the two")
        for index, name in enumerate(names):
            if not name or not all(place_of(name)):
                raise InputError(f"column {index + 1} has no name", where=where, fix="name it as the template does")
            if names.index(name) != index:
                raise InputError(f"column '{name}' appears twice", where=where, fix="keep one of the two")
        places = tuple(place_of(name) for index, name in enumerate(names) if index not in found and self._keeps(name))
        for place in places:
            if place[0] in DEVICE_NAMES:
                what = f"column '{'.'.join(place)}' is nested in the device ID"
                raise InputError(what, where=where, fix="give it another name, here and in the template")
            if places.count(place) > 1:
                raise InputError(f"column '{'.'.join(place)}' appears twice", where=where, fix="keep one of the two")
            if any(place[:length] in places for length in range(1, len(place))):
                what = f"column '{'.'.join(place)}' is nested in the value of another column"
                raise InputError(what, where=where, fix="keep either the whole value or its parts")
            self._refuse_unknown(place, where)
        return found[0], places

    def _refuse_unknown(self, place: Place, where: str) -> None:
        unknown = self._unknown(place[0])
        if unknown:
            raise InputError(f"column '{'.'.join(place)}' {unknown[0]}", where=where, fix=unknown[1])

    def _unknown(self, name: str) -> tuple[str, str] | None:
        """The message and fix for a name that the template does not use."""
        if self._known is None or name in self._known or name in DEVICE_NAMES:
            return None
        near = nearest(name, self._known)
        ignore = f"leave it out with --ignore-column {name}"
        fix = f"did you mean '{near[0]}'? Otherwise {ignore}" if near else f"correct its name, or {ignore}"
        return "is not used by the template", fix

    def _row_of(self, number: int, line: int, cells: list[str], at: int, kept: list[int], width: int) -> Row:
        if len(cells) != width:
            what = f"line {line} has {len(cells)} values, the header has {width} columns"
            return _unusable(number, line, cells[at].strip() if at < len(cells) else "", what, "correct the line")
        device = cells[at].strip()
        problem = device_problem(device, line)
        if problem:
            return _unusable(number, line, device, *problem)
        places, leaves = self._columns, []
        try:
            for index in kept:
                leaves.append(cell_value(cells[index]))
        except InputError as error:
            name = ".".join(places[len(leaves)])
            return _unusable(number, line, device, f"{name}: {error.what}", "quote values with special characters")
        if ABSENT in leaves:
            given = [index for index, leaf in enumerate(leaves) if leaf is not ABSENT]
            places, leaves = tuple(places[index] for index in given), [leaves[index] for index in given]
        return Row(number, line, device, places, tuple(leaves))

    def _read_lines(self) -> Generator[Row, None, None]:
        with _reading(self._path), self._path.open("rb") as stream:
            number = 0
            for line, text in enumerate(_short_lines(stream, self._path), start=1):
                if text.strip():
                    number += 1
                    yield self._row_of_line(number, line, text.removeprefix(b"\xef\xbb\xbf") if line == 1 else text)

    def _row_of_line(self, number: int, line: int, text: bytes) -> Row:
        try:
            data = read_object(text, line)
        except InputError as error:
            return _unusable(number, line, "", error.what, error.fix)
        named = [name for name in DEVICE_NAMES if name in data]
        if len(named) > 1:
            what = f"'{named[0]}' and '{named[1]}' both name the device"
            return _unusable(number, line, "", what, "keep one of the two")
        device = data.pop(named[0]) if named else ""
        if not isinstance(device, str):
            return _unusable(
                number, line, "", f"the device ID must be a string, not {json.dumps(device)}", "put it in quotes"
            )
        problem = device_problem(device, line)
        if problem:
            return _unusable(number, line, device, *problem)
        places: list[Place] = []
        leaves: list[Any] = []
        for name, value in data.items():
            if not self._keeps(name):
                continue
            unknown = self._unknown(place_of(name)[0])
            if unknown:
                return _unusable(number, line, device, f"'{name}' {unknown[0]}", unknown[1])
            flatten(place_of(name), value, places, leaves)
        if len(set(places)) < len(places):
            twice = next(place for place in places if places.count(place) > 1)
            return _unusable(number, line, device, f"'{'.'.join(twice)}' appears twice", "keep one of the two")
        if len({place[:length] for place in places for length in range(1, len(place))} & set(places)):
            return _unusable(number, line, device, "a value is given both whole and in parts", "keep one of the two")
        return Row(number, line, device, tuple(places), tuple(leaves))


def open_rows(path: Path, *, known: frozenset[str] | None = None, ignored: Sequence[str] = ()) -> Rows:
    """Open a file of rows, after a first pass over all of it.

    Args:
        path: of a CSV file with a header, or of JSON lines (`.jsonl`, `.ndjson`).
        known: the names that the template uses; any other column is rejected.
        ignored: names of columns that are left out.

    Raises:
        InputError: the file is missing, of another kind, or wrong as a whole; with the line.
    """
    if path.suffix.lower() not in (".csv", ".jsonl", ".ndjson"):
        raise InputError(
            "rows of devices are read from CSV or JSON lines",
            where=str(path),
            fix="give a file that ends in .csv, .jsonl or .ndjson",
        )
    if path.exists() and not path.is_file():
        raise InputError(
            "a pipe cannot be used here: the file is read twice",
            where=str(path),
            fix="write the rows to a file and give that",
        )
    return Rows(path, known, frozenset(ignored))


def _unusable(number: int, line: int, device: str, problem: str, fix: str) -> Row:
    return Row(number, line, device, problem=problem, fix=fix)


def _hash(device: str) -> bytes:
    return hashlib.blake2b(device.encode(), digest_size=16).digest()


_LONGEST: Final = 1024 * 1024


def _short_lines(stream: Any, path: Path) -> Iterator[bytes]:
    line = 0
    while text := stream.readline(_LONGEST + 1):
        line += 1
        if len(text) > _LONGEST:
            what = f"the line is longer than {_LONGEST:,} bytes"
            raise InputError(what, where=f"{path}:{line}", fix="write one JSON object per line")
        yield text


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError("rows not found", where=str(path), fix="correct the path of the file") from None
    except UnicodeDecodeError as error:
        what = f"the rows are not UTF-8 text: byte 0x{error.object[error.start]:02x}"
        raise InputError(what, where=str(path), fix="save the file as UTF-8") from None
    except OSError as error:
        what = f"the rows cannot be read: {os_reason(error)}"
        raise InputError(what, where=str(path), fix="check the path") from error
