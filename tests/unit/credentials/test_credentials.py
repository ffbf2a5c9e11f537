from __future__ import annotations

import re
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.credential_inputs import NOW, FakeServices, Workspace, inputs_of, no_workspace
from fakes.registry import FakeRegistry, registry_id

from manifestgen.cloud import RegistryInfo
from manifestgen.credentials import expiry, stored
from manifestgen.credentials.acr_token import Created, create, name_of
from manifestgen.credentials.logins import Logins, hosts_of
from manifestgen.credentials.source import Login, Standing
from manifestgen.credentials.standing import standings, warnings
from manifestgen.credentials.stored import StoredPassword
from manifestgen.errors import DeniedError, InputError, NotFoundError
from manifestgen.manifest.credentials import RegistryCredential
from manifestgen.project import Project, load
from manifestgen.render import render_project
from manifestgen.secret import Secret


class Unlisted(FakeRegistry):
    """A registry that the caller may read by its id only: whoever may use a workspace need not see registries."""

    def by_host(self, login_server: str) -> RegistryInfo:
        raise NotFoundError(f"no registry answers under {login_server!r}", fix="check the image's name")


class FromAdmin:
    """The flow for registries whose source is admin."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        hosts: list[str],
        registry: FakeRegistry,
        workspace: Callable[[], str | None] = no_workspace,
        **options: Any,
    ) -> dict[str, Login]:
        builds = workspace is not no_workspace
        image = "{builder: package, name: n, entry_script: s.py, conda_file: c.yml}" if builds else "null"
        (self.folder / "manifestgen.yaml").write_text(f"version: 1\nmodel: {{name: m}}\nimage: {image}\n")
        services = FakeServices(registry=registry, builder=Workspace(workspace))
        inputs = inputs_of(load(self.folder), services, **options)
        return Logins(inputs).find({host: frozenset() for host in hosts})


@pytest.fixture
def admin_credentials(tmp_path: Path) -> FromAdmin:
    return FromAdmin(tmp_path)


def test_each_host_gets_its_registrys_admin_user(admin_credentials: FromAdmin) -> None:
    registry = FakeRegistry.of("acme", "other")
    found = admin_credentials(["acme.azurecr.io", "other.azurecr.io"], registry)
    assert {host: credential.username for host, credential in found.items()} == {
        "acme.azurecr.io": "acme",
        "other.azurecr.io": "other",
    }
    assert found["acme.azurecr.io"].password.reveal() == "password-of-acme.azurecr.io"


def test_no_host_asks_no_one(admin_credentials: FromAdmin) -> None:
    assert admin_credentials([], FakeRegistry()) == {}


def test_a_registry_that_cannot_be_listed_is_found_through_the_workspace(admin_credentials: FromAdmin) -> None:
    registry = Unlisted.of("acme")
    found = admin_credentials(["Acme.azurecr.io"], registry, lambda: registry_id("acme"))
    assert found["Acme.azurecr.io"].username == "acme"


@pytest.mark.parametrize("workspace", [None, registry_id("other")], ids=["without a registry", "with another one"])
def test_the_workspaces_registry_is_used_for_its_own_host_only(
    workspace: str | None, admin_credentials: FromAdmin
) -> None:
    registry = Unlisted.of("acme", "other")
    with pytest.raises(NotFoundError, match=r"acme\.azurecr\.io"):
        admin_credentials(["acme.azurecr.io"], registry, lambda: workspace)


def test_an_admin_user_that_is_off_stays_off_unless_it_is_asked_for(admin_credentials: FromAdmin) -> None:
    registry = FakeRegistry.of("acme", admin=False)
    with pytest.raises(DeniedError) as caught:
        admin_credentials(["acme.azurecr.io"], registry)
    assert "--enable-admin" in caught.value.fix
    assert registry.enabled == []


def test_enable_admin_switches_it_on_and_says_so(admin_credentials: FromAdmin) -> None:
    registry = FakeRegistry.of("acme", admin=False)
    said: list[str] = []
    found = admin_credentials(["acme.azurecr.io"], registry, enable_admin=True, report=said.append)
    assert found["acme.azurecr.io"].username == "acme"
    assert registry.enabled == [registry_id("acme")]
    assert said == ["enabled the admin user of registry acme.azurecr.io"]


def test_enable_admin_leaves_an_admin_user_alone_that_is_on(admin_credentials: FromAdmin) -> None:
    registry = FakeRegistry.of("acme")
    said: list[str] = []
    admin_credentials(["acme.azurecr.io"], registry, enable_admin=True, report=said.append)
    assert registry.enabled == []
    assert said == []


NAME, HOST = "manifestgen-scorer", "acme.azurecr.io"


def project_of(folder: Path, registry: str = "{credentials: token}", module: str = "scorer") -> Project:
    (folder / "manifestgen.yaml").write_text(
        f"version: 1\nregistry: {registry}\nimage: {{builder: none, reference: '{HOST}/scorer:1'}}\n"
        f"manifest: {{template: single-module, module: {module}}}\n"
    )
    return load(folder)


class TestTokens:
    @pytest.fixture
    def registry(self) -> FakeRegistry:
        registry = FakeRegistry.of("acme")
        registry.clock = lambda: NOW
        return registry

    def make(self, registry: FakeRegistry, root: Path, *repositories: str, **options: Any) -> Created:
        info = registry.by_host(HOST)
        return create(
            registry, info, NAME, repositories or ("scorer",), root=root, **{"days": 30, "now": NOW, **options}
        )

    def find(self, root: Path, host: str, **options: Any) -> dict[str, Login]:
        """The flow, without a service that could create anything."""
        return Logins(inputs_of(project_of(root), root=root, **options)).find({host: frozenset({"scorer"})})

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("scorer", "manifestgen-scorer"),
            ("my_scorer", "manifestgen-my-scorer"),
            ("m" * 60, "manifestgen-" + "m" * 38),
            ("a" * 37 + "_b", "manifestgen-" + "a" * 37),
        ],
    )
    def test_are_named_by_the_module_within_what_the_registry_takes(
        self, module: str, name: str, tmp_path: Path
    ) -> None:
        found = name_of(project_of(tmp_path, module=module).registry_settings)
        assert found == name
        assert re.fullmatch(r"[A-Za-z0-9-]{5,50}", found)
        assert name_of(project_of(tmp_path, "{credentials: token, token: chosen}").registry_settings) == "chosen"

    def test_may_pull_the_repositories_and_list_their_tags_and_nothing_else(
        self, registry: FakeRegistry, tmp_path: Path
    ) -> None:
        made = self.make(registry, tmp_path, "scorer", "team/other")
        assert registry.scope_maps[HOST, NAME] == {
            f"repositories/{repository}/{action}"
            for repository in ("scorer", "team/other")
            for action in ("content/read", "metadata/read")
        }
        assert (made.fresh, made.stored.name, made.stored.expiry) == (True, "password1", NOW + timedelta(days=30))
        assert made.notes == (
            f"created scope map {NAME} of {HOST}: may pull scorer, team/other",
            f"created token {NAME} of {HOST}",
            f"created password1 of token {NAME}, expires on 2026-10-01",
        )

    def test_are_used_again_while_their_password_works(self, registry: FakeRegistry, tmp_path: Path) -> None:
        first = self.make(registry, tmp_path)
        again = self.make(registry, tmp_path, now=NOW + timedelta(days=29))
        assert (again.fresh, again.stored, again.notes) == (False, first.stored, ())
        later = self.make(registry, tmp_path, now=NOW + timedelta(days=31))
        assert (later.fresh, later.stored.name) == (True, "password1")

    def test_a_scope_map_that_pulls_without_listing_tags_is_enough(
        self, registry: FakeRegistry, tmp_path: Path
    ) -> None:
        registry.put_scope_map(registry.by_host(HOST), NAME, ["repositories/scorer/content/read"])
        self.make(registry, tmp_path)
        assert registry.scope_maps[HOST, NAME] == {"repositories/scorer/content/read"}

    def test_are_never_narrowed(self, registry: FakeRegistry, tmp_path: Path) -> None:
        self.make(registry, tmp_path, "scorer", "former")
        before = registry.scope_maps[HOST, NAME]
        with pytest.raises(InputError, match="does not allow other"):
            self.make(registry, tmp_path, "scorer", "other")
        assert registry.scope_maps[HOST, NAME] == before
        widened = self.make(registry, tmp_path, "scorer", "other", widen=True)
        assert registry.scope_maps[HOST, NAME] > before
        assert any("repositories/former/content/read" in note for note in widened.notes)

    def test_one_that_was_killed_while_its_password_was_made_makes_it_anew(
        self, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(BaseException):
            pass

        generate = registry.generate_password

        def killed(*args: Any) -> Any:
            generate(*args)
            raise Killed

        monkeypatch.setattr(registry, "generate_password", killed)
        with pytest.raises(Killed):
            self.make(registry, tmp_path)
        assert stored.latest(tmp_path, HOST, NAME) is None
        monkeypatch.setattr(registry, "generate_password", generate)
        made = self.make(registry, tmp_path)
        assert made.stored.password is not None
        assert registry.works(HOST, NAME, made.stored.password.reveal(), "scorer")

    def test_a_password_that_someone_else_has_is_not_made_anew(self, registry: FakeRegistry, tmp_path: Path) -> None:
        self.make(registry, tmp_path)
        with pytest.raises(InputError, match="not stored on this machine") as caught:
            self.make(registry, tmp_path / "another machine")
        assert "credentials rotate" in caught.value.fix
        assert registry.made == 1

    def test_of_someone_else_are_left_alone(self, registry: FakeRegistry, tmp_path: Path) -> None:
        self.make(registry, tmp_path)
        key, token = next(iter(registry.tokens.items()))
        registry.tokens[key] = replace(token, enabled=False)
        with pytest.raises(InputError, match="disabled"):
            self.make(registry, tmp_path)
        registry.tokens[key] = replace(token, scope_map="_repositories_push")
        with pytest.raises(InputError, match="manifestgen did not create it") as caught:
            self.make(registry, tmp_path)
        assert "registry.token" in caught.value.fix

    def test_give_the_credential_that_is_kept(self, registry: FakeRegistry, tmp_path: Path) -> None:
        made = self.make(registry, tmp_path)
        found = self.find(tmp_path, "Acme.azurecr.io")
        assert made.stored.password is not None
        assert (found["Acme.azurecr.io"].username, found["Acme.azurecr.io"].password) == (NAME, made.stored.password)

    def test_say_what_to_do_without_a_password_or_with_an_expired_one(
        self, registry: FakeRegistry, tmp_path: Path
    ) -> None:
        with pytest.raises(InputError, match="no password of token") as caught:
            self.find(tmp_path, HOST)
        assert "create-token" in caught.value.fix
        self.make(registry, tmp_path)
        with pytest.raises(InputError, match="expired on 2026-10-01") as caught:
            self.find(tmp_path, HOST, now=NOW + timedelta(days=30))
        assert "rotate" in caught.value.fix


class TestStored:
    def test_only_the_owner_may_read_it(self, tmp_path: Path) -> None:
        path = stored.write(tmp_path / "state", a_password())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stored.read(tmp_path / "state", HOST.upper(), NAME) == a_password()
        assert "canary" not in repr(a_password())

    @pytest.mark.parametrize("text", ["{", "[]", '{"format": 0}', '{"password": "canary-of-a-file"}', "\udcff"])
    def test_a_damaged_file_says_so_and_shows_nothing_of_it(self, text: str, tmp_path: Path) -> None:
        path = stored.write(tmp_path, a_password())
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError, match="not a password file that manifestgen wrote") as caught:
            stored.read(tmp_path, HOST, NAME)
        assert "canary" not in f"{caught.value} {caught.value.fix} {caught.value.__cause__}"
        assert caught.value.where == str(path)

    def test_a_file_of_a_newer_version_is_left_alone(self, tmp_path: Path) -> None:
        path = stored.write(tmp_path, a_password())
        path.write_text('{"format": 9}')
        with pytest.raises(InputError, match="written by a newer version") as caught:
            stored.latest(tmp_path, HOST, NAME)
        assert "remove" not in caught.value.fix

    def test_a_folder_that_cannot_be_made_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("a file")
        with pytest.raises(InputError, match="cannot be stored") as caught:
            stored.write(tmp_path / "state", a_password())
        assert "MANIFESTGEN_STATE" in caught.value.fix

    def test_promoting_twice_is_promoting_once(self, tmp_path: Path) -> None:
        stored.write(tmp_path, a_password(), "next")
        for _ in range(2):
            stored.promote(tmp_path, HOST, NAME)
            assert stored.read(tmp_path, HOST, NAME) == a_password()
            assert stored.read(tmp_path, HOST, NAME, "next") is None


def a_password(
    text: str = "canary-that-is-stored", expiry: datetime | None = NOW + timedelta(days=10)
) -> StoredPassword:
    return StoredPassword(HOST, NAME, "password1", Secret(text), expiry, NOW)


class TestExpiry:
    @pytest.mark.parametrize(
        ("delta", "words"),
        [
            (timedelta(days=12, hours=1), "expires on 2026-09-13, in 12 days"),
            (timedelta(days=1), "expires on 2026-09-02, in 1 day"),
            (timedelta(hours=3), "expires on 2026-09-01, today"),
            (timedelta(0), "expired on 2026-09-01"),
            (timedelta(days=-2), "expired on 2026-08-30"),
        ],
    )
    def test_is_said_in_days(self, delta: timedelta, words: str) -> None:
        assert expiry.until(NOW + delta, NOW) == words

    def warnings(self, root: Path, password: str, username: str = NAME, warn_days: int = 14) -> list[str]:
        entry = RegistryCredential("acme", HOST.upper(), username, Secret(password))
        return list(warnings([entry], root, NOW, warn_days))

    def test_is_warned_of_in_a_manifest_only_when_it_is_near(self, tmp_path: Path) -> None:
        stored.write(tmp_path, a_password())
        assert self.warnings(tmp_path, "canary-that-is-stored", warn_days=10) == []
        (words,) = self.warnings(tmp_path, "canary-that-is-stored", warn_days=11)
        assert "in 10 days" in words and "credentials rotate" in words
        assert self.warnings(tmp_path, "canary-whatever", username="somebody") == []

    def test_a_manifest_with_a_previous_password_is_reported(self, tmp_path: Path) -> None:
        stored.write(tmp_path, a_password())
        (words,) = self.warnings(tmp_path, "a-former-password")
        assert "render the manifest again" in words and "a-former" not in words
        assert self.warnings(tmp_path, "${ACR_PASSWORD_ACME}") == []

    def test_during_a_rotation_both_passwords_are_fine(self, tmp_path: Path) -> None:
        stored.write(tmp_path, a_password("canary-number-one", None))
        stored.write(tmp_path, a_password("canary-number-two", None), "next")
        assert self.warnings(tmp_path, "canary-number-one") == self.warnings(tmp_path, "canary-number-two") == []


class TestStanding:
    def look(
        self, project: Project, registry: FakeRegistry, root: Path, environ: dict[str, str] | None = None
    ) -> Standing:
        manifest = render_project(project, lambda manifest: {}).manifest
        inputs = inputs_of(project, FakeServices(registry), environ, root)
        (found,) = standings(hosts_of(manifest), inputs)
        return found

    def test_the_admin_user_is_looked_at_without_reading_its_password(self, tmp_path: Path) -> None:
        project = project_of(tmp_path, "{}")
        registry = FakeRegistry.of("acme")
        registry.passwords.clear()  # reading one would fail
        assert self.look(project, registry, tmp_path) == Standing(HOST, "admin", "acme", "Azure", admin=True)
        off = self.look(project, FakeRegistry.of("acme", admin=False), tmp_path)
        assert (off.found, off.admin, off.problem) == ("nowhere", False, "the admin user is disabled")

    def test_a_token_in_the_environment_has_the_expiry_that_azure_tells(self, tmp_path: Path) -> None:
        registry = FakeRegistry.of("acme", admin=False)
        registry.clock = lambda: NOW
        create(registry, registry.by_host(HOST), NAME, ["scorer"], root=tmp_path, days=9, now=NOW)
        environ = {"ACR_USERNAME_ACME": NAME, "ACR_PASSWORD_ACME": "canary"}
        found = self.look(project_of(tmp_path, "{credentials: env}"), registry, tmp_path / "other", environ)
        assert (found.username, found.found, found.admin) == (NAME, "environment", False)
        assert found.expiry == NOW + timedelta(days=9)

    def test_a_token_that_is_not_there_says_how_to_make_it(self, tmp_path: Path) -> None:
        found = self.look(project_of(tmp_path), FakeRegistry.of("acme"), tmp_path)
        assert (found.username, found.found) == (NAME, "nowhere")
        assert "create-token" in found.fix

    @pytest.mark.parametrize(
        ("after", "problem"),
        [
            (lambda registry, token: registry.drop_password(token, "password1"), "replaced or deleted elsewhere"),
            (lambda registry, token: registry.generate_password(token, "password1", None), "replaced or deleted"),
            (lambda registry, token: registry.tokens.clear(), "has no token"),
        ],
    )
    def test_a_password_that_no_longer_works_is_reported(self, after: Any, problem: str, tmp_path: Path) -> None:
        registry = FakeRegistry.of("acme")
        made = create(registry, registry.by_host(HOST), NAME, ["scorer"], root=tmp_path, days=9, now=NOW)
        project = project_of(tmp_path)
        before = self.look(project, registry, tmp_path)
        assert (before.problem, before.state(NOW, 14)) == ("", "warning")
        after(registry, made.token)
        found = self.look(project, registry, tmp_path)
        assert problem in found.problem
        assert found.state(NOW, 14) == "failed"

    def test_what_azure_does_not_say_is_reported_and_hides_nothing(self, tmp_path: Path) -> None:
        environ = {"ACR_USERNAME_ACME": "robot", "ACR_PASSWORD_ACME": "canary"}
        found = self.look(project_of(tmp_path, "{credentials: env}"), FakeRegistry(), tmp_path, environ)
        assert (found.username, found.found, found.admin) == ("robot", "environment", None)
        assert "no registry answers" in found.problem
