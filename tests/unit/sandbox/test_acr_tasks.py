"""ACR Tasks in the sandbox, by plain HTTP and by Microsoft's SDK: what is checked, what is built, what goes wrong."""

from __future__ import annotations

import base64
import importlib.metadata
import json
import tarfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the sandbox is not installed")

import requests
from azure.core.credentials import AccessToken
from fakes.acr_tasks import NEW, OLD, Registry, member, tar_of

from manifestgen.sandbox.acr_tasks import runs
from manifestgen.sandbox.packages import Outcome
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import Pace


@pytest.fixture
def registry(sandbox: Any) -> Iterator[Registry]:
    sandbox.world.pace = Pace(image_build=0.06)
    made = Registry(sandbox)
    before = made.sandbox.admin("GET", f"/registries/{made.world.names.registry}/tasks")
    yield made
    made.settings(**before)
    made.settings(mode="LegacyRegistryPermissions", runs="normal")


_DOCKERFILE = """\
FROM scratch
ARG WHO=nobody
ENV HOME=/app GREETING="hello $WHO"
LABEL manifestgen.inputs=abc "who"="$WHO"
WORKDIR /app
COPY --chown=10001:20002 model /models/
COPY score.py .
RUN pip install numpy
USER 10001:10001
STOPSIGNAL SIGTERM
EXPOSE 5001
HEALTHCHECK --interval=30s --retries=3 CMD ["python", "-m", "health"]
ENTRYPOINT ["python"]
CMD ["score.py"]
"""
_FILES: dict[str, Any] = {
    "Dockerfile": _DOCKERFILE,
    "score.py": "def run(x): return x\n",
    "model/weights.bin": b"\0\1\2" * 1000,
}


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_image_has_the_files_and_the_configuration_that_its_dockerfile_says(registry: Registry) -> None:
    run, log = registry.built(_FILES, arguments=[{"name": "WHO", "value": "you", "isSecret": False}])
    assert run["status"] == "Succeeded", log
    made = registry.image()
    assert run["outputImages"] == [
        {"registry": registry.host, "repository": "scorer", "tag": "v1", "digest": made.digest}
    ]
    assert made.files == {"models/weights.bin": _FILES["model/weights.bin"], "app/score.py": b"def run(x): return x\n"}
    weights, score = made.members["models/weights.bin"], made.members["app/score.py"]
    assert (weights.uid, weights.gid, weights.mode) == (10001, 20002, 0o640)
    assert (score.uid, score.gid, score.mode) == (0, 0, 0o640)
    config = made.config["config"]
    assert config["Env"] == ["HOME=/app", "GREETING=hello you"]
    assert config["Labels"] == {"manifestgen.inputs": "abc", "who": "you"}
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("10001:10001", "/app", "SIGTERM")
    assert (config["Entrypoint"], config["Cmd"]) == (["python"], ["score.py"])
    assert config["Healthcheck"] == {"Test": ["CMD", "python", "-m", "health"], "Interval": 30 * 10**9, "Retries": 3}
    assert config["ExposedPorts"] == {"5001/tcp": {}}
    assert (made.config["os"], made.config["architecture"]) == ("linux", "amd64")
    assert made.media_type == images.DOCKER_MANIFEST


def test_what_is_not_carried_out_is_said_in_the_log_and_in_the_image(registry: Registry) -> None:
    _, log = registry.built({**_FILES, "Dockerfile": "FROM python:3.12-slim\nRUN pip install numpy\nCOPY score.py /\n"})
    said = [line for line in log.split("\r\n") if line.startswith("(simulated)")]
    assert said == [
        "(simulated) python:3.12-slim is not in the sandbox: a minimal base (folders, /etc/passwd) stands in for it",
        "(simulated) the packages are not installed: this sandbox is set not to",
    ]
    history = registry.image().config["history"]
    assert "in place of python:3.12-slim" in history[0]["created_by"]
    assert history[1]["comment"] == "simulated by the manifestgen sandbox: packages without their files"


