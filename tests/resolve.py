"""Whether the wheel can be installed on every platform and Python from binary wheels alone; prints a table.

    python tests/resolve.py dist/manifestgen-*.whl

uv resolves, because it evaluates environment markers for the target: `pip download --platform` evaluates them for the
machine that it runs on, and so asks for azure-iot-hub on x86-64 and never elsewhere, whatever the platform. Then pip
is asked, as `pip download --only-binary=:all: --no-deps` would be, whether it finds a wheel for each package that uv
chose; nothing is downloaded but metadata.

PyYAML has no wheel for Python 3.11 on Windows on Arm. Its source needs no compiler: without one it installs the same
parser in Python. So it is built here once as on a machine that has none, and that row allows its source.

Exit code 1 if a cell differs from what `GAPS` and `_hub_client` expect, in either direction.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PYTHONS: Final = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
EXTRAS: Final = ("", "sandbox", "keyvault", "azureml", "azureml2", "all")
# What an extra is for: without this in the resolution a marker has left it out.
_BRINGS: Final = {
    "": ("azure-core", "azure-identity"),
    "sandbox": ("aiohttp", "trustme"),
    "keyvault": ("azure-keyvault-secrets",),
    "azureml": ("azureml-core",),
    "azureml2": ("azure-ai-ml",),
    "all": ("aiohttp", "azure-ai-ml", "azure-keyvault-secrets", "azureml-core"),
}


@dataclass(frozen=True)
class Platform:
    """A platform: its name here, for uv, and the tags of wheels that pip is to take."""

    name: str
    uv: str
    pip: tuple[str, ...]


def _linux(machine: str) -> tuple[str, ...]:
    # pip takes exactly the tags that it is given, so the older ones, too.
    return (
        *(f"manylinux_2_{minor}_{machine}" for minor in range(28, 4, -1)),
        *(f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")),
    )


PLATFORMS: Final = (
    Platform("Linux x86-64", "x86_64-manylinux_2_28", _linux("x86_64")),
    Platform("Linux aarch64", "aarch64-manylinux_2_28", _linux("aarch64")),
    Platform("macOS arm64", "aarch64-apple-darwin", ("macosx_13_0_arm64",)),
    Platform("macOS x86-64", "x86_64-apple-darwin", ("macosx_13_0_x86_64",)),
    Platform("Windows amd64", "x86_64-pc-windows-msvc", ("win_amd64",)),
    Platform("Windows arm64", "aarch64-pc-windows-msvc", ("win_arm64",)),
)

# The packages that have no wheel there and are built from source; `builds_without_compiler` shows that they can be.
FROM_SOURCE: Final[Mapping[tuple[str, str], str]] = {("Windows arm64", "3.11"): "pyyaml"}

# Where it cannot be installed, and why.
GAPS: Final[Mapping[tuple[str, str], str]] = {
    ("Windows arm64", "3.10"): "python.org has no Python 3.10 for Windows on Arm; cryptography has no wheels for it",
}


def _hub_client(platform: str, python: str) -> str:
    """What the hub is expected to be asked with: the SDK where uamqp has wheels."""
    has_uamqp = platform in ("Linux x86-64", "macOS x86-64", "Windows amd64") and python < "3.14"
    return "sdk" if has_uamqp else "rest"


@dataclass(frozen=True)
class Resolution:
    """What would be installed: name to version; the resolver's words instead if nothing can be."""

    pins: Mapping[str, str]
    trouble: str = ""


