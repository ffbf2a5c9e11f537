"""Replaces a token's password on devices, whose passwords are valid throughout.

A token has two passwords. The second one is created, tested and set on the devices; the first is deleted once no device
needs it. The progress is read from the registry and from the devices' twins, so if a run is killed, the next one
resumes. Only the new password, which Azure shows only once, is stored on this machine.

`rotate` does it, for a `Target`, which is devices or an automatic deployment; `entry` finds and replaces the credential
in a manifest, `password` creates the new password. `renewed` puts it into an older manifest.
"""

from manifestgen.credentials.rotation.entry import Login
from manifestgen.credentials.rotation.renew import renewed
from manifestgen.credentials.rotation.rotate import Left, Observer, Rotated, rotate
from manifestgen.credentials.rotation.target import DeviceOutcome, Target

__all__ = ["DeviceOutcome", "Left", "Login", "Observer", "Rotated", "Target", "renewed", "rotate"]
