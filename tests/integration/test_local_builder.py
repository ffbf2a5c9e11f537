"""`builder: local` with buildah and a real registry: what is built, what is pushed, and what goes wrong."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.registry_server import PASSWORD, USER, RegistryServer, refusing_pushes, registry_server, require_programs
from fakes.wheels import AMD64, ARM64, index_in_use, installed_wheel, make_wheel, package_index
from integration.command_line import complaint, eventually, files, in_a_new_process, in_this_process, started

from manifestgen.images import build as image
from manifestgen.project.load import load
from manifestgen.project.lock import Lock
from manifestgen.project.lock import read as read_lock
from manifestgen.target import Patience

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORMS = ("linux/amd64", "linux/arm64")

_PROJECT = """\
version: 1
model: {name: scale, path: model.json}
image:
  builder: local
  name: edge/scorer
  entry_script: score.py
  requirements: requirements.txt
  registry: "HOST"
  base: "HOST/python:BASE"
  platforms: [linux/amd64, linux/arm64]
  tags: {area: lab}
registry: {credentials: env}
"""
_SCORE = """\
import json
import os
from pathlib import Path

import factors
import native

model = None


def init():
    global model
    model = json.loads(Path(os.environ["AZUREML_MODEL_DIR"], "model.json").read_text())


def run(data):
    return {"scaled": json.loads(data)["value"] * model["factor"] * factors.UNIT, "machine": native.MACHINE}
"""


def _require_engine() -> None:
    require_programs()
    if shutil.which("buildah") is None:
        pytest.skip("buildah not installed: apt-get install buildah")
    tried = subprocess.run(["buildah", "info"], capture_output=True, text=True, timeout=60, check=False)
    if tried.returncode != 0:
        pytest.skip(f"buildah cannot work here: {tried.stderr.strip()}")


def _tar(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    _require_engine()
    with registry_server(tmp_path_factory.mktemp("registry"), tls=False) as running:
        python = [f"PYTHON_VERSION={PYTHON}.9"]
        running.push(f"python:{PYTHON}-slim", PLATFORMS, layer=_tar("etc/base", b"1"), environment=python)
        running.push("python:amd64-only", layer=_tar("etc/base", b"2"), environment=python)
        yield running


@pytest.fixture(scope="module")
def engine() -> Iterator[dict[str, str]]:
    """Variables that give buildah a storage of its own, and a way to work without user namespaces.

    In memory where there is a folder for that: buildah waits for the disk after each layer.
    """
    memory = Path("/dev/shm")  # noqa: S108 - for a folder of its own in it
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        variables = {"CONTAINERS_STORAGE_CONF": f"{name}/storage.conf", "BUILDAH_ISOLATION": "chroot", "TMPDIR": name}
        for driver in ("overlay", "vfs"):  # which works everywhere, and copies all files for each layer
            text = f'[storage]\ndriver = "{driver}"\nrunroot = "{name}/{driver}/run"\ngraphroot = "{name}/{driver}"\n'
            Path(variables["CONTAINERS_STORAGE_CONF"]).write_text(text)
            tried = subprocess.run(
                ["buildah", "info"], env={**os.environ, **variables}, capture_output=True, check=False
            )
            if tried.returncode == 0:
                break
        yield variables
        # The driver mounts its folder onto itself, and a build that was killed leaves what it has mounted.
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([one for one in mounts if one.startswith(f"{name}/")]):
            subprocess.run(["umount", mount], capture_output=True, check=False)


def _wheels(folder: Path) -> Path:
    """The packages that the projects here need: compiled for each platform, pure, and the runner's own."""
    installed_wheel(folder, "paho-mqtt", ["py3-none-any"])
    for tag, machine in ((AMD64, b"amd64"), (ARM64, b"arm64")):
        code = {"native.py": b"MACHINE = '" + machine + b"'\n", "native.libs/lib.so": machine}
        make_wheel(
            folder, "native", "1.0", code, requires=["helper>=2"], tag=f"py3-none-{tag}", scripts=["native-tool"]
        )
    make_wheel(folder, "helper", "2.3", {"helper.py": b""})
    return folder


