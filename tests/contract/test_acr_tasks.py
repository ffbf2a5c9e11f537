"""The builder `acr` on the sandbox: what it asks ACR Tasks for, what comes of it, and what goes wrong."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fakes.acr_tasks import Registry

from manifestgen.cloud import Build, BuildRequest, BuildState, BuildStatus, RegisteredModel
from manifestgen.cloud.context import Context, ContextFile
from manifestgen.errors import CloudError, DeniedError, InputError, ManifestgenError
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import Pace

_DOCKERFILE = """\
FROM python:3.12-slim
ARG TARGETARCH
LABEL manifestgen.inputs=0123
WORKDIR /app
COPY packages/linux-${TARGETARCH} /packages/
COPY --chown=10001:10001 model /model/
COPY score.py .
USER 10001:10001
CMD ["python", "score.py"]
"""
_WEIGHTS = bytes(range(256)) * 64


@dataclass
class _Services:
    """As much of a project's services as the builder uses."""

    registry: Any


class Cloud:
    """The builder, the sandbox's registry, and requests with names that no other test uses."""

    def __init__(self, sandbox: Any) -> None:
        self.registry = Registry(sandbox)
        self.sandbox = sandbox
        self.slept: list[float] = []
        self.builder = self.another()

    def another(self, **settings: Any) -> Any:
        """The builder as another process would have it."""
        from azure.identity import EnvironmentCredential

        from manifestgen.azure.acr import Registries
        from manifestgen.azure.acr_tasks import TaskBuilder

        credential = EnvironmentCredential()
        services: Any = _Services(Registries(credential))
        settings = {"sleep": self._sleep, **settings}
        return TaskBuilder(self.registry.host, "team/scorer", services, credential=credential, **settings)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        time.sleep(0.05)

    def request(self, *platforms: str, **changes: Any) -> BuildRequest:
        files = [
            ContextFile("Dockerfile", _DOCKERFILE.encode()),
            ContextFile("score.py", b"def run(x): return x\n"),
            ContextFile("model/weights.bin", _WEIGHTS),
            *(
                ContextFile(f"packages/linux-{one.split('/')[1]}/lib.so", one.encode(), True, one)
                for one in platforms or ("linux/amd64",)
            ),
        ]
        made = BuildRequest(
            name=f"team/scorer-{uuid.uuid4().hex[:8]}",
            label="0123456789ab",
            model=RegisteredModel("scorer", "1"),
            inputs="0123",
            registry=self.registry.host,
            platforms=platforms or ("linux/amd64",),
            context=Context.of(files),
        )
        return replace(made, **changes)

    def finished(self, build: Build, builder: Any = None) -> tuple[BuildStatus, str]:
        """The last status of a build, and its log, read as `images.build` does."""
        builder, log = builder or self.builder, ""
        deadline = time.monotonic() + 30
        while True:
            status: BuildStatus = builder.status(build)
            log += builder.log(build, len(log))
            if status.state in (BuildState.SUCCEEDED, BuildState.FAILED):
                return status, log
            assert time.monotonic() < deadline, log
            time.sleep(0.02)

    def runs(self) -> int:
        """How many runs there were so far."""
        return int(self.sandbox.world.store.get("acr-run-count", self.sandbox.world.names.registry) or 0)

    def settings(self, **changes: Any) -> None:
        self.registry.settings(**changes)


_DEFAULTS = {
    "allowed": True,
    "mode": "LegacyRegistryPermissions",
    "firewall": False,
    "full": False,
    "agent_pools": "",
    "source_limit": 100_000_000,
    "sas_seconds": 3600,
    "runs": "normal",
}


