"""Manifests for many devices: how fast, in how much memory, and whether every device gets exactly its own.

    python tests/bench/fleet.py render [--rows N]            rows a second, CPU against a bare Jinja2 loop; memory
    python tests/bench/fleet.py calls [--calls N]            requests a second against the SDK's own loop, hub at 50 ms
    python tests/bench/fleet.py show [--rows N] [--clock X]  a hub that throttles as tier S1, its clock X times as fast
    python tests/bench/fleet.py show --faults --kill-every N the same with resets, failures, throttling and SIGKILL

It prints figures. `show` also compares what each device was given with what was rendered, and ends with 1 if any
differs. Only ratios of one run count: machines are noisy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

S1_UPDATES = 50
MODULES = 10
LATENCY = 0.05

# The template of ten modules that tests/bench/render.py renders once.
sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["render", "calls", "show"])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--calls", type=int, default=600)
    parser.add_argument("--clock", type=float, default=4.0)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--kill-every", type=int, default=0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.what == "render":
        render(given.rows or 2_000)
    elif given.what == "calls":
        calls(given.calls)
    elif given.inside:
        sys.exit(show(given))
    else:
        # The hub of a sandbox, which the process has around it then.
        command = [sys.executable, "-m", "manifestgen", "sandbox", "run", "--", sys.executable, *sys.argv, "--inside"]
        sys.exit(subprocess.run(command, check=False).returncode)


def render(count: int) -> None:
    """Rows a second of one process and of several, CPU time a row, and peak memory by number of rows."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_template(root)
        rows = _write_rows(root / "rows.csv", count)
        bare, ours = [], []
        for _ in range(3):
            bare.append(_bare(root, min(count, 2000)))
            ours.append(_rendered(root, rows))
        (least, least_cpu), (most, most_cpu) = map(_medians, (bare, ours))
        print(f"bare loop over the compiled template:     {least:8,.0f} rows/s, {least_cpu:.2f} ms of CPU a row")
        print(f"rendered, checked, encoded, one process:  {most:8,.0f} rows/s, {most_cpu:.2f} ms of CPU a row")
        print(f"                                          {least_cpu / most_cpu:.2f} times the bare loop (CPU)")
        for processes in (2, os.cpu_count() or 2):
            rate, cpu = _rendered(root, rows, processes)
            print(f"{processes} worker processes: {rate:8,.0f} rows/s, {cpu:.2f} ms of CPU a row in the main process")
        for number in (1_000, 100_000):
            _write_rows(root / "devices.csv", number)
            seconds, peak, _ = _measured(["t.json.j2", "--devices", "devices.csv", "--dry-run"], root)
            print(f"apply --dry-run of {number:7,} rows: {seconds:5.1f} s, {peak:.1f} MiB at most (goal 64)")


def _medians(measured: list[tuple[float, float]]) -> tuple[float, float]:
    rates, cpus = zip(*measured, strict=True)
    return statistics.median(rates), statistics.median(cpus)


def _bare(root: Path, count: int) -> tuple[float, float]:
    """Rows a second, and milliseconds of CPU a row."""
    import jinja2
    from render import values

    env = jinja2.Environment(loader=jinja2.FileSystemLoader(root), undefined=jinja2.StrictUndefined)  # noqa: S701
    template = env.get_template("t.json.j2")
    base = values()
    started, cpu = time.perf_counter(), time.process_time()
    for number in range(count):
        template.render({**base, "site": f"hall {number}", "ttl": 7200 + number % 3})
    return count / (time.perf_counter() - started), 1000 * (time.process_time() - cpu) / count


def _rendered(root: Path, path: Path, processes: int = 0) -> tuple[float, float]:
    """The same for rows that are read, rendered, checked and encoded; starting processes left out."""
    from render import values

    from manifestgen.rows.render import Ready, Renderer
    from manifestgen.rows.rows import open_rows
    from manifestgen.rows.source import source_of
    from manifestgen.rows.workers import Workers

    base = {name: value for name, value in values().items() if name not in ("site", "ttl")}
    source = source_of(root / "t.json.j2")
    renderer = Renderer(source.template, base, lambda manifest: {})
    rows = open_rows(path)
    count = rows.survey.count
    workers = Workers(renderer, source, processes)
    with workers:
        results = (workers if processes else renderer).render_all(rows)
        next(results)
        started, cpu = time.perf_counter(), time.process_time()
        for row, result in results:
            if not isinstance(result, Ready):
                raise SystemExit(f"row {row} makes no manifest")
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    rows.close()
    return count / seconds, 1000 * cpu / count


