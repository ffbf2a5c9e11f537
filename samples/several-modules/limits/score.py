"""Entry script of the module limits: says which values of a reading are beyond their limits."""

import json
import os
from pathlib import Path

limits = None


def init():
    """Load the limits from where the image has the model."""
    global limits
    folder = Path(os.environ.get("AZUREML_MODEL_DIR", Path(__file__).parent))
    limits = json.loads((folder / "limits.json").read_text())


def run(input_data):
    """Check one reading, {"machine": {"temperature": 26.1, "pressure": 1.6}, …}."""
    machine = json.loads(input_data)["machine"]
    beyond = [name for name, (low, high) in limits.items() if not low <= machine[name] <= high]
    return {"beyond": beyond}
