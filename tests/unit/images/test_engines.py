"""Engines that are stand-ins: what they are called with, and what their words mean.

buildah itself builds in tests/integration/test_local_builder.py.
"""

from __future__ import annotations

import base64
import io
import json
import os
import stat
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifestgen.cloud import Context, ContextFile, Credential
from manifestgen.errors import CloudError, DeniedError, FoundError, InputError, ManifestgenError, NotFoundError
from manifestgen.images.engines import ENGINES, find_engine
from manifestgen.images.engines.engine import Cancelled, Commands, Job
from manifestgen.images.engines.logins import has_login, own_logins, write_logins
from manifestgen.images.engines.trouble import explain
from manifestgen.secret import Secret

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are shell scripts")

REFERENCE = "acme.azurecr.io/edge/scorer:0123456789ab"
CONTEXT = Context.of([ContextFile("Dockerfile", b"FROM scratch\n"), ContextFile("app/score.py", b"x = 1\n")])


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found, besides those of the system that a script needs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "sh", "sleep"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{script}\n')
    (folder / name).chmod(0o755)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def job(folder: Path, **changes: Any) -> Job:
    folder.mkdir(exist_ok=True)
    return Job(
        **{"context": CONTEXT, "reference": REFERENCE, "platforms": ("linux/amd64",), "folder": folder, **changes}
    )


class TestChoosing:
    def test_the_first_that_can_build_is_chosen(self, programs: Path) -> None:
        program(programs, "docker", "echo 'Cannot connect to the Docker daemon'; exit 1")
        program(programs, "buildah", "echo buildah version 1.28")
        assert find_engine().name == "buildah"

    def test_without_any_it_says_what_to_install(self, programs: Path) -> None:
        with pytest.raises(InputError, match="no container engine is installed") as caught:
            find_engine()
        assert "builder: acr" in caught.value.fix

    def test_the_named_one_must_be_there_and_run(self, programs: Path) -> None:
        program(programs, "docker", "echo 'Cannot connect to the Docker daemon at unix:///x. Is it running?'; exit 1")
        with pytest.raises(InputError, match="podman is not installed"):
            find_engine("podman")
        with pytest.raises(InputError, match="docker is installed, but its daemon is not running"):
            find_engine("docker")
        with pytest.raises(InputError, match="unknown engine 'kaniko'"):
            find_engine("kaniko")

    @pytest.mark.parametrize("name", list(ENGINES))
    def test_doctor_shows_its_version(self, programs: Path, name: str) -> None:
        program(programs, name, f"echo {name} version 9.9")
        assert find_engine(name).version() == f"{name} version 9.9"


class TestDockerfiles:
    """A Dockerfile of the user's own for each platform, and build arguments."""

    @pytest.fixture
    def own(self, tmp_path: Path) -> Job:
        files = [ContextFile(name, b"FROM scratch\n") for name in ("d/amd64", "d/arm64")]
        dockerfiles = {"linux/amd64": "d/amd64", "linux/arm64": "d/arm64"}
        context = Context.of(files, dockerfile="d/amd64", dockerfiles=dockerfiles, arguments={"A": "b c"})
        (tmp_path / "job").mkdir()
        return Job(context, REFERENCE, tuple(dockerfiles), tmp_path / "job")

    def test_buildx_builds_each_and_puts_an_index(self, programs: Path, tmp_path: Path, own: Job) -> None:
        program(programs, "docker", TestBuildx._BUILDS.replace("FOLDER", str(tmp_path)))
        own = replace(own, pushed=lambda: "sha256:index")
        assert find_engine("docker").build(own, Commands()) == "sha256:index"
        amd64, arm64, index = calls(programs)[-3:]
        assert "--platform linux/amd64 --file d/amd64" in amd64 and "--platform linux/arm64 --file d/arm64" in arm64
        assert "--build-arg A=b c" in amd64 and f'name={REFERENCE}-linux-arm64"' in arm64
        assert index.endswith(
            f"buildx imagetools create --tag {REFERENCE} {REFERENCE}-linux-amd64 {REFERENCE}-linux-arm64"
        )

    def test_buildah_takes_the_one_of_each_platform(self, programs: Path, tmp_path: Path, own: Job) -> None:
        program(programs, "buildah", "echo buildah version 1.28")
        own = replace(own, pushed=lambda: "sha256:there already")
        find_engine("buildah").build(own, Commands())
        amd64, arm64 = [call for call in calls(programs) if " build " in f" {call}"][-2:]
        assert "/context/d/amd64 --build-arg A=b c" in amd64 and "/context/d/arm64 --build-arg A=b c" in arm64


