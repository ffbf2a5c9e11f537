"""Automatic and layered deployments, which IoT Hub itself keeps in line."""
