"""Runs uv: it chooses versions of packages, and unpacks their wheels for platforms that this machine need not be.

No code of a package runs: wheels are unpacked, and what has none is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from manifestgen.errors import CloudError, InputError
from manifestgen.sandboxed import outside
from manifestgen.secret import redact
from manifestgen.waits import waiting

#: Names of a platform's machine in markers, and of its wheels for uv.
_MACHINES: Final = {
    "linux/amd64": ("x86_64", "x86_64-manylinux_2_28"),
    "linux/arm64": ("aarch64", "aarch64-manylinux_2_28"),
    # uv knows no wheels for it: only those without compiled code are taken, which `packages` checks.
    "linux/arm/v7": ("armv7l", "aarch64-manylinux_2_28"),
}
# Suggestions for a package that does not exist.
_KNOWN: Final = tuple(
    " ".join(
        (
            "ai-edge-litert catboost fastapi flask gensim imbalanced-learn inference-schema joblib keras lightgbm",
            "matplotlib mlflow mlflow-skinny nltk numpy onnx onnxruntime opencv-python opencv-python-headless openvino",
            "pandas pillow polars prophet protobuf pyarrow pydantic requests scikit-image scikit-learn scipy",
            "sentence-transformers spacy statsmodels tensorflow tflite-runtime torch torchvision transformers xgboost",
        )
    ).split()
)
_ADVICE: Final = "correct the requirements as uv says"
_MISSING: Final = re.compile(r"Because (?:only )?(\S+) was not found in the (?:package registry|provided package)")
_NO_WHEEL: Final = re.compile(r"(\S+?)(?:==(\S+))? has no (?:usable |`(?P<marker>[^`]*)`-compatible )?wheels?\b")
_NO_VERSION: Final = re.compile(r"there (?:is no version of|are no versions of) (\S+)")
_UNAVAILABLE: Final = re.compile(
    r"Failed to download `[^`]*/cpython-(\d+\.\d+)|A managed Python download is available for Python (\d+\.\d+)"
    r"|first executable in the search path at `[^`]*python(\d+\.\d+)`"
)


class PythonUnavailableError(CloudError):
    """A Python that exists is not on this machine, and uv could not download it.

    Attributes:
        version: of it, such as `3.12`.
    """

    def __init__(self, version: str, where: str, detail: Sequence[str] = ()) -> None:
        """See `ManifestgenError`."""
        what = f"Python {version} is not on this machine, and could not be downloaded"
        super().__init__(what, where=where, fix=f"install Python {version}, and run it again", detail=tuple(detail))
        self.version = version


class NoUvError(InputError):
    """Uv is not installed."""


class NoWheelError(InputError):
    """A package has no wheel for a platform; other tools may build it."""


def find_uv() -> str:
    """The uv of this environment, else that of the system.

    Raises:
        NoUvError: there is none.
    """
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise NoUvError(
            "uv is not installed; it resolves the packages of an image",
            where="uv",
            fix="run: pip install 'manifestgen[build]'",
        )
    return found


def compile_lock(lines: Sequence[str], include: Path | None, python: str, platforms: Sequence[str], where: str) -> str:
    """Choose the versions of all packages, with the hashes of their files.

    Args:
        lines: requirements.
        include: a requirements.txt or pyproject.toml with more of them.
        python: version of Python, such as `3.12`.
        platforms: for all of which one version of each package is chosen, one that has wheels for them.
        where: for errors: the file that the requirements come from.

    Returns:
        A requirements.txt. A package that only some platforms need has a marker.

    Raises:
        InputError: a package is not there, has no wheel for a platform, or no versions fit together.
        CloudError: the index could not be reached.
    """
    with tempfile.TemporaryDirectory(prefix="manifestgen-") as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text(_settings(python, platforms), "utf-8")
        (folder / "image.in").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        command = [
            *("pip", "compile", "--universal", "--generate-hashes", "--no-annotate", "--no-header", "--quiet"),
            *("--only-binary", ":all:", "--python-version", python, "--output-file", "image.lock", "image.in"),
        ]
        if include is not None:
            command.append(str(include))
        run(command, folder, where, platforms)
        return _without_markers((folder / "image.lock").read_text("utf-8"))


def install(lock: Path, target: Path, python: str, platform: str, where: str) -> None:
    """Unpack the wheels of a lock for a platform into a folder.

    Raises:
        InputError: a package has no wheel for it.
        CloudError: the index could not be reached.
    """
    command = [
        *(
            "pip",
            "install",
            "--no-deps",
            "--require-hashes",
            "--quiet",
            "--only-binary",
            ":all:",
            "--link-mode",
            "copy",
        ),
        *("--python-version", python, "--python-platform", _MACHINES[platform][1], "--target", str(target)),
        *("--requirements", str(lock)),
    ]
    with tempfile.TemporaryDirectory(prefix="manifestgen-") as name:
        run(command, Path(name), where, (platform,))


def _settings(python: str, platforms: Sequence[str]) -> str:
    """A pyproject.toml that says for which machines uv chooses versions."""
    minor = int(python.partition(".")[2])
    environments = [
        f"sys_platform == 'linux' and platform_machine == '{_MACHINES[platform][0]}' "
        f"and python_full_version < '3.{minor + 1}'"
        for platform in platforms
    ]
    listed = ", ".join(f'"{environment}"' for environment in environments)
    return (
        f'[project]\nname = "image"\nversion = "0"\nrequires-python = "=={python}.*"\n'
        f"[tool.uv]\nenvironments = [{listed}]\nrequired-environments = [{listed}]\n"
    )


def _without_markers(text: str) -> str:
    """A lock without the markers of what all platforms need: they would keep it from other machines."""
    everywhere = re.search(r"(?m)^paho-mqtt==\S+ (; .*?) \\$", text)
    return text.replace(f" {everywhere[1]} \\\n", " \\\n") if everywhere else text


def is_python(version: str) -> bool:
    """Whether uv knows a version of Python, on this machine or to download. Raises NoUvError."""
    done = subprocess.run(  # noqa: S603 - no shell
        [find_uv(), "python", "list", "--offline", version],
        # Where downloads are forbidden, uv lists only what is here.
        env={**outside(os.environ), "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "automatic"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode != 0 or bool(done.stdout.strip())


def run(
    arguments: Sequence[str], folder: Path, where: str, platforms: Sequence[str] = (), *, python: str | None = None
) -> str:
    """Run uv in a folder, and return what it prints.

    Args:
        arguments: of uv.
        folder: in which it runs.
        where: for errors: the file that the requirements come from.
        platforms: for which packages are wanted, for errors.
        python: the interpreter to use; None for this process's own.

    Raises:
        InputError: it failed; a package is not there, no versions fit together, the disk is full.
        CloudError: the index could not be reached.
    """
    environ = {**outside(os.environ), "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    # Another environment's settings must not decide what an image gets.
    environ.pop("VIRTUAL_ENV", None)
    with waiting("the package index"):
        done = subprocess.run(  # noqa: S603 - no shell, and what is given are paths and our own words
            # uv needs an interpreter of any version; without one, it may download it.
            [find_uv(), *arguments, "--python", python or sys.executable],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        raise _explained(redact(done.stderr), where, platforms)
    return done.stdout


def _explained(words: str, where: str, platforms: Sequence[str]) -> InputError | CloudError:
    """An error for what uv printed, by its cause."""
    text = " ".join(words.split())
    detail = tuple(line.rstrip() for line in words.splitlines() if line.strip())[:20]
    if re.search(r"No space left on device|os error 28\b|disk quota exceeded|os error 122\b", text, re.IGNORECASE):
        fix = "free disk space; 'uv cache prune' removes what uv no longer needs"
        what = "the disk is full, so the packages could not be unpacked"
        return InputError(what, where=where, fix=fix, detail=detail)
    if found := _UNAVAILABLE.search(text):
        return PythonUnavailableError(found[1] or found[2] or found[3], where, detail)
    if found := re.search(r"No interpreter found for Python (\S+)|Invalid version request: (.*)", text):
        what = f"there is no Python {found[1]}" if found[1] else f"not a version of Python: {found[2]}"
        fix = "name a version that exists, such as 3.12, or update uv if it is a new one"
        return InputError(what, where=where, fix=fix, detail=detail)
    if found := _MISSING.search(text):
        name = found[1]
        near = _nearest(name)
        fix = f"did you mean {near!r}?" if near else "correct its name, or set UV_INDEX to the index that has it"
        return InputError(f"package {name!r} is not on PyPI", where=where, fix=fix, detail=detail)
    if found := _NO_WHEEL.search(text):
        package = f"{found[1]} {found[2]}" if found[2] else found[1]
        marker = found["marker"] or ""
        lacking = [platform for platform in platforms if f"'{_MACHINES[platform][0]}'" in marker] or platforms
        return NoWheelError(
            f"package {package!r} has no wheel for {' or '.join(lacking)}",
            where=where,
            fix="name a version that has one, remove the platform from image.platforms, or publish a wheel to an index",
            detail=detail,
        )
    if found := _NO_VERSION.search(text):
        name = found[1].rstrip(",")
        fix = "name a version that exists, and has wheels for the image's platforms"
        return InputError(f"there is no version {name} that fits", where=where, fix=fix, detail=detail)
    if found := re.search(r"Hash mismatch for `?([^`\s]+)`?", text):
        fix = "delete the requirements lock to choose versions anew, and find out why the index has changed a file"
        what = f"the index has another file of {found[1]} than the one that was locked"
        return InputError(what, where=where, fix=fix, detail=detail)
    if re.search(r"Failed to fetch|Request failed|error sending request|dns error|Connection refused|timed out", text):
        what = f"the package index could not be reached: {_last(detail)}"
        fix = "check the network, UV_INDEX and HTTPS_PROXY, then run it again"
        if "certificate" in text:
            fix = "if a proxy inspects TLS here, name a file with its CA certificate in SSL_CERT_FILE"
        return CloudError(what, where=where, fix=fix)
    if "No solution found" in text or "unsatisfiable" in text:
        what = f"no versions of the packages fit together: {_cause(text)}"
        return InputError(what, where=where, fix=_ADVICE, detail=detail)
    return InputError(f"uv could not resolve the packages: {_cause(text)}", where=where, fix=_ADVICE, detail=detail)


def _cause(text: str) -> str:
    """The reason in uv's words, in at most 300 characters."""
    reason = text.partition("cause: ")[2] or text.partition("error: ")[2] or text
    reason = re.split(r" (?:hint|cause): ", reason)[0].rstrip(". ")
    return reason if len(reason) <= 300 else f"{reason[:300]}…"


def _last(lines: Sequence[str]) -> str:
    said = [line.strip() for line in lines if not line.strip().startswith("hint: ")]
    return said[-1].removeprefix("cause: ") if said else "no reason given"


def _nearest(name: str) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(name.lower(), _KNOWN, n=1, cutoff=0.75)), None)