@pytest.fixture
def cloud(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    from manifestgen.azure import acr_tasks

    monkeypatch.setattr(acr_tasks, "_LOOKS", 40)
    sandbox.world.pace = Pace(image_build=0.06)
    made = Cloud(sandbox)
    yield made
    made.settings(**_DEFAULTS)


def sent(sandbox: Any, path: str) -> list[dict[str, Any]]:
    """The requests whose path ends so."""
    return [one for one in sandbox.sandbox.traffic.requests if one["path"].endswith(path)]


def test_an_image_is_built_and_pushed_with_the_files_of_its_context(cloud: Cloud) -> None:
    request = cloud.request()
    build = cloud.builder.start(request)
    status, log = cloud.finished(build)
    assert status.state is BuildState.SUCCEEDED, log
    made = cloud.registry.image(f"{request.name}:{request.label}")
    assert (status.reference, status.digest) == (request.reference, made.digest)
    assert status.platforms == ("linux/amd64",)
    assert made.files["model/weights.bin"] == _WEIGHTS
    assert made.files["app/score.py"] == b"def run(x): return x\n"
    assert made.files["packages/lib.so"] == b"linux/amd64"
    assert made.members["packages/lib.so"].mode == 0o755
    assert made.members["model/weights.bin"].uid == 10001
    assert "MANIFESTGEN_BUILD" not in json.dumps(made.config), "the mark of a run is not in its image"
    assert "Step 1/10 : ARG MANIFESTGEN_BUILD=" in log
    assert "\r" not in log


def test_several_platforms_become_an_index_of_their_images(cloud: Cloud) -> None:
    request = cloud.request("linux/amd64", "linux/arm64", "linux/arm/v7")
    status, log = cloud.finished(cloud.builder.start(request))
    assert status.state is BuildState.SUCCEEDED, log

    async def read() -> tuple[str, str, Any]:
        found = images.find_manifest(cloud.sandbox.world, cloud.registry.host, request.name, request.label)
        assert found is not None
        return found.digest, found.media_type, json.loads(found.path.read_bytes())

    digest, media_type, index = cloud.sandbox.call(read())
    assert status.digest == digest
    assert media_type == index["mediaType"] == images.DOCKER_LIST
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]
    for entry, platform in zip(index["manifests"], request.platforms, strict=True):
        made = cloud.registry.image(f"{request.name}:{request.label}-{platform.replace('/', '-')}")
        assert (made.digest, made.files["packages/lib.so"]) == (entry["digest"], platform.encode())
        assert {entry["mediaType"], made.media_type} == {images.DOCKER_MANIFEST}
    first, second, third = (log.index(f"[{platform}, run ") for platform in request.platforms)
    assert first < second < third


def test_nothing_is_asked_that_the_sandbox_does_not_serve(cloud: Cloud) -> None:
    cloud.finished(cloud.builder.start(cloud.request("linux/amd64", "linux/arm64")))
    assert list(cloud.sandbox.sandbox.traffic.unserved) == []


def test_a_large_context_is_uploaded_in_blocks(cloud: Cloud) -> None:
    big = ContextFile("model/big.bin", os.urandom(9 << 20))
    request = cloud.request()
    assert request.context is not None
    request = replace(request, context=Context.of([*request.context.files, big]))
    status, log = cloud.finished(cloud.builder.start(request))
    assert status.state is BuildState.SUCCEEDED, log
    blocks = [one for one in cloud.sandbox.sandbox.traffic.requests if "comp=block&" in one["query"]]
    assert len(blocks) == 3
    assert max(one["size"] for one in blocks) <= 4 << 20
    assert cloud.registry.image(f"{request.name}:{request.label}").files["model/big.bin"] == big.content


def test_an_image_that_is_there_is_found_and_not_built_again(cloud: Cloud) -> None:
    request = cloud.request("linux/amd64", "linux/arm64")
    first, _ = cloud.finished(cloud.builder.start(request))
    before = cloud.runs()
    found = cloud.another().find(request)
    assert found is not None
    again, _ = cloud.finished(found, cloud.another())
    assert (again.digest, cloud.runs()) == (first.digest, before)


def test_a_platform_that_is_there_is_not_built_again(cloud: Cloud) -> None:
    request = cloud.request("linux/amd64", "linux/arm64")
    cloud.finished(cloud.builder.start(replace(request, platforms=("linux/amd64",), label="other")))
    assert cloud.builder.find(request) is None
    status, log = cloud.finished(cloud.builder.start(replace(request, label="other")))
    assert status.state is BuildState.SUCCEEDED
    assert "linux/arm64" not in log.partition("Step 1/")[0], "a single run needs no title"
    assert cloud.registry.image(f"{request.name}:other-linux-arm64").files["packages/lib.so"] == b"linux/arm64"


def test_a_tag_that_another_build_has_put_is_never_pushed_over(cloud: Cloud) -> None:
    request = cloud.request()
    build = cloud.builder.start(request)
    cloud.registry.wait(build.operation.partition("=")[2])
    faster, _ = cloud.finished(build, cloud.another())
    # The platform's tag moves on, as by a build that began at the same time; the image's tag does not.
    run_id = cloud.registry.schedule(
        {"Dockerfile": "FROM scratch\n"}, imageNames=[f"{request.name}:0123456789ab-linux-amd64"]
    )
    cloud.registry.wait(run_id)
    later, _ = cloud.finished(build)
    assert later.digest == faster.digest == cloud.registry.image(f"{request.name}:{request.label}").digest