def test_the_same_files_are_the_same_layers_and_another_image(registry: Registry) -> None:
    registry.built(_FILES)
    first = registry.image()
    registry.built(_FILES)
    second = registry.image()
    assert first.layers == second.layers
    assert first.digest != second.digest, "a rebuilt image has another time in it, as Docker's"


def test_a_changed_script_changes_its_layer_only(registry: Registry) -> None:
    registry.built(_FILES)
    before = registry.image().layers
    registry.built({**_FILES, "score.py": "def run(x): return 2\n"})
    after = registry.image().layers
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False]


def test_layers_of_a_base_in_the_registry_are_kept(registry: Registry) -> None:
    registry.built({"Dockerfile": "FROM scratch\nENV A=1\nCOPY x /base/x\nCMD old", "x": "x"}, imageNames=["base:1"])
    base = registry.image("base:1")
    dockerfile = f'ARG TAG=0\nFROM {registry.host}/base:${{TAG}}\nCOPY y /base\nENTRYPOINT ["y"]\nRUN true'
    run, log = registry.built({"Dockerfile": dockerfile, "y": "y"}, arguments=[{"name": "TAG", "value": "1"}])
    assert run["status"] == "Succeeded", log
    made = registry.image()
    assert made.layers[:1] == base.layers
    assert made.files == {"base/x": b"x", "base/y": b"y"}, "a target that is a folder in the base is one for COPY too"
    assert made.config["config"]["Env"] == ["A=1"]
    assert "Cmd" not in made.config["config"], "ENTRYPOINT resets the CMD of the base"


def test_a_stage_copies_from_an_earlier_one(registry: Registry) -> None:
    dockerfile = (
        "FROM scratch AS first\nCOPY a /out/a\nFROM scratch\nCOPY --from=first /out /in\nCOPY --from=0 /out/a /b"
    )
    run, log = registry.built({"Dockerfile": dockerfile, "a": "a"})
    assert run["status"] == "Succeeded", log
    assert registry.image().files == {"in/a": b"a", "b": b"a"}


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, ("arm64", "v8")),
        ({"os": "Linux", "architecture": "arm", "variant": "v7"}, ("arm", "v7")),
    ],
)
def test_other_platforms_are_built(registry: Registry, platform: dict[str, str], expected: tuple[str, str]) -> None:
    registry.built(_FILES, platform=platform)
    config = registry.image().config
    assert (config["architecture"], config["variant"]) == expected


def test_a_base_for_another_platform_fails_the_run(registry: Registry) -> None:
    registry.built({"Dockerfile": "FROM scratch\nCOPY x /", "x": "x"}, imageNames=["amd64only:1"])
    run, log = registry.built(
        {"Dockerfile": f"FROM {registry.host}/amd64only:1"}, platform={"os": "Linux", "architecture": "arm64"}
    )
    assert run["status"] == "Failed"
    assert "does not match the specified platform: wanted linux/arm64, actual: linux/amd64" in log


