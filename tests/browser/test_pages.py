"""Pages in a real browser: what is seen, by whom, and that nothing leaves them.

`MANIFESTGEN_SCREENSHOTS=FOLDER` keeps pictures of them, to look at.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from browser.chromium import Chromium, Page
from fakes.pictures import CANARIES, FAULTY, MARKUP, manifest, module, of_size, subject, value

from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.report.rollout_page import rollout_page
from manifestgen.report.rollout_record import Reason, Sample, Story
from manifestgen.view.mermaid import mermaid
from manifestgen.view.page import html_page
from manifestgen.view.read import view_of, view_of_change
from manifestgen.view.svg import svg

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MERMAID = ROOT / "build" / "mermaid" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"

# One worker has all of them, so that the browser starts once.
pytestmark = [
    pytest.mark.no_cover,  # tests/unit/view and tests/unit/report draw the same pages
    pytest.mark.xdist_group("chromium"),
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed; see .ci/packages"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    assert PROGRAM is not None
    with Chromium(PROGRAM) as started:
        yield started


def sample() -> str:
    data = json.loads((GOLDEN / "render" / "sample-anomaly-detection.json").read_text())
    return html_page(view_of(subject(data, "sample-anomaly-detection.json")))


def device() -> str:
    modules = {name: module(f"mcr.microsoft.com/{name}:1.2") for name in ("sensor", "scorer", "crashing")}
    reported = (
        ModuleStatus("edgeAgent", State.HEALTHY, "running", ""),
        ModuleStatus("edgeHub", State.HEALTHY, "running", ""),
        ModuleStatus("sensor", State.HEALTHY, "running", ""),
        ModuleStatus("scorer", State.WAITING, "pulling", ""),
        ModuleStatus("crashing", State.FAILING, "in backoff, exit code 1, restarted 3 times", ""),
    )
    reason = "module 'crashing' is in backoff, exit code 1, restarted 3 times"
    rollout = Rollout(State.FAILING, 4, 4, 200, "", reported, reason, "see the module's log on the device")
    routes = {"up": "FROM /messages/modules/scorer/* INTO $upstream"}
    found = value(manifest(modules, routes), rollout=rollout, facts=("on contoso.azure-devices.net", "version 4"))
    return html_page(view_of(found))


def change() -> str:
    after = json.loads(json.dumps(FAULTY))
    agent, hub = (after["modulesContent"][name]["properties.desired"] for name in ("$edgeAgent", "$edgeHub"))
    del agent["modules"]["logger"], hub["routes"]["loop"], hub["routes"]["never"]
    agent["modules"]["sensor"]["settings"]["image"] = "acme.azurecr.io/sensor:2.0.0"
    agent["modules"]["archive"] = module("acme.azurecr.io/archive:1")
    hub["routes"]["keep"] = "FROM /messages/modules/archive/* INTO $upstream"
    return html_page(view_of_change(subject(FAULTY, "old.json"), subject(after, "new.json")))


def rollout() -> str:
    samples = tuple(
        Sample(
            30.0 * number,
            f"stage {1 + number // 10} of 2",
            20 if number < 10 else 200,
            min(number * 9, 20 if number < 10 else 200),
            number // 8,
        )
        for number in range(20)
    )
    reasons = (
        Reason(f"module {MARKUP} failed, exit code 1", "see its log", ("edge-07", "edge-12")),
        Reason("the registry rejects the credentials", "check registryCredentials", ("edge-19",)),
    )
    steps = ((1.0, "created 'scorer-1' with priority 11"), (320.0, "tagged 10 devices"))
    begun = datetime(2026, 11, 30, 8, 0, tzinfo=timezone.utc)
    facts = ("on contoso.azure-devices.net", "200 devices match tags.site = 'lab'")
    counts = (("targeted", 200), ("reporting success", 171), ("failing", 3))
    return rollout_page(
        Story("deployment scorer", begun, facts, 575.0, samples, steps, "3 of 200 devices fail", False, counts, reasons)
    )


PAGES: dict[str, Callable[[], str]] = {
    "sample": sample,
    "faulty": lambda: html_page(view_of(subject(FAULTY, "faulty.json"))),
    "device": device,
    "change": change,
    "rollout": rollout,
    "many": lambda: html_page(view_of(subject(of_size(50, 100), "many.json"))),
    "alone": lambda: svg(view_of(subject(FAULTY, "faulty.json"))),
}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, browser: Chromium, tmp_path: Path) -> Page:
    path = tmp_path / f"{request.param}.{'svg' if request.param == 'alone' else 'html'}"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return browser.open(path)


def kept(page: Page, name: str) -> None:
    folder = os.environ.get("MANIFESTGEN_SCREENSHOTS")
    if folder:
        page.screenshot(Path(folder) / f"{name}.png")


# Boxes and labels of the picture that overlap another, and texts that stick out of their box.
_PROBLEMS = """(() => {
  const found = [], boxes = [...document.querySelectorAll('.node>rect,.label>rect')];
  const inner = boxes.map(box => box.getBBox());
  inner.forEach((a, i) => inner.slice(i + 1).forEach((b, j) => {
    if (a.x + a.width > b.x + .6 && b.x + b.width > a.x + .6 && a.y + a.height > b.y + .6 && b.y + b.height > a.y + .6)
      found.push('overlap: ' + boxes[i].parentNode.textContent + ' | ' + boxes[i + 1 + j].parentNode.textContent);
  }));
  boxes.forEach((box, i) => box.parentNode.querySelectorAll('text').forEach(text => {
    const t = text.getBBox(), b = inner[i];
    if (t.x < b.x || t.x + t.width > b.x + b.width + .5 || t.y < b.y - 1 || t.y + t.height > b.y + b.height + 1)
      found.push('sticks out: ' + text.textContent);
  }));
  return found;
})()"""


def test_a_page_asks_for_nothing_says_nothing_and_shows_all(
    page: Page, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    name = request.node.callspec.params["page"]
    assert page.evaluate(_PROBLEMS) == []
    backgrounds = set()
    for kind, scheme in (("screen", "light"), ("screen", "dark"), ("print", "light")):
        page.media(kind=kind, scheme=scheme)
        kept(page, f"{name}-{scheme if kind == 'screen' else kind}")
        backgrounds.add(page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--page')"))
    if name != "alone":
        # On paper, as much of a table as fits its width; the medium is print here.
        assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.scrollWidth <= innerWidth)")
    assert backgrounds == {"#fff", "#0d1117"}
    assert page.complaints == []
    assert [Path(url).name for url in page.requests] == [f"{name}.{'svg' if name == 'alone' else 'html'}"]
    assert page.evaluate("document.querySelectorAll('script').length") == 0
    text = page.evaluate("document.documentElement.textContent")
    assert [canary for canary in CANARIES if canary in text] == []
    assert (MARKUP in text) == (name in ("faulty", "change", "rollout", "alone"))


def test_the_policy_stops_what_would_be_loaded_or_run(browser: Chromium, tmp_path: Path) -> None:
    # The check above could not fail otherwise: here somebody has put both into a page.
    text = sample().replace("<main>", '<main><img src="https://e.example/x.png"><script>document.title="ran"</script>')
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    opened = browser.open(path)
    assert opened.evaluate("document.title") == "sample-anomaly-detection.json – manifestgen view"
    assert len(opened.complaints) >= 2
    assert all("Content Security Policy" in json.dumps(complaint) for complaint in opened.complaints)


def test_the_keyboard_reaches_every_route_and_module(browser: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(sample(), encoding="utf-8")
    opened = browser.open(path)
    reached: list[str] = []
    for _ in range(20):
        opened.press("Tab")
        reached.append(
            opened.evaluate("document.activeElement.getAttribute('href') || document.activeElement.className")
        )
    assert reached[:2] == ["#routes", "#modules"]
    assert {"#m3", "#m4", "#r1", "#r2", "scroll"} <= set(reached)
    opened.evaluate("document.querySelector('svg a[href=\"#r2\"]').focus()")
    opened.press("Enter")
    assert opened.evaluate("location.hash") == "#r2"
    assert opened.evaluate("document.querySelector(':target').querySelector('th').innerText") == "modelToUpstream"


def test_a_screen_reader_says_what_is_drawn(browser: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGES["faulty"](), encoding="utf-8")
    names = browser.open(path).names
    said = "\n".join(names)
    assert "link: route toScorer: from sensor, output temperature to scorer, input in" in said
    assert "link: module, logger" in said
    assert "Routes of faulty.json" in said
    assert "meter: twin of $edgeAgent" in said
    assert "region: Picture of the routes" in said
    assert "rowheader: typo" in said


@pytest.mark.skipif(not MERMAID.is_file(), reason="mermaid is not installed; run make mermaid")
def test_mermaid_draws_what_is_written_for_it(browser: Chromium, tmp_path: Path) -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted((GOLDEN / "view").glob("*.mmd"))}
    for count in (100, 500):
        texts[f"routes-{count}"] = mermaid(view_of(subject(of_size(50, count))))
    path = tmp_path / "page.html"
    path.write_text("<!DOCTYPE html><meta charset=utf-8><body></body>", encoding="utf-8")
    opened = browser.open(path, width=1600, height=1200)
    opened.send("Runtime.evaluate", expression=MERMAID.read_text(encoding="utf-8"))
    opened.evaluate("mermaid.initialize({startOnLoad: false, securityLevel: 'strict'})")
    for name, text in texts.items():
        parsed = opened.evaluate(f"mermaid.parse({json.dumps(text)})")
        assert parsed["diagramType"] == "flowchart-v2", name
        if name == "routes-500":
            continue  # drawing it takes mermaid a while
        shown = "r => (document.body.innerHTML = r.svg, document.body.innerText)"
        drawn: str = opened.evaluate(f"mermaid.render('m', {json.dumps(text)}).then({shown})")
        kept(opened, f"mermaid-{name}")
        assert "Syntax error" not in drawn
        if name == "faulty":
            assert MARKUP in drawn
            assert "部品検査" in drawn
            assert 'quoted"name"|x' in drawn
    assert opened.evaluate("document.querySelectorAll('script').length") == 0