@dataclass(frozen=True)
class Target:
    """A platform with a Python."""

    platform: Platform
    python: str

    @property
    def from_source(self) -> str:
        """The package that has no wheel for it; empty if all have."""
        return FROM_SOURCE.get((self.platform.name, self.python), "")

    def resolve(self, wheel: Path, extra: str) -> Resolution:
        """What uv would install of the wheel with an extra."""
        requirement = f"manifestgen{f'[{extra}]' if extra else ''} @ {wheel.as_uri()}"
        command = [*_uv(), "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"]
        how = ["--only-binary", ":all:", "--python-version", self.python, "--python-platform", self.platform.uv]
        if self.from_source:
            how += ["--no-binary", self.from_source]
        ended = subprocess.run([*command, *how], input=requirement, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            return Resolution({}, " ".join(ended.stderr.split()))
        lines = (line.strip() for line in ended.stdout.splitlines())
        return Resolution(dict(line.split("==", 1) for line in lines if "==" in line and not line.startswith("#")))

    def confirm(self, pins: Mapping[str, str], universal: set[str]) -> str:
        """What pip has against these versions; empty if it finds a wheel for each.

        Args:
            universal: `name==version` of packages whose wheel is for every platform, which need not be asked about
                again; what is found here is added.
        """
        wheels = (f"{name}=={version}" for name, version in pins.items() if name != self.from_source)
        asked = [pin for pin in wheels if pin not in universal]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pins.txt"
            file.write_text("\n".join(asked))
            report = Path(folder) / "report.json"
            command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--no-compile"]
            how = [
                "--only-binary=:all:",
                f"--python-version={self.python}",
                "--implementation=cp",
                f"--target={folder}",
            ]
            tags = [f"--platform={tag}" for tag in self.platform.pip]
            ended = subprocess.run(
                [*command, *how, *tags, f"--target={folder}", f"--report={report}", f"--requirement={file}"],
                capture_output=True,
                text=True,
                check=False,
            )
            if ended.returncode == 0:
                universal.update(_universal(json.loads(report.read_text())))
                return ""
        lines = [line for line in ended.stderr.splitlines() if line.startswith("ERROR:")]
        return " ".join(lines) or ended.stderr.strip()


def _universal(report: Mapping[str, Any]) -> Iterator[str]:
    """The packages of pip's report with a wheel for every platform."""
    for one in report["install"]:
        if one["download_info"]["url"].partition("#")[0].endswith("-none-any.whl"):
            yield f"{one['metadata']['name'].lower().replace('_', '-').replace('.', '-')}=={one['metadata']['version']}"


def _uv() -> list[str]:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        sys.exit("uv is not installed: pip install uv")
    return [found]


def look(wheel: Path, target: Target, universal: set[str]) -> dict[str, str]:
    """A cell for each extra: the hub's client and `ok`, or what is wrong.

    What can be installed together can be installed alone: the parts are looked at only if the whole has a gap.
    """
    whole = target.resolve(wheel, "all")
    cells: dict[str, str] = {}
    for extra in EXTRAS:
        found = target.resolve(wheel, extra) if whole.trouble and extra != "all" else whole
        missing = [name for name in _BRINGS[extra] if name not in found.pins]
        if found.trouble:
            cells[extra] = f"gap: {found.trouble}"
        elif missing:
            cells[extra] = f"left out: {', '.join(missing)}"
        else:
            cells[extra] = f"ok {'sdk' if 'azure-iot-hub' in found.pins else 'rest'}"
    if not whole.trouble and (words := target.confirm(whole.pins, universal)):
        cells["all"] = f"gap: pip says: {words}"
    return cells


def builds_without_compiler(package: str) -> str:
    """What is wrong with building a package where there is no compiler; empty if it builds and can be imported."""
    with tempfile.TemporaryDirectory() as folder:
        nothing = str(Path(folder) / "no-compiler")
        environment = {**os.environ, "CC": nothing, "CXX": nothing}
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-cache-dir"]
        how = [f"--no-binary={package}", f"--target={folder}/there", package]
        ended = subprocess.run([*command, *how], capture_output=True, text=True, check=False, env=environment)
        if ended.returncode != 0:
            return ended.stderr.strip()
        compiled = [file.name for kind in ("so", "pyd") for file in Path(folder).rglob(f"*.{kind}")]
        return f"a compiler was found: {', '.join(compiled)}" if compiled else ""


def expected(target: Target, cell: str) -> bool:
    """Whether a cell is as it should be."""
    if (target.platform.name, target.python) in GAPS:
        return cell.startswith("gap:")
    return cell == f"ok {_hub_client(target.platform.name, target.python)}"


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--jobs", type=int, default=8, help="resolutions at once; they wait for the network")
    parser.add_argument("--json", type=Path, help="write the cells here as well")
    given = parser.parse_args(arguments)
    started = time.monotonic()
    targets = [Target(platform, python) for platform in PLATFORMS for python in PYTHONS]
    universal: set[str] = set()
    # The first one alone: the others find most of what it asked for in uv's cache, and in `universal`.
    first, *others = targets
    table = {first: look(given.wheel.resolve(), first, universal)}
    with ThreadPoolExecutor(given.jobs) as pool:
        looked = pool.map(lambda target: look(given.wheel.resolve(), target, universal), others)
        table.update(zip(others, looked, strict=True))
    print(f"{'':<15}{'Python':<8}" + "".join(f"{extra or 'base':<12}" for extra in EXTRAS))
    wrong: list[str] = []
    for package in sorted(set(FROM_SOURCE.values())):
        if trouble := builds_without_compiler(package):
            wrong.append(f"{package} from source, without a compiler: {trouble[-600:]}")
    for target, cells in table.items():
        shown = (cell.partition(":")[0] for cell in cells.values())
        note = GAPS.get((target.platform.name, target.python), "")
        note = f"{target.from_source} from source" if target.from_source else note
        print(
            (f"{target.platform.name:<15}{target.python:<8}" + "".join(f"{cell:<12}" for cell in shown) + note).rstrip()
        )
        for extra, cell in cells.items():
            if not expected(target, cell):
                wrong.append(f"{target.platform.name}, Python {target.python}, {extra or 'base'}: {cell[:600]}")
    print("sdk: the hub is asked with azure-iot-hub; rest: with its REST API over azure-core")
    if given.json:
        data = {f"{one.platform.name} {one.python}": cells for one, cells in table.items()}
        given.json.write_text(json.dumps(data, indent=2) + "\n")
    for line in wrong:
        print(f"not as expected: {line}", file=sys.stderr)
    print(f"{len(table) * len(EXTRAS)} cells, {len(wrong)} not as expected, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
