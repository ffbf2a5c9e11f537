"""What `deploy` finds before it builds anything, and what a dry run says; with services in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.services import FakeServices

from manifestgen.cloud import Credential
from manifestgen.deploy import Deployment, Observer, Options, deploy
from manifestgen.errors import FoundError, InputError, Interrupted, ManifestgenError, NotFoundError
from manifestgen.project.load import Project, load
from manifestgen.secret import Secret
from manifestgen.target import Patience

AGENT, HUB = "mcr.microsoft.com/azureiotedge-agent:1.6", "mcr.microsoft.com/azureiotedge-hub:1.6"
PROJECT = """\
version: 1
model: {name: best_model, path: model.pkl}
image: {builder: package, name: scorer, entry_script: score.py, conda_file: myenv.yml}
registry: {credentials: env}
manifest: {template: single-module}
target: {device: edge-01}
"""
FLEET = PROJECT.replace("{device: edge-01}", "{deployment: scorer, condition: \"tags.site = 'lab'\"}")
QUICK: dict[str, Any] = {
    "build_patience": Patience(first=0.0, longest=0.0),
    "patience": Patience(timeout=5.0, grace=0.0, first=0.0, longest=0.0),
    "scoring": None,
    "fleet_patience": Patience(timeout=5.0, grace=0.0, first=0.0, longest=0.0),
}


@pytest.fixture
def services() -> FakeServices:
    login = Credential("fake.azurecr.io", "fake", Secret("password-of-fake.azurecr.io"))
    made = FakeServices(logins={"fake.azurecr.io": login})
    made.hub.obedient = True
    made.hub.add("edge-01", tags={"site": "lab"})
    made.builds.registry = next(iter(made.registry.registries))
    for image in (AGENT, HUB):
        made.push(image)
    return made


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Project]:
    def make(text: str) -> Project:
        (tmp_path / "model.pkl").write_bytes(b"model")
        (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
        (tmp_path / "myenv.yml").write_text("dependencies: [python=3.11]\n")
        (tmp_path / "own.json.j2").write_text('{% extends "single-module.json.j2" %}')
        (tmp_path / "manifestgen.yaml").write_text(text)
        return load(tmp_path)

    return make


def _deploy(project: Project, services: FakeServices, observer: Observer | None = None, **options: Any) -> Deployment:
    services.builds.project = project
    given = Options(**{**QUICK, "state": project.root / "state", **options})
    return deploy(project, services, options=given, observer=observer)


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _wrong_template(services: FakeServices) -> tuple[str, dict[str, Any]]:
    return PROJECT.replace("single-module", "no-such-template"), {}


def _missing_value(services: FakeServices) -> tuple[str, dict[str, Any]]:
    return PROJECT.replace("single-module", "value.json.j2"), {}


def _wrong_route(services: FakeServices) -> tuple[str, dict[str, Any]]:
    return PROJECT, {"values": {"module": "bad name"}}


def _unknown_device(services: FakeServices) -> tuple[str, dict[str, Any]]:
    return PROJECT, {"device": "nowhere"}


def _no_login(services: FakeServices) -> tuple[str, dict[str, Any]]:
    services.logins.clear()
    return PROJECT, {}


def _missing_runtime(services: FakeServices) -> tuple[str, dict[str, Any]]:
    return PROJECT + "", {"values": {"runtime": "1.6.99"}}


def _removed_module(services: FakeServices) -> tuple[str, dict[str, Any]]:
    services.hub.set_modules("edge-01", _with_another_module())
    services.hub.writes.clear()
    services.hub.applied.clear()
    return PROJECT, {}


def _with_another_module() -> Any:
    from manifestgen.render import context_of, render

    return render("anomaly-detection", context_of(image="acme.azurecr.io/scorer:1")).content


MISTAKES = [
    (_wrong_template, InputError, "no-such-template"),
    (_missing_value, InputError, "threshold"),
    (_wrong_route, FoundError, "bad name"),
    (_unknown_device, NotFoundError, "nowhere"),
    (_no_login, InputError, r"no credential for registry fake\.azurecr\.io"),
    (_missing_runtime, FoundError, "1.6.99"),
    (_removed_module, InputError, "this would remove"),
]


@pytest.mark.parametrize("dry_run", [False, True], ids=["deploy", "dry run"])
@pytest.mark.parametrize(("mistake", "error", "words"), MISTAKES, ids=lambda value: getattr(value, "__name__", None))
def test_a_mistake_is_found_before_anything_is_registered_or_built(
    project: Callable[[str], Project],
    services: FakeServices,
    mistake: Callable[[FakeServices], tuple[str, dict[str, Any]]],
    error: type[ManifestgenError],
    words: str,
    dry_run: bool,
) -> None:
    text, options = mistake(services)
    made = project(text)
    (made.root / "value.json.j2").write_text('{"modulesContent": {"$edgeAgent": {{ threshold }} }}')
    with pytest.raises(error, match=words):
        _deploy(made, services, dry_run=dry_run, **options)
    assert (services.models.list(), services.builds.started, services.hub.writes) == ([], [], [])


def test_what_could_not_be_confirmed_is_not_built(project: Callable[[str], Project], services: FakeServices) -> None:
    def refuse() -> None:
        raise InputError("not a terminal", fix="add --yes")

    with pytest.raises(InputError, match="not a terminal"):
        _deploy(project(PROJECT), services, Observer(confirmable=refuse))
    assert (services.models.list(), services.builds.started) == ([], [])


def test_ctrl_c_before_the_build_says_that_nothing_was_built(
    project: Callable[[str], Project], services: FakeServices
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="nothing was registered or built"):
        _deploy(project(PROJECT), services, Observer(confirmable=interrupt))
    assert (services.models.list(), services.builds.started) == ([], [])


@pytest.mark.parametrize("text", [PROJECT, FLEET], ids=["device", "fleet"])
def test_what_is_tried_first_is_said_once(project: Callable[[str], Project], services: FakeServices, text: str) -> None:
    steps: list[str] = []
    _deploy(project(text), services, Observer(step=lambda name, result: steps.append(name)))
    assert [steps.count(name) for name in ("image", "render", "check", "preflight")] == [1, 1, 1, 1]


def test_a_template_may_use_the_version_of_a_model_that_is_not_registered_yet(
    project: Callable[[str], Project], services: FakeServices
) -> None:
    made = project(PROJECT.replace("single-module", "version.json.j2"))
    template = '{% extends "single-module.json.j2" %}{% set ttl = model.version %}'
    (made.root / "version.json.j2").write_text(template)
    assert _deploy(made, services).outcome is not None


def test_a_registry_that_does_not_exist_yet_stops_nothing(
    project: Callable[[str], Project], services: FakeServices
) -> None:
    services.builds.registry = None
    found: list[str] = []
    report = Observer(findings=lambda document, findings: found.extend(finding.rule for finding in findings))
    _deploy(project(PROJECT), services, report, dry_run=True)
    assert "floating-tag" not in found
    assert {image for image, _ in services.distribution.asked} == {AGENT, HUB}
    assert _deploy(project(PROJECT), services).outcome is not None


def test_a_registry_that_may_not_be_looked_up_stops_nothing(
    project: Callable[[str], Project], services: FakeServices
) -> None:
    services.builds.registry = services.builds.registry.replace("fake", "hidden") if services.builds.registry else None
    assert _deploy(project(PROJECT), services).outcome is not None


class TestDryRun:
    @pytest.mark.parametrize("text", [PROJECT, FLEET], ids=["device", "fleet"])
    def test_it_says_what_would_be_done_and_does_nothing(
        self, project: Callable[[str], Project], services: FakeServices, text: str
    ) -> None:
        made, steps = project(text), dict[str, str]()
        before = _files(made.root)
        found = _deploy(made, services, Observer(step=steps.__setitem__), dry_run=True)
        words = "would register model best_model and build image scorer with Azure ML (package)"
        assert steps["image"] == words
        assert (found.outcome, found.fleet) == (None, None)
        (forecast,) = found.forecasts.values()
        assert (forecast.registers, forecast.builds) == ("best_model", True)
        assert (services.models.list(), services.builds.started, services.hub.writes) == ([], [], [])
        assert _files(made.root) == before
        if text is PROJECT:
            assert found.plan is not None and found.plan.changes
        else:
            assert found.proposal is not None and not found.proposal.nothing_to_do

    def test_the_image_that_it_names_is_the_one_that_is_built(
        self, project: Callable[[str], Project], services: FakeServices
    ) -> None:
        expected = _deploy(project(PROJECT), services, dry_run=True).image
        assert _deploy(project(PROJECT), services).image == expected

    def test_after_a_deployment_there_is_nothing_to_do(
        self, project: Callable[[str], Project], services: FakeServices
    ) -> None:
        made, steps = project(PROJECT), dict[str, str]()
        image = _deploy(made, services).image
        services.hub.writes.clear()
        found = _deploy(made, services, Observer(step=steps.__setitem__), dry_run=True)
        assert steps["image"] == f"{image} is up to date and would be reused"
        assert found.plan is not None and not found.plan.changes
        assert [forecast.builds for forecast in found.forecasts.values()] == [False]
        assert services.hub.writes == []

    def test_what_another_clone_built_would_be_reused(
        self, project: Callable[[str], Project], services: FakeServices
    ) -> None:
        made = project(PROJECT)
        image = _deploy(made, services).image
        (made.root / "manifestgen.lock.json").unlink()
        found = _deploy(made, services, dry_run=True)
        assert found.image == image
        (forecast,) = found.forecasts.values()
        assert forecast.words == f"{image} is already in the registry and would be reused"
        assert not (made.root / "manifestgen.lock.json").exists()

    def test_a_new_script_builds_with_the_model_that_is_registered(
        self, project: Callable[[str], Project], services: FakeServices
    ) -> None:
        made = project(PROJECT)
        _deploy(made, services)
        (made.root / "score.py").write_text("def init(): pass\ndef run(data): return 1\n")
        found = _deploy(made, services, dry_run=True)
        (forecast,) = found.forecasts.values()
        assert forecast.words == "would build image scorer with Azure ML (package)"

    def test_an_image_that_is_gone_is_still_a_failure(
        self, project: Callable[[str], Project], services: FakeServices
    ) -> None:
        with pytest.raises(FoundError, match=r"gone"):
            _deploy(project(PROJECT), services, dry_run=True, images={"scorer": "fake.azurecr.io/gone:1"})

    def test_locked_rules_out_a_build(self, project: Callable[[str], Project], services: FakeServices) -> None:
        made = project(PROJECT)
        image = _deploy(made, services).image
        services.registry.images.pop(image)
        with pytest.raises(FoundError, match=r"would build image scorer .* which --locked rules out"):
            _deploy(made, services, dry_run=True, locked=True)

    def test_locked_is_looked_at(self, project: Callable[[str], Project], services: FakeServices) -> None:
        with pytest.raises(FoundError, match="there is no lock file"):
            _deploy(project(PROJECT), services, dry_run=True, locked=True)