@pytest.mark.parametrize(
    ("dockerfile", "words"),
    [
        ("FROM scratch\nCOPY missing /", "file not found in build context or excluded by .dockerignore: stat missing"),
        ("FROM scratch\nCOPY *.txt /", "COPY failed: no source files were specified"),
        ("FROM scratch\nCOPY ../x /", "forbidden path outside the build context"),
        ("FROM scratch\nCOPY --chmod=755 x /", "the --chmod option requires BuildKit"),
        ("FROM scratch\nRUN --mount=type=cache,target=/x true", "the --mount option requires BuildKit"),
        ("FROM scratch\nCOPY --chown=me:me x /", "no such user: me"),
        ("FROM scratch\nCOPIE x /", "unknown instruction: COPIE"),
        ("COPY x /", "no build stage in current context"),
        ("FROM scratch\nCOPY x x2 /y", "the destination must be a directory and end with a /"),
        ("FROM ${NOTHING}", "should not be blank"),
        ("FROM scratch AS a\nCOPY --from=7 /x /y", "there is no such stage"),
        ("# nothing\n", "cannot be empty"),
        ("FROM sandboxmodels.azurecr.io/none:1", 'manifest tagged by "1" is not found'),
        ("FROM other.azurecr.io/none:1", "unauthorized: authentication required"),
    ],
)
def test_a_mistake_in_a_dockerfile_fails_the_run(registry: Registry, dockerfile: str, words: str) -> None:
    run, log = registry.built({"Dockerfile": dockerfile, "x": "x", "x2": "x"})
    assert (run["status"], run["runErrorMessage"]) == ("Failed", "failed during run, err: exit status 1")
    assert words in log
    assert "outputImages" not in run
    assert log.endswith("failed during run, err: exit status 1\r\n")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (member("../escape", size=0), "outside its root"),
        (member("/etc/passwd", size=0), "outside its root"),
        (member("a/../../b", size=0), "outside its root"),
        (member("device", type=tarfile.CHRTYPE), "neither a file, a folder nor a link"),
        (member("pipe", type=tarfile.FIFOTYPE), "neither a file, a folder nor a link"),
        (member("hard", type=tarfile.LNKTYPE, linkname="../../etc/passwd"), "outside its root"),
        (member("hard", type=tarfile.LNKTYPE, linkname="etc/passwd"), "hard link to a file that it does not have"),
    ],
)
def test_a_source_that_leads_out_of_its_folder_is_rejected(
    registry: Registry, entry: tarfile.TarInfo, words: str
) -> None:
    run, log = registry.built({"Dockerfile": "FROM scratch\nCOPY . /", entry.name: entry})
    assert run["status"] == "Failed"
    assert words in log


def test_a_symbolic_link_is_copied_and_not_followed_on_this_machine(registry: Registry) -> None:
    link = member("secret", type=tarfile.SYMTYPE, linkname="/etc/hostname")
    run, log = registry.built({"Dockerfile": "FROM scratch\nCOPY . /all/", "secret": link})
    assert run["status"] == "Succeeded", log
    made = registry.image()
    assert made.members["all/secret"].linkname == "/etc/hostname"
    run, log = registry.built({"Dockerfile": "FROM scratch\nCOPY secret /", "secret": link})
    assert "file not found in build context" in log


def test_an_entry_below_a_link_is_rejected(registry: Registry) -> None:
    link = member("out", type=tarfile.SYMTYPE, linkname="/elsewhere")
    run, log = registry.built({"Dockerfile": "FROM scratch", "out": link, "out/file": "x"})
    assert (run["status"], "below 'out', which is not a folder" in log) == ("Failed", True)


@pytest.mark.parametrize("damage", [b"not gzip at all", b"\x1f\x8b" + b"junk" * 10, tar_of(_FILES)[:-30]])
def test_a_damaged_source_fails_the_run(registry: Registry, damage: bytes) -> None:
    answer = registry("POST", "scheduleRun", registry.body(registry.upload(damage)))
    run_id = answer.json()["properties"]["runId"]
    assert registry.wait(run_id)["status"] == "Failed"
    assert "failed to extract the context" in registry.log(run_id).text


def test_a_source_that_decompresses_to_too_much_is_rejected(registry: Registry, monkeypatch: Any) -> None:
    monkeypatch.setattr("manifestgen.sandbox.acr_tasks.source.decompress.__defaults__", (1 << 20,))
    run, log = registry.built({"Dockerfile": "FROM scratch", "zeros": bytes(2 << 20)})
    assert (run["status"], "larger than 1 MiB when decompressed" in log) == ("Failed", True)


