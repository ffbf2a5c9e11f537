"""The Dockerfile of a model's image.

Layers are ordered from the most to the least stable: base, packages, runner, entry script, model. So a new model is one
small layer to pull. The build runs no commands, so an image for arm64 can be built on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from manifestgen.context.base import Base

#: A user without files in the image; a number, so that no entry in /etc/passwd is needed.
_USER: Final = "10001:10001"
_ROOT: Final = "/opt/manifestgen"
#: Environment variables of an image, which the runner reads.
ENVIRONMENT: Final[Mapping[str, str]] = {
    "AML_APP_ROOT": f"{_ROOT}/app",
    "AZUREML_MODEL_DIR": f"{_ROOT}/model",
    "PYTHONPATH": f"{_ROOT}/runner:{_ROOT}/packages",
    "PYTHONUNBUFFERED": "1",
    # With a read-only root file system, Python can still cache bytecode if /tmp is writable.
    "PYTHONPYCACHEPREFIX": "/tmp/pycache",  # noqa: S108 - of the container, which has one user
}

_TEMPLATE: Final = """\
# Written by manifestgen. Nothing runs while this is built, so it can be built for any platform on any machine.
# TARGETARCH is set by buildx, podman and buildah; elsewhere: --build-arg TARGETARCH=arm64
FROM {base}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-m", "manifestgen_runner.health"]
ENTRYPOINT ["python", "-m", "manifestgen_runner"]
{fixed}ARG TARGETARCH
COPY packages/linux-${{TARGETARCH}}/ {root}/packages/
COPY requirements.lock runner/ {root}/runner/
COPY app/ {root}/app/
WORKDIR {root}/app
COPY model/ {root}/model/
USER {user}
{env}{labels}"""


def dockerfile(base: Base, environment: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """The text of the Dockerfile.

    Args:
        base: with its digest.
        environment: variables besides `ENVIRONMENT`.
        labels: of the image.
    """
    return _TEMPLATE.format(
        base=base.pinned,
        root=_ROOT,
        user=_USER,
        fixed=_instruction("ENV", ENVIRONMENT),
        env=_instruction("ENV", environment),
        labels=_instruction("LABEL", labels),
    )


def _instruction(word: str, values: Mapping[str, str]) -> str:
    """One instruction with a line for each value."""
    pairs = [f"{key}={_quoted(value)}" for key, value in sorted(values.items())]
    return f"{word} " + " \\\n    ".join(pairs) + "\n" if pairs else ""


def _quoted(value: str) -> str:
    """A value in which engines replace no variables."""
    text = " ".join(value.split())
    for sign in ("\\", '"', "$"):
        text = text.replace(sign, f"\\{sign}")
    return f'"{text}"'
