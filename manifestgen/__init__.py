"""From a trained model to a running Azure IoT Edge module.

The public modules, from values to effects:

- `manifestgen.manifest`: the deployment manifest as a value.
- `manifestgen.project`: the project file, the lock file and the values of a template.
- `manifestgen.render`: a template and values become a manifest.
- `manifestgen.check`: what IoT Hub and the device will say to a manifest.
- `manifestgen.diff`, `manifestgen.plan`: what setting modules would change on a device.
- `manifestgen.cloud`: what is asked of Azure, as three Protocols; `manifestgen.azure` answers them with the SDKs.
- `manifestgen.image`, `manifestgen.apply`, `manifestgen.deploy`: the steps that change something.
- `manifestgen.sandbox`: a local Azure to try all of it on.
"""

__version__ = "0.1.0"
