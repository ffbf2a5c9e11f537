"""Entry scripts, requirements and sample messages for a new project, by its model and its template."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from manifestgen.errors import InputError
from manifestgen.project.app import imports_of
from manifestgen.project.onnx import onnx_input
from manifestgen.project.pickled import PICKLES, pickled_features, pickled_version

ONNX: Final = ".onnx"
#: Template with a simulated temperature sensor.
SENSOR: Final = "anomaly-detection"

#: Packages of modules with another name.
PACKAGES: Final = {
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "dateutil": "python-dateutil",
    "bs4": "beautifulsoup4",
    "google": "protobuf",
    "ai_edge_litert": "ai-edge-litert",
    "tflite_runtime": "ai-edge-litert",
    "inference_schema": "inference-schema",
}

_SENSOR_MESSAGE: Final[Any] = {
    "machine": {"temperature": 26.1, "pressure": 1.6},
    "ambient": {"temperature": 21.2, "humidity": 25},
    "timeCreated": "2026-11-30T08:00:00.000Z",
}


class Starter(Struct, frozen=True):
    """The files for a model.

    Attributes:
        script: text of score.py.
        packages: lines of requirements.
        message: a sample message, as JSON data.
        files: other files by name, such as an example model.
    """

    script: str
    packages: tuple[str, ...]
    message: Any
    files: dict[str, str] = field(default_factory=dict)


def starter(model: Path | None, template: str) -> Starter:
    """The starter for a model; for an example model if there is none.

    Raises:
        InputError: no entry script can be written for a model of this kind.
    """
    sensor = template == SENSOR
    if model is None:
        script = _EXAMPLE.format(rows=_SENSOR_ROWS if sensor else _PLAIN_ROWS, message=_words(sensor))
        return Starter(
            script, (), _SENSOR_MESSAGE if sensor else {"data": [[26.1, 1.6]]}, {"model.json": _EXAMPLE_MODEL}
        )
    suffix = model.suffix.lower()
    if suffix in PICKLES and model.is_file():
        version, features = pickled_version(model), pickled_features(model)
        package = f"scikit-learn=={version}" if version else "scikit-learn"
        script = _PICKLE.format(
            rows=_SENSOR_ROWS if sensor else _PLAIN_ROWS,
            message=_words(sensor),
            file=json.dumps(model.name, ensure_ascii=False),
        )
        return Starter(script, ("numpy", package), _message(sensor, features or 2))
    if suffix == ONNX and model.is_file():
        found = onnx_input(model)
        shape = found.shape if found is not None else (1, 2)
        script = _ONNX.format(
            rows=_SENSOR_ROWS if sensor else '    return json.loads(input_data)["data"]',
            message=_words(sensor),
            file=json.dumps(model.name, ensure_ascii=False),
        )
        return Starter(script, ("numpy", "onnxruntime"), _SENSOR_MESSAGE if sensor else {"data": _zeros(shape)})
    raise InputError(
        f"no entry script can be written for a model such as {model.name}",
        where=str(model),
        fix="write score.py with init() and run(input_data) first, then run 'manifestgen init' again",
    )


def packages_of(script: Path) -> tuple[str, ...]:
    """Packages that an entry script imports, without Python's own modules and those beside the script.

    Raises:
        InputError: it is not readable, or not Python.
    """
    beside = {path.stem for path in script.parent.iterdir()}
    # The runner's own packages.
    own = {*sys.stdlib_module_names, *beside, "azureml", "azureml_inference_server_http"}
    names = imports_of({script.name: script}) - own
    return tuple(sorted(PACKAGES.get(name, name) for name in names))


def name_of(text: str) -> str:
    """A name for an image, from that of a folder."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "my-model"


def _message(sensor: bool, features: int) -> Any:
    return _SENSOR_MESSAGE if sensor else {"data": [[0.5] * features]}


def _words(sensor: bool) -> str:
    if sensor:
        return 'a message of the sensor, {"machine": {"temperature": 26.1, "pressure": 1.6}, …}'
    return '{"data": [[…], …]}'


def _zeros(shape: tuple[int, ...]) -> Any:
    """Nested lists of this shape, filled with numbers; only the last dimensions of a large one."""
    if math.prod(shape) > 100_000:
        shape = (1, 2)
    found: Any = 0.5
    for size in reversed(shape):
        found = [found] * size
    return found


_PLAIN_ROWS: Final = """\
    return json.loads(input_data)["data"]"""
_SENSOR_ROWS: Final = """\
    machine = json.loads(input_data)["machine"]
    return [[machine["temperature"], machine["pressure"]]]"""

_EXAMPLE: Final = '''\
"""Entry script of the model image: init() is called once, run() for every message.

The model is an example that needs no packages: limits in model.json. Put your own in its place.
"""

import json
import os
from pathlib import Path

model = None


def init():
    """Load the model from where the image has it."""
    global model
    path = Path(os.environ.get("AZUREML_MODEL_DIR", ".")) / "model.json"
    model = json.loads(path.read_text())


def run(input_data):
    """Score {message}; say for each row whether it is an anomaly."""
    return [{{"anomaly": any(not low <= value <= high for value, (low, high) in zip(row, model["limits"]))}}
            for row in rows(input_data)]


def rows(input_data):
    """The rows of numbers in a message."""
{rows}
'''
_EXAMPLE_MODEL: Final = """\
{"limits": [[20, 60], [1, 6]]}
"""

_PICKLE: Final = '''\
"""Entry script of the model image: init() is called once, run() for every message."""

import json
import os
from pathlib import Path

import joblib  # reads what pickle has saved, too

model = None


def init():
    """Load the model from where the image has it."""
    global model
    path = Path(os.environ.get("AZUREML_MODEL_DIR", ".")) / {file}
    model = joblib.load(path)


def run(input_data):
    """Score {message}; answer with the predictions."""
    return {{"predictions": model.predict(rows(input_data)).tolist()}}


def rows(input_data):
    """The rows of features in a message."""
{rows}
'''

_ONNX: Final = '''\
"""Entry script of the model image: init() is called once, run() for every message."""

import json
import os
from pathlib import Path

import numpy
import onnxruntime

session = None


def init():
    """Load the model from where the image has it."""
    global session
    path = Path(os.environ.get("AZUREML_MODEL_DIR", ".")) / {file}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(input_data):
    """Score {message}; answer with the model's outputs by their names."""
    wanted = session.get_inputs()[0]
    kind = numpy.dtype({{"tensor(float)": "float32", "tensor(double)": "float64"}}.get(wanted.type, wanted.type[7:-1]))
    outputs = session.run(None, {{wanted.name: numpy.array(rows(input_data), dtype=kind)}})
    names = [output.name for output in session.get_outputs()]
    return {{name: value.tolist() if hasattr(value, "tolist") else value for name, value in zip(names, outputs)}}


def rows(input_data):
    """The numbers in a message."""
{rows}
'''


def sample_text(message: Any) -> str:
    """A sample message as text for a file, in lines of moderate length."""
    text = json.dumps(message, indent=2)
    return (text if len(text) < 1000 else json.dumps(message)) + "\n"
