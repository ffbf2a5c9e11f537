"""How fast `check` is: `python tests/bench/check.py` prints figures; it asserts nothing.

Files a second on a manifest of ten modules with all rules and all places, the growth with the number of modules and of
comparisons in a route, templates against the same files filled in, and the start-up of the command against that of the
interpreter. Only ratios of one run count: machines are noisy.
"""

from __future__ import annotations

import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from manifestgen.check import check_source

PLAIN = json.loads((Path(__file__).parent.parent / "rules/route-syntax/pass/plain.json").read_text("utf-8"))


def manifest(modules: int, site: int = 0) -> dict[str, Any]:
    """A manifest of so many modules with createOptions, variables, a route and a twin each."""
    data: dict[str, Any] = copy.deepcopy(PLAIN)
    entries = data["modulesContent"]
    agent, hub = (entries[name]["properties.desired"] for name in ("$edgeAgent", "$edgeHub"))
    agent["modules"], hub["routes"] = {}, {}
    for number in range(modules):
        name = f"module{number}"
        options = {"HostConfig": {"Binds": [f"{name}:/data"], "Memory": 268435456}, "Labels": {"site": str(site)}}
        agent["modules"][name] = {
            "version": "1.0",
            "type": "docker",
            "status": "running",
            "restartPolicy": "always",
            "startupOrder": number,
            "settings": {"image": f"acme.azurecr.io/team/{name}:1.{number}.0", "createOptions": json.dumps(options)},
            "env": {f"VARIABLE_{index}": {"value": f"{site}-{index}"} for index in range(6)},
        }
        route = f"FROM /messages/modules/{name}/outputs/* INTO $upstream"
        hub["routes"][f"{name}ToCloud"] = {"route": route, "priority": number % 10, "timeToLiveSecs": 86400}
        entries[name] = {"properties.desired": {"site": site, "limits": {"low": 1.5, "high": number}}}
    del entries["scorer"]
    return data


def texts_of(modules: int, *, placeholders: bool, sites: int = 20) -> list[bytes]:
    """Manifests of so many modules, with a placeholder in every variable or with none."""
    texts = []
    for site in range(sites):
        data = manifest(modules, site)
        for module in data["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"].values():
            for name in module["env"] if placeholders else ():
                module["env"][name]["value"] = f"${{{name}}}"
        texts.append(json.dumps(data, indent=2).encode())
    return texts


def with_route(comparisons: int) -> dict[str, Any]:
    """A manifest with a route whose condition compares wrongly that often."""
    data: dict[str, Any] = copy.deepcopy(PLAIN)
    condition = " AND ".join(["temperature = 1"] * comparisons)
    hub = data["modulesContent"]["$edgeHub"]["properties.desired"]
    hub["routes"] = {"up": f"FROM /messages/* WHERE {condition} INTO $upstream"}
    return data


def seconds(work: Callable[[], object], repeat: int = 5) -> float:
    """The median time of a piece of work."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    one = json.dumps(manifest(10), indent=2).encode()
    sites = [json.dumps(manifest(10, site), indent=2).encode() for site in range(200)]
    parse = seconds(lambda: [json.loads(text) for text in sites]) / len(sites)
    print(f"ten modules, {len(one)} bytes; json.loads alone: {1 / parse:,.0f} files/s")
    for name, texts in (("one file again and again", [one] * 200), ("200 sites, every module different", sites)):
        each = seconds(lambda texts=texts: [check_source(text, "x.json", lines=False) for text in texts]) / len(texts)  # type: ignore[misc]
        print(f"check, {name}: {1 / each:,.0f} files/s, {each / parse:.1f}x json.loads")
    for modules in (10, 100, 1000):
        text = json.dumps(manifest(modules), indent=2).encode()
        each = seconds(lambda text=text: check_source(text, "x.json", lines=False), 3)  # type: ignore[misc]
        print(f"check of {modules} modules: {each * 1000:.1f} ms, {each / modules * 1e6:.0f} us a module")
    for modules in (10, 25):
        filled, template = (texts_of(modules, placeholders=placeholders) for placeholders in (False, True))
        times = [
            seconds(lambda texts=texts: [check_source(text, "x.json", lines=False) for text in texts])  # type: ignore[misc]
            for texts in (filled, template)
        ]
        print(
            f"template of {modules} modules with {6 * modules} placeholders: {times[1] / times[0]:.1f}x the filled file"
        )
    for comparisons in (1000, 4000):
        text = json.dumps(with_route(comparisons)).encode()
        each = seconds(lambda text=text: check_source(text, "x.json", lines=False), 3)  # type: ignore[misc]
        print(f"route with {comparisons} wrong comparisons: {each * 1000:.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "deployment.json")
        path.write_bytes(one)
        bare = seconds(lambda: subprocess.run([sys.executable, "-I", "-c", "pass"], check=True), 9)
        whole = seconds(
            lambda: subprocess.run(
                [sys.executable, "-m", "manifestgen", "check", str(path)], check=True, capture_output=True
            ),
            9,
        )
    print(
        f"start-up and one file: {whole * 1000:.0f} ms, {whole / bare:.1f}x the bare interpreter ({bare * 1000:.0f} ms)"
    )


if __name__ == "__main__":
    main()