class TestBuildx:
    _BUILDS = """
case "$*" in *metadata-file*)
  while [ $# -gt 0 ]; do
    [ "$1" = --metadata-file ] && echo '{"containerimage.digest": "sha256:abc"}' > "$2"
    shift
  done
  cat > FOLDER/sent; echo "#1 building";;
esac
"""

    def test_several_platforms_are_pushed_at_once_and_the_digest_is_in_its_metadata(
        self, programs: Path, tmp_path: Path
    ) -> None:
        program(programs, "docker", self._BUILDS.replace("FOLDER", str(tmp_path)))
        commands = Commands()
        platforms = ("linux/amd64", "linux/arm64")
        assert find_engine("docker").build(job(tmp_path / "job", platforms=platforms), commands) == "sha256:abc"
        called = calls(programs)[-1]
        assert "buildx build" in called and "--platform linux/amd64,linux/arm64" in called
        assert f'type=image,"name={REFERENCE}",push=true' in called
        assert "--provenance=false --sbom=false" in called and called.endswith(" -")
        assert commands.output == ["#1 building\n"]
        with tarfile.open(fileobj=io.BytesIO((tmp_path / "sent").read_bytes())) as tar:
            assert {"Dockerfile", "app/score.py"} <= set(tar.getnames())

    def test_logins_come_from_a_file_and_docker_keeps_its_builders(
        self, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usual = tmp_path / "docker"
        (usual / "contexts").mkdir(parents=True)
        (usual / "config.json").write_text("{}")
        monkeypatch.setenv("DOCKER_CONFIG", str(usual))
        program(
            programs,
            "docker",
            self._BUILDS.replace("FOLDER", str(tmp_path))
            + f"\ncat $DOCKER_CONFIG/config.json > {tmp_path}/seen; echo $BUILDX_CONFIG >> {tmp_path}/seen",
        )
        (tmp_path / "job").mkdir()
        auth = tmp_path / "job" / "auth.json"
        write_logins({}, {"acme.azurecr.io": Credential("acme.azurecr.io", "user", Secret("canary"))}, auth)
        find_engine("docker").build(job(tmp_path / "job", auth=auth), Commands())
        seen = (tmp_path / "seen").read_text()
        assert base64.b64encode(b"user:canary").decode() in seen
        assert str(usual / "buildx") in seen
        assert (tmp_path / "job" / "docker" / "contexts").is_symlink()
        assert (usual / "config.json").read_text() == "{}"
        assert "canary" not in "".join(calls(programs))

    def test_without_a_digest_it_is_not_done(self, programs: Path, tmp_path: Path) -> None:
        program(programs, "docker", "")
        with pytest.raises(FoundError, match="not said its digest"):
            find_engine("docker").build(job(tmp_path / "job"), Commands())


class TestPodman:
    def test_it_builds_each_platform_and_pushes_an_index(self, programs: Path, tmp_path: Path) -> None:
        script = 'last=; for a in "$@"; do [ "$last" = --digestfile ] && echo sha256:def > "$a"; last=$a; done'
        program(programs, "podman", script)
        (tmp_path / "job").mkdir()
        auth = tmp_path / "job" / "auth.json"
        auth.write_text("{}")
        made = job(tmp_path / "job", platforms=("linux/amd64", "linux/arm64"), auth=auth, insecure=True)
        assert find_engine("podman").build(made, Commands()) == "sha256:def"
        words = [" ".join(call.split()[:2]) for call in calls(programs)]
        assert [one for one in words if not one.startswith(("info", "--version"))] == [
            "build --format", "build --format", "manifest create", "manifest add", "manifest add",
            "manifest push", "manifest rm",
        ]  # fmt: skip
        built = [call for call in calls(programs) if call.startswith("build")]
        assert all("--timestamp 0" in call and f"--authfile {auth}" in call for call in built)
        assert "--platform linux/arm64" in built[1]
        assert "--all" in calls(programs)[-2] and f"docker://{REFERENCE}" in calls(programs)[-2]

    def test_what_another_build_has_pushed_meanwhile_is_not_pushed_over(self, programs: Path, tmp_path: Path) -> None:
        program(programs, "podman", "")
        commands = Commands()
        made = job(tmp_path / "job", pushed=lambda: "sha256:theirs")
        assert find_engine("podman").build(made, commands) == "sha256:theirs"
        assert not [call for call in calls(programs) if "push" in call]
        assert "has been pushed by another build" in commands.output[-1]

    def test_a_push_that_hides_its_error_is_not_taken_for_a_success(self, programs: Path, tmp_path: Path) -> None:
        script = """
case "$*" in
  push*--digestfile*) last=; for a in "$@"; do [ "$last" = --digestfile ] && : > "$a"; last=$a; done;;
  push*) echo "Error: unauthorized: authentication required"; exit 125;;
esac"""
        program(programs, "podman", script)
        with pytest.raises(DeniedError, match="does not accept the login"):
            find_engine("podman").build(job(tmp_path / "job"), Commands())


def test_a_cancelled_build_ends_what_runs_and_starts_nothing(programs: Path) -> None:
    import threading

    program(programs, "docker", "sleep 60")
    commands = Commands()
    threading.Timer(0.3, commands.cancel).start()
    with pytest.raises(Cancelled):
        commands.run([str(programs / "docker")], reference=REFERENCE)
    with pytest.raises(Cancelled):
        commands.run([str(programs / "docker")], reference=REFERENCE)
    assert len(calls(programs)) == 1


@pytest.mark.parametrize(
    ("output", "kind", "what"),
    [
        (
            "Error: pushing: unauthorized: authentication required",
            DeniedError,
            "does not accept the login, or does not",
        ),
        (
            "unauthorized: authentication required, visit https://aka.ms/acr/authorization for more information.",
            DeniedError,
            "does not accept the login, or does not let it push edge/scorer",
        ),
        (
            "unable to retrieve auth token: invalid username/password: unauthorized",
            DeniedError,
            "acme.azurecr.io does not accept the login",
        ),
        (
            "failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized",
            DeniedError,
            "acme.azurecr.io does not accept the login",
        ),
        ("denied: requested access to the resource is denied", DeniedError, "does not let this login push edge/scorer"),
        (
            "initiating layer upload to /v2/edge/scorer/blobs/uploads/ in acme.azurecr.io: denied",
            DeniedError,
            "does not let this login push edge/scorer",
        ),
        ("initiating layer upload to /v2/x/ in acme.azurecr.io: StatusCode: 403, {}", DeniedError, "does not let this"),
        ("push access denied: server message: insufficient_scope: authorization failed", DeniedError, "does not let"),
        ("unexpected status: 403 Forbidden", DeniedError, "does not let this login push"),
        ("pull access denied, repository does not exist or may require authorization", DeniedError, "may not pull it"),
        ("initializing source docker://x/y:1: reading manifest 1 in x/y: denied", DeniedError, "may not pull it"),
        ("open /var/lib/containers: permission denied", FoundError, "docker failed: open /var/lib"),
        ("received unexpected HTTP status: StatusCode: 405, Method not allowed", CloudError, "it is read-only"),
        ("dial tcp: lookup acme.azurecr.io: no such host", CloudError, "its name is unknown"),
        ("dial tcp 127.0.0.1:9: connect: connection refused", CloudError, "could not be reached"),
        ("http: server gave HTTP response to HTTPS client", CloudError, "speaks HTTP"),
        ("x509: certificate signed by unknown authority", CloudError, "is not trusted"),
        ("received unexpected HTTP status: 507 Insufficient Storage: quota exceeded", CloudError, "is full"),
        ("write /var/lib/x: no space left on device", InputError, "the disk is full"),
        ("exec /bin/sh: exec format error", FoundError, "cannot run programs of another platform"),
        (
            "no image found in image index for architecture arm64",
            InputError,
            "base image is not for one of the platforms",
        ),
        ("initializing source docker://x: reading manifest: manifest unknown", NotFoundError, "was not found"),
        ("ERROR: Multi-platform build is not supported for the docker driver", InputError, "one platform only"),
        ("docker: 'buildx' is not a docker command.", InputError, "without its plug-in buildx"),
        ("Cannot connect to Podman. Please verify your connection", InputError, "its daemon is not running"),
        ("E: something else", FoundError, "docker failed: E: something else"),
        ("", FoundError, "it printed nothing"),
    ],
)
def test_an_engines_words_are_explained(output: str, kind: type[ManifestgenError], what: str) -> None:
    error = explain("docker", REFERENCE, output)
    assert type(error) is kind
    assert what in error.what
    assert error.fix and "{" not in error.fix


class TestLogins:
    def test_an_engines_own_logins_are_found_where_engines_look(self, tmp_path: Path) -> None:
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker" / "config.json").write_text(
            json.dumps({"auths": {"a.io": {}, "b.io": {"x": 1}}, "credsStore": "s"})
        )
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {"b.io": {"x": 2}}, "credHelpers": {"c.io": "h"}}))
        found = own_logins({"HOME": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")})
        assert found["auths"] == {"a.io": {}, "b.io": {"x": 2}}
        assert [has_login(found, host) for host in ("a.io", "b.io", "c.io", "d.io")] == [True, True, True, False]

    def test_a_damaged_file_is_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "auth.json").write_text("{")
        assert own_logins({"HOME": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}) == {}

    def test_the_file_is_readable_by_its_owner_only(self, tmp_path: Path) -> None:
        path = tmp_path / "auth.json"
        write_logins({"auths": {"a.io": {"auth": "x"}}}, {"b.io": Credential("b.io", "u", Secret("canary-p"))}, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert json.loads(path.read_text())["auths"] == {
            "a.io": {"auth": "x"}, "b.io": {"auth": base64.b64encode(b"u:canary-p").decode()},
        }  # fmt: skip
