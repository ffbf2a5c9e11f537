from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from manifestgen.cli import run
from manifestgen.rules import RULES

CASES = Path(__file__).parent.parent.parent / "rules"
GOOD = CASES / "route-syntax/pass/plain.json"
BAD = CASES / "route-syntax/fail/sink.json"
RISKY = CASES / "floating-tag/fail/latest.json"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_good_manifest_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(GOOD)]) == 0
    assert capsys.readouterr().out == "no findings in 1 file\n"


def test_error_is_shown_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(BAD)]) == 1
    out = capsys.readouterr().out
    assert "[route-syntax]" in out
    assert "^" in out
    assert out.endswith("1 error, 0 warnings and 0 infos in 1 file\n")


@pytest.mark.parametrize(("threshold", "code"), [("error", 0), ("warning", 1), ("info", 1), ("never", 0)])
def test_threshold_decides_the_exit_code(threshold: str, code: int) -> None:
    assert run(["check", str(RISKY), "--fail-on", threshold]) == code


def test_never_fails_on_nothing() -> None:
    assert run(["check", str(BAD), "--fail-on", "never"]) == 0


def test_rules_are_selected_and_ignored() -> None:
    assert run(["check", str(BAD), "--ignore", "route-syntax"]) == 0
    assert run(["check", str(BAD), "--select", "floating-tag"]) == 0
    assert run(["check", str(BAD), "--select", "route-syntax"]) == 1


def test_unknown_rule_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(BAD), "--ignore", "route-sintax"]) == 2
    assert "route-syntax" in capsys.readouterr().err


def test_missing_file_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "nowhere.json"]) == 2
    assert capsys.readouterr().err.startswith("error: nowhere.json: no such file\n")


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(BAD), str(GOOD), "--output", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert [len(file["findings"]) for file in data["files"]] == [1, 0]
    assert data["summary"] == {"errors": 1, "warnings": 0, "infos": 0}


def test_sarif_and_github_are_forms_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(BAD), "--output", "sarif"]) == 1
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"
    assert run(["check", str(BAD), "--output", "github"]) == 1
    assert capsys.readouterr().out.startswith("::error file=")