def _project(folder: Path, repository: str, host: str, base: str, registry: str = "") -> Path:
    folder.mkdir()
    text = _PROJECT.replace('registry: "HOST"', f'registry: "{registry or host}"').replace("HOST", host)
    (folder / "manifestgen.yaml").write_text(text.replace("BASE", base).replace("edge/scorer", repository))
    (folder / "score.py").write_text(_SCORE)
    (folder / "factors.py").write_text("UNIT = 10\n")
    (folder / "notes.txt").write_text("not for the image")
    (folder / "model.json").write_text('{"factor": 3}')
    (folder / "requirements.txt").write_text("native==1.0  # compiled\n")
    return folder


@contextmanager
def _settings(index: Path, engine: dict[str, str], folder: Path) -> Iterator[None]:
    """Variables for uv, the engine and the registry, none of this machine's own logins, and short pauses."""
    with package_index(index, index.parent / "uv-cache") as packages, pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "PATIENCE", Patience(1800.0, first=0.05, longest=0.05))
        logins = {"ACR_USERNAME_127": USER, "ACR_PASSWORD_127": PASSWORD, "HOME": str(folder / "home")}
        for name, value in {**engine, **packages, **logins}.items():
            patch.setenv(name, value)
        for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _wheels(tmp_path_factory.mktemp("packages") / "index")


@pytest.fixture
def settings(registry: RegistryServer, engine: dict[str, str], index: Path, tmp_path: Path) -> Iterator[None]:
    with _settings(index, engine, tmp_path):
        yield


@pytest.fixture
def make(registry: RegistryServer, settings: None, tmp_path: Path) -> Callable[..., Path]:
    """Writes a project into a folder; those of one test have one repository."""

    def write(name: str = "project", base: str = f"{PYTHON}-slim", platforms: Sequence[str] = PLATFORMS) -> Path:
        folder = _project(tmp_path / name, f"edge/{tmp_path.name.replace('_', '-')}", registry.host, base)
        return edited(folder, f"[{', '.join(PLATFORMS)}]", f"[{', '.join(platforms)}]")

    return write


def edited(folder: Path, before: str, after: str) -> Path:
    """A project whose file was changed."""
    file = folder / "manifestgen.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    return folder


def small(folder: Path) -> Path:
    """A project whose image has one layer, for what happens whatever is in it: buildah takes long for each."""
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY manifestgen/ /opt/manifestgen/\n")
    return edited(folder, "  tags:", "  dockerfile: Dockerfile\n  tags:")


def lock_of(folder: Path) -> Lock:
    lock = read_lock(load(folder))
    assert lock is not None
    return lock


def build(folder: Path, *options: str) -> Any:
    done = in_this_process("image", folder, "--engine", "buildah", "--output", "json", *options)
    assert done.code == 0, done.output
    return {**done.json, "said": done.stderr}


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def inspected(image: str, *options: str) -> Any:
    return json.loads(
        skopeo("inspect", "--tls-verify=false", "--creds", f"{USER}:{PASSWORD}", *options, f"docker://{image}")
    )


def unpacked(image: str, platform: str, folder: Path, *login: str) -> Path:
    """The files of an image for a platform, as a device would have them; `login` is for another registry."""
    folder.mkdir(exist_ok=True)
    layout = folder / f"layout-{platform.rpartition('/')[2]}"
    login = login or ("--src-creds", f"{USER}:{PASSWORD}", "--src-tls-verify=false")
    skopeo("copy", "--quiet", *login, "--override-arch", platform.split("/")[1], f"docker://{image}", f"dir:{layout}")
    root = folder / f"root-{platform.rpartition('/')[2]}"
    root.mkdir()
    for layer in json.loads((layout / "manifest.json").read_text())["layers"]:
        with tarfile.open(layout / layer["digest"].partition(":")[2]) as tar:
            tar.extractall(root, filter="tar") if sys.version_info >= (3, 12) else tar.extractall(root)  # noqa: S202
    return root / "opt" / "manifestgen"


