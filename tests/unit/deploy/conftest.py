"""No model is run by the tests of deploy: what runs it has tests of its own."""

from __future__ import annotations

import pytest

from manifestgen.deploy import steps


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the projects whose models would have been run."""
    names: list[str] = []

    def try_before_build(project: object, services: object, report: object) -> str:
        names.append(str(getattr(project, "path", "")))
        return "answer {}"

    monkeypatch.setattr(steps, "try_before_build", try_before_build)
    return names
