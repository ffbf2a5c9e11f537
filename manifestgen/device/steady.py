"""Whether modules that crashed while they were watched run for good.

edgeAgent restarts a module that ends, and then reports that it runs: for as long as it takes to crash again.
"""

from __future__ import annotations

from dataclasses import replace

from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.target import Patience


class Steady:
    """Judges one reading of a device after the other.

    Attributes:
        settling: whether the last one was only waiting for such a module.
    """

    def __init__(self, patience: Patience, device: str) -> None:
        self.settling = False
        self._patience, self._device = patience, device
        self._restarts: dict[str, int] = {}
        self._crashed: dict[str, float] = {}

    def judge(self, rollout: Rollout) -> Rollout:
        """The same; or, if a module that has crashed meanwhile does not run for long enough yet, waiting."""
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
