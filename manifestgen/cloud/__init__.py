"""What is asked of the cloud, as Protocols: `ImageBuilder`, `Registry`, `Vaults` and `Hub`.

The adapters in `manifestgen.azure` answer them with Microsoft's SDKs; tests answer them from memory. Values that cross
the line are plain and frozen. Every method may raise `CloudError` (with the service's own words), `NotFoundError`,
`DeniedError` (naming the role that is missing); no SDK exception crosses the line.
"""

from manifestgen.cloud.hub import BulkHub, Configuration, Device, Hub, MethodResult, Twin
from manifestgen.cloud.image_builder import (
    SHA256_PROPERTY,
    Build,
    Builder,
    BuildRequest,
    BuildState,
    BuildStatus,
    ImageBuilder,
    ModelRegistration,
    RegisteredModel,
)
from manifestgen.cloud.registry import Credential, NewPassword, Registry, RegistryInfo, Token, TokenPassword
from manifestgen.cloud.services import Services
from manifestgen.cloud.vault import Vaults, VaultSecret

__all__ = [
    "SHA256_PROPERTY",
    "Build",
    "BuildRequest",
    "BuildState",
    "BuildStatus",
    "Builder",
    "BulkHub",
    "Configuration",
    "Credential",
    "Device",
    "Hub",
    "ImageBuilder",
    "MethodResult",
    "ModelRegistration",
    "NewPassword",
    "RegisteredModel",
    "Registry",
    "RegistryInfo",
    "Services",
    "Token",
    "TokenPassword",
    "Twin",
    "VaultSecret",
    "Vaults",
]
