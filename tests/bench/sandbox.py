"""How large a hub the sandbox bears: time and memory at a number of devices.

    python tests/bench/sandbox.py [DEVICES]

Prints one line a step: what was done, how long it took, on the clock and of CPU, and the memory of the process after
it. The hub runs in this process, without TLS and without agents, and so does its client; docs/sandbox.md has the
figures of one run.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.hub_service import HubService, content, module, with_hub

from manifestgen.sandbox.hub import series
from manifestgen.sandbox.hub.applied import applied
from manifestgen.sandbox.hub.store import enable_agents
from manifestgen.sandbox.world import Store

_APPLIED = 2000


def _memory() -> int:
    """MiB that the process has in memory now; Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20


@contextmanager
def _step(what: str, times: int = 1) -> Iterator[None]:
    started, worked = time.perf_counter(), time.process_time()
    yield
    took, work = time.perf_counter() - started, time.process_time() - worked
    each = f"{work / times * 1000:8.2f} ms each" if times > 1 else " " * 16
    print(f"{what:50} {took:9.3f} s {work:9.3f} s of CPU {each} {_memory():6} MiB", flush=True)


async def _pages(hub: HubService, text: str) -> int:
    found = 0
    headers: dict[str, Any] = {"x_ms_max_item_count": "2000"}
    while True:
        answer = await hub.call("POST", "/devices/query", {"query": text}, **headers)
        found += len(answer.json)
        if "x-ms-continuation" not in answer.headers:
            return found
        headers["x_ms_continuation"] = answer.headers["x-ms-continuation"]


async def _results(hub: HubService) -> Any:
    return (await hub.get("/configurations/base"))["systemMetrics"]["results"]


def main(devices: int) -> None:
    """Register so many devices, and do with them what a fleet's tool does."""

    async def work(hub: HubService) -> None:
        enable_agents(hub.world, False)
        with _step(f"register {devices:,} devices"):
            made = series.register(hub.world, "truck-{number}", devices, tags={"site": ["lab", "plant"]})
        with _step("read one twin"):
            await hub.get(f"/twins/{made.last}")
        with _step("page through all their ids, 2,000 a page"):
            assert await _pages(hub, "SELECT deviceId FROM devices") == devices + 1
        with _step("find one by its id"):
            assert await _pages(hub, "SELECT deviceId FROM devices WHERE deviceId = 'ID'".replace("ID", made.last)) == 1
        with _step("count by a tag, the first time"):
            await _pages(hub, "SELECT COUNT() AS n FROM devices WHERE tags.site = 'lab'")
        with _step("count by a tag again"):
            await _pages(hub, "SELECT COUNT() AS n FROM devices WHERE tags.site = 'lab'")
        ids = [device_id for device_id, _ in zip(series.all_series(hub.world)[0].ids(), range(_APPLIED), strict=False)]
        with _step(f"set modules on {len(ids):,} of them, one after the other", len(ids)):
            for device_id in ids:
                await hub.apply(content({"scorer": module(env={"ID": {"value": device_id}})}), device_id)
        with _step("read what was applied to them"):
            assert len(applied(hub.world)["devices"]) == len(ids)
        body = {"content": content({"scorer": module()}), "targetCondition": "tags.site = 'lab'", "priority": 1}
        with _step("an automatic deployment reaches half of them"):
            await hub.call("PUT", "/configurations/base", body)
            while hub.world.tasks:
                await asyncio.sleep(0.01)
        with _step("read its counts, the first time"):
            first = await _results(hub)
        assert first["appliedCount"] == devices // 2
        with _step("read its counts again, 100 times", 100):
            for _ in range(100):
                assert await _results(hub) == first
        await hub.call("PATCH", f"/twins/{ids[0]}", {"tags": {"site": "plant"}})
        with _step("read its counts after one device has changed"):
            assert (await _results(hub))["appliedCount"] == devices // 2 - 1

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.sqlite"
        store = Store(file)
        with_hub(work, store=store)
        store.close()
        size = sum(part.stat().st_size for part in Path(folder).iterdir()) >> 20
    print(json.dumps({"devices": devices, "state_mib": size, "memory_mib": _memory()}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
