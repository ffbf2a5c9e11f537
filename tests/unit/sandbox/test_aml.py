"""Azure ML of the sandbox, by its REST interface: what it refuses, and what a build looks at."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("aiohttp", reason="the sandbox is not installed")

from aiohttp.test_utils import TestClient, TestServer

from manifestgen.sandbox import blob
from manifestgen.sandbox.aml import build as aml_build
from manifestgen.sandbox.aml import service as aml
from manifestgen.sandbox.entra import issue_token
from manifestgen.sandbox.faults import fail_builds
from manifestgen.sandbox.world import Pace, Store, World

T = TypeVar("T")
ARM = "https://management.azure.com"
DRIVER = b"x = os.path.join(os.path.dirname(os.path.realpath(__file__)), 'score.py')\n"
SCORE = b"def init(): ...\ndef run(input_data): ...\n"
CONDA = b"dependencies: [python=3.10, {pip: [scikit-learn]}]\n"
ENVIRONMENT = {
    "environmentVariables": {"AZUREML_ENTRY_SCRIPT": "score.py"},
    "python": {"condaDependencies": {"dependencies": ["python=3.10", {"pip": ["azureml-defaults>=1.57"]}]}},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store()
    yield World(store, tmp_path, pace=Pace(image_build=0.05))
    store.close()


class Azure:
    """A client of the services, with a token."""

    def __init__(self, world: World, client: Any) -> None:
        names = world.names
        self.world = world
        self.client = client
        self.login = {"Authorization": f"Bearer {issue_token(world, ARM)[0]}"}
        self.workspace = names.workspace_arm_id
        self.mms = f"/modelmanagement/v1.0{names.workspace_arm_id}"

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        async with self.client.request(method, path, json=body, headers={**self.login, **headers}) as response:
            self.headers = response.headers
            return response.status, await response.json() if response.content_type.endswith("json") else None

    async def announce(self, path: str) -> str:
        """An artifact whose bytes are still to come; its id."""
        where = f"/artifact/v2.0{self.workspace}/artifacts/batch/metadata/LocalUpload/box"
        status, answer = await self.ask("POST", where, {"paths": [{"path": path}]})
        assert status == 200
        return str(answer["artifacts"][path]["artifactId"])

    async def upload(self, path: str, data: bytes) -> str:
        artifact = await self.announce(path)
        (self.world.blobs / "storage").mkdir(exist_ok=True)
        name = path.replace("/", "-")
        (self.world.blobs / "storage" / name).write_bytes(data)
        self.world.store.put("blob", f"azureml/{artifact}", {"file": name, "size": len(data)})
        return f"aml://artifact/{artifact}"

    async def register(self, name: str, **more: Any) -> Any:
        await self.upload("model.pkl", b"model")
        prefix = {"prefix": "LocalUpload/box/model.pkl"}
        _, asset = await self.ask("POST", self.mms + "/assets", {"name": name, "artifacts": [prefix]})
        body = {"name": name, "url": f"aml://asset/{asset['id']}", "mimeType": "application/json", **more}
        status, model = await self.ask("POST", self.mms + "/models", body)
        assert status == 200, model
        return model

    async def assets(self, archive: bytes) -> list[dict[str, Any]]:
        return [
            {"id": "driver", "url": await self.upload("tmp.py", DRIVER), "mimeType": "application/x-python"},
            {"id": "a.tar.gz", "url": await self.upload("a.tar.gz", archive), "unpack": True},
        ]

    async def build_image(self, archive: bytes, conda: bytes = CONDA, **more: Any) -> aml_build.Build:
        properties = {"condaEnvFile": await self.upload("myenv.yml", conda)}
        body = {
            "name": "scorer",
            "imageType": "Docker",
            "driverProgram": "driver",
            "assets": await self.assets(archive),
            "targetRuntime": {"runtimeType": "Python", "properties": properties},
            **more,
        }
        return await self.built("/images", body)

    async def build_package(self, environment: Any = ENVIRONMENT, script: bytes = SCORE) -> aml_build.Build:
        assets = [
            {"id": "tmp.py", "url": await self.upload("tmp.py", DRIVER), "mimeType": "application/x-python"},
            {"id": "score.py", "url": await self.upload("score.py", script)},
        ]
        request = {"driverProgram": "tmp.py", "assets": assets, "modelIds": [], "environment": environment}
        body = {"imageRequest": request, "packageType": "DockerImage", "imageName": "scorer", "imageLabel": "v1"}
        return await self.built("/packages", body)

    async def built(self, path: str, body: Any) -> aml_build.Build:
        status, answer = await self.ask("POST", self.mms + path, body)
        assert status == 202, answer
        operation = self.headers["Operation-Location"].rpartition("/")[2]
        await asyncio.gather(*self.world.tasks)
        build = aml_build.find(self.world, operation)
        assert build is not None
        return build


def talk(world: World, conversation: Callable[[Azure], Awaitable[T]]) -> T:
    async def run() -> T:
        async with TestClient(TestServer(aml.create(world))) as client:
            return await conversation(Azure(world, client))

    return asyncio.run(run())


def archive(member: str, data: bytes = SCORE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def start_failure(world: World, tag: str) -> aml_build.StartFailure | None:
    return aml_build.start_failure(world, f"sandboxmodels.azurecr.io/scorer:{tag}")


def reasons(answer: Any) -> str:
    return " ".join(detail["message"] for detail in answer["details"])


@pytest.mark.parametrize("token", ["", "Bearer nonsense", "Basic abc"])
def test_request_without_a_good_token_is_refused(world: World, token: str) -> None:
    async def conversation(azure: Azure) -> None:
        status, answer = await azure.ask("GET", azure.mms + "/models", Authorization=token)
        assert status == 401
        assert answer["error"]["message"]
        assert azure.headers["WWW-Authenticate"].startswith("Bearer")

    talk(world, conversation)


def test_token_for_another_audience_is_refused(world: World) -> None:
    token = issue_token(world, "https://iothubs.azure.net")[0]

    async def conversation(azure: Azure) -> None:
        status, _ = await azure.ask("GET", azure.mms + "/models", Authorization=f"Bearer {token}")
        assert status == 401

    talk(world, conversation)


def test_other_workspace_is_refused(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        status, answer = await azure.ask("GET", azure.mms.replace("sandbox-ml", "other") + "/models")
        assert (status, answer["error"]["code"]) == (403, "AuthorizationFailed")

    talk(world, conversation)


def test_discovery_needs_no_token_and_names_every_service(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        status, answer = await azure.ask("GET", "/discovery", Authorization="")
        assert status == 200
        assert {"api", "experimentation", "history", "hyperdrive", "modelmanagement", "studio"} <= set(answer)
        status, _ = await azure.ask("GET", "/discovery/workspaces/of-somebody-else")
        assert status == 404

    talk(world, conversation)


@pytest.mark.parametrize("body", [{}, {"paths": []}, {"paths": [{"path": "../x"}]}, {"paths": [{"path": "/x"}]}, []])
def test_artifact_paths_that_are_wrong_are_refused(world: World, body: Any) -> None:
    async def conversation(azure: Azure) -> None:
        where = f"/artifact/v2.0{azure.workspace}/artifacts/batch/metadata/LocalUpload/box"
        status, answer = await azure.ask("POST", where, body)
        assert (status, answer["error"]["code"]) == (400, "UserError")

    talk(world, conversation)


def test_artifact_can_be_read_back(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        await azure.upload("folder/file.bin", b"bytes")
        base = f"/artifact/v2.0{azure.workspace}/artifacts"
        status, answer = await azure.ask("GET", base + "/contentinfo/LocalUpload/box/folder/file.bin")
        assert status == 200
        assert "sp=r&" in answer["contentUri"]
        status, answer = await azure.ask("GET", base + "/prefix/contentinfo/LocalUpload/box/folder/")
        assert [value["path"] for value in answer["value"]] == ["folder/file.bin"]
        assert (await azure.ask("GET", base + "/metadata/LocalUpload/box/folder/file.bin"))[0] == 200
        assert (await azure.ask("GET", base + "/metadata/LocalUpload/box/other"))[0] == 404

    talk(world, conversation)


def test_model_whose_bytes_never_arrived_is_refused(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        artifact = await azure.announce("model.pkl")
        _, asset = await azure.ask("POST", azure.mms + "/assets", {"name": "m", "artifacts": [{"prefix": artifact}]})
        body = {"name": "m", "url": f"aml://asset/{asset['id']}", "mimeType": "application/json"}
        status, answer = await azure.ask("POST", azure.mms + "/models", body)
        assert status == 400
        assert "has no content" in reasons(answer)

    talk(world, conversation)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"url": "u", "mimeType": "t"}, "name field is required"),
        ({"name": "bad name", "url": "u", "mimeType": "t"}, "'bad name' is invalid"),
        ({"name": "m", "url": "aml://asset/none", "mimeType": "t"}, "was not found"),
        ({"name": "m", "url": "u", "mimeType": "t", "kvTags": ["a"]}, "kvTags field must map"),
        ([], "must be a JSON object"),
    ],
)
def test_registration_that_is_wrong_is_refused(world: World, body: Any, words: str) -> None:
    async def conversation(azure: Azure) -> None:
        status, answer = await azure.ask("POST", azure.mms + "/models", body)
        assert (status, answer["statusCode"]) == (400, 400)
        assert words in reasons(answer)

    talk(world, conversation)


def test_models_are_listed_by_pages_and_filters(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        for number in range(5):
            await azure.register("a", kvTags={"n": str(number), "odd": str(number % 2)}, properties={"p": "1"})
        await azure.register("b", description="other")

        async def ids(query: str) -> list[str]:
            status, answer = await azure.ask("GET", f"{azure.mms}/models?{query}")
            assert status == 200, answer
            return [model["id"] for model in answer["value"]]

        assert await ids("") == ["b:1", "a:5", "a:4", "a:3", "a:2", "a:1"]
        assert await ids("name=a&orderBy=CreatedAtAsc") == ["a:1", "a:2", "a:3", "a:4", "a:5"]
        assert await ids("tags=odd=1,n") == ["a:4", "a:2"]
        assert await ids("tag=odd&properties=p=1&count=2&offset=1") == ["a:4", "a:3"]
        assert await ids("latestVersionOnly=true") == ["b:1", "a:5"]
        assert await ids("description=other") == ["b:1"]
        assert await ids("properties=p=2") == []
        _, page = await azure.ask("GET", azure.mms + "/models?name=a&count=3")
        assert [model["version"] for model in page["value"]] == [5, 4, 3]
        following = page["nextLink"].partition(".ms")[2] or page["nextLink"].split("/", 3)[3]
        _, page = await azure.ask("GET", "/" + following.lstrip("/"))
        assert [model["version"] for model in page["value"]] == [2, 1]
        assert "nextLink" not in page
        for wrong in ("orderBy=Size", "count=many"):
            assert (await azure.ask("GET", f"{azure.mms}/models?{wrong}"))[0] == 400

    talk(world, conversation)


def test_model_is_patched_but_its_properties_stay(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        await azure.register("m", kvTags={"a": "1"}, properties={"p": "1"})
        where = azure.mms + "/models/m:1"
        steps = [
            {"op": "replace", "path": "/kvTags", "value": {"b": "2"}},
            {"op": "replace", "path": "/description", "value": "new"},
            {"op": "add", "path": "/properties", "value": {"p": "1", "q": "2"}},
            {"op": "add", "path": "/kvTags/c", "value": "3"},
        ]
        status, model = await azure.ask("PATCH", where, steps)
        assert status == 200
        assert (model["kvTags"], model["description"]) == ({"b": "2", "c": "3"}, "new")
        assert model["properties"] == {"p": "1", "q": "2"}
        for wrong in (
            [{"op": "add", "path": "/properties", "value": {"p": "9"}}],
            [{"op": "replace", "path": "/name", "value": "x"}],
            [{"op": "test", "path": "/kvTags", "value": {}}],
            {"op": "add"},
        ):
            assert (await azure.ask("PATCH", where, wrong))[0] == 400
        assert (await azure.ask("GET", where))[1]["properties"] == {"p": "1", "q": "2"}

    talk(world, conversation)


def test_version_of_a_deleted_model_is_not_given_out_again(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        await azure.register("m")
        assert (await azure.ask("DELETE", azure.mms + "/models/m:1"))[0] == 200
        assert (await azure.ask("GET", azure.mms + "/models/m:1"))[0] == 404
        assert (await azure.register("m"))["version"] == 2

    talk(world, conversation)


def test_image_whose_script_lies_elsewhere_is_built_and_cannot_start(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        build = await azure.build_image(archive("home/me/job/score.py"))
        assert build.state == "Succeeded"

    talk(world, conversation)
    failure = start_failure(world, "1")
    assert failure is not None
    assert failure.exit_code == 3
    assert "No such file or directory: '/var/azureml-app/score.py'" in failure.message


def test_image_whose_script_lies_beside_the_driver_can_start(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        await azure.build_image(archive("score.py"))

    talk(world, conversation)
    assert start_failure(world, "1") is None
    assert world.store.get("workspace", "registry") == {"id": world.names.registry_arm_id}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (b"def init(: ...", "SyntaxError"),
        (b"def init(): ...\n", "no attribute 'run'"),
        (b"from other import run\ndef init(): ...\n", None),
    ],
)
def test_script_that_cannot_be_loaded_keeps_the_container_from_starting(
    world: World, script: bytes, words: str | None
) -> None:
    async def conversation(azure: Azure) -> None:
        await azure.build_image(archive("score.py", script))

    talk(world, conversation)
    failure = start_failure(world, "1")
    assert (failure is None) if words is None else (failure is not None and words in failure.message)


def test_package_without_a_server_cannot_start_and_one_with_it_can(world: World) -> None:
    bare = {**ENVIRONMENT, "python": {"condaDependencies": {"dependencies": ["python=3.10"]}}}

    async def conversation(azure: Azure) -> None:
        await azure.build_package(bare)
        failure = start_failure(world, "v1")
        assert failure is not None
        assert failure.exit_code == 127
        await azure.build_package()
        assert start_failure(world, "v1") is None

    talk(world, conversation)


def test_package_whose_entry_script_is_not_uploaded_cannot_start(world: World) -> None:
    lost = {**ENVIRONMENT, "environmentVariables": {"AZUREML_ENTRY_SCRIPT": "src/score.py"}}

    async def conversation(azure: Azure) -> None:
        await azure.build_package(lost)

    talk(world, conversation)
    failure = start_failure(world, "v1")
    assert failure is not None
    assert "src/score.py" in failure.message


@pytest.mark.parametrize("conda", [b"dependencies: [", b"name: x\n", b"dependencies: [{conda: []}]\n"])
def test_build_fails_on_a_conda_file_that_is_none(world: World, conda: bytes) -> None:
    async def conversation(azure: Azure) -> None:
        build = await azure.build_image(archive("score.py"), conda)
        assert build.state == "Failed"
        _, operation = await azure.ask("GET", f"{azure.mms}/operations/{build.id}")
        assert operation["error"]["statusCode"] == 400
        assert operation["error"]["message"]
        _, image = await azure.ask("GET", azure.mms + "/images/scorer:1")
        assert (image["creationState"], image["imageLocation"]) == ("Failed", None)
        log = blob.local_file(world, "azureml", build.log_path)
        assert log is not None
        assert "CondaSpecificationError" in log.read_text()

    talk(world, conversation)
    assert world.store.get("workspace", "registry") is None


def test_failure_that_was_ordered_hits_one_build(world: World) -> None:
    fail_builds(world, log=["ERROR: no matching distribution"], message="Docker image build failed.", times=1)

    async def conversation(azure: Azure) -> None:
        first, second = await azure.build_package(), await azure.build_package()
        assert [first.state, second.state] == ["Failed", "Succeeded"]
        assert first.error == "Docker image build failed."
        assert "ERROR: no matching distribution" in first.lines

    talk(world, conversation)


def test_operation_goes_through_its_states_while_the_log_grows(world: World) -> None:
    world.pace = Pace(image_build=0.3)
    seen: list[tuple[str, int]] = []
    # Every state that the service keeps: between two questions of a slow client one may come and go.
    states: dict[str, None] = {}
    world.store.watch("build", lambda build_id: states.setdefault(world.store.get("build", build_id)["state"]))

    async def conversation(azure: Azure) -> None:
        building = asyncio.create_task(azure.build_package())
        while not building.done():
            for build_id, _ in world.store.items("build"):
                _, operation = await azure.ask("GET", f"{azure.mms}/operations/{build_id}")
                log = blob.local_file(world, "azureml", f"ImageLogs/{build_id}/build.log")
                seen.append((operation["state"], len(log.read_text().splitlines()) if log else 0))
                assert ("resourceLocation" in operation) is (operation["state"] == "Succeeded")
            await asyncio.sleep(0.005)

    talk(world, conversation)
    assert list(states) == ["NotStarted", "Running", "Succeeded"]
    assert {state for state, _ in seen} <= set(states)
    assert [lines for _, lines in seen] == sorted(lines for _, lines in seen)
    assert len({lines for _, lines in seen}) > 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "No_Such"}, "'No_Such' is invalid"),
        ({"imageType": "Fpga"}, "imageType"),
        ({"driverProgram": "missing"}, "not among the assets"),
        ({"modelIds": ["gone:1"]}, "gone:1 was not found"),
        ({"assets": [{"id": "driver"}]}, "must have an id and a url"),
        ({"assets": [{"id": "driver", "url": "aml://artifact/LocalUpload/box/never"}]}, "has no content"),
        ({"targetRuntime": None}, "targetRuntime"),
        ({"kvTags": {"a": 1}}, "kvTags"),
    ],
)
def test_image_request_that_is_wrong_is_refused(world: World, change: dict[str, Any], words: str) -> None:
    async def conversation(azure: Azure) -> None:
        body = {
            "name": "scorer",
            "imageType": "Docker",
            "driverProgram": "driver",
            "assets": await azure.assets(archive("score.py")),
            "targetRuntime": {"runtimeType": "Python", "properties": {}},
            **change,
        }
        status, answer = await azure.ask("POST", azure.mms + "/images", body)
        assert status == 400
        assert words in reasons(answer)
        assert world.store.count("image") == 0

    talk(world, conversation)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"packageType": "DockerBuildContext"}, "DockerImage only"),
        ({"imageRequest": None}, "DockerImage only"),
        ({"imageName": "Up per"}, "'Up per:v1' is not a valid image name"),
        ({"imageLabel": "-v"}, "'scorer:-v' is not a valid image name"),
        ({"imageRequest": {"environment": {}}}, "environment field is required"),
        ({"imageRequest": {"modelIds": "m:1"}}, "modelIds field must be a list"),
    ],
)
def test_package_request_that_is_wrong_is_refused(world: World, change: dict[str, Any], words: str) -> None:
    async def conversation(azure: Azure) -> None:
        driver = {"id": "tmp.py", "url": await azure.upload("tmp.py", DRIVER)}
        request = {"driverProgram": "tmp.py", "assets": [driver], "modelIds": [], "environment": ENVIRONMENT}
        body = {"packageType": "DockerImage", "imageName": "scorer", "imageLabel": "v1", "imageRequest": request}
        body |= change
        if change.get("imageRequest"):
            body["imageRequest"] = {**request, **change["imageRequest"]}
        status, answer = await azure.ask("POST", azure.mms + "/packages", body)
        assert status == 400
        assert words in reasons(answer)
        assert world.store.count("build") == 0

    talk(world, conversation)


def test_package_without_a_name_gets_one(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        asset = {"id": "tmp.py", "url": await azure.upload("tmp.py", DRIVER)}
        request = {"driverProgram": "tmp.py", "assets": [asset], "environment": ENVIRONMENT}
        build = await azure.built("/packages", {"packageType": "DockerImage", "imageRequest": request})
        assert build.repository == "package"
        assert len(build.tag) == len("20190822T181338") - 1
        _, operation = await azure.ask("GET", f"{azure.mms}/operations/{build.id}")
        assert operation["resourceLocation"] == f"sandboxmodels.azurecr.io/package:{build.tag}"

    talk(world, conversation)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"artifacts": [{"prefix": "p"}]}, "name field is required"),
        ({"name": "a"}, "artifacts field is required"),
        ({"name": "a", "artifacts": [{"path": "p"}]}, "id or a prefix"),
    ],
)
def test_asset_that_is_wrong_is_refused(world: World, body: Any, words: str) -> None:
    async def conversation(azure: Azure) -> None:
        status, answer = await azure.ask("POST", azure.mms + "/assets", body)
        assert status == 400
        assert words in reasons(answer)

    talk(world, conversation)


def test_assets_are_found_by_name_and_id(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        made = {}
        for name in ("a", "b"):
            body = {"name": name, "artifacts": [{"prefix": "LocalUpload/x"}]}
            made[name] = (await azure.ask("POST", azure.mms + "/assets", body))[1]
        assert (await azure.ask("GET", azure.mms + "/assets?name=b"))[1]["value"] == [made["b"]]
        assert (await azure.ask("GET", f"{azure.mms}/assets/{made['a']['id']}"))[1] == made["a"]
        assert (await azure.ask("GET", azure.mms + "/assets/none"))[0] == 404

    talk(world, conversation)


@pytest.mark.parametrize("text", ["", "{", "[1"])
def test_body_that_is_not_json_is_refused(world: World, text: str) -> None:
    async def conversation(azure: Azure) -> None:
        async with azure.client.post(azure.mms + "/models", data=text, headers=azure.login) as response:
            assert response.status == 400
            assert "not valid JSON" in reasons(await response.json())

    talk(world, conversation)


def test_images_are_found_by_properties_and_patched(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        model = await azure.register("m")
        await azure.build_image(archive("score.py"), properties={"hash": "1"}, modelIds=[model["id"]])
        await azure.build_image(archive("score.py"), properties={"hash": "2"})

        async def ids(query: str) -> list[str]:
            return [image["id"] for image in (await azure.ask("GET", f"{azure.mms}/images?{query}"))[1]["value"]]

        assert await ids("name=scorer") == ["scorer:2", "scorer:1"]
        assert await ids("properties=hash=1") == ["scorer:1"]
        assert await ids("modelId=m:1") == await ids("modelName=m") == await ids("version=1") == ["scorer:1"]
        assert await ids("name=other") == []
        _, image = await azure.ask("GET", azure.mms + "/images/scorer:1?expand=true")
        assert [detail["id"] for detail in image["modelDetails"]] == ["m:1"]
        assert image["imageLocation"] == "sandboxmodels.azurecr.io/scorer:1"
        step = {"op": "replace", "path": "/kvTags", "value": {"a": "b"}}
        assert (await azure.ask("PATCH", azure.mms + "/images/scorer:1", [step]))[1]["kvTags"] == {"a": "b"}
        step = {"op": "add", "path": "/properties", "value": {"hash": "9"}}
        assert (await azure.ask("PATCH", azure.mms + "/images/scorer:1", [step]))[0] == 400
        assert (await azure.ask("DELETE", azure.mms + "/images/scorer:1"))[0] == 200
        assert (await azure.ask("GET", azure.mms + "/images/scorer:1"))[0] == 404

    talk(world, conversation)


def test_each_build_makes_another_image(world: World) -> None:
    async def conversation(azure: Azure) -> None:
        digests = set()
        for _ in range(2):
            await azure.build_package()
            digests.add(world.store.get("image-tag", "sandboxmodels.azurecr.io/scorer:v1"))
        assert len(digests) == 2

    talk(world, conversation)


def test_build_resumes_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    first = World(Store(state), tmp_path, pace=Pace(image_build=60.0))

    async def stop_early(azure: Azure) -> None:
        building = asyncio.create_task(azure.build_package())
        while not first.tasks:
            await asyncio.sleep(0)
        for task in (*first.tasks, building):
            task.cancel()
        await asyncio.gather(building, *first.tasks, return_exceptions=True)

    talk(first, stop_early)
    assert [build["state"] for _, build in first.store.items("build")] == ["NotStarted"]
    first.store.close()
    second = World(Store(state), tmp_path, pace=Pace(image_build=0.05))

    async def wait(_: Azure) -> None:
        await asyncio.gather(*second.tasks)

    talk(second, wait)
    [(_, build)] = second.store.items("build")
    assert build["state"] == "Succeeded"
    log = blob.local_file(second, "azureml", f"ImageLogs/{build['id']}/build.log")
    assert log is not None
    assert log.read_text().splitlines() == build["lines"]
    second.store.close()