def test_a_source_above_the_limit_is_rejected(registry: Registry) -> None:
    registry.settings(source_limit=100)
    run, log = registry.built(_FILES)
    assert (run["status"], "at most 100 are accepted" in log) == ("Failed", True)


@pytest.mark.parametrize("source", ["tasks-source/1/nothing.tar.gz", "https://github.com/a/b.git"])
def test_a_source_that_was_not_uploaded_fails_the_run(registry: Registry, source: str) -> None:
    run_id = registry("POST", "scheduleRun", registry.body(source)).json()["properties"]["runId"]
    assert registry.wait(run_id)["status"] == "Failed"
    assert "failed to download context" in registry.log(run_id).text


def test_a_source_belongs_to_its_registry(registry: Registry) -> None:
    registry.sandbox.admin("PUT", "/registries/othermodels", {})
    source = registry.upload(tar_of(_FILES))
    registry.path = registry.path.replace("sandboxmodels", "othermodels")
    run_id = registry("POST", "scheduleRun", registry.body(source)).json()["properties"]["runId"]
    assert registry.wait(run_id)["status"] == "Failed"


def test_a_source_may_be_uploaded_in_blocks(registry: Registry) -> None:
    source = tar_of(_FILES)
    place = registry("POST", "listBuildSourceUploadUrl").json()
    ids = []
    for start in range(0, len(source), 100):
        ids.append(base64.b64encode(f"{start:08}".encode()).decode())
        url = requests.Request("PUT", place["uploadUrl"], params={"comp": "block", "blockid": ids[-1]}).prepare().url
        assert requests.put(str(url), data=source[start : start + 100], timeout=10).status_code == 201
    listed = "".join(f"<Latest>{one}</Latest>" for one in ids)
    put = requests.put(
        place["uploadUrl"] + "&comp=blocklist",
        data=f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>',
        timeout=10,
    )
    assert put.status_code == 201, put.text
    answer = registry("POST", "scheduleRun", registry.body(place["relativePath"]))
    assert registry.wait(answer.json()["properties"]["runId"])["status"] == "Succeeded"


def test_the_log_is_an_append_blob_read_by_range_until_it_is_complete(registry: Registry) -> None:
    registry.settings(runs="hang")
    run_id = registry.schedule(_FILES)
    registry.wait(run_id, "Running")
    link = registry("POST", f"runs/{run_id}/listLogSasUrl").json()["logLink"]
    head = requests.head(link, timeout=10)
    assert head.headers["x-ms-blob-type"] == "AppendBlob"
    assert "x-ms-meta-complete" not in head.headers
    text = requests.get(link, timeout=10).content
    time.sleep(0.3)
    more = requests.get(link, headers={"Range": f"bytes={len(text)}-"}, timeout=10)
    assert (more.status_code, more.content.startswith(b"still building")) == (206, True)
    assert registry("POST", f"runs/{run_id}/cancel").status_code == 202
    assert registry.wait(run_id)["status"] == "Canceled"
    whole = requests.get(link, timeout=10)
    assert whole.headers["x-ms-meta-Complete"] == "canceled"
    past = requests.get(link, headers={"Range": f"bytes={len(whole.content)}-"}, timeout=10)
    assert past.status_code == 416
    assert requests.put(link, data=b"x", headers={"x-ms-blob-type": "BlockBlob"}, timeout=10).status_code == 403


def test_a_run_that_waits_for_an_agent_can_be_cancelled_once(registry: Registry) -> None:
    registry.settings(runs="queue")
    run_id = registry.schedule(_FILES)
    time.sleep(0.2)
    assert registry.run(run_id)["status"] == "Queued"
    assert registry("POST", f"runs/{run_id}/cancel").ok
    assert registry.wait(run_id)["status"] == "Canceled"
    assert code(registry("POST", f"runs/{run_id}/cancel")) == (409, "RunAlreadyFinished")
    assert registry("POST", "runs/cb999999/cancel").status_code == 404


