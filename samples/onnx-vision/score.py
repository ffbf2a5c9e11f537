"""Entry script of the model image: reads a handwritten digit in each image that a camera sends."""

import json
import os
from pathlib import Path

import numpy
import onnxruntime

session = None


def init():
    """Load the model from the image's model folder; elsewhere, from this file's folder."""
    global session
    folder = Path(os.environ.get("AZUREML_MODEL_DIR", Path(__file__).resolve().parent))
    session = onnxruntime.InferenceSession(str(folder / "digits.onnx"), providers=["CPUExecutionProvider"])


def run(input_data):
    """Read one image.

    In: {"camera": "gate-1", "image": 8 rows of 8 numbers from 0 (white) to 16 (black)}.
    Out: {"camera": "gate-1", "digit": 0 to 9, "confidence": 0 to 1}.
    """
    message = json.loads(input_data)
    image = numpy.array(message["image"], dtype="float32").reshape(1, 8, 8)
    probabilities = session.run(["probabilities"], {"image": image})[0][0]
    digit = int(probabilities.argmax())
    return {"camera": message.get("camera"), "digit": digit, "confidence": round(float(probabilities[digit]), 3)}
