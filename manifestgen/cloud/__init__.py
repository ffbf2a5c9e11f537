"""The cloud as Protocols: `ModelSource`, `Builder`, `Registry`, `Distribution`, `Vaults`, `Hub`, and all as `Services`.

The adapters in `manifestgen.azure` implement them with Microsoft's SDKs, tests in memory. Values that cross
the boundary are plain and frozen. Every method may raise `CloudError` (with the service's message), `NotFoundError`,
`DeniedError` (naming the missing role); no SDK exception crosses the boundary.
"""

from manifestgen.cloud.builder import Build, Builder, BuildRequest, BuildState, BuildStatus, Requirement
from manifestgen.cloud.context import Context, ContextFile
from manifestgen.cloud.distribution import Distribution
from manifestgen.cloud.hub import BulkHub, Configuration, Device, Hub, MethodResult, Twin
from manifestgen.cloud.model_source import SHA256_PROPERTY, ModelRegistration, ModelSource, RegisteredModel
from manifestgen.cloud.registry import Credential, Login, NewPassword, Registry, RegistryInfo, Token, TokenPassword
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
    "Context",
    "ContextFile",
    "Credential",
    "Device",
    "Distribution",
    "Hub",
    "Login",
    "MethodResult",
    "ModelRegistration",
    "ModelSource",
    "NewPassword",
    "RegisteredModel",
    "Registry",
    "RegistryInfo",
    "Requirement",
    "Services",
    "Token",
    "TokenPassword",
    "Twin",
    "VaultSecret",
    "Vaults",
]
