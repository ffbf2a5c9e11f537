from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from manifestgen.rules import Rule

HERE = Path(__file__).parent
_SPEC = importlib.util.spec_from_file_location("rules_page", HERE / "rules_page.py")
assert _SPEC is not None
assert _SPEC.loader is not None
rules_page = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(rules_page)


def test_page_is_what_its_generator_writes(golden: Callable[[Path, str], None]) -> None:
    golden(rules_page.PAGE, rules_page.page())


@pytest.mark.parametrize("rule", rules_page.RULES[::12], ids=lambda rule: rule.id)
def test_example_is_what_the_command_prints(rule: Rule) -> None:
    path = rules_page.examples(rule)[0]
    name = path.relative_to(HERE.parent.parent).as_posix()

    done = subprocess.run(
        [sys.executable, "-m", "manifestgen", "check", name, "--select", rule.id],
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={"PYTHONUTF8": "1", "PATH": ""},
    )

    assert done.stdout.startswith(rules_page.output(path, rule))
    assert done.returncode == (1 if rule.severity.value == "error" else 0)