def test_two_builds_of_one_content_at_once_end_with_one_image(cloud: Cloud) -> None:
    request = cloud.request("linux/amd64", "linux/arm64")
    found: list[BuildStatus] = []

    def build() -> None:
        builder = cloud.another(sleep=time.sleep)
        found.append(cloud.finished(builder.find(request) or builder.start(request), builder)[0])

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status.state for status in found] == [BuildState.SUCCEEDED] * 2
    assert len({status.digest for status in found}) == 1


def test_a_run_that_another_process_started_is_found_by_its_log(cloud: Cloud) -> None:
    cloud.settings(runs="hang")
    request = cloud.request("linux/amd64", "linux/arm64")
    first = cloud.builder.start(request)
    log, deadline = "", time.monotonic() + 20
    while log.count("still building") < 2:
        log += cloud.builder.log(first, len(log))
        assert time.monotonic() < deadline, log
    for part in first.operation.split(","):
        cloud.registry.wait(part.partition("=")[2], "Running")
    time.sleep(1)
    assert cloud.another().find(request) == first
    assert cloud.another().find(replace(request, label="0123456789ab-20261130")) is None
    assert cloud.builder.cancel(first)


def test_a_request_whose_answer_is_lost_starts_one_run(cloud: Cloud) -> None:
    request = cloud.request()
    before = cloud.runs()
    cloud.sandbox.fault("reset_after", match={"path": "/scheduleRun$"})
    status, log = cloud.finished(cloud.builder.start(request))
    assert (status.state, cloud.runs() - before) == (BuildState.SUCCEEDED, 1), log


@pytest.mark.parametrize("kind", ["reset", "status"])
def test_a_request_that_did_not_arrive_is_sent_again_once_no_run_is_found(cloud: Cloud, kind: str) -> None:
    request = cloud.request()
    before = cloud.runs()
    cloud.sandbox.fault(kind, status=503, match={"path": "/scheduleRun$"})
    status, log = cloud.finished(cloud.builder.start(request))
    assert (status.state, cloud.runs() - before) == (BuildState.SUCCEEDED, 1), log
    assert cloud.slept, "it looked for the run in between"


