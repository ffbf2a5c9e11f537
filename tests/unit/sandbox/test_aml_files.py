"""The files of an image that the sandbox's Azure ML builds."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from manifestgen.edge.files.places import FOLDERS, LOCK
from manifestgen.edge.files.unpack import LayerFile, unpack
from manifestgen.sandbox import blob
from manifestgen.sandbox.aml import registry
from manifestgen.sandbox.aml.artifacts import CONTAINER, artifact_file
from manifestgen.sandbox.aml.files import imports_azureml, make_layer
from manifestgen.sandbox.world import World

_URL = "aml://artifact/"


def upload(world: World, path: str, text: str) -> str:
    (world.blobs / "storage").mkdir(exist_ok=True)
    blob.append(world, CONTAINER, path, text)
    return f"{_URL}{path}"


def model(world: World, name: str, *paths: str) -> str:
    asset = registry.put_asset(world, name, [{"prefix": path} for path in paths], {})
    registry.put(world, registry.new_model(world, name, 2, registry.asset_url(asset), {}))
    return f"{name}:2"


def unpacked(world: World, folder: Path, assets: list[dict[str, Any]], models: list[str], lock: str) -> dict[str, str]:
    made = make_layer(world, assets, models, lock)
    unpack([LayerFile(made.path, compressed=True)], FOLDERS, folder)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_script_models_and_lock_are_where_azure_ml_puts_them(world: World, tmp_path: Path) -> None:
    script = upload(world, "Local/1/score.py", "def init(): pass\n")
    upload(world, "Local/2/model.pkl", "pickle")
    upload(world, "Local/3/onnx/model.onnx", "network")
    upload(world, "Local/3/onnx/labels/a.txt", "a")
    upload(world, "Local/3/onnxother", "not this")
    models = [model(world, "best", "Local/2/model.pkl"), model(world, "deep", "Local/3/onnx")]
    found = unpacked(world, tmp_path / "root", [{"id": "score.py", "url": script}], models, "numpy==2.0\n")
    assert found == {
        "var/azureml-app/score.py": "def init(): pass\n",
        "var/azureml-app/azureml-models/best/2/model.pkl": "pickle",
        "var/azureml-app/azureml-models/deep/2/onnx/model.onnx": "network",
        "var/azureml-app/azureml-models/deep/2/onnx/labels/a.txt": "a",
        LOCK: "numpy==2.0\n",
    }


def test_archives_are_unpacked_and_what_they_import_is_seen(world: World, tmp_path: Path) -> None:
    url = upload(world, "Local/4/code.tar.gz", "")
    file = artifact_file(world, url)
    assert file is not None
    with tarfile.open(file, "w:gz") as tar:
        content = b"from azureml.contrib.services.aml_response import AMLResponse\n"
        info = tarfile.TarInfo("src/score.py")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    asset = {"id": "code", "url": url, "unpack": True}
    assert set(unpacked(world, tmp_path / "root", [asset], [], "")) == {"var/azureml-app/src/score.py"}
    assert imports_azureml(world, [asset])
    plain = upload(world, "Local/5/score.py", "import numpy  # not azureml\n")
    assert not imports_azureml(world, [{"id": "score.py", "url": plain}])
