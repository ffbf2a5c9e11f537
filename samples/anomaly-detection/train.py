"""Trains the anomaly detector on sensor.csv and writes it as a pickle.

    python train.py [MODEL.pkl]

It learns how pressure follows temperature, and which readings deviate too far. Use the scikit-learn version in
myenv.yml: a pickle is only compatible with the version that wrote it.
"""

import csv
import pickle
import sys
from pathlib import Path

from sklearn.covariance import EllipticEnvelope

HERE = Path(__file__).resolve().parent
FEATURES = ("temperature", "pressure")


def read(path=HERE / "sensor.csv"):
    """The features of every reading, and whether the reading is a known anomaly."""
    with path.open(newline="", encoding="utf-8") as stream:
        readings = list(csv.DictReader(stream))
    return [[float(row[name]) for name in FEATURES] for row in readings], [row["anomaly"] == "1" for row in readings]


def train(features):
    """The fitted detector: it predicts 1 for a normal reading, -1 for an anomaly."""
    return EllipticEnvelope(contamination=0.02, random_state=0).fit(features)


def main():
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "model.pkl"
    features, known = read()
    model = train(features)
    with target.open("wb") as stream:
        pickle.dump(model, stream, protocol=4)
    found = [value == -1 for value in model.predict(features)]
    both = sum(a and b for a, b in zip(found, known, strict=True))
    print(
        f"wrote {target}: found {sum(found)} anomalies in {len(found)} readings, {both} of the {sum(known)} known ones"
    )


if __name__ == "__main__":
    main()
