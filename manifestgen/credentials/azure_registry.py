"""A registry login's state in Azure: its admin user, and its token."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from manifestgen.credentials import stored
from manifestgen.credentials.acr_token import is_current, live
from manifestgen.credentials.source import Inputs, Standing
from manifestgen.errors import ManifestgenError

if TYPE_CHECKING:
    from manifestgen.cloud import Token

ROTATE = "replace it on the devices with 'manifestgen credentials rotate'"


def is_azure(host: str) -> bool:
    """Whether a host is an Azure container registry's, in any cloud."""
    return ".azurecr." in host.lower()


def with_registry(standing: Standing, inputs: Inputs, *, token: bool = False) -> Standing:
    """A standing with the state of the registry: whether its admin user is enabled, and its token if the login is one.

    Args:
        standing: with the user name.
        inputs: of the source.
        token: whether the user name must be a token's.
    """
    try:
        info = inputs.registry_of(standing.host)
        standing = structs.replace(standing, admin=info.admin_enabled)
        found = inputs.services.registry.token(info, standing.username) if standing.username else None
    except ManifestgenError as error:
        return standing if standing.problem else structs.replace(standing, problem=error.message, fix=error.fix)
    if found is not None:
        return if_expired(_compared(standing, found, inputs.state, inputs.now), inputs.now)
    if token:
        fix = "run 'manifestgen credentials create-token' or 'manifestgen deploy --create-token'"
        what = f"the registry has no token {standing.username}"
        return structs.replace(standing, problem=what, fix=fix, rejected=True)
    return standing


def if_expired(standing: Standing, now: datetime) -> Standing:
    """A standing that says so if the password has expired."""
    if standing.expiry is None or standing.expiry > now or standing.problem:
        return standing
    what = f"the password expired on {standing.expiry:%Y-%m-%d}"
    return structs.replace(standing, problem=what, fix=ROTATE, rejected=True)


def _compared(standing: Standing, token: Token, root: Path, now: datetime) -> Standing:
    """With the expiry of the token's password: the one that is stored here, or the only one that it may be."""
    if not token.enabled:
        fix = "enable it in the registry"
        return structs.replace(standing, problem="the token is disabled", fix=fix, rejected=True)
    known = stored.latest(root, standing.host, token.name) if standing.found == "state folder" else None
    if known is not None:
        if is_current(token, known):
            return standing
        what = "the password that is stored here was replaced or deleted elsewhere"
        return structs.replace(standing, problem=what, fix=ROTATE, rejected=True)
    alive = [password.expiry for password in live(token, now).values()]
    expiries = [expiry for expiry in alive if expiry is not None]
    if standing.expiry is None and expiries and len(expiries) == len(alive):
        return structs.replace(standing, expiry=min(expiries))
    return standing
