"""The whole way with services in memory: no SDK, no socket, no sandbox."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes.services import FakeServices

from manifestgen.cloud import Credential, MethodResult
from manifestgen.deploy import Deployment, Observer, Options, deploy
from manifestgen.deployments import snapshots as fleet_snapshots
from manifestgen.deployments.proposal import Proposal
from manifestgen.device.plan import Plan
from manifestgen.device.rollout import Rollout, State
from manifestgen.device.snapshots import snapshots
from manifestgen.errors import FoundError, InputError, Interrupted, NotFoundError
from manifestgen.operate.score import Smoke
from manifestgen.project.load import Project, load
from manifestgen.project.lock import read_file
from manifestgen.project.pending import exclusive
from manifestgen.secret import Secret
from manifestgen.target import Observer as TargetObserver
from manifestgen.target import Patience

DEVICE = "edge-01"
SCORER = "acme.azurecr.io/scorer:1"
AGENT, HUB = "mcr.microsoft.com/azureiotedge-agent:1.6", "mcr.microsoft.com/azureiotedge-hub:1.6"
LOGINS = {
    f"{name}.azurecr.io": Credential(f"{name}.azurecr.io", "user", Secret(f"canary-password-of-{name}"))
    for name in ("fake", "acme")
}

BUILDS = """\
version: 1
model: {name: best_model, path: model.pkl}
image: {builder: package, name: scorer, entry_script: score.py, conda_file: myenv.yml}
registry: {credentials: env}
target: {device: edge-01}
"""
ELSEWHERE = f"""\
version: 1
image: {{builder: none, reference: "{SCORER}"}}
registry: {{credentials: env}}
target: {{device: edge-01}}
"""
FLEET = ELSEWHERE.replace("{device: edge-01}", "{deployment: scorer, condition: \"tags.site = 'lab'\"}")

QUICK = Options(
    build_patience=Patience(first=0.0, longest=0.0),
    patience=Patience(timeout=5.0, grace=0.0, first=0.0, longest=0.0),
    scoring=None,
    fleet_patience=Patience(timeout=5.0, grace=0.0, first=0.0, longest=0.0),
)


@dataclass
class Told:
    """What an observer was told."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    permitted: list[Plan] = field(default_factory=list)
    rollouts: list[Rollout] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    permitted_fleets: list[Proposal] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def observer(self) -> Observer:
        return Observer(
            step=lambda name, result: self.steps.append((name, result)),
            plan=self.plans.append,
            permit=self.permitted.append,
            rollout=self.rollouts.append,
            proposal=self.proposals.append,
            fleet=TargetObserver(permit=self.permitted_fleets.append),
            findings=lambda document, found: self.findings.extend(finding.rule for finding in found),
            pulls=lambda pulls: self.images.extend(pull.image for pull in pulls),
        )

    def named(self, name: str) -> str:
        """The result of the step of this name; it was told once."""
        (result,) = [result for step, result in self.steps if step == name]
        return result


@pytest.fixture
def services() -> FakeServices:
    made = FakeServices(logins=dict(LOGINS))
    made.hub.obedient = True
    made.hub.add(DEVICE, tags={"site": "lab"})
    for image in (AGENT, HUB, SCORER):
        made.push(image)
    return made


@pytest.fixture
def told() -> Told:
    return Told()


