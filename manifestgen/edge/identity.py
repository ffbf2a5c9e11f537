"""Who a device and its modules are: names, the modules' keys, and the authority that edgeHub's certificate is from."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import ssl
from dataclasses import dataclass, field
from typing import Final

from manifestgen.edge.authority import Authority

_KEY_BYTES: Final = 32
# The workload API version given to modules; it accepts every version since 2018-06-28.
_API_VERSION: Final = "2022-08-03"


@dataclass
class Identity:
    """A device with its modules.

    Attributes:
        hub: the IoT hub's host name.
        device: the device ID.
        gateway: the name that modules connect to; it is in edgeHub's certificate.
        authority: issues that certificate, and is what modules trust.
    """

    hub: str
    device: str
    gateway: str = "localhost"
    authority: Authority = field(default_factory=Authority, repr=False)
    _keys: dict[str, bytes] = field(default_factory=dict, repr=False)

    def add(self, module: str, key: bytes | None = None) -> None:
        """Make a module known, with this key or a new one; one that is known keeps its key unless another is given."""
        if key is not None or module not in self._keys:
            self._keys[module] = key or secrets.token_bytes(_KEY_BYTES)

    def remove(self, module: str) -> None:
        """Forget a module: its tokens are not accepted any more."""
        self._keys.pop(module, None)

    def key(self, module: str) -> bytes | None:
        """The key of a module; None if it is not known."""
        return self._keys.get(module)

    def sign(self, module: str, data: bytes) -> bytes | None:
        """The HMAC-SHA256 of the data with a module's key; None if it is not known."""
        key = self._keys.get(module)
        return None if key is None else hmac.new(key, data, hashlib.sha256).digest()

    @property
    def trust_bundle(self) -> str:
        """The certificates, in PEM, that edgeHub's certificate chains to."""
        return self.authority.pem

    def server_context(self) -> ssl.SSLContext:
        """TLS for edgeHub."""
        return self.authority.context(self.gateway)

    def environment(self, module: str, generation: str, workload: str) -> dict[str, str]:
        """The variables that IoT Edge gives a module, whose workload API is at this URI.

        Source: Azure/iotedge, Edge.Agent.Edgelet, CreateOrUpdateCommand.cs.
        """
        return {
            "IOTEDGE_WORKLOADURI": workload,
            "IOTEDGE_MODULEGENERATIONID": generation,
            "IOTEDGE_IOTHUBHOSTNAME": self.hub,
            "IOTEDGE_GATEWAYHOSTNAME": self.gateway,
            "IOTEDGE_DEVICEID": self.device,
            "IOTEDGE_MODULEID": module,
            "IOTEDGE_AUTHSCHEME": "sasToken",
            "IOTEDGE_APIVERSION": _API_VERSION,
        }
