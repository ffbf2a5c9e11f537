"""docs/runner.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from runner.broker import Mosquitto
from runner.conftest import Run

from manifestgen.runner import errors, methods, settings
from manifestgen.runner.metrics import Metrics
from manifestgen.runner.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "runner.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    found = [line.strip()[1:-1].split("|") for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in row] for row in found[1:]]


def shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default or "") if default != 0 else "0"


def test_every_setting_is_there_with_its_default() -> None:
    documented: dict[str, tuple[str, str]] = {}
    for names, desired, default, _ in rows("Settings"):
        for name in re.findall(r"RUNNER_[A-Z_]+", names):
            documented[name] = (desired, default)
    assert set(documented) == {settings.variable(name) for name in settings.SETTINGS}
    defaults = Settings()
    for name, setting in settings.SETTINGS.items():
        desired, default = documented[settings.variable(name)]
        assert desired == (settings.property_name(name) if setting.live else "")
        if name in ("inputs", "delivery", "port", "log_level"):
            continue  # said in words, below
        assert default == shown(getattr(defaults, name)), name
    assert documented["RUNNER_INPUTS"][1] == next(iter(defaults.inputs))
    assert documented["RUNNER_DELIVERY"][1] == settings.AT_LEAST_ONCE
    assert defaults.at_least_once


def test_methods_metrics_and_exit_codes_are_those_of_the_code() -> None:
    assert sorted(row[0] for row in rows("Direct methods")) == list(methods.METHODS)
    named = set(re.findall(r"runner_[a-z_]+", section("Metrics")))
    assert named == set(re.findall(r"# TYPE (\S+)", Metrics().text({})))
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {int(row[0]) for row in rows("Exit codes")} == codes


def test_the_score_py_of_the_page_runs(edge_hub: Mosquitto, run: Run) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", section("Write score.py"), re.DOTALL)
    edge_hub.desire({"threshold": 0.7})
    run(edge_hub.environment(), example)
    edge_hub.send(b'{"score": 0.6}')
    edge_hub.send(b'{"score": 0.8}')
    assert edge_hub.result().json == {"alarm": True, "score": 0.8}
