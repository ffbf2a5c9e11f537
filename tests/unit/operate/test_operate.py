"""Ping, restart, score, bundle and many devices: what is asked for, and how each failure reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fakes.hub import FakeHub

from manifestgen.cloud import MethodResult
from manifestgen.errors import CloudError, FoundError, InputError, NotFoundError, OfflineError, UnconfirmedError
from manifestgen.operate.agent import ping
from manifestgen.operate.bundle import destination, upload
from manifestgen.operate.fleet import Reply, devices_matching, devices_of, each
from manifestgen.operate.restart import restart
from manifestgen.operate.score import Smoke, require_size, score, smoke
from manifestgen.operate.standing import counts, grouped, standing
from manifestgen.report import standing as standing_report
from manifestgen.secret import redact
from manifestgen.target import Patience

DEVICE = "edge-01"
LOST = UnconfirmedError("method did not respond within 30 s", fix="x")
NOT_FOUND = MethodResult(400, {"message": "Command 'x' not found. The supported commands are - ping"})
SAS = "https://acme.blob.core.windows.net/support?sv=2021&sp=cw&se=2099-01-01T00%3A00%3A00Z&sig=abcdefgh12345678"


def quick(timeout: float = 100.0) -> Patience:
    """Waits in no time."""
    seconds = [0.0]

    def sleep(length: float) -> None:
        seconds[0] += length

    return Patience(timeout, first=1.0, longest=1.0, clock=lambda: seconds[0], sleep=sleep)


def module(started: str = "2026-11-29T21:00:00Z", status: str = "running", **more: Any) -> dict[str, Any]:
    return {"runtimeStatus": status, "lastStartTimeUtc": started, "settings": {"image": "a/b:1"}, **more}


@pytest.fixture
def hub() -> FakeHub:
    hub = FakeHub(DEVICE)
    hub.report(DEVICE, "$edgeAgent", {"systemModules": {"edgeHub": module()}, "modules": {"scorer": module()}})
    return hub


def test_a_ping_says_how_long_it_took(hub: FakeHub) -> None:
    times = iter([1.0, 1.25])
    assert ping(hub, DEVICE, clock=lambda: next(times)) == 0.25


def test_a_ping_without_an_answer_says_what_to_look_at(hub: FakeHub) -> None:
    hub.trouble["invoke_method"] = [LOST]
    with pytest.raises(CloudError, match="the device is connected, but its edgeAgent does not answer") as caught:
        ping(hub, DEVICE)
    assert "iotedge check" in caught.value.fix
    hub.connect(DEVICE, connected=False)
    with pytest.raises(OfflineError, match="not connected"):
        ping(hub, DEVICE)
    with pytest.raises(NotFoundError):
        ping(hub, "nobody")
    hub.connect(DEVICE, connected=True)
    hub.methods["ping"] = MethodResult(500, {"message": "broken."})
    with pytest.raises(CloudError, match="edgeAgent rejected 'ping' with 500: broken"):
        ping(hub, DEVICE)


def restarts(hub: FakeHub, after: Callable[[], dict[str, Any]]) -> None:
    def method(payload: Any) -> MethodResult:
        assert payload == {"schemaVersion": "1.0", "id": "scorer"}
        hub.report(DEVICE, "$edgeAgent", {"modules": {"scorer": after()}})
        return MethodResult(200)

    hub.methods["restartmodule"] = method


def test_a_restart_waits_until_the_module_runs_again(hub: FakeHub) -> None:
    restarts(hub, lambda: module("2026-11-29T22:00:00Z"))
    assert restart(hub, DEVICE, "scorer", quick()).started == "2026-11-29T22:00:00Z"


def test_a_restart_whose_answer_was_lost_is_looked_for(hub: FakeHub) -> None:
    def method(payload: Any) -> MethodResult:
        hub.report(DEVICE, "$edgeAgent", {"modules": {"scorer": module("2026-11-29T22:00:00Z")}})
        raise LOST

    hub.methods["restartmodule"] = method
    said: list[str] = []
    assert restart(hub, DEVICE, "scorer", quick(), said.append).started == "2026-11-29T22:00:00Z"
    assert said == ["no answer: looking whether it was restarted"]


def test_a_module_that_does_not_come_back_is_an_error(hub: FakeHub) -> None:
    restarts(hub, lambda: module("2026-11-29T22:00:00Z", "backoff", exitCode=3))
    with pytest.raises(FoundError, match="'scorer' does not run after its restart: backoff, exit code 3") as caught:
        restart(hub, DEVICE, "scorer", quick())
    assert "manifestgen logs --device edge-01 scorer" in caught.value.fix
    restarts(hub, lambda: module("2026-11-29T22:00:00Z", "backoff", exitCode=3))
    with pytest.raises(FoundError, match="has not reported a restart of 'scorer' after 100 s"):
        restart(hub, DEVICE, "scorer", quick())


def test_a_restart_that_edge_agent_refuses_says_why(hub: FakeHub) -> None:
    words = "Module scorer cannot be restarted since it is not running"
    hub.methods["restartmodule"] = MethodResult(500, {"message": words})
    with pytest.raises(FoundError, match=words):
        restart(hub, DEVICE, "scorer", quick())
    with pytest.raises(FoundError, match="reports no module 'scoerr'") as caught:
        restart(hub, DEVICE, "scoerr", quick())
    assert caught.value.fix == "name a module that it has: edgeHub, scorer"


@pytest.fixture
def scorer(hub: FakeHub) -> FakeHub:
    hub.set_modules(DEVICE, {"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {"scorer": {}}}}}})
    hub.module_methods["scorer", "score"] = lambda payload: MethodResult(200, {"scores": payload["data"]})
    return hub


def test_the_only_module_scores(scorer: FakeHub) -> None:
    found = score(scorer, DEVICE, None, {"data": [1, 2]})
    assert (found.module, found.result) == ("scorer", {"scores": [1, 2]})


def test_of_several_modules_the_one_with_a_runner_scores(scorer: FakeHub) -> None:
    names: dict[str, Any] = {"$edgeAgent": {"properties.desired": {"modules": {"scorer": {}, "sensor": {}}}}}
    scorer.set_modules(DEVICE, {"modulesContent": names})
    with pytest.raises(InputError, match="several modules could score: scorer, sensor"):
        score(scorer, DEVICE, None, {"data": []})
    scorer.report(DEVICE, "scorer", {"runner": {"version": "1"}})
    assert score(scorer, DEVICE, None, {"data": []}).module == "scorer"


def test_a_score_that_fails_says_why(scorer: FakeHub) -> None:
    with pytest.raises(FoundError, match="it has no module 'scoerr'") as caught:
        score(scorer, DEVICE, "scoerr", {})
    assert caught.value.fix == "name a module that it has: scorer"
    scorer.module_methods["scorer", "score"] = MethodResult(400, {"message": "run() failed: 'data'"})
    with pytest.raises(FoundError, match=r"the model did not score: 400 run\(\) failed: 'data'"):
        score(scorer, DEVICE, None, {})
    scorer.module_methods["scorer", "score"] = MethodResult(404, {"message": "unknown method 'score'"})
    with pytest.raises(FoundError, match="it has no method 'score'"):
        score(scorer, DEVICE, None, {})
    scorer.module_methods.clear()
    with pytest.raises(OfflineError, match="the device is connected, but its module 'scorer' is not"):
        score(scorer, DEVICE, None, {})
    scorer.connect(DEVICE, connected=False)
    with pytest.raises(OfflineError, match="the device is not connected"):
        score(scorer, DEVICE, None, {})
    with pytest.raises(InputError, match="a direct method takes 131,072"):
        require_size("x" * 140_000, "data.json")


def test_a_smoke_test_waits_for_the_module_and_compares_its_answer(scorer: FakeHub) -> None:
    scorer.trouble["invoke_method"] = [OfflineError("the device is not connected", fix="x"), LOST]
    assert smoke(scorer, DEVICE, None, Smoke({"data": [1]}, {"scores": [1.0000001]}, True), quick()).module == "scorer"
    with pytest.raises(FoundError, match="differs from the expected one at /scores/0: 1, not 2"):
        smoke(scorer, DEVICE, None, Smoke({"data": [1]}, {"scores": [2]}, True), quick())
    scorer.module_methods.clear()
    with pytest.raises(FoundError, match="the smoke test got no answer: the device is connected, but its module"):
        smoke(scorer, DEVICE, None, Smoke({"data": [1]}), quick())


def task(status: str, message: str = "") -> MethodResult:
    return MethodResult(200, {"status": status, "message": message, "correlationId": "task-1"})


def test_a_bundle_is_followed_until_it_is_there(hub: FakeHub) -> None:
    looks = iter([task("Running"), task("Running"), task("Completed")])
    hub.methods["uploadsupportbundle"] = task("NotStarted")
    hub.methods["gettaskstatus"] = lambda payload: next(looks)
    said: list[str] = []
    found = upload(hub, DEVICE, destination(SAS, "X"), since="1h", patience=quick(), step=said.append)
    assert found.folder == "https://acme.blob.core.windows.net/support/fake-hub/edge-01"
    assert said == ["NotStarted", "Running", "Completed"]
    assert hub.called[0][2] == {"schemaVersion": "1.0", "sasUrl": SAS, "edgeRuntimeOnly": False, "since": "1h"}
    assert hub.called[1][2] == {"schemaVersion": "1.0", "correlationId": "task-1"}
    assert "abcdefgh12345678" not in redact(str(hub.called))


def test_a_device_that_does_not_answer_for_a_moment_is_asked_again(hub: FakeHub) -> None:
    looks: Iterator[Exception | MethodResult] = iter([LOST, LOST, OfflineError("off", fix="x"), task("Completed")])

    def method(payload: Any) -> MethodResult:
        found = next(looks)
        if isinstance(found, MethodResult):
            return found
        raise found

    hub.methods["uploadsupportbundle"], hub.methods["gettaskstatus"] = task("Running"), method
    assert upload(hub, DEVICE, destination(SAS, "X"), patience=quick()).task == "task-1"


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (task("Unknown"), "edgeAgent was restarted meanwhile and no longer knows the bundle"),
        (task("Failed", "403 denied"), "the bundle was not uploaded: Failed, 403 denied"),
        (task("Cancelled"), "the bundle was not uploaded: Cancelled"),
        (task("Running"), "the bundle is not there after 100 s: Running"),
    ],
)
def test_a_bundle_that_is_not_there_says_why(hub: FakeHub, last: MethodResult, words: str) -> None:
    hub.methods["uploadsupportbundle"], hub.methods["gettaskstatus"] = task("Running"), last
    with pytest.raises(FoundError, match=words):
        upload(hub, DEVICE, destination(SAS, "X"), patience=quick())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("support", "not the URL of a container"),
        (SAS.replace("acme", "[acme"), "not the URL of a container"),
        (SAS.replace("https", "http"), "not the URL of a container"),
        (SAS.replace("acme.blob.core.windows.net", "evil.example"), "not the URL of a container"),
        (SAS.partition("&sig")[0], "no shared access signature"),
        (SAS.replace("/support", "/"), "names no container, or a blob"),
        (SAS.replace("/support", "/support/a.zip"), "names no container, or a blob"),
        (SAS.replace("sp=cw", "sp=rl"), "the signature allows 'rl', which is not writing"),
        (SAS.replace("2099", "2020"), "the signature expired at 2020-01-01T00:00:00Z"),
    ],
)
def test_a_destination_that_cannot_work_is_refused_at_once(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        destination(url, "SUPPORT_SAS", now=datetime(2026, 11, 30, tzinfo=timezone.utc))
    assert "sig=" not in caught.value.message


def test_many_devices_answer_in_their_order_with_their_errors(hub: FakeHub) -> None:
    for name in ("edge-02", "edge-03"):
        hub.add(name)
    hub.connect("edge-02", connected=False)
    replies = list(each(["edge-03", "edge-02", "nobody", DEVICE], lambda device: ping(hub, device), rate=1000))
    assert [(reply.device, reply.word) for reply in replies] == [
        ("edge-03", "answered"),
        ("edge-02", "offline"),
        ("nobody", "failed"),
        (DEVICE, "answered"),
    ]


def test_devices_come_from_a_file_or_a_condition(hub: FakeHub, tmp_path: Path) -> None:
    file = tmp_path / "devices.csv"
    file.write_text("device,site\nedge-02,a\nedge-01,b\n")
    assert devices_of(file) == ("edge-02", "edge-01")
    file.write_text("device\n")
    with pytest.raises(InputError, match="no rows"):
        devices_of(file)
    hub.add("edge-09", tags={"site": "lab"})
    assert devices_matching(hub, "tags.site = 'lab'") == ("edge-09",)
    assert devices_matching(hub, "*") == (DEVICE, "edge-09")
    with pytest.raises(InputError, match="no edge device matches"):
        devices_matching(hub, "tags.site = 'nowhere'")


def test_the_state_of_many_devices_is_counted_by_reason(hub: FakeHub) -> None:
    desired = {"modules": {"scorer": {"status": "running", "settings": {"image": "a/b:1"}}}}
    for number in range(5):
        name = f"truck-{number}"
        hub.add(name)
        hub.set_modules(name, {"modulesContent": {"$edgeAgent": {"properties.desired": desired}}})
        state = "running" if number < 2 else "backoff"
        own = module(status=state, restartCount=number, exitCode=3)
        reported = {"lastDesiredVersion": 2, "lastDesiredStatus": {"code": 200}, "modules": {"scorer": own}}
        hub.report(name, "$edgeAgent", reported)
    names = [f"truck-{number}" for number in range(5)]
    replies = list(each([*names, "nobody"], lambda device: standing(hub, device), 1000))
    groups = grouped(replies)
    assert dict(counts(groups)) == {"failing": 3, "unknown": 1, "healthy": 2}
    text = standing_report.text(groups)
    assert text.splitlines()[:3] == [
        "6 devices: 3 failing, 1 unknown, 2 healthy",
        "  failing     3  module 'scorer' is in backoff, exit code 3, restarted N times",
        "    truck-2, truck-3, truck-4",
    ]
    assert standing_report.data(groups)["groups"][0]["devices"] == names[2:]
    assert grouped([Reply("a")])[0].state == "unknown"
