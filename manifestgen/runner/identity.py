"""Who the module is, and how it proves that: an identity, and a signer that makes tokens for it.

IoT Edge gives a module the variables `IOTEDGE_…` and a workload socket that signs. Elsewhere, for debugging,
`EdgeHubConnectionString` and `EdgeModuleCACertificateFile` hold a key and the certificates to trust.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from .errors import SettingsError
from .workload import Workload

_API_VERSION = "2019-10-01"


class Signer(Protocol):
    """Signs tokens, and knows which certificates to trust."""

    def sign(self, data: bytes) -> str:
        """The HMAC-SHA256 of the data with the module's key, as base64."""
        ...

    def trust_bundle(self) -> str:
        """Certificates in PEM that edgeHub's certificate must chain to."""
        ...


@dataclass(frozen=True)
class Identity:
    """A module of a device of a hub, and the gateway it connects to."""

    hub: str
    device: str
    module: str
    gateway: str

    @property
    def client_id(self) -> str:
        """The MQTT client ID."""
        return f"{self.device}/{self.module}"

    def user_name(self, product: str) -> str:
        """The MQTT user name; hub, device and module are not encoded in it, the product is."""
        query = f"api-version={_API_VERSION}&DeviceClientType={quote(product, safe='')}"
        return f"{self.hub}/{self.client_id}/?{query}"

    def token(self, signer: Signer, expires: int) -> str:
        """A shared access signature that ends at this time, in seconds since 1970."""
        resource = quote(f"{self.hub}/devices/{self.device}/modules/{self.module}", safe="")
        signature = quote(signer.sign(f"{resource}\n{expires}".encode()), safe="")
        return f"SharedAccessSignature sr={resource}&sig={signature}&se={expires}"


@dataclass(frozen=True)
class KeySigner:
    """Signs with a key that the process holds."""

    key: bytes = field(repr=False)
    certificates: str = field(repr=False)

    def sign(self, data: bytes) -> str:
        """See `Signer`."""
        return base64.b64encode(hmac.new(self.key, data, hashlib.sha256).digest()).decode()

    def trust_bundle(self) -> str:
        """See `Signer`."""
        return self.certificates


def from_environment(environ: Mapping[str, str]) -> tuple[Identity, Signer] | None:
    """The identity that the variables give, or None if none of them is set.

    Raises:
        SettingsError: they are incomplete or cannot be used.
    """
    if environ.get("EdgeHubConnectionString"):
        return _from_connection_string(environ)
    if not any(environ.get(name) for name in ("IOTEDGE_WORKLOADURI", "IOTEDGE_DEVICEID", "IOTEDGE_MODULEID")):
        return None

    def required(name: str) -> str:
        if not environ.get(name):
            raise SettingsError(f"{name} is not set: IoT Edge sets it; for debugging set EdgeHubConnectionString")
        return environ[name]

    scheme = environ.get("IOTEDGE_AUTHSCHEME") or "sasToken"
    if scheme.lower() != "sastoken":
        raise SettingsError(f"IOTEDGE_AUTHSCHEME is {scheme!r}: only sasToken is supported")
    identity = Identity(
        hub=required("IOTEDGE_IOTHUBHOSTNAME"),
        device=required("IOTEDGE_DEVICEID"),
        module=required("IOTEDGE_MODULEID"),
        gateway=required("IOTEDGE_GATEWAYHOSTNAME"),
    )
    workload = Workload(
        required("IOTEDGE_WORKLOADURI"),
        identity.module,
        required("IOTEDGE_MODULEGENERATIONID"),
        environ.get("IOTEDGE_APIVERSION") or "2018-06-28",
    )
    return identity, workload


def _from_connection_string(environ: Mapping[str, str]) -> tuple[Identity, Signer]:
    name = "EdgeHubConnectionString"
    parts = dict(part.partition("=")[::2] for part in environ[name].split(";") if part)
    missing = [key for key in ("HostName", "DeviceId", "ModuleId", "SharedAccessKey") if not parts.get(key)]
    if missing:
        raise SettingsError(f"{name} has no {' and no '.join(missing)}: copy the module's connection string")
    try:
        key = base64.b64decode(parts["SharedAccessKey"], validate=True)
    except binascii.Error:
        raise SettingsError(
            f"the SharedAccessKey in {name} is not base64: copy the module's connection string"
        ) from None
    file = environ.get("EdgeModuleCACertificateFile")
    if not file:
        raise SettingsError("EdgeModuleCACertificateFile is not set: give the file of edgeHub's CA certificate")
    try:
        certificates = Path(file).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise SettingsError(f"EdgeModuleCACertificateFile {file!r} cannot be read: {error}") from None
    identity = Identity(
        parts["HostName"], parts["DeviceId"], parts["ModuleId"], parts.get("GatewayHostName") or parts["HostName"]
    )
    return identity, KeySigner(key, certificates)
