"""Automatic and layered deployments, which IoT Hub itself applies to devices."""
