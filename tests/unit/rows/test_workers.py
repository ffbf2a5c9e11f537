"""Rows that several processes render come out as this process alone renders them, in their order."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator, Mapping
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
from fakes.credential_inputs import private_hosts

from manifestgen.credentials.source import Login
from manifestgen.errors import CloudError, InputError
from manifestgen.manifest.manifest import Manifest
from manifestgen.render import load_template
from manifestgen.rows.render import Ready, Refused, Renderer
from manifestgen.rows.rows import Row
from manifestgen.rows.source import source_of
from manifestgen.rows.workers import Workers, processes_for
from manifestgen.secret import Secret, redact

BASE: dict[str, Any] = {"ttl": 60, "runtime": "1.6", "module": "scorer", "image": "mcr.microsoft.com/acme/scorer:1"}
SOURCE = source_of(Path("single-module"))


def row(number: int, **values: Any) -> Row:
    return Row(number, number, f"edge-{number}", tuple((name,) for name in values), tuple(values.values()))


def no_logins(manifest: Manifest) -> Mapping[str, Login]:
    return {}


def made(logins: Any = no_logins, **more: Any) -> Renderer:
    return Renderer(load_template("single-module"), BASE, logins, **more)


def rows(count: int) -> Iterator[Row]:
    """Every seventh cannot be used, every fifth has an image with an error."""
    for number in range(1, count + 1):
        if number % 7 == 0:
            yield Row(number, number, "", problem="line names no device", fix="write it")
        else:
            yield row(number, image="Not/An Image" if number % 5 == 0 else f"mcr.microsoft.com/acme/scorer:{number}")


def children() -> set[int]:
    return {child.pid for child in active_children() if child.pid is not None}


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 20
    while children() & pids:
        assert time.monotonic() < deadline, "a worker goes on without its pipe"
        time.sleep(0.02)


def test_the_results_are_those_of_one_process_in_the_same_order() -> None:
    expected = list(made().render_all(rows(150)))
    before = children()
    with Workers(made(), SOURCE, 2) as several:
        found = list(several.render_all(rows(150)))
        started = children() - before
    assert found == expected
    assert {type(result) for _, result in found} == {Ready, Refused}
    assert len(started) == 2
    wait_until_gone(started)


def test_logins_are_asked_for_here_and_each_only_once() -> None:
    asked: list[tuple[str, ...]] = []

    def logins(manifest: Manifest) -> Mapping[str, Login]:
        hosts = private_hosts(manifest)
        asked.append(hosts)
        return {host: Login("robot", Secret(f"password-of-{host}")) for host in hosts}

    hosts = ["a.azurecr.io", "b.azurecr.io", "mcr.microsoft.com"]
    many = [row(number, image=f"{hosts[number % 3]}/acme/scorer:{number}") for number in range(1, 120)]
    with Workers(made(logins), SOURCE, 2) as several:
        found = list(several.render_all(many))
    assert sorted(asked) == [(), ("a.azurecr.io",), ("b.azurecr.io",)]
    assert found == list(made(logins).render_all(many))
    for one, result in found:
        host = hosts[one.number % 3]
        assert isinstance(result, Ready)
        assert (f"password-of-{host}".encode() in result.body) is host.endswith("azurecr.io")
    assert redact("password-of-a.azurecr.io") == "***"


def test_a_cloud_that_does_not_hand_out_credentials_ends_it() -> None:
    def logins(manifest: Manifest) -> Mapping[str, Login]:
        if private_hosts(manifest):
            raise CloudError("no answer", fix="try again")
        return {}

    images = ["mcr.microsoft.com/acme/scorer:1"] * 20 + ["a.azurecr.io/scorer:1"]
    several = Workers(made(logins), SOURCE, 1)
    with several, pytest.raises(CloudError, match="no answer"):
        list(several.render_all(row(number, image=image) for number, image in enumerate(images, start=1)))


def test_the_first_findings_are_reported_here_and_once() -> None:
    told: list[Any] = []
    renderer = made(report=lambda document, findings: told.append(document.name))
    with Workers(renderer, SOURCE, 1) as several:
        list(several.render_all([row(number) for number in range(1, 40)]))
    assert told == ["device 'edge-1'"]


def test_a_worker_that_is_killed_leaves_no_row_out() -> None:
    before = children()
    with Workers(made(), SOURCE, 2) as several:
        found = several.render_all(rows(300))
        first = [next(found) for _ in range(20)]
        victim = (children() - before).pop()
        os.kill(victim, signal.SIGKILL)
        assert first + list(found) == list(made().render_all(rows(300)))


def test_ctrl_c_is_for_the_process_that_the_user_started() -> None:
    before = children()
    with Workers(made(), SOURCE, 1) as several:
        found = several.render_all(rows(100))
        first = [next(found) for _ in range(20)]
        for pid in children() - before:
            os.kill(pid, signal.SIGINT)
        assert first + list(found) == list(made().render_all(rows(100)))
        assert len(children() - before) == 1


@pytest.mark.parametrize("text", [None, '{% extends "single-module.json.j2" %} '])
def test_a_template_that_is_edited_or_deleted_meanwhile_is_noticed(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "t.json.j2"
    path.write_text('{% extends "single-module.json.j2" %}')
    source = source_of(path)
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    several = Workers(Renderer(source.template, BASE, no_logins), source, 1)
    with several, pytest.raises(InputError, match=r"the template was changed|not found|no template"):
        list(several.render_all([row(1), row(2)]))


def test_batches_that_fill_a_pipe_go_through() -> None:
    many = [row(number, env={f"V{index}": "x" * 400 for index in range(60)}) for number in range(1, 60)]
    with Workers(made(), SOURCE, 2) as several:
        assert [type(result) for _, result in several.render_all(many)] == [Ready] * 59


@pytest.mark.parametrize(
    ("rate", "count", "cores", "processes"),
    [
        (40, 100_000, 8, 0),
        (100, 100_000, 8, 0),
        (250, 100_000, 8, 3),
        (250, 100_000, 2, 2),
        (250, 100_000, 1, 0),
        (250, 500, 8, 0),
        (math.inf, 100_000, 4, 4),
        (math.inf, 500, 4, 0),
    ],
)
def test_processes_are_started_only_where_one_is_too_slow(
    rate: float, count: int, cores: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert processes_for(rate, count) == processes
