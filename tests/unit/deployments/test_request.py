"""What a person asks for becomes a proposal, a goal and stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.deployments.deployments import Clock, deployment, fleet, layer, scorer

from manifestgen.deployments.deployment import MODEL_LABEL
from manifestgen.deployments.replace import Goal, replace
from manifestgen.deployments.request import Request, pairs, propose_request, strategy_of, verified
from manifestgen.errors import FoundError, InputError
from manifestgen.manifest.document import Document, Kind, read
from manifestgen.manifest.manifest import Manifest
from manifestgen.project.load import Project, load
from manifestgen.project.lock import Lock, LockedModel, write

LAB = "tags.site = 'lab'"


def document(content: dict[str, Any], *, layered: bool = False) -> Document:
    return read(json.dumps(content), "deployment.json", layered=layered)


def proposed(
    request: Request, content: dict[str, Any] | None = None, project: Project | None = None, **more: Any
) -> Any:
    hub = more.pop("hub", None) or fleet(2)
    told = more.pop("told", [])
    return propose_request(
        hub,
        request,
        document(content or scorer(1), layered=more.pop("layered", False)),
        project,
        force=False,
        report=lambda document, findings: told.append(document.name),
    )


def project_with(tmp_path: Path, target: str) -> Project:
    (tmp_path / "manifestgen.yaml").write_text(f"version: 1\ntarget: {target}\n")
    return load(tmp_path)


class TestStrategy:
    def test_without_options_all_devices_are_waited_for_at_once(self) -> None:
        strategy = strategy_of(wait=True)
        assert strategy.goal == Goal() and strategy.stages == ()

    def test_texts_become_shares_and_stages(self) -> None:
        strategy = strategy_of(
            wait=True,
            wait_for="95%",
            stages="5%,100%",
            abort_if_failing="2%",
            pause=60.0,
            restore=True,
            tag_devices=True,
        )
        assert strategy.goal == Goal(wait_for=0.95, abort_if_failing=0.02, restore=True, tag_devices=True, pause=60.0)
        assert [stage.text for stage in strategy.stages] == ["5%", "100%"]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"wait": False, "stages": "5%"}, "--no-wait cannot be used with --stages or"),
            ({"wait": False, "abort_if_failing": "5%"}, "--no-wait cannot be used with --stages or"),
            ({"wait": True, "stage_tag": "ring"}, "--stage-tag needs --stages"),
            ({"wait": True, "wait_for": "most"}, "'most' is not a share"),
            ({"wait": True, "abort_if_failing": "200%"}, "'200%' is not a share"),
        ],
    )
    def test_what_does_not_fit_is_rejected(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(InputError, match=words) as caught:
            strategy_of(**options)
        assert caught.value.fix


class TestPairs:
    def test_none_keep_what_the_hub_has(self) -> None:
        assert pairs("--label", ()) is None

    def test_the_value_may_hold_an_equals_sign(self) -> None:
        assert pairs("--metric", ("n = a = b",)) == {"n": " a = b"}

    @pytest.mark.parametrize("text", ["ring", "=canary", " =canary"])
    def test_a_text_without_a_key_is_rejected(self, text: str) -> None:
        with pytest.raises(InputError, match="is not NAME=VALUE") as caught:
            pairs("--label", (text,))
        assert caught.value.where == "--label"


class TestVerified:
    def verified(self, content: dict[str, Any], **more: Any) -> Document:
        options = {"layered": False, "based": False, "force": False, **more}
        return verified(document(content), report=lambda document, findings: None, **options)

    def test_a_manifest_is_taken_as_it_is(self) -> None:
        assert self.verified(scorer(1)).kind is Kind.MANIFEST

    def test_a_manifest_that_sets_the_whole_agent_is_not_a_layer(self) -> None:
        with pytest.raises(InputError, match=r"not a layer: it sets all of \$edgeAgent"):
            self.verified(scorer(1), layered=True)

    def test_a_layer_is_read_as_one_if_that_is_asked_for(self) -> None:
        assert self.verified(layer("extra", 1), layered=True).kind is Kind.LAYERED

    def test_only_a_layer_has_a_base(self) -> None:
        with pytest.raises(InputError, match="this is not a layer"):
            self.verified(scorer(1), based=True)
        assert self.verified(layer("extra", 1), based=True).kind is Kind.LAYERED

    def test_errors_stop_it(self) -> None:
        with pytest.raises(FoundError):
            self.verified(scorer("1 2"))


class TestProposal:
    def test_a_request_names_all_that_the_hub_should_have(self) -> None:
        wanted = proposed(Request("Scorer", LAB, 20, {"ring": "all"}, {"n": "SELECT deviceId FROM devices"})).wanted
        assert (wanted.name, wanted.condition, wanted.priority) == ("scorer", LAB, 20)
        assert wanted.labels == {"ring": "all"}
        assert "n" in wanted.metrics

    def test_what_is_left_open_stays_as_it_is_on_the_hub(self) -> None:
        hub = fleet(2)
        replace(hub, deployment(1, priority=30, labels={"ring": "all"}), patience=Clock().patience())
        wanted = proposed(Request("scorer"), scorer(2), hub=hub).wanted
        assert (wanted.condition, wanted.priority, wanted.labels) == (LAB, 30, {"ring": "all"})

    def test_a_new_one_needs_a_condition(self) -> None:
        with pytest.raises(InputError, match="needs a target condition"):
            proposed(Request("scorer"))

    def test_the_target_of_the_project_fills_in_what_is_left_open(self, tmp_path: Path) -> None:
        project = project_with(tmp_path, f'{{deployment: scorer, condition: "{LAB}", priority: 44}}')
        assert proposed(Request("Scorer"), project=project).wanted.condition == LAB
        assert proposed(Request("scorer"), project=project).wanted.priority == 44
        assert proposed(Request("scorer", "*", 1), project=project).wanted.condition == "*"
        with pytest.raises(InputError, match="needs a target condition"):
            proposed(Request("another"), project=project)

    def test_the_model_of_the_lock_file_is_a_label_if_the_manifest_has_its_image(self, tmp_path: Path) -> None:
        project = project_with(tmp_path, "{device: edge-01}")
        built = Lock(
            builder="package",
            manifestgen="1",
            inputs="i",
            image="acme.azurecr.io/scorer:1",
            built_at="2026-11-22T12:00:00Z",
            model=LockedModel(name="best", version="4"),
        )
        write(project, built)
        assert proposed(Request("scorer", LAB), project=project).wanted.labels == {MODEL_LABEL: "best:4"}
        assert proposed(Request("scorer", LAB), scorer(2), project).wanted.labels == {}

    def test_a_layer_is_checked_with_the_base_that_is_given(self) -> None:
        told: list[str] = []
        base = ("base.json", Manifest.of(scorer(1)))
        request = Request("extra", LAB, 20, base=base)
        proposal = proposed(request, layer("extra", 1), layered=True, told=told)
        assert [meeting.base for meeting in proposal.meetings] == ["base.json"]
        assert told == ["deployment.json over base.json"]
