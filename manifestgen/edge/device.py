"""A device on this machine: its modules as processes, the hub between them, and a socket that proves who each is."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from manifestgen.edge.agent.agent import GRACE, Agent, ModuleSpec
from manifestgen.edge.agent.logs import LogLine
from manifestgen.edge.agent.process import Limits, Program
from manifestgen.edge.files.image import ImageConfig, plain_environ, program
from manifestgen.edge.hub import EdgeHub
from manifestgen.edge.identity import Identity
from manifestgen.edge.workload import Workload
from manifestgen.manifest.module import LAST_ORDER

if TYPE_CHECKING:
    from manifestgen.edge.cloud import Cloud

_ROOT: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Code:
    """The program of a module: the files of an image with an environment for its packages, or the sensor.

    Attributes:
        root: where the image's files are, as below `/`; None for the sensor.
        python: of the environment.
    """

    root: Path | None
    config: ImageConfig = field(default_factory=ImageConfig)
    python: Path = Path(sys.executable)


SENSOR: Final = Code(None)
#: Repository of the image whose module manifestgen brings itself, as `SENSOR`.
SENSOR_IMAGE: Final = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor"


@dataclass(frozen=True)
class DeviceModule:
    """A module of a device, as its manifest wants it; see `ModuleSpec` for what has the same name there.

    Attributes:
        env: of the manifest, over the image's own variables.
        exits: exit code and last words of a process that runs in place of the module's; for faults.
    """

    name: str
    code: Code
    env: Mapping[str, str] = field(default_factory=dict)
    policy: str = "always"
    order: int = LAST_ORDER
    runs: bool = True
    limits: Limits = field(default_factory=Limits)
    version: str = ""
    exits: tuple[int, str] | None = None


class EdgeDevice:
    """One device.

    Attributes:
        agent: runs the modules.
        hub: carries their messages.

    Args:
        device: its ID.
        hub_host: host name of its IoT hub.
        cloud: that hub.
        first_pause, grace, changed, printed: see `Agent`.
        log: called with what edgeHub has to say.
    """

    def __init__(
        self,
        device: str,
        hub_host: str,
        cloud: Cloud,
        *,
        first_pause: float,
        grace: float = GRACE,
        changed: Callable[[], None],
        printed: Callable[[str, LogLine], None] = lambda name, line: None,
        log: Callable[[str], None],
    ) -> None:
        self.identity = Identity(hub_host, device)
        self.hub = EdgeHub(self.identity, cloud, log=log)
        self.agent = Agent(first_pause=first_pause, grace=grace, changed=changed, printed=printed)
        self._workloads: dict[str, Workload] = {}
        self._generations: dict[str, str] = {}
        # The path of a Unix socket has at most 104 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="mgen-"))

    def start(self) -> None:
        """Start edgeHub, and no module yet."""
        self.hub.start()
        self.agent.start()

    def stop(self, seconds: float | None = None) -> None:
        """End all modules, then edgeHub; returns when they have ended.

        Args:
            seconds: from SIGTERM to SIGKILL; None for the grace time.
        """
        self.agent.stop(seconds)
        self.hub.stop()
        for workload in self._workloads.values():
            workload.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def apply(self, modules: Sequence[DeviceModule]) -> None:
        """Make these, and no others, the modules of the device; returns at once. Call it from one thread at a time."""
        for gone in set(self._workloads) - {module.name for module in modules}:
            self._workloads.pop(gone).stop()
            self.identity.remove(gone)
        self.agent.apply([self._spec(module) for module in modules])

    def _spec(self, module: DeviceModule) -> ModuleSpec:
        known = self._generations.setdefault(module.name, secrets.token_hex(8))
        scratch = self._folder / known
        scratch.mkdir(exist_ok=True)
        if module.name not in self._workloads:
            self.identity.add(module.name)
            workload = Workload(self.identity, module.name, known, self._folder / f"{known}.sock")
            workload.start()
            self._workloads[module.name] = workload
        variables = {**module.env, **self._variables(module.name, known)}
        return ModuleSpec(
            module.name,
            self._program(module, variables, scratch),
            policy=module.policy,
            order=module.order,
            runs=module.runs,
            limits=module.limits,
            version=module.version,
        )

    def _program(self, module: DeviceModule, variables: Mapping[str, str], scratch: Path) -> Program:
        code = module.code
        if module.exits is not None:
            script = "import sys; print(sys.argv[2], flush=True); sys.exit(int(sys.argv[1]))"
            number, words = module.exits
            return Program((sys.executable, "-c", script, str(number), words), plain_environ(scratch), scratch)
        if code.root is not None:
            return program(code.root, code.config, code.python, variables, scratch)
        environ = {**plain_environ(scratch), **variables, "PYTHONPATH": str(_ROOT)}
        return Program((str(code.python), "-m", "manifestgen.edge.sensor"), environ, scratch)

    def _variables(self, module: str, generation: str) -> dict[str, str]:
        """The variables that IoT Edge sets, and edgeHub's port, which is not 8883 here."""
        given = self.identity.environment(module, generation, self._workloads[module].uri)
        return {**given, "RUNNER_PORT": str(self.hub.port)}