def test_an_answer_that_stays_lost_is_an_error_and_the_next_run_finds_the_build(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.azure import acr_tasks

    monkeypatch.setattr(acr_tasks, "_LOOKS", 2)
    cloud.settings(runs="queue")
    request = cloud.request()
    before = cloud.runs()
    cloud.sandbox.fault("reset_after", match={"path": "/scheduleRun$"})
    with pytest.raises(CloudError, match="lost") as caught:
        cloud.builder.start(request)
    assert "run the same command again" in caught.value.fix
    assert cloud.runs() - before == 1
    cloud.registry("POST", f"runs/cb{cloud.runs()}/cancel")


def test_throttling_is_waited_for(cloud: Cloud) -> None:
    cloud.sandbox.fault("status", status=429, retry_after=1, times=2, match={"path": "/scheduleRun$"})
    before = cloud.runs()
    status, _ = cloud.finished(cloud.builder.start(cloud.request()))
    assert (status.state, cloud.runs() - before) == (BuildState.SUCCEEDED, 1)


_TRANSIENT = [
    ("/listBuildSourceUploadUrl$", "management.azure.com"),
    ("tasks-source", ".*blob.*"),
    ("/runs/cb[0-9]+$", "management.azure.com"),
    ("/listLogSasUrl$", "management.azure.com"),
    ("rawtext.log$", ".*blob.*"),
    ("/oauth2/exchange$", ".*azurecr.*"),
    ("/oauth2/token$", ".*azurecr.*"),
    ("/manifests/", ".*azurecr.*"),
]


@pytest.mark.no_cover  # the way of a build, again and again
@pytest.mark.parametrize(("path", "host"), _TRANSIENT)
@pytest.mark.parametrize("kind", ["reset_after", "status"])
def test_a_transient_failure_of_a_request_changes_nothing(cloud: Cloud, path: str, host: str, kind: str) -> None:
    before = cloud.runs()
    cloud.sandbox.fault(kind, status=503, match={"path": path, "host": host})
    status, log = cloud.finished(cloud.builder.start(cloud.request()))
    assert (status.state, cloud.runs() - before) == (BuildState.SUCCEEDED, 1), log
    rules = cloud.sandbox.sandbox.faults.rules
    assert [rule.hit for rule in rules if rule.path == path] == [1]


def test_an_address_for_the_upload_that_has_expired_is_asked_for_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.settings(sas_seconds=-5)

    def valid_from_the_second_on(*arguments: Any, **named: Any) -> Any:
        answer = original(*arguments, **named)
        cloud.settings(sas_seconds=3600)
        return answer

    from manifestgen.azure.acr_tasks_arm import Tasks

    original = Tasks.upload_place
    monkeypatch.setattr(Tasks, "upload_place", valid_from_the_second_on)
    status, log = cloud.finished(cloud.builder.start(cloud.request()))
    assert status.state is BuildState.SUCCEEDED, log
    assert len(sent(cloud.sandbox, "/listBuildSourceUploadUrl")) == 2


def test_an_address_for_the_upload_that_always_expires_is_an_error(cloud: Cloud) -> None:
    cloud.settings(sas_seconds=-5)
    before = cloud.runs()
    with pytest.raises(CloudError, match="expired 3 times"):
        cloud.builder.start(cloud.request())
    assert cloud.runs() == before


def test_an_address_of_the_log_that_has_expired_is_asked_for_again(cloud: Cloud) -> None:
    cloud.settings(runs="hang", sas_seconds=4)  # in whole seconds, so at least three
    build = cloud.builder.start(cloud.request())
    run_id = build.operation.partition("=")[2]
    cloud.registry.wait(run_id, "Running")
    log = cloud.builder.log(build)
    time.sleep(5.1)
    more = cloud.builder.log(build, len(log))
    assert "still building" in more
    assert len(sent(cloud.sandbox, f"{run_id}/listLogSasUrl")) == 2
    assert cloud.builder.cancel(build)


def test_a_log_is_continued_from_any_character_in_another_process(cloud: Cloud) -> None:
    build = cloud.builder.start(cloud.request("linux/amd64", "linux/arm64"))
    _, log = cloud.finished(build)
    other = cloud.another()
    other.status(build)
    assert log[:100] + other.log(build, 100) == log
    assert other.log(build, 0) == log, "from the beginning again"


def test_a_log_that_is_never_complete_does_not_hold_up_a_build(cloud: Cloud) -> None:
    cloud.settings(runs="open-log")
    status, log = cloud.finished(cloud.builder.start(cloud.request("linux/amd64", "linux/arm64")))
    assert status.state is BuildState.SUCCEEDED
    assert log.count("was successful") == 2


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a registry, and what the build's failure says about it."""

    settings: dict[str, Any]
    words: str
    fix: str


_FAILURES = {
    "full": Trouble({"full": True}, "the registry is full", "delete images"),
    "error": Trouble({"runs": "error"}, "failed within ACR", "builder: local"),
    "timeout": Trouble({"runs": "timeout"}, "took longer than 60 min", "builder: local"),
    "too large": Trouble({"source_limit": 10}, "could not read the uploaded build context", "again"),
}


@pytest.mark.parametrize("name", _FAILURES)
def test_a_failed_run_is_explained(cloud: Cloud, name: str) -> None:
    trouble = _FAILURES[name]
    cloud.settings(**trouble.settings)
    request = cloud.request()
    status, _ = cloud.finished(cloud.builder.start(request))
    assert status.state is BuildState.FAILED
    assert trouble.words in status.error
    assert trouble.fix in status.fix
    cloud.settings(**_DEFAULTS)
    status, log = cloud.finished(cloud.builder.start(request))
    assert status.state is BuildState.SUCCEEDED, "the next build is a new one, and leaves nothing behind" + log


@pytest.mark.parametrize(
    ("dockerfile", "words", "fix"),
    [
        ("FROM scratch\nCOPY none /\n", "stat none: file does not exist", "build log"),
        ("FROM scratch\nCOPY --chmod=700 score.py /\n", "does not have", "builder: local"),
        ("FROM sandboxmodels.azurecr.io/none:1\n", "cannot be pulled", "image.base"),
        ("FROM other.azurecr.io/none:1\n", "requires a login", "this registry"),
    ],
)
def test_a_mistake_in_a_dockerfile_is_explained(cloud: Cloud, dockerfile: str, words: str, fix: str) -> None:
    request = cloud.request()
    context = Context.of([ContextFile("Dockerfile", dockerfile.encode()), ContextFile("score.py", b"")])
    status, _ = cloud.finished(cloud.builder.start(replace(request, context=context)))
    assert (status.state, words in status.error, fix in status.fix) == (BuildState.FAILED, True, True), status


def test_a_base_that_is_not_for_a_platform_is_explained_and_ends_the_other_run(cloud: Cloud) -> None:
    cloud.registry.built({"Dockerfile": "FROM scratch\nCOPY x /", "x": "x"}, imageNames=["amdbase:1"])
    context = Context.of([ContextFile("Dockerfile", f"FROM {cloud.registry.host}/amdbase:1\n".encode())])
    request = cloud.request("linux/amd64", "linux/arm64", context=context)
    status, _ = cloud.finished(cloud.builder.start(request))
    assert "the base image is not for this platform" in status.error
    assert "linux/arm64" in status.error
    assert "image.platforms" in status.fix


def test_a_cancelled_run_ends_the_build(cloud: Cloud) -> None:
    cloud.settings(runs="hang")
    build = cloud.builder.start(cloud.request("linux/amd64", "linux/arm64"))
    first, second = (part.partition("=")[2] for part in build.operation.split(","))
    cloud.registry.wait(first, "Running")
    cloud.registry("POST", f"runs/{first}/cancel")
    status, _ = cloud.finished(build)
    assert (status.state, "was cancelled" in status.error) == (BuildState.FAILED, True)
    assert cloud.registry.wait(second)["status"] == "Canceled", "the other platform's run is ended too"


def test_cancel_ends_all_runs_and_is_harmless_when_they_are_over(cloud: Cloud) -> None:
    cloud.settings(runs="queue")
    build = cloud.builder.start(cloud.request("linux/amd64", "linux/arm64"))
    assert cloud.builder.cancel(build)
    for part in build.operation.split(","):
        assert cloud.registry.wait(part.partition("=")[2])["status"] == "Canceled"
    assert cloud.builder.cancel(build), "409 is no failure: the runs are over"


def test_a_build_that_cannot_be_cancelled_continues(cloud: Cloud) -> None:
    cloud.settings(runs="queue")
    build = cloud.builder.start(cloud.request())
    cloud.sandbox.fault("status", status=403, times="forever", match={"path": "/cancel$"})
    assert not cloud.builder.cancel(build)
    cloud.sandbox.admin("DELETE", "/faults")
    assert cloud.builder.cancel(build)


def test_an_interruption_while_runs_are_queued_ends_those_that_are(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.azure import acr_tasks, acr_tasks_source

    cloud.settings(runs="queue")
    uploads = iter([acr_tasks_source.upload])

    def upload(*arguments: Any) -> Any:
        original = next(uploads, None)
        if original is None:
            raise KeyboardInterrupt
        return original(*arguments)

    before = cloud.runs()
    monkeypatch.setattr(acr_tasks, "upload", upload)
    with pytest.raises(KeyboardInterrupt):
        cloud.builder.start(cloud.request("linux/amd64", "linux/arm64"))
    assert cloud.runs() - before == 1
    assert cloud.registry.wait(f"cb{cloud.runs()}")["status"] == "Canceled"


def test_a_context_that_is_too_large_is_an_error_before_anything_is_sent(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.azure import acr_tasks_source

    monkeypatch.setattr(acr_tasks_source, "MOST", 1 << 20)
    request = cloud.request()
    context = Context.of([ContextFile("Dockerfile", b"FROM scratch\n"), ContextFile("big", os.urandom(2 << 20))])
    before = cloud.runs()
    with pytest.raises(InputError, match="larger than the 1 MB that ACR Tasks take") as caught:
        cloud.builder.start(replace(request, context=context))
    assert "builder: local" in caught.value.fix
    assert cloud.runs() == before
    assert sent(cloud.sandbox, "/listBuildSourceUploadUrl") == []


def test_a_subscription_without_tasks_is_named_with_another_builder(cloud: Cloud) -> None:
    cloud.settings(allowed=False)
    with pytest.raises(DeniedError, match="free and credit subscriptions do not include them") as caught:
        cloud.builder.start(cloud.request())
    assert "builder: local" in caught.value.fix


def test_a_firewall_is_named_before_anything_is_sent(cloud: Cloud) -> None:
    cloud.settings(firewall=True, agent_pools="inside")
    with pytest.raises(DeniedError, match="keep out ACR's shared agents") as caught:
        cloud.builder.check_ready()
    assert "image.agent_pool" in caught.value.fix
    inside = cloud.another(agent_pool="inside")
    inside.check_ready()
    status, log = cloud.finished(inside.start(cloud.request()), inside)
    assert status.state is BuildState.SUCCEEDED, log
    elsewhere = cloud.another(agent_pool="nowhere")
    with pytest.raises(ManifestgenError, match="'nowhere' was not found") as caught_pool:
        elsewhere.start(cloud.request())
    assert "image.agent_pool" in caught_pool.value.fix


def test_a_registry_with_permissions_by_repository_is_built_in_as_the_caller(cloud: Cloud) -> None:
    cloud.settings(mode="AbacRepositoryPermissions")
    status, log = cloud.finished(cloud.builder.start(cloud.request("linux/amd64", "linux/arm64")))
    assert status.state is BuildState.SUCCEEDED, log


@pytest.mark.parametrize(
    ("path", "words", "fix"),
    [
        ("/scheduleRun$", "access is denied", "Container Registry Tasks Contributor"),
        ("/listBuildSourceUploadUrl$", "access is denied", "Contributor"),
        ("/oauth2/exchange$", "denies", "AcrPush"),
        ("/manifests/", "denies", "AcrPush"),
    ],
)
def test_a_missing_role_is_named(cloud: Cloud, path: str, words: str, fix: str) -> None:
    cloud.sandbox.fault("status", status=403, times="forever", match={"path": path})
    with pytest.raises(DeniedError, match=words) as caught:
        cloud.builder.check_ready()
        cloud.builder.start(cloud.request())
    assert fix in caught.value.fix


def test_an_unknown_run_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(CloudError, match="cb999999"):
        cloud.builder.status(Build("linux/amd64=cb999999", "a:b"))


def row(cloud: Cloud, subject: str, builder: Any = None) -> str:
    look = {one.subject: one.look for one in (builder or cloud.builder).requirements()}[subject]
    found: str = look()
    return found


def test_doctor_says_whether_tasks_are_allowed(cloud: Cloud) -> None:
    assert row(cloud, "registry tasks")
    cloud.finished(cloud.builder.start(cloud.request()))
    assert "allowed: the last run" in row(cloud, "registry tasks")
    cloud.settings(allowed=False)
    with pytest.raises(DeniedError, match="FreeTrial_2014-09-01 does not include ACR Tasks"):
        row(cloud, "registry tasks", cloud.another())


def test_doctor_says_how_permissions_are_given(cloud: Cloud) -> None:
    assert "'AcrPush'" in row(cloud, "registry permissions")
    cloud.settings(mode="AbacRepositoryPermissions")
    assert "'Container Registry Repository Writer'" in row(cloud, "registry permissions", cloud.another())


def test_the_registry_is_named_by_its_id(cloud: Cloud) -> None:
    assert cloud.builder.registry_id() == cloud.sandbox.world.names.registry_arm_id


def test_no_access_is_shown_in_log_error_or_image(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """What grants access: SAS URLs, tokens of Entra ID and of the registry."""
    caplog.set_level("DEBUG")
    from manifestgen.azure.acr_tasks_arm import Tasks
    from manifestgen.secret import redact

    links: list[str] = []
    for name in ("upload_place", "log_url"):
        original: Callable[..., Any] = getattr(Tasks, name)

        def noted(*arguments: Any, original: Callable[..., Any] = original) -> Any:
            found = original(*arguments)
            links.append(found if isinstance(found, str) else found[0])
            return found

        pytest.MonkeyPatch().setattr(Tasks, name, noted)
    request = cloud.request()
    status, log = cloud.finished(cloud.builder.start(request))
    assert status.state is BuildState.SUCCEEDED
    signatures = [part for link in links for part in link.split("&") if part.startswith("sig=")]
    assert len(signatures) >= 2
    shown = log + caplog.text + json.dumps(cloud.registry.image(f"{request.name}:{request.label}").config)
    for signature in signatures:
        assert signature not in redact(shown)
        assert "***" in redact(f"see https://x/?{signature}")
        assert signature not in log
    cloud.sandbox.fault("status", status=400, times="forever", match={"path": "tasks-source"})
    with pytest.raises(CloudError) as caught:
        cloud.builder.start(cloud.request())
    assert "sig=" not in f"{caught.value} {caught.value.fix}"


def test_the_source_is_packed_in_a_folder_that_is_gone_afterwards(
    cloud: Cloud, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    cloud.builder.start(cloud.request())
    assert list(tmp_path.iterdir()) == []
