"""The packages that an image of Azure ML needs, with their versions chosen by uv."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

_PYTHON: Final = "3.11"
_PLATFORM: Final = "linux/amd64"


def lock_of(conda: Any, *, imports_azureml: bool) -> tuple[str, str]:
    """The lock of a conda specification, without the server that the runner takes the place of.

    Args:
        conda: the parsed specification.
        imports_azureml: whether the entry script itself imports packages of that server.

    Returns:
        Text of a requirements.txt, and a line for the build's log. The text is empty if versions could not be chosen:
        devices then only simulate the module.
    """
    from manifestgen.context.requirements import read_conda
    from manifestgen.context.uv import compile_lock
    from manifestgen.errors import ManifestgenError

    with tempfile.TemporaryDirectory(prefix="manifestgen-") as name:
        file = Path(name, "environment.yml")
        file.write_text(yaml.safe_dump(conda), "utf-8")
        try:
            needed = read_conda(file, frozenset({"azureml"} if imports_azureml else ()))
            python = needed.python or _PYTHON
            text = compile_lock(needed.lines, needed.include, python, (_PLATFORM,), "environment.yml")
        except ManifestgenError as error:
            what = error.message.replace(str(file), file.name)
            return "", f"(sandbox) the packages' versions were not chosen, so devices simulate this module: {what}"
    return f"# For: Python {python}\n{text}", "(sandbox) chose the packages' versions with uv, for devices to run"