def _write_template(root: Path) -> None:
    from render import TEMPLATE, values

    base = {name: value for name, value in values().items() if name not in ("site", "ttl")}
    (root / "t.json.j2").write_text(TEMPLATE)
    (root / "manifestgen.yaml").write_text(
        f"version: 1\nmanifest:\n  template: t.json.j2\n  values: {json.dumps(base)}\n"
    )


def _write_rows(path: Path, count: int) -> Path:
    with path.open("w") as stream:
        stream.write("device,site,ttl\n")
        for number in range(1, count + 1):
            stream.write(f"{_device(number, count)},hall {number},{7200 + number % 3}\n")
    return path


def _device(number: int, count: int) -> str:
    return f"truck-{number:0{len(str(count))}}"


def _measured(arguments: list[str], root: Path, kill_after: int = 0) -> tuple[float, float, int]:
    """Seconds, peak MiB and exit code of an apply; killed when so many more outcomes are in its journal."""
    journal = root / "devices.csv.journal"
    before = _outcomes(journal)
    command = [sys.executable, "-m", "manifestgen", "apply", *arguments, "-q"]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    while kill_after:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        if _outcomes(journal) - before >= kill_after:
            process.send_signal(signal.SIGKILL)
            kill_after = 0
        time.sleep(0.5)
    else:
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - started, usage.ru_maxrss / 1024, process.returncode


def _sustained(journal: Path) -> float:
    """Devices a second between the first outcome and the last."""
    from datetime import datetime

    times = [json.loads(line).get("at") for line in journal.open()]
    at = [datetime.fromisoformat(time).timestamp() for time in times if time]
    return len(at) / max(1.0, at[-1] - at[0] + 1)


def _outcomes(journal: Path) -> int:
    """About how many rows are done: two lines a row."""
    if not journal.exists():
        return 0
    with journal.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b"")) // 2


def calls(count: int) -> None:
    """Applies a second through the SDK as it comes, and through ours, on a hub that answers after 50 ms."""
    from concurrent.futures import ThreadPoolExecutor

    import msgspec
    import trustme
    from azure.iot.hub import IoTHubConfigurationManager
    from azure.iot.hub.models import ConfigurationContent

    from manifestgen.azure.iot_hub import connect
    from manifestgen.rows.send import MOST_THREADS
    from manifestgen.secret import Secret

    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_template(root)
        content = _content(root)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(root / "ca.pem")
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(root / "hub.pem")
        os.environ["REQUESTS_CA_BUNDLE"] = str(root / "ca.pem")
        os.environ["NO_PROXY"] = "localhost"
        ours, theirs = context.Pipe()
        server = context.Process(target=_serve, args=(root / "hub.pem", theirs), daemon=True)
        server.start()
        text = f"HostName=localhost:{ours.recv()};SharedAccessKeyName=iothubowner;SharedAccessKey=a2V5a2V5"
        body = msgspec.json.encode(content)
        manager = IoTHubConfigurationManager.from_connection_string(text)
        parts = ConfigurationContent(modules_content=content["modulesContent"])
        sdk = _rate(
            40, lambda: [manager.apply_configuration_on_edge_device(f"d{number}", parts) for number in range(40)]
        )
        print(f"the SDK's own loop:          {sdk:6.0f} a second")
        hub = connect(connection_string=Secret(text)).bulk()
        for threads in (16, 32, MOST_THREADS):
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda number: hub.set_modules(f"d{number}", body), range(threads)))
                rate = _rate(
                    count, lambda: list(pool.map(lambda number: hub.set_modules(f"d{number}", body), range(count)))
                )
            print(f"a ready body, {threads:2} threads:    {rate:6.0f} a second, {rate / sdk:.0f} times (goal 12)")
        server.terminate()


