"""Entry script of the module drift: says whether the mean of the last temperatures has moved away."""

import json
import os
from collections import deque
from pathlib import Path

model = None
readings = None


def init():
    """Load the model from where the image has it."""
    global model, readings
    folder = Path(os.environ.get("AZUREML_MODEL_DIR", Path(__file__).parent))
    model = json.loads((folder / "drift.json").read_text())
    readings = deque(maxlen=model["window"])


def run(input_data):
    """Take one reading, {"machine": {"temperature": 26.1, …}, …}, and answer for the last few."""
    readings.append(json.loads(input_data)["machine"]["temperature"])
    mean = sum(readings) / len(readings)
    return {"mean": round(mean, 2), "drifts": abs(mean - model["expected"]) > model["tolerance"]}
