"""Entry script of the model image: scores the messages of the simulated temperature sensor.

The scoring server calls init() once. It calls run() with the body of every message that arrives at the input amlInput,
and sends the result through the output amlOutput.
"""

import json
import os
import pickle
from pathlib import Path

model = None


def init():
    """Load the model from Azure ML's model folder; outside Azure ML, from this file's folder."""
    global model
    folder = Path(os.environ.get("AZUREML_MODEL_DIR", Path(__file__).resolve().parent))
    with (folder / "model.pkl").open("rb") as stream:
        model = pickle.load(stream)  # noqa: S301 - our own model


def run(input_data):
    """Score one message of the sensor, or a list of them.

    In: {"machine": {"temperature": 26.1, "pressure": 1.6}, …}, as text or already parsed.
    Out: for each message {"anomaly": true or false, "score": …}; the lower the score, the stranger the reading.
    Errors are returned as {"error": "…"}, so the module continues with the next message.
    """
    try:
        messages = json.loads(input_data) if isinstance(input_data, str | bytes) else input_data
        single = isinstance(messages, dict)
        readings = [
            [float(message["machine"]["temperature"]), float(message["machine"]["pressure"])]
            for message in ([messages] if single else messages)
        ]
        scores = model.decision_function(readings)
        results = [{"anomaly": bool(score < 0), "score": round(float(score), 3)} for score in scores]
    except (KeyError, TypeError, ValueError) as error:
        return {"error": f"not a message of the sensor: {error!r}"}
    return results[0] if single else results
