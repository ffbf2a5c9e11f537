from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from manifestgen.errors import InputError
from manifestgen.rows.rows import Row, Rows, open_rows


@pytest.fixture
def csv(tmp_path: Path) -> Any:
    def write(text: str | bytes, name: str = "devices.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def read(path: Path, **options: Any) -> list[Row]:
    rows = open_rows(path, **options)
    found = list(rows)
    assert len(found) == rows.survey.count
    rows.close()
    return found


@pytest.mark.parametrize("name", ["device", "device_id", "deviceId"])
def test_a_row_is_a_device_and_its_values(csv: Any, name: str) -> None:
    path = csv(f"site,{name},ttl,deep.a,deep.b\nhall 3,edge-01,7200,true,x\n")
    (row,) = read(path)
    assert (row.number, row.line, row.device, row.problem) == (1, 2, "edge-01", "")
    assert row.values() == {"site": "hall 3", "ttl": 7200, "deep": {"a": True, "b": "x"}}


def test_a_device_id_is_a_text_whatever_it_looks_like(csv: Any) -> None:
    assert [row.device for row in read(csv("device\n0012\n1e3\ntrue\n"))] == ["0012", "1e3", "true"]


def test_an_empty_cell_gives_no_value(csv: Any) -> None:
    first, second = read(csv("device,a,b\nx,,1\ny,null,''\n"))
    assert first.values() == {"b": 1}
    assert second.values() == {"a": None, "b": ""}


def test_a_byte_order_mark_quotes_and_windows_lines_are_read(csv: Any) -> None:
    path = csv(b'\xef\xbb\xbfdevice,site\r\nedge-1,"a, ""b""\r\nc"\r\n\r\nedge-2,x\r\n')
    first, second = read(path)
    assert (first.device, second.device) == ("edge-1", "edge-2")
    assert (first.line, second.line) == (2, 5)
    assert (first.number, second.number) == (1, 2)


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("", "no column holds the device ID", "name one column"),
        ("site,ttl\na,1\n", "no column holds the device ID", "name one column"),
        ("device;site\na;1\n", "no column holds the device ID", "separate the columns with commas"),
        ("device,device_id\na,b\n", "'device' and 'device_id' both name the device", "keep one"),
        ("device,\na,b\n", "column 2 has no name", "name it"),
        ("device,a.\na,b\n", "column 2 has no name", "name it"),
        ("device,a,a\na,b,c\n", "column 'a' appears twice", "keep one"),
        ("device,a.b,a . b\na,b,c\n", "column 'a.b' appears twice", "keep one"),
        ("device,a,a.b\na,b,c\n", "column 'a.b' is nested in the value of another column", "keep either"),
        ("device,device.floor\na,b\n", "column 'device.floor' is nested in the device ID", "another name"),
        ("device,sight\na,b\n", "column 'sight' is not used by the template", "did you mean 'site'?"),
        ("device,zzz\na,b\n", "column 'zzz' is not used by the template", "--ignore-column zzz"),
        ("device,site\n", "the file has no rows", "add a row"),
        ('device,site\na,b\nc,"d\n', "not CSV: unexpected end of data", "unclosed quote"),
        ('device,site\na,"b"c\n', "not CSV", "quote"),
        (b"device,site\na,\xff\n", "not UTF-8 text: byte 0xff", "save the file as UTF-8"),
    ],
)
def test_what_is_wrong_with_the_whole_file_is_reported_before_anything_is_sent(
    csv: Any, text: str | bytes, what: str, fix: str
) -> None:
    with pytest.raises(InputError) as caught:
        open_rows(csv(text), known=frozenset({"site", "a", "ttl"}))
    assert what in caught.value.message
    assert fix in caught.value.fix


def test_a_quote_that_swallows_the_rest_is_reported_with_its_line(csv: Any) -> None:
    text = 'device,site\na,x\nb,"y\n' + "".join(f"edge-{number},z\n" for number in range(20000))
    with pytest.raises(InputError, match=r"devices\.csv:3: not CSV"):
        open_rows(csv(text))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (",a", "names no device"),
        ("  ,a", "names no device"),
        ("a/b,x", "'a/b' is not a valid device ID"),
        ("é,x", "is not a valid device ID"),
        ("x" * 129 + ",x", "is not a valid device ID"),
        ("edge-1", "has 1 values, the header has 2 columns"),
        ("edge-1,a,b", "has 3 values, the header has 2 columns"),
        ('edge-1,"[1, 2"', "site: "),
        ("edge-1,a: b: c", "site: "),
    ],
)
def test_what_is_wrong_with_one_row_is_that_row_s_problem(csv: Any, line: str, what: str) -> None:
    first, second = read(csv(f"device,site\n{line}\nedge-2,x\n"))
    assert what in first.problem and first.fix
    assert not second.problem