def _rate(count: int, work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def _serve(certificate: Path, pipe: Any) -> None:
    """A hub that answers every request with 204, after 50 ms, and does nothing else."""
    import asyncio
    import ssl

    class Hub(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.buffer = transport, b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            if found and len(rest) >= length:
                self.buffer = rest[length:]
                asyncio.get_running_loop().call_later(LATENCY, self.transport.write, b"HTTP/1.1 204 No Content\r\n\r\n")

    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = await asyncio.get_running_loop().create_server(Hub, "127.0.0.1", 0, ssl=context)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def show(given: argparse.Namespace) -> int:
    """Apply to many devices, and compare what they were given."""
    count = given.rows or 100_000
    limit = S1_UPDATES * given.clock
    _admin("POST", "/devices", {"id": "truck-{number}", "count": count})
    _admin("PUT", "/hub", {"tier": "S1", "throttled": True, "speed": given.clock, "agents": False, "retry_after": 1})
    if given.faults:
        match = {"host": ".*azure-devices.net", "path": "/devices/|/twins/"}
        for seed, fault in enumerate(
            (
                {"kind": "reset", "probability": 0.005},
                {"kind": "reset_after", "probability": 0.005},
                {"kind": "status", "status": 500, "probability": 0.01},
                {"kind": "status", "status": 429, "probability": 0.05},
            )
        ):
            _admin("POST", "/faults", {**fault, "seed": seed, "times": "forever", "match": match})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_template(root)
        rows = _write_rows(root / "devices.csv", count)
        arguments = ["t.json.j2", "--devices", "devices.csv", "--yes", "--rate", str(limit), "--report", "report.json"]
        seconds, peak, kills = 0.0, 0.0, 0
        while True:
            took, used, code = _measured(arguments, root, given.kill_every)
            seconds, peak = seconds + took, max(peak, used)
            if code != -signal.SIGKILL:
                break
            kills += 1
            print(f"killed after {took:.0f} s", flush=True)
        report = json.loads((root / "report.json").read_text())
        print(f"{count:,} rows, {kills} kills, exit code {code}, classes {report['counts']}, {seconds:.0f} s")
        whole, sustained = count / seconds, _sustained(root / "devices.csv.journal")
        print(f"of {limit:.0f}/s (S1 at {given.clock:g}x), start-ups included: {whole:.1f}/s, {whole / limit:.1%}")
        if not kills:
            print(f"from the first device to the last: {sustained:.1f}/s, {sustained / limit:.1%} (goal 95%)")
        print(f"peak memory {peak:.1f} MiB")
        wanted = {f"{device}": digest for device, digest in _expected_all(root, rows)}
        print("requests:", json.dumps(_admin("GET", "/hub")["requests"]))
        return _compare(wanted, report, count)


def _compare(wanted: dict[str, str], report: dict[str, Any], count: int) -> int:
    wrong = twice = other = 0
    found: set[str] = set()
    after = ""
    while True:
        page = _admin("GET", f"/hub/applied?after={after}")
        for device, given in page["devices"].items():
            found.add(device)
            wrong += given["twins"] != wanted.get(device)
            twice += len(given["applies"]) > 1
            other += len(set(given["applies"])) > 1
        after = page["next"]
        if after is None:
            break
    missing = len(wanted.keys() - found)
    total = sum(report["counts"].values())
    print(f"sum of classes {total:,}, rows in the report {len(report['devices']):,}")
    print(f"devices without a manifest {missing}, with another than theirs {wrong}, given other content before {other}")
    print(f"given the same twice {twice}")
    return 0 if (missing, wrong, other, total, len(report["devices"])) == (0, 0, 0, count, count) else 1


def _expected_all(root: Path, rows: Path) -> Iterator[tuple[str, str]]:
    """Each device and the fingerprint of what it is to have, rendered without anything of `manifestgen.rows`."""
    import csv

    from render import values

    from manifestgen.render import load_template

    template = load_template("t.json.j2", root)
    base = values()
    with rows.open() as stream:
        for row in csv.DictReader(stream):
            own = {"device": row["device"], "site": row["site"], "ttl": int(row["ttl"])}
            content = template.render({**base, **own})
            yield row["device"], _fingerprint(content.content)


def _content(root: Path) -> Any:
    from render import values

    from manifestgen.render import load_template

    return load_template("t.json.j2", root).render({**values(), "device": "truck-1"}).content


def _fingerprint(content: Any) -> str:
    desired = {name: entry["properties.desired"] for name, entry in content["modulesContent"].items()}
    return hashlib.sha256(json.dumps(desired, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _admin(method: str, path: str, body: Any = None) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        response = session.request(method, os.environ["MANIFESTGEN_SANDBOX"] + path, json=body, timeout=600)
    response.raise_for_status()
    return response.json()


if __name__ == "__main__":
    main()
