"""Whether this process talks to the sandbox instead of Azure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

#: The sandbox's registry, which a project in it has to use.
SANDBOX_REGISTRY: Final = "sandboxmodels.azurecr.io"


def in_sandbox(environ: Mapping[str, str] | None = None) -> bool:
    """Whether all requests to Azure from this environment go to the sandbox, because clients use its proxy.

    A shell that ran `manifestgen sandbox start` but has since set another proxy, or none, is not in the sandbox.
    """
    environ = os.environ if environ is None else environ
    proxy = environ.get("MANIFESTGEN_SANDBOX_PROXY")
    # In the order in which requests and urllib read them.
    return bool(proxy) and (environ.get("https_proxy") or environ.get("HTTPS_PROXY")) == proxy


def sandbox_home(environ: Mapping[str, str] | None = None) -> Path | None:
    """In the sandbox, the folder to use in place of the user's home; None outside it."""
    environ = os.environ if environ is None else environ
    home = environ.get("MANIFESTGEN_SANDBOX_HOME")
    if not home or not in_sandbox(environ):
        return None
    # Imported here: every command imports this module, and few need paths at start-up.
    from pathlib import Path

    return Path(home)


#: Prefix for the original values of variables that `sandbox run` changes.
OUTSIDE: Final = "MANIFESTGEN_OUTSIDE_"

# Variables that the sandbox changes and that programs need for services other than Azure.
_CHANGED: Final = (
    *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "HOME", "USERPROFILE"),
)


def kept_for_outside(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables that the sandbox changes, renamed so that `outside` can restore them."""
    return {f"{OUTSIDE}{name}": environ[name] for name in _CHANGED if name in environ}


def outside(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables for a program that uses no Azure service, such as a package index: in the sandbox, the caller's.

    The sandbox's proxy serves Azure's hosts and rejects all others.
    """
    if not in_sandbox(environ):
        return dict(environ)
    before = {name: environ[f"{OUTSIDE}{name}"] for name in _CHANGED if f"{OUTSIDE}{name}" in environ}
    homes = ("HOME", "USERPROFILE", "NO_PROXY", "no_proxy")
    return {name: value for name, value in environ.items() if name not in _CHANGED or name in homes} | before
