"""Runs a score.py as an IoT Edge module.

The package needs Python 3.9 or later and paho-mqtt 2, and imports nothing else of manifestgen: an image holds a copy of
it named `manifestgen_runner`, started with `python -m manifestgen_runner`. All its imports are therefore relative.

Threads: the main thread calls the scorer and nothing else does; the session's thread owns the MQTT connection and all
state behind it; a watchdog thread sees signals and time limits; the HTTP servers have threads only when they are on.
"""

__version__ = "0.1.0"
