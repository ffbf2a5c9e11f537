"""The site has every page once, and every link of a page leads somewhere, on the forge as on the site."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
AT_THE_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
PAGES = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in (*AT_THE_ROOT, "CHANGELOG.md"))]


class _Loader(yaml.SafeLoader):
    """Takes a value from the environment, as the site's generator does, for nothing."""


_Loader.add_constructor("!ENV", lambda loader, node: None)


def _listed(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    values = nav.values() if isinstance(nav, dict) else nav
    return [page for value in values for page in _listed(value)]


NAV = _listed(yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Loader)["nav"])  # noqa: S506 - a SafeLoader


def _stage(folder: Path, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / ".ci" / "site"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_the_navigation_has_every_page_once() -> None:
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.glob("*.md")]
    assert [page for page, times in Counter(NAV).items() if times > 1] == []
    # A decision is reached from their list.
    assert set(NAV) == {*pages, "decisions/README.md", *AT_THE_ROOT.values(), "changes.md", "license.md"}


def test_each_page_has_a_title_of_its_own() -> None:
    titles = [path.read_text(encoding="utf-8").partition("\n")[0] for path in PAGES]
    assert [title for title in titles if not title.startswith("# ")] == []
    assert [title for title, times in Counter(titles).items() if times > 1] == []


def _prose(path: Path) -> str:
    """A page without its code."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```|`[^`\n]+`", "CODE", text, flags=re.MULTILINE | re.DOTALL)


def _anchors(path: Path) -> set[str]:
    """The headings of a page that have the same address on the site as on the forge, which keeps doubled hyphens."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = unicodedata.normalize("NFKD", re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", heading))
        forge = re.sub(r"[^\w\s-]", "", plain).strip().lower().replace(" ", "-")
        if "--" not in forge:
            found.add(forge)
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for address in re.findall(r"\]\(([^)\s]+)\)", _prose(path)):
        if "://" in address:
            continue
        name, _, anchor = address.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), address
        if anchor:
            assert anchor in _anchors(target), address


def test_the_pages_are_put_together_with_their_links(tmp_path: Path) -> None:
    done = _stage(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "site" / "index.md").read_text(encoding="utf-8")
    assert "](from-model-to-device.svg)" in first and "](docs/" not in first
    assert "](contributing.md)" in first
    assert "](security.md)" in (tmp_path / "site" / "deploy.md").read_text(encoding="utf-8")
    assert "](../cli.md)" in (tmp_path / "site" / "decisions" / "public-names.md").read_text(encoding="utf-8")
    for name in ("acr.md", "from-model-to-device.svg", "schemas/check.json"):
        assert (tmp_path / "site" / name).read_bytes() == (DOCS / name).read_bytes()


def test_a_link_to_what_is_not_a_page_of_the_site_is_said(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "site").write_bytes((ROOT / ".ci" / "site").read_bytes())
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "one.md").write_text("# One\n\n`[code](x.md)` and [a file](../Makefile)\n")
    (tmp_path / "Makefile").write_text("")
    done = _stage(tmp_path / "site", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: docs/one.md: the link '../Makefile' does not lead to a page of the site\n  fix: "
    )