def test_folder_is_searched_and_other_json_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {
        "a/deployment.json": GOOD.read_text("utf-8"),
        "a/package.json": '{"name": "x"}',
        "b/broken.json": "{",
        ".git/config.json": "{",
        "b/notes.txt": "{",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")

    assert run(["check", "."]) == 1
    out = capsys.readouterr().out
    assert "not-json" in out
    assert out.endswith("1 error, 0 warnings and 0 infos in 2 files, 1 other JSON file skipped\n")


def test_json_that_is_no_manifest_is_a_finding_when_named(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x"}', "utf-8")

    assert run(["check", "package.json"]) == 1
    assert run(["check", "."]) == 0


def test_ignores_of_the_project_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "manifestgen.yaml"
    project.write_text(
        "version: 1\nimage: {builder: none, reference: acme.azurecr.io/a:1}\n"
        "manifest: {template: single-module}\ncheck: {ignore: {floating-tag: lab devices}}\n",
        "utf-8",
    )

    assert run(["check", str(RISKY), "--fail-on", "warning"]) == 0
    project.write_text(project.read_text("utf-8").replace("floating-tag", "floating-tags"), "utf-8")
    assert run(["check", str(RISKY)]) == 2
    assert "'floating-tag'" in capsys.readouterr().err


def test_support_dates_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    old = str(CASES / "support-ended/fail/soon.json")

    assert run(["check", old, "--fail-on", "warning"]) == 1
    assert run(["check", old, "--fail-on", "warning", "--as-of", "2026-01-01"]) == 0
    assert run(["check", old, "--as-of", "tomorrow"]) == 2


def command(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "manifestgen", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )


def test_stdin_is_read() -> None:
    done = command("check", "-", stdin=BAD.read_bytes())

    assert done.returncode == 1
    assert done.stdout.startswith(b"-:")


def test_thousand_files_show_no_progress_in_a_pipe(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"{number}.json").write_bytes(GOOD.read_bytes())

    done = command("check", str(tmp_path))

    assert (done.returncode, done.stdout, done.stderr) == (0, b"no findings in 1000 files\n", b"")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_thousand_files_show_progress_on_a_terminal_and_clear_it(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"{number}.json").write_bytes(GOOD.read_bytes())
    terminal, its_end = os.openpty()
    shown = b""
    arguments = [sys.executable, "-m", "manifestgen", "check", str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=its_end) as running:
        os.close(its_end)
        with contextlib.suppress(OSError):  # the last end of the terminal is closed
            while part := os.read(terminal, 4096):
                shown += part
        os.close(terminal)
        result, _ = running.communicate(timeout=60)

    assert (running.returncode, result) == (0, b"no findings in 1000 files\n")
    steps = [int(number) for number in re.findall(rb"\rchecked (\d+) of 1000 files", shown)]
    assert steps == sorted(steps)
    assert len(steps) > 5
    assert steps[-1] == 1000
    assert shown.endswith(b"\r\x1b[K")


def test_lone_surrogates_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(GOOD.read_bytes().replace(b'"scorer"', b'"\\ud800"'))

    for form in ("text", "json", "sarif", "github"):
        done = command("check", str(tmp_path / "x.json"), "--output", form)
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr


def test_no_password_is_shown(tmp_path: Path) -> None:
    text = BAD.read_text("utf-8")
    (tmp_path / "x.json").write_text(json.dumps(json.loads(text)), "utf-8")
    (tmp_path / "y.json").write_text(json.dumps(json.loads(text))[:-1], "utf-8")
    assert "example-password" in text

    for form in ("text", "json", "sarif", "github"):
        done = command("check", str(tmp_path / "x.json"), str(tmp_path / "y.json"), "--output", form, "-v")
        assert b"example-password" not in done.stdout + done.stderr


def test_explain_prints_a_rule_and_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "route-syntax"]) == 0
    assert "A route has a syntax error." in capsys.readouterr().out
    assert run(["explain"]) == 0
    assert capsys.readouterr().out.count("\n") == len(RULES)
    assert run(["explain", "--output", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rules"]) == len(RULES)
    assert run(["explain", "nothing"]) == 2


def test_checking_needs_neither_an_sdk_nor_jinja() -> None:
    code = (
        "import sys; from manifestgen.cli import run; code = run(['check', sys.argv[1]]); "
        "print([name for name in ('azure', 'requests', 'jinja2', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(GOOD)], capture_output=True, text=True, check=True)

    assert done.stdout.endswith("[]\n")


def with_a_reserved_name() -> Path:
    """Has the project that is here render a module that is called as one of the runtime's."""
    assert run(["render", "-o", "own.json.j2", "--image", "ghcr.io/acme/scorer:1"]) == 0
    template, project = Path("own.json.j2"), Path("manifestgen.yaml")
    modules = json.loads(template.read_text())["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
    (name,) = set(modules) - {"SimulatedTemperatureSensor", "tempSensor"}
    text = template.read_text().replace(f'"{name}"', '"edgeHub"').replace(f"/modules/{name}/", "/modules/edgeHub/")
    template.write_text(text)
    project.write_text(re.sub("template: .*", "template: own.json.j2", project.read_text()))
    return project


@pytest.mark.parametrize("named", [".", "manifestgen.yaml"])
def test_of_a_project_what_it_would_render_is_checked(named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init"]) == 0
    assert run(["check", named, "-v"]) == 0
    assert "no findings in 1 file" in capsys.readouterr().out
    project = with_a_reserved_name()
    capsys.readouterr()
    assert run(["check", named]) == 1
    out = capsys.readouterr().out
    assert out.startswith("manifestgen.yaml:1:1: error: rendered, /modulesContent/$edgeAgent/")
    assert "[reserved-name]" in out
    assert run(["check", named, "--ignore", "reserved-name"]) == 0
    project.write_text(project.read_text() + "check: {ignore: {reserved-name: a test}}\n")
    assert run(["check", named]) == 0


def test_a_project_is_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init"]) == 0
    with_a_reserved_name()
    capsys.readouterr()
    assert run(["check", ".", "--output", "json"]) == 1
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert file["path"] == "manifestgen.yaml" and file["findings"][0]["pointer"].startswith("/modulesContent/")
    assert run(["check", ".", "--output", "sarif"]) == 1
    assert '"startLine": 1' in capsys.readouterr().out
    assert run(["check", ".", "--output", "github"]) == 1
    assert capsys.readouterr().out.startswith("::error file=manifestgen.yaml,line=1,")


def test_a_project_that_is_not_there_or_wrong_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "nowhere.yaml"]) == 2
    assert "nowhere.yaml: project file not found" in capsys.readouterr().err
    Path("manifestgen.yaml").write_text("version: 1\nbilder: x\n")
    assert run(["check", "."]) == 2
    assert "manifestgen.yaml:2:1: unknown key 'bilder'" in capsys.readouterr().err


def test_each_file_is_checked_with_its_own_project(capsys: pytest.CaptureFixture[str]) -> None:
    ignoring = "version: 1\nimage: {builder: none, reference: mcr.microsoft.com/s:1}\ncheck: {ignore: {ID: why}}\n"
    for folder, rule in (("one", "floating-tag"), ("two", "route-syntax")):
        Path(folder).mkdir()
        Path(folder, "manifestgen.yaml").write_text(ignoring.replace("ID", rule))
        Path(folder, "risky.json").write_bytes(RISKY.read_bytes())
        Path(folder, "bad.json").write_bytes(BAD.read_bytes())
    Path("manifestgen.yaml").write_text(
        "version: 1\nimage: {builder: none, reference: s}\ncheck: {ignore: {env-key: why}}\n"
    )

    def found(*arguments: str) -> set[tuple[str, str]]:
        run(["check", *arguments, "--output", "json", "--select", "floating-tag", "--select", "route-syntax"])
        files = json.loads(capsys.readouterr().out)["files"]
        return {(file["path"].replace(os.sep, "/"), one["rule"]) for file in files for one in file["findings"]}

    assert found("one", "two") == {("one/bad.json", "route-syntax"), ("two/risky.json", "floating-tag")}
    assert found("one", "two", "--project", "two") == {("two/risky.json", "floating-tag")}
    assert found("one/bad.json", "one") == {("one/bad.json", "route-syntax")}
    assert found("one/risky.json") == {("one/risky.json", "floating-tag")}