def test_a_device_that_is_there_twice_is_refused_twice(csv: Any) -> None:
    path = csv("device,a\nx,1\ny,2\nx,3\nz,4\nx,5\n")
    rows = open_rows(path)
    found = list(rows)
    assert rows.survey.duplicates == 3
    assert [bool(row.problem) for row in found] == [True, False, True, False, True]
    assert found[0].problem == "device 'x' has another row, in line 4"
    assert found[2].problem == found[4].problem == "device 'x' has another row, in line 2"
    rows.close()


def test_devices_differ_in_case(csv: Any) -> None:
    assert not any(row.problem for row in read(csv("device\nEdge\nedge\n")))


def test_columns_that_are_to_be_ignored_are_left_out(csv: Any) -> None:
    (row,) = read(csv("device,note,site,note2.x\na,b,c,d\n"), known=frozenset({"site"}), ignored=["note", "note2"])
    assert row.values() == {"site": "c"}


def test_values_that_are_to_be_ignored_are_left_out_of_json_lines_as_of_csv(csv: Any) -> None:
    path = csv('{"device": "a", "note": 1, "note2.x": 2, "site": "c"}\n', "devices.jsonl")
    (row,) = read(path, known=frozenset({"site"}), ignored=["note", "note2"])
    assert (row.values(), row.problem) == ({"site": "c"}, "")


def test_json_lines_keep_their_types(csv: Any) -> None:
    lines = [
        {"device": "a", "site": "007", "ttl": 60, "deep": {"a": [1, 2], "b": {}}, "x.y": True, "n": None},
        {"deviceId": "b"},
    ]
    path = csv("\ufeff" + "\n\n".join(json.dumps(line) for line in lines), "devices.jsonl")
    first, second = read(path)
    assert first.values() == {
        "site": "007",
        "ttl": 60,
        "deep": {"a": [1, 2], "b": {}},
        "x": {"y": True},
        "n": None,
    }
    assert (second.device, second.line, second.values()) == ("b", 3, {})


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "line 1 is not JSON"),
        ("[1]", "line 1 is not a JSON object"),
        ('{"site": 1}', "names no device"),
        ('{"device": 7}', "the device ID must be a string, not 7"),
        ('{"device": "a", "device_id": "b"}', "both name the device"),
        ('{"device": "a", "site": 1, "site": 2}', "'site' is given twice"),
        ('{"device": "a", "site.name": 1, "site": {"name": 2}}', "'site.name' appears twice"),
        ('{"device": "a", "ttl": NaN}', "NaN is not JSON"),
        ('{"device": "a", "sight": 1}', "'sight' is not used by the template"),
        ('{"device": "a", "site": 1, "site.x": 1}', "whole and in parts"),
        ("[" * 5000, "line 1 is not JSON"),
    ],
)
def test_a_line_that_is_wrong_is_that_row_s_problem(csv: Any, line: str, what: str) -> None:
    path = csv(line + '\n{"device": "z"}\n', "devices.jsonl")
    first, second = read(path, known=frozenset({"site", "ttl"}))
    assert what in first.problem and first.fix
    assert not second.problem


def test_a_line_without_an_end_is_not_read_into_memory(csv: Any) -> None:
    with pytest.raises(InputError, match=r"jsonl:2: the line is longer than 1,048,576 bytes"):
        open_rows(csv('{"device": "a"}\n' + " " * (1 << 20) + "  ", "devices.jsonl"))


@pytest.mark.parametrize(
    ("name", "what"),
    [("devices.xlsx", "CSV or JSON lines"), ("missing.csv", "rows not found"), ("f.csv", "a pipe cannot be used here")],
)
def test_other_files_are_refused(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "devices.xlsx").write_text("x")
    (tmp_path / "f.csv").mkdir()
    with pytest.raises(InputError, match=what):
        open_rows(tmp_path / name)


def test_a_file_that_changes_while_it_is_read_is_noticed(csv: Any) -> None:
    path = csv("device\na\nb\n")
    rows: Rows = open_rows(path)
    path.write_text("device\na\nb\nc\n")
    with pytest.raises(InputError, match="changed while it was read"):
        list(rows)
    rows.close()


def test_the_hash_is_that_of_the_file(csv: Any) -> None:
    import hashlib

    path = csv("device\na\n")
    rows = open_rows(path)
    assert rows.survey.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert rows.survey.columns == ()
    rows.close()
