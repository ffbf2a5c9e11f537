"""What `credentials rotate` rotates, as a library call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.credential_inputs import NOW, FakeServices, inputs_of
from fakes.hub import FakeHub
from fakes.registry import FakeRegistry

from manifestgen.credentials.acr_token import create
from manifestgen.credentials.rotation import Observer
from manifestgen.errors import InputError, Interrupted, NotFoundError
from manifestgen.project import Project, load
from manifestgen.rotate import Chosen, Options, choose, rotate

HOST, NAME = "acme.azurecr.io", "manifestgen-scorer"


class Services(FakeServices):
    """A registry and a hub."""

    hub = FakeHub("edge-1", obedient=True)


def project_of(folder: Path, more: str = "target: {device: edge-1}\n", source: str = "token") -> Project:
    (folder / "manifestgen.yaml").write_text(
        f"version: 1\nregistry: {{credentials: {source}}}\n"
        f"image: {{builder: none, reference: '{HOST}/scorer:1'}}\n{more}"
    )
    return load(folder)


class TestChoice:
    def test_the_projects_target_is_rotated_unless_something_is_named(self, tmp_path: Path) -> None:
        project = project_of(tmp_path)
        assert choose(project) == Chosen(("edge-1",))
        assert choose(project, ["a", "b"]) == Chosen(("a", "b"))
        assert choose(project, deployment="lab") == Chosen(deployment="lab")
        deployed = project_of(tmp_path, "target: {deployment: lab, condition: '*'}\n")
        assert choose(deployed) == Chosen(deployment="lab")

    def test_one_kind_at_a_time(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="only one kind of target") as caught:
            choose(project_of(tmp_path), ["a"], deployment="lab")
        assert "--devices" in caught.value.fix

    def test_nothing_named_says_what_to_give(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no device or deployment is specified") as caught:
            choose(project_of(tmp_path, ""))
        assert "--deployment NAME" in caught.value.fix

    def test_a_row_without_a_device_says_which(self, tmp_path: Path) -> None:
        (tmp_path / "d.csv").write_text("device,site\nedge-1,lab\n,lab\n")
        with pytest.raises(InputError) as caught:
            choose(project_of(tmp_path), file=tmp_path / "d.csv")
        assert caught.value.where.endswith("d.csv:3")


class TestRotation:
    def rotate(self, project: Project, registry: FakeRegistry, observer: Observer | None = None, **options: Any) -> Any:
        services: Any = Services(registry)
        inputs = inputs_of(project, services, root=project.root / "state")
        return list(rotate(project, services, inputs, choose(project), Options(**options), observer or Observer()))

    def test_a_project_without_a_token_says_how_to_use_one(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no registry of the manifest has the source token") as caught:
            self.rotate(project_of(tmp_path, source="admin"), FakeRegistry.of("acme"))
        assert "credentials: token" in caught.value.fix

    def test_a_registry_without_the_token_says_how_to_create_it(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match=f"the registry has no token {NAME}") as caught:
            self.rotate(project_of(tmp_path), FakeRegistry.of("acme"))
        assert "create-token" in caught.value.fix

    def test_a_target_that_does_not_use_the_token_is_left_alone(self, tmp_path: Path) -> None:
        registry = FakeRegistry.of("acme")
        registry.clock = lambda: NOW
        create(registry, registry.by_host(HOST), NAME, ["scorer"], root=tmp_path / "state", days=30, now=NOW)
        with pytest.raises(InputError, match=f"1 device pulls no image with token {NAME}"):
            self.rotate(project_of(tmp_path), registry)
        assert registry.made == 1
        missing = project_of(tmp_path, "target: {deployment: lab, condition: '*'}\n")
        with pytest.raises(NotFoundError, match="no deployment 'lab' that manifestgen created"):
            self.rotate(missing, registry)

    def test_ctrl_c_says_how_to_resume_and_releases_the_lock(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry = FakeRegistry.of("acme")
        create(registry, registry.by_host(HOST), NAME, ["scorer"], root=tmp_path / "state", days=30, now=NOW)

        def interrupted(*args: Any, **options: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("manifestgen.credentials.rotation.rotate", interrupted)
        for _ in range(2):
            with pytest.raises(Interrupted, match="still works") as caught:
                self.rotate(project_of(tmp_path), registry)
            assert "resume" in caught.value.fix
