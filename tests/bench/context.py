"""How long the hash of an unchanged project takes, and how large images are. `python tests/bench/context.py [--sizes]`.

The hash is that of a project with a model of 100 MB: what `image` computes before it asks whether there is anything to
build. It takes turns with sha256sum on the same file, the yardstick. Processor time counts: the file is in memory and
one thread reads it, so on an idle machine that is the time on the clock. Sizes need the package index: the packages of
two samples, unpacked for each platform, and the layer of a model.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from manifestgen.cloud import Context, ContextFile, RegisteredModel, Services
from manifestgen.context.make import LOCK, choose, gather
from manifestgen.project.inputs import inputs_hash, sha256_of
from manifestgen.project.load import load
from manifestgen.project.lock import LockedModel

ROUNDS = 7
MEGABYTES = 100
_PROJECT = """\
version: 1
model: {name: m, path: model.bin}
image: {builder: local, name: n, entry_script: score.py, requirements: requirements.txt, registry: acme.azurecr.io,
        platforms: [linux/amd64, linux/arm64]}
"""
#: Requirements of a sample, and the limit in MiB that its packages and files keep to, the base image counted apart.
SAMPLES = {"scikit-learn==1.7.2\nnumpy>=2,<3": 260, "onnxruntime": 160}


def project(folder: Path, requirements: str, size: int) -> None:
    """Write a project with a model of so many bytes."""
    (folder / "manifestgen.yaml").write_text(_PROJECT)
    (folder / "score.py").write_text("def init(): pass\ndef run(data): pass\n")
    (folder / "requirements.txt").write_text(requirements + "\n")
    (folder / "model.bin").write_bytes(bytes(size))


def hashing(folder: Path) -> dict[str, tuple[float, float]]:
    """Seconds of processor time, and on the clock, for the hash of all inputs and for sha256sum of the model alone."""
    project(folder, "numpy", MEGABYTES * 1_000_000)
    loaded, model = load(folder), folder / "model.bin"

    def ours() -> None:
        inputs_hash(loaded, LockedModel(name="m", sha256=sha256_of(model)), "lock")

    def theirs() -> None:
        subprocess.run(["sha256sum", str(model)], check=True, stdout=subprocess.DEVNULL)

    turns: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for name, work in (("manifestgen", ours), ("sha256sum", theirs)):
            worked, started = _processor(), time.perf_counter()
            work()
            turns.setdefault(name, []).append((_processor() - worked, time.perf_counter() - started))
    return {
        name: (statistics.median(a for a, _ in each), statistics.median(b for _, b in each))
        for name, each in turns.items()
    }


def _processor() -> float:
    """Seconds of processor time of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class _NoServices:
    """The base image is not asked for: sizes are those of what is put on it."""


def sizes(folder: Path, requirements: str) -> dict[str, float]:
    """MiB unpacked for each platform, and of the archive."""
    project(folder, requirements, 1_000_000)
    loaded = load(folder)
    services: Services = _NoServices()  # type: ignore[assignment]
    recipe = choose(loaded, services, folder / "model.bin", print)
    pinned = type(recipe.base)(f"python@sha256:{'0' * 64}", recipe.python) if recipe.base is not None else None
    parts = gather(loaded, type(recipe)(recipe.requirements, pinned, recipe.python, recipe.lock), services, None, print)
    context = parts.context(RegisteredModel("m", "1"), folder / "model.bin", "0" * 64)
    found = {}
    for platform in ("linux/amd64", "linux/arm64"):
        one = context.for_platforms([platform])
        found[platform] = one.size / (1 << 20)
        found[f"{platform} compressed"] = sum(map(len, one.archive())) / (1 << 20)
    return found


def main() -> int:
    """Print the figures; 1 if a limit is not kept."""
    failed = False
    with tempfile.TemporaryDirectory() as name:
        found = hashing(Path(name))
        failed |= found["manifestgen"][0] >= 0.3
        print(f"hash of an unchanged project with a model of {MEGABYTES} MB (limit 0.3 s of processor time):")
        for program, (worked, took) in found.items():
            print(f"  {program:12} {worked:.3f} s of processor time, {took:.3f} s on the clock")
    with tempfile.TemporaryDirectory() as name:
        model = Path(name, "model.bin")
        model.write_bytes(random.Random(0).randbytes(1_000_000))  # noqa: S311 - what gzip cannot make smaller
        layer = Context.of([ContextFile("model/model.bin", model)])
        extra = sum(map(len, layer.archive())) - model.stat().st_size
        print(f"layer of a model beyond its size: {extra} bytes (limit 20480)")
        failed |= extra > 20480
    if "--sizes" in sys.argv[1:]:
        for requirements, limit in SAMPLES.items():
            with tempfile.TemporaryDirectory() as name:
                for what, size in sizes(Path(name), requirements).items():
                    print(f"{requirements.splitlines()[0]} {what}: {size:.0f} MiB")
                    failed |= "compressed" not in what and size > limit
            print(f"  limit {limit} MiB unpacked, without the base image; {LOCK} included")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
