from __future__ import annotations

from dataclasses import replace
from typing import Any

from manifestgen.compare.diff import diff
from manifestgen.device.plan import Plan
from manifestgen.manifest.manifest import Manifest
from manifestgen.report import changes


def content(**modules: dict[str, Any]) -> dict[str, Any]:
    named = {name: {"type": "docker", "status": "running", **module} for name, module in modules.items()}
    return {"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": named}}}}


def planned(before: dict[str, Any], after: dict[str, Any]) -> Plan:
    return Plan(
        "hub.azure-devices.net", "edge-01", Manifest.of(after), diff(Manifest.of(before), Manifest.of(after)), 3
    )


BEFORE = content(
    a={"settings": {"image": "x/a:1"}}, b={"settings": {"image": "x/b:1"}}, c={"settings": {"image": "x/c:1"}}
)
AFTER = content(
    a={"settings": {"image": "x/a:2"}, "env": {"KEY": {"value": "canary"}}},
    b={"settings": {"image": "x/b:1"}, "status": "stopped"},
    d={"settings": {"image": "x/d:1"}},
)


def test_a_plan_reads_line_by_line_and_says_what_becomes_of_the_containers() -> None:
    assert changes.text(planned(BEFORE, AFTER)).splitlines() == [
        "device 'edge-01' on hub.azure-devices.net",
        "  ~ module a  # container is recreated",
        "      + env KEY",
        "      ~ image: x/a:1 -> x/a:2",
        "  ~ module b  # container is stopped",
        "      ~ status: running -> stopped",
        "  - module c",
        "  + module d",
        "plan: 1 to add, 2 to change (1 container recreated), 1 to remove",
    ]


def test_no_changes_are_said_in_one_line() -> None:
    assert changes.text(planned(BEFORE, BEFORE)).splitlines()[1:] == [
        "no changes: the device already has this manifest (version 3)"
    ]


def test_the_data_has_effects_and_no_hidden_value() -> None:
    data = changes.data(planned(BEFORE, AFTER))
    assert data["changes"][0] == {
        "kind": "changed",
        "subject": "module",
        "name": "a",
        "effect": "recreated",
        "fields": [
            {"kind": "added", "field": "env KEY", "before": None, "after": None},
            {"kind": "changed", "field": "image", "before": "x/a:1", "after": "x/a:2"},
        ],
    }
    assert "canary" not in repr(data)


def test_names_from_a_device_cannot_drive_the_terminal() -> None:
    text = changes.text(planned(BEFORE, content(**{"\x1b[2J": {"settings": {"image": "x/a:1"}}})))
    assert "\x1b" not in text


def test_a_comment_has_a_block_that_highlighters_color_and_nothing_leaves_it() -> None:
    name = "```\n@everyone <img src=x>"
    after = content(**{"a": {"settings": {"image": "x/a:2"}}, name: {"settings": {"image": "x/b:1"}}})
    text = changes.markdown(planned(BEFORE, after))
    assert text.splitlines()[:5] == [
        "**Plan for device `edge-01` on `hub.azure-devices.net`**",
        "",
        "````diff",
        "+ module ```\\n@everyone <img src=x>",
        "! module a  # container is recreated",
    ]
    assert text.endswith("````\n\n1 to add, 1 to change (1 container recreated), 2 to remove")
    assert text.count("````") == 2


def test_a_warning_in_a_comment_is_text_whatever_is_in_it() -> None:
    plan = replace(planned(BEFORE, BEFORE), warnings=("module '*x*' [a](https://e.example) `b` <b> @me",))
    text = changes.markdown(plan)
    assert r"> **Warning:** module '\*x\*' \[a\](https://e.example) \`b\` \<b\> \@me" in text
    assert "```" not in text


def test_a_difference_names_both_and_says_if_there_is_none() -> None:
    found = diff(Manifest.of(BEFORE), Manifest.of(AFTER))
    text = changes.difference_text("old.json", "device edge-01", found).splitlines()
    assert (text[0], text[-1]) == (
        "old.json -> device edge-01",
        "1 to add, 2 to change (1 container recreated), 1 to remove",
    )
    assert changes.difference_text("a", "b", ()).splitlines() == ["a -> b", "no differences"]
    assert changes.difference_markdown("a", "b", ()) == "**From `a` to `b`**\n\nno differences"
    data = changes.difference_data("a", "b", found)
    assert (data["before"], data["after"], len(data["changes"])) == ("a", "b", 4)
