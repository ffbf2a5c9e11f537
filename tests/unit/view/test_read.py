from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from fakes.pictures import CANARIES, FAULTY, MARKUP, manifest, module, sink, subject, value

from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.errors import InputError
from manifestgen.manifest.document import read
from manifestgen.view.model import Changed, Route, Shape, Tone, View
from manifestgen.view.read import view_of, view_of_change
from manifestgen.view.subject import ImageFacts, Subject


def route(view: View, name: str) -> Route:
    return next(route for route in view.routes if route.name == name)


def of_route(text: Any) -> Route:
    modules = {"a": module("mcr.microsoft.com/a:1"), "b": module("mcr.microsoft.com/b:1")}
    return view_of(subject(manifest(modules, {"r": text}))).routes[0]


@pytest.fixture(scope="module")
def faulty() -> View:
    return view_of(subject(FAULTY))


def test_a_route_joins_its_module_and_its_sink_with_output_and_input(faulty: View) -> None:
    found = route(faulty, "toScorer")
    assert (faulty.node(found.source).title, faulty.node(found.target).title) == ("sensor", "scorer")
    assert (found.origin, found.sink, found.ports) == (
        "sensor, output temperature",
        "scorer, input in",
        "temperature → in",
    )


def test_condition_priority_and_time_to_live_are_as_written(faulty: View) -> None:
    found = route(faulty, "up")
    assert found.condition.startswith("$body.level = 'high' AND note <>")
    assert (found.priority, found.ttl, found.limits) == ("0", "3600", "P0 · 3600 s")


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("/*", "everything"),
        ("/messages", "all messages"),
        ("/messages/*", "all messages"),
        ("/messages/modules/*", "all modules"),
        ("/twinChangeNotifications", "twin changes"),
        ("/MESSAGES/modules/A/*", "a"),
        ("/messages/modules/other", "other"),
        ("/foo/*", "no message (/foo/*)"),
    ],
)
def test_a_source_is_said_in_words(source: str, title: str) -> None:
    assert of_route(f"FROM {source} INTO $upstream").origin == title


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("FROM /messages/* WHERE  a = 'INTO x'\n AND b = 'c' INTO $upstream", "a = 'INTO x' AND b = 'c'"),
        ("FROM /messages/* where $body.x > 1 into brokeredEndpoint ( '/modules/b/inputs/i' )", "$body.x > 1"),
        ("FROM /messages/* INTO $upstream", ""),
    ],
)
def test_the_condition_is_the_text_between_where_and_into(text: str, condition: str) -> None:
    assert of_route(text).condition == condition


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM /foo/* INTO $upstream", "no message ever comes from '/foo/*'"),
        ("FROM /messages/* WHERE temperature INTO $upstream", "the condition is a string"),
        (f"FROM /messages/* INTO {sink('c', 'i')}", "there is no module 'c' to send to"),
        ("FROM /messages/modules/c/* INTO $upstream", "there is no module 'c' to receive from"),
        ("FORM /messages/* INTO $upstream", "FORM"),
        ("FROM /messages/* WHERE temperature > 30 INTO $upstream", "'>' does not take"),
        ({"route": "FROM /messages/* INTO $upstream", "priority": 12}, "priority"),
        (5, "route"),
        (None, "route"),
    ],
)
def test_a_route_through_which_nothing_gets_is_bad_and_says_why(text: Any, words: str) -> None:
    found = of_route(text)
    assert found.tone is Tone.BAD
    assert words in found.reason


def test_a_route_that_is_rejected_takes_the_others_with_it() -> None:
    modules = {"a": module("mcr.microsoft.com/a:1")}
    routes = {"broken": "FORM /messages/* INTO $upstream", "fine": "FROM /messages/modules/a/* INTO $upstream"}
    view = view_of(subject(manifest(modules, routes)))
    assert route(view, "fine").tone is Tone.BAD
    assert route(view, "fine").reason.startswith("dropped with all routes of this manifest: route 'broken'")
    assert view.node(route(view, "broken").source).title == "cannot be read"
    assert view.banner[0].startswith("It would be rejected: ")


def test_a_sink_that_is_not_there_is_a_box_of_its_own_as_bad_as_the_route_to_it() -> None:
    routes = {"typo": f"FROM /messages/* INTO {sink('c', 'i')}"}
    view = view_of(subject(manifest({"a": module("mcr.microsoft.com/a:1")}, routes)))
    missing = view.node(route(view, "typo").target)
    assert (missing.title, missing.shape, missing.tone, missing.lines) == (
        "c",
        Shape.MISSING,
        Tone.BAD,
        ("not in the manifest",),
    )


def test_a_module_has_its_image_ports_volumes_and_how_it_is_started(faulty: View) -> None:
    row = next(row for row in faulty.modules if row.name == "scorer")
    assert (row.repository, row.version, row.platform) == ("acme.azurecr.io/scorer", "latest (no tag)", "")
    assert row.ports == ("127.0.0.1:8883 → 8080/tcp", "9000/tcp (not published)")
    assert row.volumes == ("/srv/data:/data", "models:/models")
    assert row.env == ("TOKEN_SECRET (createOptions)",)
    assert (row.status, row.restart, row.order, row.twin) == ("running", "never", "last (default)", 36)
    agent = faulty.modules[0]
    assert (agent.name, agent.restart, agent.order) == ("edgeAgent", "always", "first")
    assert next(row for row in faulty.modules if row.name == "sensor").platform == "arm64v8, by its tag"


def test_platforms_and_sizes_are_those_of_the_lock_file() -> None:
    facts = {"x.example/a:1": ImageFacts(("linux/amd64", "linux/arm64"), {"linux/amd64": 120_400_000})}
    view = view_of(subject(manifest({"a": module("x.example/a:1")}, {}), images=facts))
    assert view.modules[-1].platform == "linux/amd64 (120 MB), linux/arm64"


def test_values_of_variables_are_shown_on_request_and_secrets_never() -> None:
    view = view_of(subject(FAULTY), show_env=True)
    shown = [text for row in view.modules for text in row.env]
    assert shown == ["INTERVAL=5", "DB_PASSWORD=•••", "TOKEN_SECRET=••• (createOptions)"]


def test_a_finding_is_anchored_to_what_it_is_about(faulty: View) -> None:
    about = {(note.rule, note.about) for note in faulty.notes}
    scorer = next(row.node for row in faulty.modules if row.name == "scorer")
    assert {("floating-tag", scorer), ("twin-secret", scorer)} <= about
    assert ("route-meaning", route(faulty, "never").id) in about
    assert ("runtime-storage", "") in about


def test_the_limits_are_measured(faulty: View) -> None:
    assert next((meter.title, meter.value, meter.limit) for meter in faulty.meters) == ("modules", 5, 50)
    assert {meter.title for meter in faulty.meters} == {"modules", "twin of $edgeAgent", "twin of $edgeHub"}
    full = manifest({}, {}, m={"text": "x" * 4000, "more": "y" * 4096, "again": "z" * 4000})
    meter = view_of(subject(full)).meters[-1]
    assert (meter.title, meter.value, meter.limit, meter.unit) == ("twin of m", 12109, 32768, "bytes")


def test_no_secret_is_in_it(faulty: View) -> None:
    assert [canary for canary in CANARIES if canary in repr(faulty)] == []
    assert MARKUP in repr(faulty)  # the forms have to make it harmless


def test_a_template_is_shown_with_its_placeholders() -> None:
    data = manifest(
        {"${NAME}": module("${IMAGE}")},
        {"r": "FROM /messages/modules/${NAME}/outputs/* WHERE a = '${B}' INTO " + sink("${NAME}", "${PUT}")},
    )
    view = view_of(subject(data))
    found = view.routes[0]
    assert (view.kind, found.origin, found.sink) == ("template", "${NAME}", "${NAME}, input ${PUT}")
    assert found.condition == "a = '${B}'"
    assert found.source == found.target == view.modules[-1].node
    assert "placeholders not filled in" in view.facts[0]


def test_a_layer_blames_no_one_for_what_its_base_has() -> None:
    data = {
        "modulesContent": {
            "$edgeAgent": {"properties.desired.modules.a": module("mcr.microsoft.com/a:1")},
            "$edgeHub": {"properties.desired.routes.r": f"FROM /messages/modules/a/* INTO {sink('base', 'i')}"},
        }
    }
    view = view_of(subject(data))
    assert (view.kind, [row.name for row in view.modules]) == ("layered", ["a"])
    assert view.routes[0].tone is Tone.PLAIN
    assert view.node(view.routes[0].target).lines == ("not in this layer",)
    assert "a layer" in view.facts[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("{}", "not a deployment manifest"),
        ('{% if x %}{"modulesContent": {}}{% endif %}', "rendered first"),
    ],
)
def test_what_has_no_manifest_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        view_of(Subject("x.json", read(text, "x.json")))
    assert caught.value.fix


def test_a_device_is_colored_by_what_it_reports() -> None:
    modules = {name: module(f"mcr.microsoft.com/{name}:1") for name in ("good", "pulling", "crashing", "gone")}
    reported = (
        ModuleStatus("good", State.HEALTHY, "running", ""),
        ModuleStatus("pulling", State.WAITING, "pulling", ""),
        ModuleStatus("crashing", State.FAILED, "failed, exit code 1", ""),
    )
    rollout = Rollout(State.FAILED, 3, 3, 200, "", reported, "module 'crashing' is failed, exit code 1", "see its log")
    view = view_of(value(manifest(modules, {}), rollout=rollout))
    tones = {row.name: (row.tone, row.state) for row in view.modules}
    assert tones["good"] == (Tone.GOOD, "running")
    assert tones["pulling"] == (Tone.WAITING, "pulling")
    assert tones["crashing"] == (Tone.BAD, "failed, exit code 1")
    assert tones["gone"] == (Tone.PLAIN, "not reported")
    assert view.banner == ("module 'crashing' is failed, exit code 1; see its log", Tone.BAD)
    assert view.state == ("failed", Tone.BAD)


def test_two_manifests_show_all_of_the_second_and_what_it_no_longer_has() -> None:
    before = manifest(
        {"a": module("x.example/a:1"), "gone": module("x.example/g:1")},
        {"up": "FROM /messages/* INTO $upstream", "old": "FROM /messages/modules/gone/* INTO $upstream"},
    )
    after = copy.deepcopy(before)
    agent = after["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
    del agent["gone"]
    agent["a"]["settings"]["image"] = "x.example/a:2"
    agent["new"] = module("x.example/n:1")
    hub = after["modulesContent"]["$edgeHub"]["properties.desired"]["routes"]
    del hub["old"]
    hub["up"] = "FROM /messages/* WHERE a = 'b' INTO $upstream"
    hub["fresh"] = "FROM /messages/modules/new/* INTO $upstream"
    view = view_of_change(subject(before, "old.json"), subject(after, "new.json"))
    assert view.title == "old.json → new.json"
    assert {row.name: row.changed for row in view.modules if row.changed is not Changed.NO} == {
        "a": Changed.CHANGED,
        "new": Changed.ADDED,
        "gone": Changed.REMOVED,
    }
    assert {route.name: route.changed for route in view.routes} == {
        "up": Changed.CHANGED,
        "fresh": Changed.ADDED,
        "old": Changed.REMOVED,
    }
    assert view.changes is not None
    assert [(change.changed.sign, change.text) for change in view.changes][:3] == [
        ("~", "module a"),
        ("-", "module gone"),
        ("+", "module new"),
    ]
    assert view.changes[0].fields == ("~ image: x.example/a:1 -> x.example/a:2",)
    assert view.changes[0].remark == "container is recreated"


def test_the_same_manifest_twice_has_no_changes() -> None:
    view = view_of_change(subject(FAULTY, "a"), subject(FAULTY, "b"))
    assert view.changes == ()
    assert all(node.changed is Changed.NO for node in view.nodes)


def test_a_secret_that_only_the_old_manifest_has_is_not_shown() -> None:
    before = manifest(
        {"canary-secret-name": module("x.example/a:1", env={"PASSWORD": {"value": "canary-secret-name"}})}, {}
    )
    view = view_of_change(subject(before, "a"), subject(manifest({}, {}), "b"))
    assert "canary-secret-name" not in repr(view)


def test_a_change_in_a_layer_marks_its_module() -> None:
    layer = {"modulesContent": {"$edgeAgent": {"properties.desired.modules.a": module("x.example/a:1")}}}
    other = json.loads(json.dumps(layer).replace("a:1", "a:2"))
    view = view_of_change(subject(layer, "a"), subject(other, "b"))
    assert [row.changed for row in view.modules] == [Changed.CHANGED]