@pytest.mark.parametrize(
    ("ways", "state", "complete"), [("error", "Error", "internalerror"), ("timeout", "Timeout", "timedout")]
)
def test_runs_end_in_every_state(registry: Registry, ways: str, state: str, complete: str) -> None:
    registry.settings(runs=ways)
    run_id = registry.schedule(_FILES)
    run = registry.wait(run_id)
    assert (run["status"], bool(run["runErrorMessage"])) == (state, True)
    assert registry.log(run_id).headers["x-ms-meta-Complete"] == complete


def test_a_log_may_never_be_marked_as_complete(registry: Registry) -> None:
    registry.settings(runs="open-log")
    run_id = registry.schedule(_FILES)
    assert registry.wait(run_id)["status"] == "Succeeded"
    assert "x-ms-meta-Complete" not in registry.log(run_id).headers


def test_the_states_are_passed_in_order(registry: Registry) -> None:
    registry.world.pace = Pace(image_build=1.2)
    run_id = registry.schedule(_FILES)
    seen: list[str] = []
    while not seen or seen[-1] != "Succeeded":
        state = registry.run(run_id)["status"]
        seen += [state] if state not in seen else []
    assert seen == ["Queued", "Started", "Running", "Succeeded"]
    run = registry.run(run_id)
    assert run["createTime"] <= run["startTime"] <= run["finishTime"]


def test_a_planned_failure_of_image_builds_is_one_of_runs_too(registry: Registry) -> None:
    registry.sandbox.admin("POST", "/builds/fail", {"log": ["no space left on device"], "message": "exit status 9"})
    run, log = registry.built(_FILES)
    assert (run["status"], run["runErrorMessage"]) == ("Failed", "exit status 9")
    assert "no space left on device" in log


def test_a_subscription_may_not_be_allowed_to_build(registry: Registry) -> None:
    source = registry.upload(tar_of(_FILES))
    registry.settings(allowed=False)
    answer = registry("POST", "scheduleRun", registry.body(source))
    assert code(answer) == (400, "TasksOperationsNotAllowed")
    assert "ACR Tasks requests for the registry sandboxmodels" in answer.json()["error"]["message"]


def test_a_registry_with_permissions_by_repository_needs_the_callers_identity(registry: Registry) -> None:
    registry.settings(mode="AbacRepositoryPermissions")
    run, log = registry.built(_FILES)
    assert (run["status"], "unauthorized: authentication required" in log) == ("Failed", True)
    credentials = {"sourceRegistry": {"identity": "[caller]", "loginMode": "Default"}}
    run, log = registry.built(_FILES, credentials=credentials)
    assert run["status"] == "Succeeded", log
    found = registry("GET", "", version=NEW).json()["properties"]
    assert found["roleAssignmentMode"] == "AbacRepositoryPermissions"


def test_a_firewall_keeps_shared_agents_out_and_lets_an_agent_pool_in(registry: Registry) -> None:
    registry.settings(firewall=True, agent_pools="inside")
    run, log = registry.built(_FILES)
    assert (run["status"], "is not allowed access" in log) == ("Failed", True)
    run, log = registry.built(_FILES, agentPoolName="inside")
    assert (run["status"], run["agentPoolName"]) == ("Succeeded", "inside")
    answer = registry("POST", "scheduleRun", registry.body(registry.upload(b"x"), agentPoolName="nowhere"))
    assert code(answer) == (400, "AgentPoolNotFound")


