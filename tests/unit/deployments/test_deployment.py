from __future__ import annotations

from typing import Any

import pytest
from fakes.hub_service import content, module
from unit.deployments.deployments import deployment, fleet, scorer

from manifestgen.deployments.deployment import (
    LONGEST_QUERY,
    Deployment,
    check_limits,
    current,
    intended,
    metrics_for,
    models_in,
    name_of,
    of_configuration,
    survey,
    try_queries,
    with_content,
)
from manifestgen.errors import InputError
from manifestgen.manifest.manifest import Manifest
from manifestgen.project.lock import Lock, LockedModel
from manifestgen.sandbox.hub import query


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("scorer", "scorer"),
        ("My Fleet", "my-fleet"),
        ("a&b{c}", "a-b-c"),
        ("  x  ", "x"),
        ("größe", "gr-e"),
        ("a:1", "a:1"),
    ],
)
def test_a_name_becomes_what_the_hub_takes(text: str, name: str) -> None:
    assert name_of(text) == name


@pytest.mark.parametrize(("text", "words"), [("", "cannot name"), ("&&", "cannot name"), ("x" * 116, "116 characters")])
def test_a_name_that_nothing_is_left_of_or_too_long_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        name_of(text)


def test_the_same_content_has_the_same_id_and_another_another() -> None:
    reordered = {"modulesContent": dict(reversed(scorer(1)["modulesContent"].items()))}
    assert deployment(1).id == deployment(1, content=reordered).id != deployment(2).id
    longest = deployment(1, name="x" * 115).id
    assert len(longest) == 128


def test_a_deployment_survives_the_hub() -> None:
    wanted = deployment(
        1, labels={"team": "edge"}, metrics={"mine": "SELECT deviceId FROM devices WHERE a = '{deployment}'"}
    )
    assert of_configuration(wanted.configuration()) == wanted
    assert wanted.configuration().metrics["mine"].endswith(f"'{wanted.id}'")


def test_its_content_is_in_no_repr() -> None:
    made = deployment(1, content=scorer(1, credentials={"acme": {"password": "s3cret-canary"}}))
    assert "s3cret-canary" not in f"{made!r} {made.configuration()!r}"


def test_the_hub_understands_the_metrics_whatever_the_modules_are_called() -> None:
    names = ["scorer", "a-b", "x_1", "A"]
    made = metrics_for(content({name: module() for name in names}), "a-b")
    assert made.keys() == {"failing", "running"}
    for text in made.values():
        query.parse(text.replace("{deployment}", "scorer-1"))
    assert "[[a-b]]" in made["running"]


def test_a_metric_never_gets_longer_than_a_query_may_be() -> None:
    many = metrics_for(content({f"module-with-a-rather-long-name-{number:03}": module() for number in range(50)}))
    assert 4000 < len(many["failing"]) + 128 <= LONGEST_QUERY
    assert "running" not in many, "nobody can tell which module is the model's"
    query.parse(many["failing"])


def test_what_is_not_said_stays_as_it_is() -> None:
    known = deployment(1, priority=7, labels={"team": "edge", "manifestgen-model": "m:1"})
    kept = intended("scorer", scorer(2), known)
    assert (kept.condition, kept.priority, kept.labels) == (known.condition, 7, {"team": "edge"})
    assert kept.metrics == metrics_for(scorer(2))
    said = intended("scorer", scorer(2), known, condition="*", priority=0, labels={}, metrics={"x": "q"}, model="m:2")
    assert (said.condition, said.priority, said.labels) == ("*", 0, {"manifestgen-model": "m:2"})
    assert said.metrics.keys() == {"failing", "running", "x"}
    assert intended("scorer", scorer(3), said).metrics.keys() == {"failing", "running", "x"}


def test_a_new_one_without_a_condition_is_refused() -> None:
    with pytest.raises(InputError, match="needs a target condition"):
        intended("scorer", scorer(1), None)
    assert intended("scorer", scorer(1), None, condition="*").priority == 10


@pytest.mark.parametrize("given", [{"labels": {"manifestgen": "x"}}, {"metrics": {"failing": "q"}}])
def test_names_of_ours_are_refused(given: Any) -> None:
    with pytest.raises(InputError, match="is reserved for manifestgen"):
        intended("scorer", scorer(1), None, condition="*", **given)


def test_a_new_content_brings_its_own_metrics_and_keeps_the_user_s() -> None:
    before = deployment(1, metrics={**metrics_for(scorer(1)), "mine": "q"})
    other = content({"filter": module()})
    after = with_content(before, other)
    assert after.metrics == {**metrics_for(other), "mine": "q"}
    assert (after.name, after.condition, after.content) == (before.name, before.condition, other)


def test_the_hub_s_own_words_are_reported() -> None:
    with pytest.raises(InputError, match="rejects the target condition: expected") as caught:
        try_queries(fleet(0), deployment(1, condition="tags.site ="))
    assert caught.value.where == "'tags.site ='"
    with pytest.raises(InputError, match="rejects metric 'bad'"):
        try_queries(fleet(0), deployment(1, metrics={"bad": "SELECT"}))
    try_queries(fleet(0), deployment(1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"priority": -1}, "out of range"),
        ({"priority": 2**31}, "out of range"),
        ({"metrics": {str(number): "q" for number in range(6)}}, "6 custom metrics"),
        ({"condition": f"deviceId = '{'x' * 6000}'"}, "rejects queries over 8,200"),
    ],
)
def test_limits_of_the_hub_are_said_before_anything_is_sent(change: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_limits(deployment(1, **change), survey(fleet(0), "scorer"), host="hub")


def test_an_unknown_deployment_is_none() -> None:
    assert current(fleet(1), "scorer") is None


def test_the_model_is_reported_if_the_project_built_the_image() -> None:
    manifest = Manifest.of(scorer(1))
    built = Lock(
        builder="package",
        image="acme.azurecr.io/scorer:1",
        inputs="0",
        built_at="",
        manifestgen="",
        model=LockedModel(name="best", version="4"),
        digest=f"sha256:{'a' * 64}",
    )
    assert models_in([built], manifest) == "best:4"
    pinned = content({"scorer": module(f"acme.azurecr.io/scorer@sha256:{'a' * 64}")})
    assert models_in([built], Manifest.of(pinned)) == "best:4"
    assert models_in([built], Manifest.of(scorer(2))) is None
    assert models_in((), manifest) is None


def test_modules_are_those_of_the_user() -> None:
    assert Deployment("x", scorer(1), "*").modules == ("scorer",)
