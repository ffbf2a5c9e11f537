"""`apply TEMPLATE --devices FILE` against the sandbox's hub: every device gets exactly its own, whatever happens."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.other_client import OtherClient
from integration.command_line import Completed, complaint, eventually, in_this_process, started

from manifestgen.render import load_template

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_TEMPLATE = """{% extends "single-module.json.j2" %}
{% block twins %},
    {{ module | tojson }}: {"properties.desired": {"site": {{ site | tojson }}, "device": {{ device | tojson }}}}
{% endblock %}
"""
_IMAGE = "mcr.microsoft.com/acme/scorer:1"
_names = iter(range(1, 1000))


@pytest.fixture
def folder(tmp_path: Path, quick: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in, with a template; the hub throttles as tier S1, twenty times as fast."""
    root = tmp_path / "fleet"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.delenv("MANIFESTGEN_STATE")  # so journals are beside the rows
    (root / "t.json.j2").write_text(_TEMPLATE)
    quick.admin("PUT", "/hub", {"tier": "S1", "throttled": True, "speed": 20, "agents": False, "retry_after": None})
    yield root
    quick.admin("DELETE", "/hub")


@pytest.fixture
def fleet(folder: Path, quick: Any) -> Callable[[int], list[str]]:
    """Registers devices, and writes a row for each to devices.csv."""

    def make(count: int) -> list[str]:
        prefix = f"truck{next(_names)}-"
        quick.admin("POST", "/devices", {"id": prefix + "{number}", "count": count})
        width = len(str(count))
        names = [f"{prefix}{number:0{width}}" for number in range(1, count + 1)]
        with (folder / "devices.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["device", "site", "ttl", "image"])
            writer.writerows([name, f"hall {number % 5}", 60 + number % 2, _IMAGE] for number, name in enumerate(names))
        return names

    return make


def apply(*arguments: str | Path) -> Completed:
    return in_this_process("apply", "t.json.j2", "--devices", "devices.csv", "--rate", "900", *arguments)


def given(quick: Any, names: list[str]) -> dict[str, Any]:
    """What the hub gave each of these devices, by its own account."""
    first = names[0].rpartition("-")[0]
    devices = quick.admin("GET", f"/hub/applied?after={first}&limit=10000")["devices"]
    return {name: devices[name] for name in names if name in devices}


def wanted(folder: Path) -> dict[str, str]:
    """The fingerprint of what each device is to have, rendered by itself."""
    template = load_template("t.json.j2", folder)
    found = {}
    with (folder / "devices.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            values = {"ttl": int(row["ttl"]), "module": "machinelearningmodule", "runtime": "1.6"}
            values |= {"image": row["image"], "site": row["site"], "device": row["device"]}
            content = template.render(values).content["modulesContent"]
            desired = {name: entry["properties.desired"] for name, entry in content.items()}
            text = json.dumps(desired, sort_keys=True, separators=(",", ":"))
            found[row["device"]] = hashlib.sha256(text.encode()).hexdigest()
    return found


@pytest.mark.no_cover  # the same ways for each device; the shorter tests go them too
def test_every_device_gets_its_own_and_is_in_the_report(
    folder: Path, fleet: Callable[[int], list[str]], quick: Any
) -> None:
    names = fleet(100)
    ended = apply("--yes", "--report", "report.csv", "--output", "json")
    assert ended.code == 0, ended
    assert ended.json["counts"] == {"applied": 100, "unchanged": 0, "refused": 0, "failed": 0, "not_tried": 0}
    assert "100 rows: about 100 messages of 4 KB to at most 100 devices in" in ended.stderr
    assert {name: one["twins"] for name, one in given(quick, names).items()} == wanted(folder)
    assert all(len(one["applies"]) == 1 for one in given(quick, names).values())
    with (folder / "report.csv").open(newline="") as stream:
        report = list(csv.DictReader(stream))
    assert [row["device"] for row in report] == names
    assert {row["outcome"] for row in report} == {"applied"}
    again = apply("--yes", "--output", "json")
    assert (again.code, again.json["counts"]["applied"]) == (0, 100)
    assert all(len(one["applies"]) == 1 for one in given(quick, names).values())


def test_a_dry_run_sends_nothing_and_says_what_it_would_cost(
    folder: Path, fleet: Callable[[int], list[str]], quick: Any
) -> None:
    names = fleet(5)
    with (folder / "devices.csv").open("a") as stream:
        stream.write("another,x,60,not an image\n")
    ended = apply("--dry-run", "--report", "report.json")
    assert ended.code == 1
    assert "another: refused:" in ended.stdout
    assert "6 rows: 0 applied, 0 unchanged, 1 refused, 0 failed, 5 not tried" in ended.stdout
    assert "a run would send 5 messages of 4 KB" in ended.stderr
    report = json.loads((folder / "report.json").read_text())
    assert report["counts"]["refused"] == 1 and len(report["devices"]) == 6
    assert given(quick, names) == {}
    assert not (folder / "devices.csv.journal").exists()


def test_bad_rows_and_unknown_devices_stop_no_other(
    folder: Path, fleet: Callable[[int], list[str]], quick: Any
) -> None:
    names = fleet(6)
    text = (folder / "devices.csv").read_text()
    text += f"ghost,x,60,{_IMAGE}\n,x,60,{_IMAGE}\n{names[1]},y,60,{_IMAGE}\nlate,x,,\nodd,x\n"
    (folder / "devices.csv").write_text(text)
    ended = apply("--yes")
    assert ended.code == 1, ended
    assert "ghost: failed: the hub returned 404 DeviceNotFound" in ended.stdout
    assert "(line 9): refused: line 9 names no device" in ended.stdout
    assert f"{names[1]}: refused: device '{names[1]}' has another row, in line 10" in ended.stdout
    assert "late: refused: t.json.j2" not in ended.stdout and "'image' is undefined" in ended.stdout
    assert "odd: refused: line 12 has 2 values, the header has 4 columns" in ended.stdout
    assert "11 rows: 5 applied, 0 unchanged, 5 refused, 1 failed, 0 not tried" in ended.stdout
    assert set(given(quick, names)) == {*names} - {names[1]}


def test_a_changed_file_is_another_run_and_spares_who_had_the_same(
    folder: Path, fleet: Callable[[int], list[str]], quick: Any
) -> None:
    names = fleet(8)
    assert apply("--yes").code == 0
    path = folder / "devices.csv"
    path.write_text(path.read_text().replace(f"{names[2]},hall 2", f"{names[2]},hall 99"))
    refused = complaint(apply("--yes"), 2)
    assert "this journal belongs to another run, with different rows" in refused
    ended = apply("--yes", "--journal", "second", "--since", "devices.csv.journal", "--output", "json")
    assert ended.code == 0, ended
    assert (ended.json["counts"]["applied"], ended.json["counts"]["unchanged"]) == (1, 7)
    assert [len(one["applies"]) for one in given(quick, names).values()] == [1, 1, 2, 1, 1, 1, 1, 1]
    assert {name: one["twins"] for name, one in given(quick, names).items()} == wanted(folder)


@pytest.mark.no_cover
def test_faults_and_kills_lose_no_device_and_send_none_another_manifest(
    folder: Path, fleet: Callable[[int], list[str]], quick: Any
) -> None:
    names = fleet(250)
    match = {"host": ".*azure-devices.net", "path": "/devices/|/twins/"}
    for seed, fault in enumerate(
        (
            {"kind": "reset", "probability": 0.01},
            {"kind": "reset_after", "probability": 0.01},
            {"kind": "status", "status": 500, "probability": 0.01},
            {"kind": "status", "status": 429, "probability": 0.05},
        )
    ):
        quick.admin("POST", "/faults", {**fault, "seed": seed, "times": "forever", "match": match})
    journal = folder / "devices.csv.journal"
    running = started("apply", "t.json.j2", "--devices", "devices.csv", "--rate", "300", "--yes", cwd=folder)
    eventually(lambda: journal.exists() and journal.read_bytes().count(b"applied") > 60, "sixty devices")
    running.kill()
    assert 60 < journal.read_bytes().count(b"applied") < 250
    ended = apply("--yes", "--output", "json", "--report", "report.json")
    assert ended.code == 0, ended
    assert ended.json["counts"] == {"applied": 250, "unchanged": 0, "refused": 0, "failed": 0, "not_tried": 0}
    found = given(quick, names)
    assert {name: one["twins"] for name, one in found.items()} == wanted(folder)
    assert all(len(set(one["applies"])) == 1 for one in found.values())
    # Only where an answer was lost and the hub's own read of it was, too, may the same be sent again.
    assert sum(len(one["applies"]) > 1 for one in found.values()) <= 3


def test_ctrl_c_says_what_was_done(folder: Path, fleet: Callable[[int], list[str]], quick: Any) -> None:
    names = fleet(200)
    running = started("apply", "t.json.j2", "--devices", "devices.csv", "--rate", "40", "--yes", cwd=folder)
    eventually(lambda: len(given(quick, names)) > 5, "some devices")
    ended = running.interrupt()
    assert ended.code == 130, ended
    assert "interrupted; " in ended.stderr and " not tried" in ended.stderr
    applied = int(ended.stderr.partition("interrupted; ")[2].partition(" applied")[0])
    assert applied == len(given(quick, names)) < 200
    assert "run the same command again to resume" in ended.stderr


def test_a_hub_that_is_gone_ends_the_run_with_what_was_done(
    folder: Path, fleet: Callable[[int], list[str]], quick: Any
) -> None:
    fleet(20)
    match = {"host": ".*azure-devices.net", "path": "/applyConfigurationContent$"}
    quick.fault("status", status=429, times="forever", after=5, match=match)
    ended = apply("--yes", "--give-up-after", "0.5", "--report", "report.json", "--output", "json")
    said = complaint(ended, 3)
    assert ended.json.keys() == {"schema", "error"}
    assert "the hub accepted nothing for" in said and "until then 5 applied, 15 not tried" in said
    assert "run the same command again later to resume" in said
    report = json.loads((folder / "report.json").read_text())
    assert report["counts"] == {"applied": 5, "unchanged": 0, "refused": 0, "failed": 0, "not_tried": 15}


def test_a_project_brings_its_values_and_credentials_and_no_secret_is_shown(
    folder: Path, fleet: Callable[[int], list[str]], quick: Any
) -> None:
    from manifestgen.sandbox.accounts import admin_passwords

    names = fleet(3)
    host = quick.world.names.login_server
    quick.admin("PUT", f"/images/{host}/scorer:1", {})
    (folder / "manifestgen.yaml").write_text(
        f'version: 1\nimage: {{builder: none, reference: "{host}/scorer:1"}}\n'
        "manifest: {template: t.json.j2, values: {ttl: 77, env: {A: b}}}\nhub: {host: sandbox-hub.azure-devices.net}\n"
    )
    (folder / "devices.csv").write_text("device_id,site,env.SITE\n" + "".join(f"{n},x,hall {n}\n" for n in names))
    os.environ.pop("IOTHUB_CONNECTION_STRING")
    ended = in_this_process("apply", ".", "--devices", "devices.csv", "--yes", "--report", "report.json", "-vv")
    assert ended.code == 0, ended
    desired = OtherClient(quick.environment["IOTHUB_CONNECTION_STRING"]).desired(names[1])
    (entry,) = desired["runtime"]["settings"]["registryCredentials"].values()
    passwords = [one["value"] for one in admin_passwords(quick.world, quick.world.names.registry)]
    assert (entry["address"], entry["password"] in passwords) == (host, True)
    assert desired["modules"]["scorer"]["env"] == {
        "A": {"value": "b"},
        "SITE": {"value": f"hall {names[1]}"},
    }
    written = [path.read_text() for path in folder.iterdir() if path.name != "t.json.j2"]
    for text in (ended.output, *written):
        assert not any(password in text for password in passwords)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "not a terminal, so the change cannot be confirmed"),
        (["--yes", "--device", "edge-01"], "--devices and --device cannot be used together"),
        (["--yes", "--merge"], "--devices and --merge cannot be used together"),
        (["--yes", "--rollback-on-failure"], "--devices and --rollback-on-failure cannot be used together"),
        (["--yes", "--report", "report.txt"], "the name of a report ends in .json, .csv or .html"),
        (["--yes", "--report", "missing/report.csv"], "could not write the report: its folder does not exist"),
        (["--yes", "--journal", "missing/journal"], "the journal's folder does not exist"),
        (["--yes", "--since", "missing"], "the journal cannot be read"),
        (["--yes", "--since", "t.json.j2"], "line 1 is not a journal entry"),
        (["--yes", "--rate", "0"], "invalid value for '--rate'"),
        (["--yes", "--rate", "inf"], "invalid value for '--rate': inf is not in the range x>0"),
        (["--yes", "--rate", "nan"], "invalid value for '--rate': nan is not in the range x>0"),
    ],
)
def test_wrong_options_are_two_lines(
    folder: Path, fleet: Callable[[int], list[str]], arguments: list[str], what: str
) -> None:
    fleet(2)
    assert what in complaint(apply(*arguments), 2)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["d.json", "--devices", "devices.csv"], "this is a manifest, the same for every device"),
        (["nothing", "--devices", "devices.csv"], "template 'nothing' not found"),
        (["t.json.j2", "--devices", "nothing.csv"], "rows not found"),
        (["t.json.j2", "--device", "a", "--dry-run"], "--dry-run needs --devices"),
        (["d.json", "--device", "a", "--rate", "40"], "--rate needs --devices"),
        (["d.json", "--deployment", "a", "--give-up-after", "60"], "--give-up-after needs --devices"),
        (["d.json", "--device", "a", "--ignore-column", "x"], "--ignore-column needs --devices"),
    ],
)
def test_wrong_files_are_two_lines(
    folder: Path, fleet: Callable[[int], list[str]], arguments: list[str], what: str
) -> None:
    fleet(2)
    assert what in complaint(in_this_process("apply", *arguments, "--yes"), 2)


def test_the_documented_commands_and_rows_work(folder: Path, quick: Any) -> None:
    text = (Path(__file__).parents[2] / "docs/rows.md").read_text()
    blocks = re.findall(r"```(sh|csv)\n(.*?)```", text, re.DOTALL)
    (rows,) = [block for kind, block in blocks if kind == "csv"]
    quick.admin("POST", "/devices", {"id": "truck-{number}", "count": 2})
    (folder / "devices.csv").write_text(rows)
    (folder / "deployment.json.j2").write_text(_TEMPLATE)
    (folder / "manifestgen.yaml").write_text(
        f'version: 1\nimage: {{builder: none, reference: "{_IMAGE}"}}\nmanifest: {{values: {{ttl: 60}}}}\n'
    )
    commands = [line for kind, block in blocks if kind == "sh" for line in block.splitlines()]
    for command in commands:
        name, *arguments = command.split()
        ended = in_this_process(*arguments)
        assert (name, ended.code) == ("manifestgen", 0), ended
    assert (folder / "report.csv").read_text().count("applied") == 2