@contextmanager
def runner(folder: Path, **variables: str) -> Iterator[Callable[[Any], Any]]:
    """The runner from an image's files, with the packages in them and no others; scores over HTTP."""
    environ = {"RUNNER_HTTP": "0", "PATH": os.environ["PATH"], **variables}
    process = subprocess.Popen(
        [sys.executable, "-S", "-m", "manifestgen_runner"],
        env=environ,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.STDOUT,
    )
    said: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if "listening at" in line:
                break
        address = "".join(said).rpartition("listening at ")[2].split()[0]
        assert address.startswith("http://"), said

        def score(data: Any) -> Any:
            body, headers = json.dumps(data).encode(), {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{address}/score", body, headers)  # noqa: S310 - loopback
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
                return json.loads(response.read())

        yield score
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def in_image(root: Path) -> dict[str, str]:
    """The variables that the image sets, for its files in a folder."""
    return {
        "PYTHONPATH": f"{root}/runner:{root}/packages",
        "AML_APP_ROOT": f"{root}/app",
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AZUREML_MODEL_DIR": f"{root}/model",
    }


@dataclass(frozen=True)
class Built:
    """A project, what `image` printed about it, and where its context was written."""

    folder: Path
    document: Any
    context: Path

    @property
    def image(self) -> str:
        return str(self.document["image"])


@pytest.fixture(scope="module")
def built(
    registry: RegistryServer, engine: dict[str, str], index: Path, tmp_path_factory: pytest.TempPathFactory
) -> Built:
    folder = tmp_path_factory.mktemp("built")
    with _settings(index, engine, folder):
        project = _project(folder / "project", "edge/built", registry.host, f"{PYTHON}-slim")
        document = build(project)
        written = in_this_process("image", project, "--context", folder / "context")
        assert written.code == 0, written.output
        return Built(project, document, folder / "context")


class TestAnImageForTwoPlatforms:
    def test_is_an_index_with_the_digest_that_the_lock_file_has(self, built: Built, tmp_path: Path) -> None:
        document, image, lock = built.document, built.image, lock_of(built.folder)
        index = inspected(image, "--raw")
        platforms = [f"{m['platform']['os']}/{m['platform']['architecture']}" for m in index["manifests"]]
        assert tuple(platforms) == lock.platforms == PLATFORMS
        digest = skopeo(
            "inspect",
            "--tls-verify=false",
            "--creds",
            f"{USER}:{PASSWORD}",
            "--format",
            "{{.Digest}}",
            f"docker://{image}",
        ).strip()
        assert digest == lock.digest == document["digest"]
        assert set(lock.sizes) == set(PLATFORMS)
        for entry in index["manifests"]:
            manifest = inspected(f"{image.rpartition(':')[0]}@{entry['digest']}", "--raw")
            size = manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])
            assert lock.sizes[f"linux/{entry['platform']['architecture']}"] == size
            assert {layer["mediaType"] for layer in manifest["layers"]} == {
                "application/vnd.docker.image.rootfs.diff.tar.gzip"
            }

    def test_says_what_it_is(self, built: Built) -> None:
        document, folder = built.document, built.folder
        config = inspected(document["image"], "--config")["config"]
        lock = lock_of(folder)
        assert lock.model is not None and lock.base is not None
        assert config["User"] == "10001:10001"
        assert config["StopSignal"] == "SIGTERM"
        assert config["Entrypoint"] == ["python", "-m", "manifestgen_runner"]
        raw = json.loads(
            skopeo(
                "inspect",
                "--config",
                "--raw",
                "--tls-verify=false",
                "--creds",
                f"{USER}:{PASSWORD}",
                f"docker://{document['image']}",
            )
        )
        assert raw["config"]["Healthcheck"]["Test"] == ["CMD", "python", "-m", "manifestgen_runner.health"]
        labels = {key: value for key, value in config["Labels"].items() if not key.startswith("io.buildah")}
        assert labels == {
            "manifestgen.inputs": lock.inputs,
            "manifestgen.model.name": "scale",
            "manifestgen.model.version": lock.model.version,
            "manifestgen.model.sha256": lock.model.sha256,
            "manifestgen.tag.area": "lab",
            "org.opencontainers.image.base.name": lock.base.image,
            "org.opencontainers.image.base.digest": lock.base.digest,
            "org.opencontainers.image.version": lock.model.version,
        }
        assert lock.model.sha256 is not None and lock.model.version == lock.model.sha256[:12]
        assert "without a workspace, it is not registered" in document["said"]

    def test_runs_with_its_own_files_and_packages(self, built: Built, tmp_path: Path) -> None:
        root = unpacked(built.image, "linux/amd64", tmp_path)
        with runner(root, **in_image(root)) as score:
            assert score({"value": 2}) == {"scaled": 60, "machine": "amd64"}

    def test_has_the_packages_of_each_platform_and_nothing_of_this_machine(self, built: Built, tmp_path: Path) -> None:
        roots = {platform: unpacked(built.image, platform, tmp_path) for platform in PLATFORMS}
        contents = {platform: files(root) for platform, root in roots.items()}
        assert contents["linux/amd64"]["packages/native.libs/lib.so"] == b"amd64"
        assert contents["linux/arm64"]["packages/native.libs/lib.so"] == b"arm64"
        assert set(contents["linux/amd64"]) == set(contents["linux/arm64"])
        assert "app/factors.py" in contents["linux/amd64"]
        assert not [name for name in contents["linux/amd64"] if "notes" in name or "/bin/" in name]
        assert not [name for name in contents["linux/amd64"] if name.endswith(".pyc")]
        everything = b"".join(b"".join(content.values()) for content in contents.values())
        assert str(built.folder.parent).encode() not in everything
        modes = {path.stat().st_mode & 0o777 for path in roots["linux/amd64"].rglob("*")}
        assert modes == {0o644, 0o755}

    def test_has_the_files_that_context_writes_byte_for_byte(self, built: Built, tmp_path: Path) -> None:
        image_files = files(unpacked(built.image, "linux/arm64", tmp_path))
        expected = {
            (
                "runner/requirements.lock"
                if name == "requirements.lock"
                else name.replace("packages/linux-arm64", "packages")
            ): data
            for name, data in files(built.context).items()
            if name != "Dockerfile" and not name.startswith("packages/linux-amd64")
        }
        assert image_files == expected


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder of an unpacked image: its mode, and its content or what it links to."""
    found = {}
    for path in root.rglob("*"):
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[path.relative_to(root).as_posix()] = (path.lstat().st_mode, content)
    return found


def test_the_registry_builds_the_same_files_byte_for_byte(
    built: Built, sandbox: Any, settings: None, registry: RegistryServer, tmp_path: Path
) -> None:
    """The sandbox's ACR Tasks, from the same project on the same base."""
    from manifestgen.sandbox import accounts
    from manifestgen.sandbox.world import Pace

    sandbox.world.pace = Pace(image_build=0.06)
    names = sandbox.world.names
    login = f"{names.registry}:{accounts.admin_passwords(sandbox.world, names.registry)[0]['value']}"
    base = f"python:{PYTHON}-slim"
    ours = ("--src-creds", f"{USER}:{PASSWORD}", "--src-tls-verify=false", f"docker://{registry.host}/{base}")
    skopeo("copy", "--quiet", "--all", "--dest-creds", login, *ours, f"docker://{names.login_server}/{base}")
    clone = shutil.copytree(built.folder, tmp_path / "clone", ignore=shutil.ignore_patterns("*.lock.json"))
    edited(clone, "builder: local", "builder: acr")
    edited(clone, registry.host, names.login_server)
    edited(clone, "registry: {credentials: env}\n", "")
    done = in_this_process("image", clone, "--output", "json")
    assert done.code == 0, done.output
    configs = []
    for platform in PLATFORMS:
        local = unpacked(built.image, platform, tmp_path / "local").parents[1]
        remote = unpacked(done.json["image"], platform, tmp_path / "acr", "--src-creds", login).parents[1]
        assert tree(remote) == tree(local)
        assert len(tree(local)) > 50
        arguments = ("inspect", "--config", "--override-arch", platform.partition("/")[2])
        configs.append(
            (
                json.loads(skopeo(*arguments, "--creds", login, f"docker://{done.json['image']}")),
                inspected(built.image, "--config", *arguments[2:]),
            )
        )
    for remote_config, local_config in configs:
        for key in ("Entrypoint", "User", "WorkingDir", "StopSignal"):
            assert remote_config["config"][key] == local_config["config"][key], key
        # buildah adds a PATH where the base sets none.
        variables = [set(one["config"]["Env"]) for one in (remote_config, local_config)]
        assert {one for one in variables[0] ^ variables[1] if not one.startswith("PATH=")} == set()


