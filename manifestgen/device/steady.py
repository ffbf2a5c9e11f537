"""Decides whether modules that crashed during a rollout run stably.

edgeAgent restarts a module that ends, and reports it as running until it crashes again.
"""

from __future__ import annotations

from dataclasses import replace

from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.target import Patience


class Steady:
    """Judges successive readings of a device.

    Attributes:
        settling: whether the last reading was only waiting for such a module.
    """

    def __init__(self, patience: Patience, device: str) -> None:
        self.settling = False
        self._patience, self._device = patience, device
        self._restarts: dict[str, int] = {}
        self._crashed: dict[str, float] = {}

    def judge(self, rollout: Rollout) -> Rollout:
        """The same rollout, or a waiting one if a module that has crashed has not yet run for long enough."""
        now = self._patience.clock()
        for module in rollout.modules:
            if module.state is State.FAILING or module.restarts > self._restarts.get(module.name, module.restarts):
                self._crashed[module.name] = now
            self._restarts[module.name] = module.restarts
        self.settling = False
        if rollout.state is not State.HEALTHY:
            return rollout
        for module in rollout.modules:
            if now - self._crashed.get(module.name, float("-inf")) < self._patience.settle:
                self.settling = True
                return self._waiting(rollout, module)
        return rollout

    def _waiting(self, rollout: Rollout, module: ModuleStatus) -> Rollout:
        times = f"{module.restarts} times" if module.restarts != 1 else "once"
        reason = f"module {module.name!r} was restarted {times}, and has not run for {self._patience.settle:g} s since"
        fix = f"see the module's log with 'manifestgen logs --device {self._device} {module.name}'"
        return replace(rollout, state=State.WAITING, reason=reason, fix=fix)