def test_a_full_registry_takes_no_push(registry: Registry) -> None:
    registry.settings(full=True)
    run, log = registry.built(_FILES, imageNames=["fullscorer:v1"])
    assert (run["status"], "storage limit" in log) == ("Failed", True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "docker"}, "'docker' is not known"),
        ({"type": "FileTaskRunRequest"}, "not supported by the sandbox"),
        ({"dockerFilePath": None}, "Required property 'dockerFilePath'"),
        ({"platform": None}, "Required property 'platform'"),
        ({"platform": {"architecture": "amd64"}}, "Required property 'os'"),
        ({"platform": {"os": "Linux", "architecture": "riscv"}}, "The values are amd64, x86, 386, arm, arm64"),
        ({"platform": {"os": "Linux", "arch": "arm"}}, "Could not find member 'arch'"),
        ({"timeout": 299}, "is not from 300 to 28800"),
        ({"timeout": "300"}, "must be an integer"),
        ({"agentConfiguration": {"cpu": 4}}, "The supported value is 2"),
        ({"imageName": "x"}, "Could not find member 'imageName'"),
        ({"imageNames": "x:1"}, "must be a list of strings"),
        ({"arguments": [{"name": "A"}]}, "Required property 'value'"),
        ({"arguments": [{"name": "A", "value": "b", "secret": True}]}, "Could not find member 'secret'"),
        ({"credentials": {"sourceRegistry": {"identity": "me"}}}, "is not valid"),
        ({"credentials": {"source": {}}}, "Could not find member 'source'"),
        ({"credentials": {"sourceRegistry": {"loginMode": "Always"}}}, "The values are None, Default"),
    ],
)
def test_a_wrong_body_is_rejected(registry: Registry, changes: dict[str, Any], words: str) -> None:
    answer = registry("POST", "scheduleRun", registry.body("tasks-source/x", **changes))
    assert code(answer) == (400, "InvalidRequestContent")
    assert words in answer.json()["error"]["message"]


def test_the_callers_identity_is_known_to_the_newer_api_only(registry: Registry) -> None:
    body = registry.body(
        registry.upload(tar_of(_FILES)),
        credentials={"sourceRegistry": {"identity": "[caller]", "loginMode": "Default"}},
        arguments=[{"type": "Argument", "name": "WHO", "value": "az", "isSecret": True}],
    )
    assert code(registry("POST", "scheduleRun", body, version=OLD)) == (400, "InvalidRequestContent")
    assert registry("POST", "scheduleRun", body, version=NEW).ok
    body["credentials"] = {"sourceRegistry": {"loginMode": "Default"}}
    assert registry("POST", "scheduleRun", body, version=OLD).ok


def test_other_api_versions_do_not_know_runs(registry: Registry) -> None:
    assert code(registry("GET", "runs", version="2025-04-01")) == (400, "NoRegisteredProviderFound")


def test_runs_are_listed_newest_first_in_pages(registry: Registry) -> None:
    ids = [registry.schedule(_FILES) for _ in range(3)]
    for run_id in ids:
        registry.wait(run_id)
    first = registry("GET", "runs", **{"$top": "2"}).json()
    assert [run["name"] for run in first["value"]] == ids[:0:-1]
    token = {"Authorization": f"Bearer {registry.token}"}
    second = requests.get(first["nextLink"], headers=token, timeout=10).json()
    assert second["value"][0]["name"] == ids[0]
    found = registry("GET", "runs", **{"$filter": f"RunId eq '{ids[1]}' and Status eq 'Succeeded'"}).json()
    assert [run["name"] for run in found["value"]] == [ids[1]]
    assert code(registry("GET", "runs", **{"$filter": "size gt 3"})) == (400, "InvalidFilter")


