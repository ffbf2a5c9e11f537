"""A picture as SVG, HTML and mermaid: what they look like, that they are well formed, and that nothing gets through."""

from __future__ import annotations

import copy
import html.parser
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.pictures import CANARIES, FAULTY, MARKUP, manifest, module, of_size, subject, value
from hypothesis import given, settings
from hypothesis import strategies as st

from manifestgen.manifest.document import read
from manifestgen.secret import Secret
from manifestgen.view.mermaid import mermaid
from manifestgen.view.model import View
from manifestgen.view.page import html_page
from manifestgen.view.read import view_of, view_of_change
from manifestgen.view.subject import Subject
from manifestgen.view.svg import svg

GOLDEN = Path(__file__).parents[2] / "golden"
SAMPLES = ("sample-anomaly-detection", "sample-bring-your-own-image", "layered", "faulty")
FORMS: dict[str, Callable[[View], str]] = {"svg": svg, "mermaid": mermaid, "html": html_page}


def view(name: str) -> View:
    if name == "faulty":
        return view_of(subject(FAULTY, "faulty.json"))
    return view_of(subject(json.loads((GOLDEN / "render" / f"{name}.json").read_text()), f"{name}.json"))


@pytest.fixture(scope="module")
def change() -> View:
    after = copy.deepcopy(FAULTY)
    agent, hub = (after["modulesContent"][name]["properties.desired"] for name in ("$edgeAgent", "$edgeHub"))
    del agent["modules"]["logger"], hub["routes"]["loop"]
    agent["modules"]["sensor"]["env"]["INTERVAL"]["value"] = "6"
    return view_of_change(subject(FAULTY, "old.json"), subject(after, "new.json"))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_picture_is_drawn_as_it_was(name: str, golden: Callable[[Path, str], None]) -> None:
    drawn = view(name)
    golden(GOLDEN / "view" / f"{name}.svg", svg(drawn, alone=False).replace("><", ">\n<") + "\n")
    golden(GOLDEN / "view" / f"{name}.mmd", mermaid(drawn))


def test_a_change_is_drawn_as_it_was(change: View, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / "view" / "change.mmd", mermaid(change))


class Structure(html.parser.HTMLParser):
    """Reads a page: which elements it has, that they are closed, its links, what it could load."""

    VOID = frozenset({"meta", "br"})
    LOADING = frozenset({"src", "srcset", "action", "formaction", "data", "poster", "background", "ping", "xlink:href"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        if tag not in self.VOID:
            self._open.append(tag)
        for name, text in attrs:
            assert not name.startswith("on"), name
            self.ids += [text or ""] if name == "id" else []
            self.links += [text or ""] if name == "href" else []
            self.loads += [text or ""] if name in self.LOADING else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_is_well_formed_and_every_link_has_its_target(name: str) -> None:
    found = Structure(html_page(view(name)))
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert all(link.startswith("#") for link in found.links)


def test_a_page_loads_nothing_and_forbids_it_too(change: View) -> None:
    for page in (html_page(view("faulty")), html_page(change)):
        found = Structure(page)
        assert found.loads == []
        assert found.elements.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "image", "use"})
        assert """content="default-src 'none'; style-src 'unsafe-inline'">""" in page
        assert "url(" not in page
        assert "@import" not in page


