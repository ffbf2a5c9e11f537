"""A token's password is replaced on devices without a moment in which one of them holds a password that does not work.

A token has two passwords. The second is made, proven, set on the devices, and only when no device needs the first any
more, that one is dropped. What has been done is read from the registry and from the devices' twins, so that a run which
was killed anywhere is finished by the next one; kept on this machine is only the new password, which Azure tells once.

`rotate` does it, on a `Target` that is devices or an automatic deployment; `entry` finds and replaces the credential in
a manifest, `password` makes the new password. `renewed` puts it into an older manifest.
"""

from manifestgen.credentials.rotation.entry import Login
from manifestgen.credentials.rotation.renew import renewed
from manifestgen.credentials.rotation.rotate import Left, Observer, Rotated, rotate
from manifestgen.credentials.rotation.target import DeviceOutcome, Target

__all__ = ["DeviceOutcome", "Left", "Login", "Observer", "Rotated", "Target", "renewed", "rotate"]
