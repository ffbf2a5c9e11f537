"""Restart policies and back-off, as edgeAgent has them.

Sources, in Azure/iotedge at 1.6: edge-agent `RestartPolicyManager.cs`, `appsettings_agent.json`; edgelet `module.rs`
for what an exit code means.
"""

from __future__ import annotations

from typing import Final

#: Restarts after which edgeAgent gives a module up.
MAX_RESTARTS: Final = 20
#: Seconds of a real device's first pause; a sandbox may be quicker.
FIRST_PAUSE: Final = 10.0
# In units of the first pause: 300 s, and the 10 min of running after which restarts are forgotten.
_LONGEST: Final = 30.0
_CALM: Final = 60.0


def status_after_exit(exit_code: int, policy: str, restarts: int) -> str:
    """The `runtimeStatus` of a module that has ended by itself.

    Args:
        exit_code: 128 and the number of a signal that ended it.
        policy: `always`, `on-failure`, `on-unhealthy` or `never`.
        restarts: how often it was restarted.

    Returns:
        `backoff` if edgeAgent will start it again, else `stopped` or `failed`.
    """
    if policy == "always" or (policy in ("on-failure", "on-unhealthy") and exit_code != 0):
        return "backoff" if restarts < MAX_RESTARTS else "failed"
    return "failed" if exit_code else "stopped"


def pause(restarts: int, first: float = FIRST_PAUSE) -> float:
    """Seconds between the end of a module and its next start: twice as long each time, up to 30 times the first."""
    return first * min(2.0 ** min(restarts, MAX_RESTARTS), _LONGEST)


def calm(first: float = FIRST_PAUSE) -> float:
    """Seconds of running after which edgeAgent forgets a module's restarts."""
    return first * _CALM
