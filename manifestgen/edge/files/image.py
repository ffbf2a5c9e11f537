"""The layouts of images that can be run without a container: manifestgen's own, and Azure ML's.

An image of manifestgen has everything below `/opt/manifestgen`: the runner, score.py, the model and the lock of the
packages (see `manifestgen.context.dockerfile`). An image of Azure ML has score.py and the models below
`/var/azureml-app`; in place of its server, manifestgen's runner is run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from manifestgen.edge.agent.process import Program
from manifestgen.edge.files.places import AZURE_ML_ROOT, OWN_ROOT

#: The label in which manifestgen's images name the image that they are built on.
_BASE: Final = "org.opencontainers.image.base.name"
_RUNNER: Final = "manifestgen_runner"
# Of the image's variables, those that are about its own folders or its own Python.
_LEFT_OUT: Final = ("PATH", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHON_VERSION", "PYTHON_SHA256", "GPG_KEY")


@dataclass(frozen=True)
class ImageConfig:
    """An image's configuration of its containers."""

    environ: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Mapping[str, object]) -> ImageConfig:
        """Read the part `config` of an image's configuration."""

        def texts(name: str) -> list[str]:
            value = config.get(name)
            return [str(item) for item in value] if isinstance(value, list) else []

        labels = config.get("Labels")
        return cls(
            dict(item.split("=", 1) for item in texts("Env") if "=" in item),
            (*texts("Entrypoint"), *texts("Cmd")),
            {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {},
        )

    @property
    def own(self) -> bool:
        """Whether it is an image of manifestgen, or has its layout."""
        return self.environ.get("AML_APP_ROOT") == f"/{OWN_ROOT}/app" and _RUNNER in self.command

    @property
    def azure_ml(self) -> bool:
        """Whether it is an image of Azure ML."""
        return self.environ.get("AZUREML_APP_ROOT") == f"/{AZURE_ML_ROOT}"

    @property
    def can_run(self) -> bool:
        """Whether it has a layout that is known here."""
        return self.own or self.azure_ml

    @property
    def python(self) -> str | None:
        """Version of its Python, such as `3.12`; None if nothing says it."""
        name = self.labels.get(_BASE, "")
        _, colon, tag = name.rpartition("/python:")
        version = tag if colon else self.environ.get("PYTHON_VERSION", "")
        parts = version.partition("-")[0].split(".")
        return ".".join(parts[:2]) if len(parts) >= 2 and all(part.isdecimal() for part in parts[:2]) else None


def program(root: Path, config: ImageConfig, python: Path, variables: Mapping[str, str], scratch: Path) -> Program:
    """How the module of an image is run on this machine.

    Args:
        root: where its files are, as they are below `/` in the image.
        config: of the image.
        python: of an environment that has its packages.
        variables: of the module: the manifest's, then those that IoT Edge sets.
        scratch: an empty folder for its HOME and its temporary files.
    """
    environ = {name: _moved(value, root) for name, value in config.environ.items() if name not in _LEFT_OUT}
    if config.azure_ml:
        environ = {**_azure_ml(root), **environ, "AML_APP_ROOT": str(root / AZURE_ML_ROOT)}
        arguments: tuple[str, ...] = ("-m", _RUNNER)
        runner = own_runner(scratch)
    else:
        arguments = tuple(config.command[1:])
        runner = root / OWN_ROOT / "runner"
    app = Path(environ["AML_APP_ROOT"])
    return Program(
        (str(python), *arguments), {**plain_environ(scratch), **environ, **variables, "PYTHONPATH": str(runner)}, app
    )


def plain_environ(scratch: Path) -> dict[str, str]:
    """The variables that every module starts with: none of ours, except where programs are found."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }


def own_runner(scratch: Path) -> Path:
    """A folder from which this manifestgen's runner can be imported under the name that it has in images."""
    import manifestgen.runner

    folder = scratch / "runner"
    link = folder / _RUNNER
    if not link.exists():
        folder.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(manifestgen.runner.__file__ or "").parent, target_is_directory=True)
    return folder


def _moved(value: str, root: Path) -> str:
    """A path in the image, as the path on this machine."""
    for folder in (f"/{OWN_ROOT}", f"/{AZURE_ML_ROOT}"):
        if value == folder or value.startswith(f"{folder}/"):
            return f"{root}{value}"
    return value


def _azure_ml(root: Path) -> dict[str, str]:
    """The variable that Azure ML's image sets at start-up: the folder of its model, or of all models."""
    models = root / AZURE_ML_ROOT / "azureml-models"
    versions = sorted(models.glob("*/*")) if models.is_dir() else []
    if len(versions) != 1:
        return {"AZUREML_MODEL_DIR": str(models)}
    name, version = versions[0].parent.name, versions[0].name
    return {"AZUREML_MODEL_DIR": str(versions[0]), "RUNNER_MODEL_NAME": name, "RUNNER_MODEL_VERSION": version}


def can_run_here() -> str:
    """Why modules cannot run on this machine; empty if they can."""
    if sys.platform == "win32":
        return "Python on Windows has no Unix sockets, through which a module gets its identity"
    try:
        import paho.mqtt.client  # noqa: F401
    except ModuleNotFoundError:
        return "paho-mqtt is not installed: pip install 'manifestgen[runner]'"
    return ""
