"""Whether this process talks to the sandbox instead of Azure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def in_sandbox(environ: Mapping[str, str] | None = None) -> bool:
    """Whether every request to Azure from this environment reaches the sandbox: its proxy is the one that clients use.

    A shell that evaluated `manifestgen sandbox start` and has since set another proxy, or none, is not in the sandbox.
    """
    environ = os.environ if environ is None else environ
    proxy = environ.get("MANIFESTGEN_SANDBOX_PROXY")
    # The order in which requests and urllib read them.
    return bool(proxy) and (environ.get("https_proxy") or environ.get("HTTPS_PROXY")) == proxy


def sandbox_home(environ: Mapping[str, str] | None = None) -> Path | None:
    """In the sandbox, the folder to use in place of the user's home; None outside it."""
    environ = os.environ if environ is None else environ
    home = environ.get("MANIFESTGEN_SANDBOX_HOME")
    return Path(home) if home and in_sandbox(environ) else None