class TestNothingTwice:
    """Clones of a project whose image is in the registry."""

    @pytest.fixture
    def clone(self, built: Built, settings: None, tmp_path: Path) -> Path:
        return shutil.copytree(built.folder, tmp_path / "clone")

    def test_another_clone_without_a_lock_file_builds_nothing(self, clone: Path, built: Built) -> None:
        (clone / "manifestgen.lock.json").unlink()
        shutil.rmtree(clone / ".manifestgen")
        second, first = build(clone), built.document
        assert not first["reused"] and second["reused"]
        assert (second["image"], second["digest"], second["sizes"]) == (first["image"], first["digest"], first["sizes"])
        assert f"image {first['image']} is already in the registry, reusing it" in second["said"]
        assert "STEP" not in second["said"]

    def test_a_changed_description_builds_nothing(self, clone: Path, built: Built) -> None:
        edited(clone, "tags: {area: lab}", "tags: {area: lab}\n  description: Better words")
        second = build(clone)
        assert second["reused"] and second["digest"] == built.document["digest"]

    @pytest.mark.parametrize(("changed", "layer"), [("score.py", "app"), ("model.json", "model")])
    def test_a_changed_file_is_one_layer_to_pull(self, clone: Path, changed: str, layer: str) -> None:
        (clone / changed).write_text((clone / changed).read_text() + "\n")
        second = build(clone)
        assert not second["reused"]
        for pull in second["pulls"].values():
            assert pull["layers"] - pull["layers_reused"] == 1, layer
            assert pull["after_previous"] < 20 * 1024 + (clone / changed).stat().st_size

    def test_a_rebuild_gives_the_same_layers_under_a_tag_of_its_own(self, clone: Path, built: Built) -> None:
        second = build(clone, "--rebuild")
        assert second["image"] != built.image
        # The digest differs: buildah writes the name of its container into the configuration.
        for pull in second["pulls"].values():
            assert pull["layers_reused"] == pull["layers"]
            assert pull["after_previous"] < 20 * 1024