def test_names_with_markup_are_text(change: View) -> None:
    page = html_page(view("faulty"))
    assert MARKUP not in page
    assert MARKUP in "".join(Structure(page).words)
    assert "<img" not in page
    drawn = ElementTree.fromstring(svg(view("faulty")))  # noqa: S314 - our own
    assert MARKUP in {element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    for text in (mermaid(view("faulty")), mermaid(change)):
        assert "<script" not in text
        assert set(re.findall(r"<[^>]*>", text)) == {"<br>"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("show_env", [False, True])
def test_no_form_has_a_secret(form: str, show_env: bool) -> None:
    text = FORMS[form](view_of(subject(FAULTY), show_env=show_env))
    assert [canary for canary in CANARIES if canary in text] == []
    text = FORMS[form](view_of_change(subject(FAULTY, "a"), subject(of_size(2, 2), "b"), show_env=show_env))
    assert [canary for canary in CANARIES if canary in text] == []


def test_a_known_secret_hides_texts_and_leaves_the_page_whole() -> None:
    for word in ("main", "stroke", "class", "canary-known"):
        Secret(word)
    data = manifest({"a": module("x.example/a:1", env={"canary-known": {"value": "x"}})}, {})
    page = html_page(view_of(subject(data)))
    assert "canary-known" not in page
    assert "main" in Structure(page).elements


@pytest.mark.parametrize("name", SAMPLES)
def test_the_picture_says_in_words_what_it_shows(name: str) -> None:
    drawn = view(name)
    root = ElementTree.fromstring(svg(drawn))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    titles = [element.text or "" for element in root.iter(f"{space}title")]
    for route in drawn.routes:
        assert any(title.startswith(f"route {route.name}: from {route.origin} to {route.sink}") for title in titles)
    for node in drawn.nodes:
        assert any(node.title in title for title in titles)
    assert root.get("aria-labelledby") == "picture-title picture-desc"
    desc = root.find(f"{space}desc")
    assert desc is not None
    assert (desc.text or "").startswith(f"{len(drawn.routes)} route")


def test_bad_and_changed_things_differ_in_more_than_color(change: View) -> None:
    text = svg(view("faulty"))
    assert "✗ no message ever comes from" in text
    assert "stroke-dasharray" in text
    assert "- logger" in svg(change)
    assert "~ sensor" in svg(change)


def test_fifty_modules_with_a_hundred_routes_are_a_small_page() -> None:
    page = html_page(view_of(subject(of_size(50, 100))))
    assert len(page.encode()) < 300_000


def test_five_hundred_routes_are_drawn() -> None:
    found = view_of(subject(of_size(50, 500)))
    assert svg(found).count('<g role="img" class="label') == 500
    text = mermaid(found)
    assert len(text) < 50_000
    assert len(re.findall(r"-->|-\.->", text)) <= 490
    assert "more routes" in text


def test_what_mermaid_would_not_draw_is_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifestgen.view.mermaid._MOST_CHARACTERS", 5000)
    text = mermaid(view_of(subject(of_size(10, 200))))
    assert len(text) < 5000
    assert re.search(r"… and \d+ more routes", text)
    # Conditions go first.
    monkeypatch.undo()
    whole = mermaid(view_of(subject(of_size(10, 200))))
    assert "$body" in whole
    monkeypatch.setattr("manifestgen.view.mermaid._MOST_CHARACTERS", len(whole) - 100)
    text = mermaid(view_of(subject(of_size(10, 200))))
    assert "more routes" not in text
    assert "$body" not in text


@pytest.mark.parametrize("data", [{}, {"$edgeAgent": 5, "$edgeHub": []}, {"$edgeAgent": {"properties.desired": {}}}])
def test_a_manifest_with_nothing_in_it_is_a_page_with_findings(data: Any) -> None:
    found = view_of(subject({"modulesContent": data}))
    for form in FORMS.values():
        assert form(found)
    if data:
        assert found.notes


RULES = Path(__file__).parents[2] / "rules"


def test_cases_of_all_rules_can_be_drawn() -> None:
    drawn, before = 0, None
    for path in sorted(RULES.glob("*/*/*.json"))[::3]:
        found = Subject(path.name, read(path.read_bytes(), path.name))
        if found.document.manifest is None:
            continue
        svg(view_of(found))
        mermaid(view_of(found))
        Structure(html_page(view_of_change(before, found) if before is not None else view_of(found)))
        drawn, before = drawn + 1, found
    assert drawn > 100


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(min_size=1, max_size=12), st.text(max_size=12), max_size=3), st.text(max_size=30))
def test_whatever_a_name_is_it_stays_inside_its_place(names: dict[str, str], text: str) -> None:
    modules = {name: module(image, env={image: {"value": text}}) for name, image in names.items()}
    routes = {name: f"FROM /messages/modules/{name}/* WHERE a = '{text}' INTO $upstream" for name in names}
    found = view_of(value(manifest(modules, {**routes, text: f"FROM /messages/* INTO {text}"})), show_env=True)
    assert Structure(html_page(found)).elements.isdisjoint({"script", "img"})
    ElementTree.fromstring(svg(found))  # noqa: S314 - our own
    for line in mermaid(found).splitlines():
        # A label is one text in quotes, without anything that could end it.
        assert line.count('"') in (0, 2), line
        assert all(char.isprintable() for char in line), line
