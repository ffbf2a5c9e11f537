"""Writes sensor.csv: readings of a machine as the simulated temperature sensor sends them, with some anomalies.

    python make_data.py

The sensor's pressure follows its temperature. In an anomaly it does not, or the machine is far too hot. The seed is
fixed: every run writes the same file.
"""

import csv
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROWS = 600
ANOMALIES = 12
COLUMNS = ("temperature", "pressure", "ambient_temperature", "humidity", "anomaly")


def rows():
    """Readings: machine temperature (°C) and pressure (bar), ambient temperature (°C), humidity (%), 1 if anomalous."""
    chance = random.Random(20260714)  # noqa: S311 - a simulation
    wrong = set(chance.sample(range(ROWS), ANOMALIES))
    for number in range(ROWS):
        temperature = 21 + 30 * chance.betavariate(2, 3)
        pressure = 1 + (temperature - 21) * 9 / 79 + chance.gauss(0, 0.08)
        if number in wrong:
            if chance.random() < 0.5:
                pressure += chance.choice((-1, 1)) * chance.uniform(1.5, 3)
            else:
                temperature += chance.uniform(40, 60)
        ambient = chance.gauss(21, 0.4)
        humidity = chance.uniform(24, 27)
        values = (temperature, pressure, ambient, humidity)
        yield *(f"{value:.3f}" for value in values), int(number in wrong)


def main():
    with (HERE / "sensor.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows())


if __name__ == "__main__":
    main()
