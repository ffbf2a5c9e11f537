"""Many devices: automatic and layered deployments, which IoT Hub itself keeps in line, and manifests one a device."""