def _project(folder: Path, text: str) -> Project:
    (folder / "model.pkl").write_bytes(b"model")
    (folder / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (folder / "myenv.yml").write_text("dependencies: [python=3.11]\n")
    (folder / "manifestgen.yaml").write_text(text)
    return load(folder)


def _deploy(project: Project, services: FakeServices, told: Told | None = None, **more: Any) -> Deployment:
    services.builds.project = project
    options = Options(**{**vars(QUICK), "state": project.root / "state", **more})
    return deploy(project, services, options=options, observer=told.observer() if told is not None else None)


def _image_of(services: FakeServices, module: str = "scorer") -> str:
    """The image of a module in what was set last."""
    _, content = services.hub.applied[-1]
    agent = content["modulesContent"]["$edgeAgent"]["properties.desired"]
    return str(agent["modules"][module]["settings"]["image"])


class TestDevice:
    def test_a_model_becomes_a_running_module_step_by_step(
        self, tmp_path: Path, services: FakeServices, told: Told
    ) -> None:
        deployed = _deploy(_project(tmp_path, BUILDS), services, told)
        assert deployed.image.startswith("fake.azurecr.io/scorer:")
        assert told.steps == [
            ("test", "answer {}"),
            ("image", f"{deployed.image}, model best_model:1"),
            ("render", "modules scorer, credentials for fake.azurecr.io"),
            ("check", told.named("check")),
            ("preflight", "3 of 3 images can be pulled"),
            ("apply", "modules set"),
            ("wait", "device 'edge-01' runs version 2: 3 modules healthy"),
        ]
        assert told.named("check").startswith("0 errors, ")
        assert _image_of(services) == deployed.image
        assert deployed.outcome is not None and deployed.outcome.progress is not None
        assert deployed.outcome.progress.state is State.HEALTHY
        assert told.rollouts[-1] == deployed.outcome.progress
        assert told.plans == told.permitted == [deployed.plan]
        assert told.images == [AGENT, HUB, deployed.image]

    def test_a_second_run_reuses_the_image_and_changes_nothing(
        self, tmp_path: Path, services: FakeServices, told: Told
    ) -> None:
        project = _project(tmp_path, BUILDS)
        first = _deploy(project, services)
        again = _deploy(project, services, told)
        assert again.image == first.image
        assert told.named("test") == "not run: no image is built"
        assert told.named("image").endswith(", reused")
        assert told.named("apply") == "nothing to change"
        assert told.permitted == []
        assert len(services.hub.applied) == len(services.builds.started) == 1

    def test_nothing_but_project_and_services_is_needed(
        self, tmp_path: Path, services: FakeServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "state"))
        deployed = deploy(_project(tmp_path, ELSEWHERE), services)
        assert deployed.image == SCORER
        assert deployed.outcome is not None and deployed.outcome.applied

    def test_rebuild_makes_a_new_image(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, BUILDS)
        first = _deploy(project, services)
        assert _deploy(project, services, rebuild=True).image != first.image

    def test_an_image_that_is_built_elsewhere_needs_no_builder(
        self, tmp_path: Path, services: FakeServices, told: Told
    ) -> None:
        assert _deploy(_project(tmp_path, ELSEWHERE), services, told).image == SCORER
        assert told.named("image") == f"{SCORER}, built elsewhere"
        assert services.builds.started == []

    def test_an_image_that_is_given_wins(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        other = "acme.azurecr.io/scorer:2"
        services.push(other)
        assert _deploy(_project(tmp_path, BUILDS), services, told, images={"scorer": other}).image == other
        assert told.named("image") == f"{other}, as given"
        assert _image_of(services) == other

    def test_a_project_without_an_image_deploys_what_its_template_names(
        self, tmp_path: Path, services: FakeServices, told: Told
    ) -> None:
        text = "version: 1\nmanifest: {template: runtime-only}\ntarget: {device: edge-01}\n"
        assert _deploy(_project(tmp_path, text), services, told).image == ""
        assert told.named("image") == "the project has none"
        assert told.named("render") == "modules "
        assert told.named("preflight") == "2 of 2 images can be pulled"

    def test_values_reach_the_template(self, tmp_path: Path, services: FakeServices) -> None:
        _deploy(_project(tmp_path, ELSEWHERE), services, values={"ttl": 77})
        _, content = services.hub.applied[-1]
        hub = content["modulesContent"]["$edgeHub"]["properties.desired"]
        assert hub["storeAndForwardConfiguration"]["timeToLiveSecs"] == 77

    def test_a_registry_without_a_login_stops_before_anything_changes(
        self, tmp_path: Path, services: FakeServices
    ) -> None:
        project = _project(tmp_path, ELSEWHERE.replace("env", "admin"))
        services.logins.clear()
        with pytest.raises(InputError, match="no credential for registry acme"):
            _deploy(project, services)
        assert "acme.azurecr.io" in services.asked
        assert services.hub.writes == []

    def test_another_device_may_be_given(self, tmp_path: Path, services: FakeServices) -> None:
        services.hub.add("edge-02")
        _deploy(_project(tmp_path, FLEET), services, device="edge-02")
        assert [device for device, _ in services.hub.applied] == ["edge-02"]

    def test_a_device_that_is_not_registered_is_not_found(self, tmp_path: Path, services: FakeServices) -> None:
        with pytest.raises(NotFoundError, match="nowhere"):
            _deploy(_project(tmp_path, ELSEWHERE), services, device="nowhere")

    def test_what_the_device_had_is_kept_before_it_changes(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, ELSEWHERE)
        _deploy(project, services)
        services.push("acme.azurecr.io/scorer:2")
        _deploy(project, services, images={"scorer": "acme.azurecr.io/scorer:2"})
        latest = snapshots(services.hub.host, DEVICE, tmp_path / "state")[0]
        assert SCORER in json.dumps(dict(latest.manifest.content))

    def test_a_refusal_stops_before_anything_changes(self, tmp_path: Path, services: FakeServices) -> None:
        def refuse(planned: Plan) -> None:
            raise Interrupted("stopped", fix="run it again")

        with pytest.raises(Interrupted):
            deploy(
                _project(tmp_path, ELSEWHERE),
                services,
                options=Options(state=tmp_path / "state"),
                observer=Observer(permit=refuse),
            )
        assert services.hub.applied == []
        assert not (tmp_path / "state").exists()

    def test_modules_are_removed_only_with_prune(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, ELSEWHERE)
        _deploy(project, services)
        other = _project(tmp_path, ELSEWHERE + "manifest: {module: other}\n")
        with pytest.raises(InputError, match="scorer"):
            _deploy(other, services)
        _deploy(other, services, prune=True)
        assert _image_of(services, "other") == SCORER

    def test_merge_keeps_what_the_manifest_does_not_name(self, tmp_path: Path, services: FakeServices) -> None:
        _deploy(_project(tmp_path, ELSEWHERE), services)
        _deploy(_project(tmp_path, ELSEWHERE + "manifest: {module: other}\n"), services, merge=True)
        assert _image_of(services) == _image_of(services, "other") == SCORER

    def test_without_patience_nothing_is_waited_for(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        deployed = _deploy(_project(tmp_path, ELSEWHERE), services, told, patience=None)
        assert deployed.outcome is not None
        assert (deployed.outcome.applied, deployed.outcome.progress) == (True, None)
        assert told.steps[-1] == ("apply", "modules set")

    def test_a_device_that_does_not_get_healthy_goes_back_if_asked(
        self, tmp_path: Path, services: FakeServices
    ) -> None:
        project = _project(tmp_path, ELSEWHERE)
        _deploy(project, services)
        bad = "acme.azurecr.io/scorer:2"
        services.push(bad)
        services.hub.bad_images = {bad: "it is broken"}
        with pytest.raises(FoundError, match="it is broken"):
            _deploy(project, services, images={"scorer": bad}, rollback=True)
        assert _image_of(services) == SCORER
        with pytest.raises(FoundError, match="it is broken"):
            _deploy(project, services, images={"scorer": bad})
        assert _image_of(services) == bad

    def test_a_smoke_test_that_passes_is_a_step(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        services.hub.module_methods["scorer", "score"] = MethodResult(200, {"scores": [1.0]})
        _deploy(
            _project(tmp_path, ELSEWHERE), services, told, smoke=Smoke({"data": [1]}, {"scores": [1]}, compares=True)
        )
        assert told.named("smoke").startswith("scorer: answered as expected after")
        assert services.hub.called[-1] == (DEVICE, "score", {"data": [1]})

    def test_a_smoke_test_without_an_expected_answer_shows_the_models(
        self, tmp_path: Path, services: FakeServices, told: Told
    ) -> None:
        services.hub.module_methods["scorer", "score"] = MethodResult(200, {"scores": [1.0]})
        _deploy(_project(tmp_path, ELSEWHERE), services, told, smoke=Smoke({"data": [1]}))
        assert told.named("smoke").startswith('scorer: answered {"scores":[1.0]} after')

    def test_a_smoke_test_that_fails_fails_the_rollout_and_restores_what_was_there(
        self, tmp_path: Path, services: FakeServices
    ) -> None:
        project = _project(tmp_path, ELSEWHERE)
        _deploy(project, services)
        services.push("acme.azurecr.io/scorer:2")
        services.hub.module_methods["scorer", "score"] = MethodResult(200, {"scores": [2.0]})
        test = Smoke({"data": [1]}, {"scores": [1]}, compares=True)
        with pytest.raises(FoundError, match=r"differs from the expected one at /scores/0: 2.0, not 1; rolled back"):
            _deploy(project, services, images={"scorer": "acme.azurecr.io/scorer:2"}, smoke=test, rollback=True)
        assert _image_of(services) == SCORER

    @pytest.mark.parametrize(
        ("reported", "words"),
        [
            ({"runner": {"error": "init() raised KeyError"}}, "init() raised KeyError"),
            ({"runner": {}, "counts": {"failed": 2, "scored": 0}}, "it failed on each of its 2 inputs"),
        ],
    )
    def test_a_module_that_runs_and_does_not_score_fails_the_rollout(
        self, tmp_path: Path, services: FakeServices, told: Told, reported: dict[str, Any], words: str
    ) -> None:
        project, module = _project(tmp_path, BUILDS), "scorer"
        quick = Patience(timeout=0.0, first=0.0, longest=0.0)
        _deploy(project, services, scoring=quick)
        services.hub.report(DEVICE, module, {"runner": {}, "counts": {"failed": 1, "scored": 1}})
        _deploy(project, services, scoring=quick)
        services.hub.report(DEVICE, module, reported)
        with pytest.raises(
            FoundError, match=re.escape(f"the model of module '{module}' does not score: {words}")
        ) as caught:
            _deploy(project, services, told, scoring=quick)
        assert f"manifestgen logs --device {DEVICE} {module}" in caught.value.fix
        assert [name for name, _ in told.steps][-2:] == ["wait", "score"]

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            ({"runtimeStatus": "backoff", "exitCode": 139, "restartCount": 1}, "is in backoff, exit code 139"),
            (
                {"runtimeStatus": "running", "exitCode": 0, "restartCount": 1},
                "ended and was restarted once since it came",
            ),
        ],
    )
    def test_a_module_that_its_first_input_ends_fails_the_rollout(
        self, tmp_path: Path, services: FakeServices, status: dict[str, Any], words: str
    ) -> None:
        project = _project(tmp_path, BUILDS)

        def crash(seconds: float) -> None:
            agent = services.hub.module_twin(DEVICE, "$edgeAgent")
            assert agent is not None
            reported = copy.deepcopy(dict(agent.reported))
            reported["modules"]["scorer"] |= status
            services.hub.report(DEVICE, "$edgeAgent", reported)

        clock = iter(range(100)).__next__
        with pytest.raises(FoundError, match=words) as caught:
            _deploy(project, services, scoring=Patience(timeout=3, first=1, clock=clock, sleep=crash))
        assert "manifestgen test" in caught.value.fix

    def test_an_image_with_the_runner_must_load_its_model(self, tmp_path: Path, services: FakeServices) -> None:
        quick = Patience(timeout=0.0, first=0.0, longest=0.0)
        text = BUILDS.replace("builder: package", "builder: local, registry: fake.azurecr.io")
        project = _project(tmp_path, text)
        with pytest.raises(FoundError, match="runs, but its model is not loaded after 0 s") as caught:
            patience = replace(QUICK.patience or quick, timeout=0.5)
            _deploy(project, services, images={"scorer": SCORER}, scoring=quick, patience=patience)
        assert "--timeout" in caught.value.fix

    def test_a_smoke_test_of_many_devices_is_refused_before_anything(
        self, tmp_path: Path, services: FakeServices
    ) -> None:
        with pytest.raises(InputError, match="a smoke test asks one device"):
            _deploy(_project(tmp_path, FLEET), services, smoke=Smoke({}))

    def test_without_a_target_nothing_is_built(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, BUILDS.replace("target: {device: edge-01}\n", ""))
        with pytest.raises(InputError, match="no device is specified") as caught:
            _deploy(project, services)
        assert "--device ID" in caught.value.fix
        assert services.builds.started == []

    def test_two_runs_on_one_project_exclude_each_other(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, ELSEWHERE)
        with exclusive(project.root), pytest.raises(InputError, match="another manifestgen"):
            _deploy(project, services)


class TestCheck:
    def test_findings_are_told_and_errors_stop(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        project = _project(tmp_path, ELSEWHERE + "manifest: {template: t.json.j2}\n")
        (tmp_path / "t.json.j2").write_text(_template(SCORER, status="sleeping"))
        with pytest.raises(FoundError, match="1 error") as caught:
            _deploy(project, services, told)
        assert caught.value.exit_code == 1
        assert "module-status" in told.findings
        assert told.named("check").startswith("1 error, ")
        assert services.hub.applied == []

    def test_force_lets_them_pass(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, ELSEWHERE + "manifest: {template: t.json.j2}\n")
        (tmp_path / "t.json.j2").write_text(_template(SCORER, status="sleeping"))
        _deploy(project, services, force=True, patience=None)
        assert services.hub.applied != []

    def test_ignored_rules_do_not_stop(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        text = ELSEWHERE + "manifest: {template: t.json.j2}\ncheck: {ignore: {module-status: a test}}\n"
        project = _project(tmp_path, text)
        (tmp_path / "t.json.j2").write_text(_template(SCORER, status="sleeping"))
        _deploy(project, services, told, patience=None)
        assert "module-status" not in told.findings


def _template(image: str, status: str = "running") -> str:
    """A manifest with one module."""
    runtime = {"type": "docker", "settings": {}}
    system = {
        name: {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": image_of}}
        for name, image_of in (("edgeAgent", AGENT), ("edgeHub", HUB))
    }
    module = {"type": "docker", "status": status, "restartPolicy": "always", "settings": {"image": image}}
    agent = {
        "schemaVersion": "1.1",
        "runtime": runtime,
        "systemModules": system,
        "modules": {"scorer": module},
    }
    hub = {"schemaVersion": "1.1", "routes": {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}
    return json.dumps(
        {"modulesContent": {"$edgeAgent": {"properties.desired": agent}, "$edgeHub": {"properties.desired": hub}}}
    )


class TestPreflight:
    MISSING = "acme.azurecr.io/scorer:9"

    def test_an_image_that_cannot_be_pulled_stops_before_anything_changes(
        self, tmp_path: Path, services: FakeServices
    ) -> None:
        with pytest.raises(FoundError, match="there is no tag '9'"):
            _deploy(_project(tmp_path, ELSEWHERE), services, images={"scorer": self.MISSING})
        assert services.hub.applied == []

    def test_force_goes_on_and_says_how_many_cannot_be_pulled(
        self, tmp_path: Path, services: FakeServices, told: Told
    ) -> None:
        _deploy(_project(tmp_path, ELSEWHERE), services, told, images={"scorer": self.MISSING}, force=True)
        assert told.named("preflight") == "2 of 3 images can be pulled, 1 cannot"

    def test_it_can_be_left_out(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        _deploy(_project(tmp_path, ELSEWHERE), services, told, images={"scorer": self.MISSING}, preflight=False)
        assert services.distribution.asked == []
        assert "preflight" not in dict(told.steps)

    def test_images_from_the_parent_are_not_checked(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        _deploy(_project(tmp_path, ELSEWHERE), services, told, images={"scorer": "$upstream:443/scorer:1"}, force=True)
        assert told.named("preflight") == "2 of 3 images can be pulled, 1 not checked"

    def test_images_must_be_for_the_platform_that_the_device_reports(
        self, tmp_path: Path, services: FakeServices
    ) -> None:
        services.hub.report(DEVICE, "$edgeAgent", {"runtime": {"platform": {"os": "linux", "architecture": "aarch64"}}})
        with pytest.raises(FoundError, match="linux/arm64"):
            _deploy(_project(tmp_path, ELSEWHERE), services)

    def test_the_lock_file_keeps_what_tags_name(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, ELSEWHERE)
        _deploy(project, services)
        assert set(read_file(project).images) == {AGENT, HUB, SCORER}

    def test_a_tag_that_moved_stops_unless_that_is_allowed(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, ELSEWHERE)
        _deploy(project, services)
        services.distribution.push(SCORER, digest="b")
        with pytest.raises(FoundError, match="the tag has moved: it now names sha256:bbb") as caught:
            _deploy(project, services)
        assert caught.value.where == SCORER
        assert "more" not in caught.value.what
        services.distribution.push(AGENT, digest="c")
        with pytest.raises(FoundError, match="and 1 more"):
            _deploy(project, services)
        _deploy(project, services, moved_tags=True)
        assert read_file(project).images[SCORER].digest == "sha256:" + "b" * 64


class TestPin:
    PINNED = "manifest: {pin: true}\n"

    def test_images_are_named_by_digest(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        project = _project(tmp_path, ELSEWHERE + self.PINNED)
        _deploy(project, services, told)
        assert _image_of(services) == "acme.azurecr.io/scorer@sha256:" + "a" * 64
        assert told.named("render").endswith(", images by digest")
        assert set(read_file(project).images) == {AGENT, HUB, SCORER}

    def test_a_tag_that_moved_is_noticed_although_the_manifest_has_digests(
        self, tmp_path: Path, services: FakeServices
    ) -> None:
        project = _project(tmp_path, ELSEWHERE + self.PINNED)
        _deploy(project, services)
        services.distribution.push(SCORER, digest="b")
        with pytest.raises(FoundError, match="the tag has moved"):
            _deploy(project, services)

    def test_an_image_without_a_digest_stops(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, ELSEWHERE + self.PINNED)
        with pytest.raises(FoundError, match="there is no tag"):
            _deploy(project, services, images={"scorer": TestPreflight.MISSING}, force=True)

    def test_without_the_preflight_it_is_refused_before_anything_is_built(
        self, tmp_path: Path, services: FakeServices
    ) -> None:
        project = _project(tmp_path, BUILDS + self.PINNED)
        with pytest.raises(InputError, match=r"manifest.pin needs the preflight"):
            _deploy(project, services, preflight=False)
        assert services.builds.started == []


class TestFleet:
    def test_the_devices_of_the_condition_run_it(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        deployed = _deploy(_project(tmp_path, FLEET), services, told)
        assert deployed.fleet is not None and deployed.fleet.applied
        assert (deployed.plan, deployed.outcome) == (None, None)
        assert services.hub.running(DEVICE)["scorer"] == SCORER
        assert told.proposals == told.permitted_fleets == [deployed.proposal]
        (configuration,) = services.hub.configurations()
        assert told.named("apply") == f"deployment '{configuration.id}'"
        assert told.named("wait") == "1 of 1 devices run it"
        assert configuration.priority == 10

    def test_a_second_run_changes_nothing_and_asks_nothing(
        self, tmp_path: Path, services: FakeServices, told: Told
    ) -> None:
        project = _project(tmp_path, FLEET)
        _deploy(project, services)
        _deploy(project, services, told)
        assert told.named("apply") == "nothing to change"
        assert told.permitted_fleets == []

    def test_what_the_deployment_was_is_kept_before_it_changes(self, tmp_path: Path, services: FakeServices) -> None:
        project = _project(tmp_path, FLEET)
        _deploy(project, services)
        services.push("acme.azurecr.io/scorer:2")
        _deploy(project, services, images={"scorer": "acme.azurecr.io/scorer:2"})
        (previous,) = fleet_snapshots.snapshots(services.hub.host, "scorer", tmp_path / "state")
        assert SCORER in json.dumps(dict(previous.deployment.content))

    def test_without_patience_nothing_is_waited_for(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        deployed = _deploy(_project(tmp_path, FLEET), services, told, fleet_patience=None)
        assert deployed.fleet is not None and deployed.fleet.progress is None
        assert "wait" not in dict(told.steps)

    def test_its_images_are_checked_too(self, tmp_path: Path, services: FakeServices) -> None:
        with pytest.raises(FoundError, match="there is no tag '9'"):
            _deploy(_project(tmp_path, FLEET), services, images={"scorer": TestPreflight.MISSING})
        assert services.hub.writes == []

    def test_a_refusal_stops_before_anything_changes(self, tmp_path: Path, services: FakeServices) -> None:
        def refuse(proposal: Proposal) -> None:
            raise Interrupted("stopped", fix="run it again")

        with pytest.raises(Interrupted):
            deploy(
                _project(tmp_path, FLEET),
                services,
                options=Options(state=tmp_path / "state"),
                observer=Observer(fleet=TargetObserver(permit=refuse)),
            )
        assert services.hub.writes == []

    def test_a_layer_goes_to_a_fleet(self, tmp_path: Path, services: FakeServices, told: Told) -> None:
        project = _project(tmp_path, FLEET + "manifest: {template: layered}\n")
        deployed = _deploy(project, services, told, fleet_patience=None)
        assert deployed.fleet is not None and deployed.fleet.applied