def test_of_two_builds_at_once_the_slower_uses_what_the_faster_has_pushed(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    """Two clones with the same engine: the slower one waits after its last layer until the faster one is done."""
    slow, fast = small(make("slow")), small(make("fast"))
    program = tmp_path / "bin" / "buildah"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
{shutil.which("buildah")} "$@" || exit $?
case "$*" in build*linux/arm64*) touch {tmp_path}/built; until [ -e {tmp_path}/go ]; do sleep 0.05; done;; esac
"""
    )
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        running = started("image", str(slow), "--engine", "buildah", cwd=slow)
    eventually((tmp_path / "built").exists, "the slower one's layers")
    document = build(fast)
    (tmp_path / "go").touch()
    ended = running.ended()
    assert ended.code == 0, ended.output
    assert "has been pushed by another build of the same inputs: it is used" in ended.stderr
    assert not document["reused"]
    assert lock_of(slow).digest == lock_of(fast).digest == document["digest"]
    kept = subprocess.run(["buildah", "images", "--format", "{{.Tag}}"], capture_output=True, text=True, check=True)
    assert "-build-" not in kept.stdout, "no index is left in the engine's storage"


def test_the_context_is_the_same_on_another_day_and_machine(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = make("one"), make("two")
    for path in two.rglob("*"):
        os.utime(path, (86400, 86400))
        path.chmod(0o600)
    digests = []
    for folder, zone, umask in ((one, "UTC", 0o022), (two, "Asia/Tokyo", 0o077)):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        before = os.umask(umask)
        try:
            written = in_this_process(
                "image", folder, "--context", tmp_path / f"{folder.name}-context", "--output", "json"
            )
        finally:
            os.umask(before)
        assert written.code == 0, written.output
        digests.append(written.json["sha256"])
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another-cache"))
    assert digests[0] == digests[1]
    assert files(tmp_path / "one-context") == files(tmp_path / "two-context")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "two-context").rglob("*")}
    assert modes == {0o644, 0o755}


def test_a_written_context_runs_without_an_image(built: Built) -> None:
    context = built.context
    variables = in_image(context) | {"PYTHONPATH": f"{context}/runner:{context}/packages/linux-amd64"}
    with runner(context, **variables) as score:
        assert score({"value": 1})["scaled"] == 30


def test_a_dockerfile_for_each_platform_and_a_second_module_beside_it(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make(platforms=PLATFORMS[:1])
    one = yaml.safe_load((folder / "manifestgen.yaml").read_text())
    host = one["image"]["registry"]
    dockerfiles = {platform: f"gateway/{platform[6:]}.Dockerfile" for platform in PLATFORMS}
    own = {"builder": "local", "name": f"{one['image']['name']}-gateway", "registry": host, "context": "."}
    (folder / "gateway").mkdir()
    for platform in PLATFORMS:
        lines = ("FROM scratch", f"LABEL from={platform}", f"COPY gateway/{platform[6:]}.txt /opt/manifestgen/file.txt")
        (folder / dockerfiles[platform]).write_text("\n".join(lines) + "\n")
        (folder / "gateway" / f"{platform[6:]}.txt").write_text(platform)
    modules = {
        "scorer": {"model": one["model"], "image": one["image"]},
        "gateway": {"image": {**own, "dockerfiles": dockerfiles}},
    }
    project = {"version": 1, "modules": modules, "registry": one["registry"]}
    (folder / "manifestgen.yaml").write_text(json.dumps(project))

    documents = build(folder)["modules"]

    assert documents["scorer"]["image"].startswith(f"{host}/{one['image']['name']}:")
    image = documents["gateway"]["image"]
    for platform in PLATFORMS:
        config = inspected(image, "--config", "--override-arch", platform[6:])
        assert (config["architecture"], config["config"]["Labels"]["from"]) == (platform[6:], platform)
        assert (unpacked(image, platform, tmp_path / "out") / "file.txt").read_text() == platform
    again = build(folder)["modules"]
    assert {name: (one["reused"], one["image"]) for name, one in again.items()} == {
        name: (True, one["image"]) for name, one in documents.items()
    }


class TestFaults:
    @pytest.fixture
    def folder(self, make: Callable[..., Path]) -> Path:
        return make(platforms=PLATFORMS[:1])

    def fails(self, folder: Path, code: int, *options: str) -> Any:
        found = complaint(in_this_process("image", folder, "--engine", "buildah", *options), code)
        assert not (folder / "manifestgen.lock.json").exists()
        assert not list((folder / ".manifestgen").glob("build*"))
        return found

    def test_a_wrong_password(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ACR_PASSWORD_127", "wrong-canary-password")
        found = self.fails(folder, 3)
        assert "login" in found
        assert "wrong-canary-password" not in str(found)

    def test_a_registry_that_is_not_there_before_anything_is_built(
        self, folder: Path, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MANIFESTGEN_TIMEOUT_FACTOR", "0.1")
        edited(folder, f'registry: "{registry.host}"', 'registry: "127.0.0.1:9"')
        done = in_this_process("image", folder, "--engine", "buildah")
        assert "could not be reached" in complaint(done, 3) and "127.0.0.1:9" in complaint(done, 3)
        assert "STEP" not in done.stderr
        self.fails(folder, 3)

    def test_a_registry_that_is_read_only(self, folder: Path, tmp_path: Path, registry: RegistryServer) -> None:
        with registry_server(tmp_path / "frozen", tls=False, frozen=True) as frozen:
            edited(small(folder), f'registry: "{registry.host}"', f'registry: "{frozen.host}"')
            found = self.fails(folder, 3)
        assert "takes no images: it is read-only" in found

    @pytest.mark.parametrize(
        ("status", "body", "what"),
        [
            (403, '{"errors": [{"code": "DENIED"}]}', "does not let this login push edge/"),
            (403, "Forbidden", "does not let this login push edge/"),
            (401, '{"errors": [{"code": "UNAUTHORIZED"}]}', "does not accept the login, or does not let it push edge/"),
        ],
    )
    def test_a_push_that_is_refused(
        self, folder: Path, registry: RegistryServer, status: int, body: str, what: str
    ) -> None:
        with refusing_pushes(status, body) as host:
            edited(small(folder), f'registry: "{registry.host}"', f'registry: "{host}"')
            found = self.fails(folder, 3)
        assert f"the registry {host} {what}" in found
        assert "AcrPush" in found.fix and f"buildah login {host}" in found.fix

    def test_a_registry_whose_disk_is_full(self, folder: Path, tmp_path: Path, registry: RegistryServer) -> None:
        data = tmp_path / "full" / "data"
        data.mkdir(parents=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(data)], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            pytest.skip("a small file system cannot be mounted here")
        try:
            with registry_server(tmp_path / "full", tls=False) as full:
                edited(small(folder), f'registry: "{registry.host}"', f'registry: "{full.host}"')
                found = self.fails(folder, 3)
        finally:
            subprocess.run(["umount", str(data)], check=True)
        # It says no more to its clients than status 500.
        assert "failed with an error of its own" in found and "a full disk looks like this" in found
        assert build(edited(folder, full.host, registry.host))["image"]

    def test_a_base_image_that_is_not_there(self, make: Callable[..., Path]) -> None:
        found = self.fails(make("no-base", base="missing"), 3)
        assert "base image" in found and "there is no tag 'missing'" in found

    def test_a_base_image_that_is_not_for_the_platform(self, make: Callable[..., Path]) -> None:
        found = self.fails(make("amd64-base", base="amd64-only"), 2)
        assert "is for linux/amd64, not linux/arm64" in found
        assert "image.platforms" in found

    def test_no_engine(self, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
        found = complaint(in_this_process("image", folder), 2)
        assert "no container engine is installed" in found and "builder: acr" in found

    def test_a_package_without_a_wheel_for_a_platform(self, make: Callable[..., Path], tmp_path: Path) -> None:
        folder, index = make(), _wheels(tmp_path / "index")
        next(index.glob("native-1.0-*aarch64.whl")).unlink()
        with index_in_use(index, tmp_path / "uv-cache"):
            found = self.fails(folder, 2)
        assert "package 'native" in found and "has no wheel for linux/arm64" in found

    def test_a_package_that_is_not_there(self, folder: Path) -> None:
        (folder / "requirements.txt").write_text("scikit-lern\n")
        found = self.fails(folder, 2)
        assert "'scikit-lern'" in found and "did you mean 'scikit-learn'" in found

    def test_a_model_that_is_not_there(self, folder: Path) -> None:
        (folder / "model.json").unlink()
        assert "model not found" in self.fails(folder, 2)

    def test_a_run_step_that_fails_is_shown_with_its_log(self, folder: Path) -> None:
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
        edited(folder, "  tags:", "  dockerfile: Dockerfile\n  tags:")
        done = in_this_process("image", folder, "--engine", "buildah")
        assert done.code == 1, done.output
        assert "Dockerfile does not start manifestgen_runner" in done.stderr
        assert "nothing" in complaint(done, 1).error

    def test_killed_while_it_builds_and_run_again(self, folder: Path) -> None:
        running = started("image", str(folder), "--engine", "buildah", cwd=folder)
        running.until_it_says("build running")
        running.kill()
        assert not (folder / "manifestgen.lock.json").exists()
        document = build(folder)
        assert not document["reused"]
        assert inspected(document["image"], "--raw")["layers"]
        assert not list((folder / ".manifestgen").glob("build*"))

    def test_ctrl_c_ends_the_engine(self, make: Callable[..., Path], tmp_path: Path) -> None:
        folder = make(platforms=PLATFORMS[:1])
        program = tmp_path / "bin" / "buildah"
        program.parent.mkdir()
        program.write_text(
            f"#!/bin/sh\ncase $1 in build) echo $$ > {tmp_path}/pid; sleep 300;; *) echo buildah 1;; esac\n"
        )
        program.chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
            running = started("image", str(folder), "--engine", "buildah", cwd=folder)
            running.until_it_says("build running")
            eventually((tmp_path / "pid").exists, "the engine's process")
            done = running.interrupt()
        assert done.code == 130
        *_, error, fix = done.stderr.splitlines()
        assert error == "interrupted; the build was cancelled"
        assert fix == "  fix: run the same command to start it again"
        process = int((tmp_path / "pid").read_text())
        eventually(lambda: not Path(f"/proc/{process}").exists(), "the end of the engine")
        assert not list((folder / ".manifestgen").glob("build*"))

    def test_a_build_that_takes_too_long_is_cancelled(self, make: Callable[..., Path]) -> None:
        found = self.fails(make(), 1, "--timeout", "0")
        assert "was cancelled" in found and "--timeout" in found


def test_no_secret_is_anywhere(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: RegistryServer
) -> None:
    folder = make(platforms=PLATFORMS[:1])
    program = tmp_path / "bin" / "buildah"
    program.parent.mkdir()
    real = shutil.which("buildah")
    program.write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/arguments
for process in /proc/[0-9]*; do
    grep -qs "CANARY_RUN={tmp_path}" $process/environ && tr "\\0" " " < $process/cmdline >> {tmp_path}/processes
done
exec {real} "$@"
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CANARY_RUN", str(tmp_path))  # the command and what it starts, and no other test's processes
    done = in_a_new_process("image", str(folder), "--engine", "buildah", "-vv", cwd=folder)
    assert done.code == 0, done.output
    assert "manifestgen" in (tmp_path / "processes").read_text(errors="replace")
    assert "--authfile" in (tmp_path / "arguments").read_text()
    assert PASSWORD not in (tmp_path / "arguments").read_text()
    assert PASSWORD not in (tmp_path / "processes").read_text(errors="replace")
    assert PASSWORD not in done.output
    everything = b"".join(files(folder).values())
    root = unpacked(lock_of(folder).image, "linux/amd64", tmp_path)
    everything += b"".join(files(root.parent.parent).values())
    everything += json.dumps(inspected(lock_of(folder).image, "--config")).encode()
    assert PASSWORD.encode() not in everything
    assert "cm9ib3Q6" not in everything.decode(errors="replace")  # robot: in base64, as a file of logins has it


@pytest.mark.slow
def test_the_sample_runs_from_its_image(registry: RegistryServer, settings: None, index: Path, tmp_path: Path) -> None:
    """The anomaly sample with scikit-learn as it is installed here, and so for amd64 alone."""
    compiled = f"cp{PYTHON.replace('.', '')}-cp{PYTHON.replace('.', '')}"
    for name in ("numpy", "scipy", "scikit-learn"):
        installed_wheel(index, name, [f"{compiled}-{AMD64}"])
    for name in ("joblib", "threadpoolctl", "cloudpickle"):
        installed_wheel(index, name, ["py3-none-any"])
    sample = Path(__file__).parents[2] / "samples" / "anomaly-detection"
    folder = tmp_path / "sample"
    folder.mkdir()
    for name in ("score.py", "model.pkl", "myenv.yml"):
        shutil.copy(sample / name, folder)
    text = (folder / "myenv.yml").read_text()
    (folder / "myenv.yml").write_text(text.replace("python=3.11", f"python={PYTHON}"))
    (folder / "manifestgen.yaml").write_text(
        _PROJECT.replace("HOST", registry.host)
        .replace("BASE", f"{PYTHON}-slim")
        .replace("{name: scale, path: model.json}", "{name: best_model, path: model.pkl}")
        .replace("requirements: requirements.txt", "conda_file: myenv.yml")
        .replace("edge/scorer", "edge/anomaly")
        .replace("[linux/amd64, linux/arm64]", "[linux/amd64]")
    )
    document = build(folder)
    assert "left out azureml-defaults" in document["said"]
    root = unpacked(document["image"], "linux/amd64", tmp_path)
    with runner(root, **in_image(root)) as score:
        answer = score({"machine": {"temperature": 21.0, "pressure": 1.0}})
        assert set(answer) == {"anomaly", "score"} and answer["anomaly"] is False
        assert score({"machine": {"temperature": 300.0, "pressure": 50.0}})["anomaly"] is True