def test_a_url_for_the_source_or_the_log_expires(registry: Registry) -> None:
    registry.settings(sas_seconds=-1)
    place = registry("POST", "listBuildSourceUploadUrl").json()
    put = requests.put(place["uploadUrl"], data=b"x", headers={"x-ms-blob-type": "BlockBlob"}, timeout=10)
    assert (put.status_code, put.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")


def test_invalid_settings_say_what_is_valid(registry: Registry) -> None:
    for changes, words in (
        ({"runs": "slow"}, "runs must be one of normal, queue"),
        ({"mode": "rbac"}, "mode must be"),
        ({"allowed": 1}, "allowed must be bool"),
        ({"speed": 1}, "unknown key 'speed'"),
    ):
        with pytest.raises(AssertionError, match=words):
            registry.settings(**changes)


def test_a_secret_argument_is_in_no_answer_log_or_image(registry: Registry) -> None:
    canary = "canary-build-argument-4711"
    run_id = registry.schedule(_FILES, arguments=[{"name": "TOKEN", "value": canary, "isSecret": True}])
    registry.wait(run_id)
    assert canary not in json.dumps(registry.run(run_id))
    assert canary not in registry.log(run_id).text
    assert canary not in json.dumps(registry.image().config)


@pytest.mark.skipif(
    not importlib.metadata.version("azure-mgmt-containerregistry").startswith(("10.", "12.", "13.", "14.")),
    reason="later versions of the SDK have no tasks",
)
@pytest.mark.parametrize("version", [NEW, OLD])
def test_microsofts_sdk_builds_an_image(registry: Registry, version: str) -> None:
    """The SDK's own operations, which manifestgen does not use: they are gone in version 15."""
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient

    class Fixed:
        def get_token(self, *scopes: str, **settings: Any) -> AccessToken:
            return AccessToken(registry.token, 4102444800)

    names = registry.world.names
    place = (names.registry_group, names.registry)
    untyped: Any = ContainerRegistryManagementClient
    with untyped(Fixed(), names.subscription_id, api_version=version) as client:
        upload = client.registries.get_build_source_upload_url(*place)
        requests.put(upload.upload_url, data=tar_of(_FILES), headers={"x-ms-blob-type": "BlockBlob"}, timeout=10)
        models = client.models(version) if callable(client.models) else client.models
        body = models.DockerBuildRequest(
            docker_file_path="Dockerfile",
            image_names=["bysdk:1"],
            platform=models.PlatformProperties(os="Linux", architecture="amd64"),
            source_location=upload.relative_path,
            agent_configuration=models.AgentProperties(cpu=2),
            arguments=[models.Argument(name="WHO", value="sdk", is_secret=True)],
        )
        schedule = getattr(client.registries, "begin_schedule_run", None) or client.registries.schedule_run
        run = schedule(*place, body)
        run = run.result() if hasattr(run, "result") else run
        assert run.status == "Queued"
        registry.wait(run.run_id)
        found = client.runs.get(*place, run.run_id)
        assert [image.digest for image in found.output_images] == [registry.image("bysdk:1").digest]
        assert run.run_id in [one.run_id for one in client.runs.list(*place, top=5)]
        assert client.runs.get_log_sas_url(*place, run.run_id).log_link.startswith("https://")


def test_packages_that_cannot_be_installed_fail_the_run(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Sequence[str], str]] = []

    def install(requirements: Sequence[str], python: str, where: str) -> Outcome:
        asked.append((requirements, python))
        if requirements == ["scikit-lern"]:
            return Outcome(("error: no solution",), "package 'scikit-lern' is not on PyPI")
        return Outcome(("uv installed 1 packages",))

    monkeypatch.setattr(runs, "install", install)
    monkeypatch.setattr(registry.world, "pace", Pace(image_build=0.06, packages=True))
    text = "FROM python:3.12-slim\nCOPY score.py /\nRUN pip install NAME\n"
    run, log = registry.built({**_FILES, "Dockerfile": text.replace("NAME", "numpy")})
    assert run["status"] == "Succeeded"
    assert "uv installed 1 packages" in log
    run, log = registry.built({**_FILES, "Dockerfile": text.replace("NAME", "scikit-lern")})
    assert run["status"] == "Failed"
    assert "error: no solution" in log
    assert "The command '/bin/sh -c pip install scikit-lern' returned a non-zero code: 1" in log
    assert asked == [(["numpy"], "3.12"), (["scikit-lern"], "3.12")]
