"""Routes carried out: manifests at random, and which messages arrive where."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

from edge import route_oracle
from edge.hubs import Hub, running, wait
from edge.raw import PUBLISH, Gone
from edge.route_oracle import Sample
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.edge.hub import Limits
from manifestgen.edge.message import Message
from manifestgen.manifest.route import parse
from manifestgen.manifest.route.evaluate import Condition, Facts

MANIFESTS, MESSAGES, ROUTES = 200, 8, 4
MODULES = ("sensor", "camera")
OUTPUTS = ("out", "alerts", "")
INPUTS = ("one", "two")

Arrival = tuple[str, str]  # the message's number, and where: an input, or `upstream`


@given(st.integers(0, 2**32))
def test_a_condition_means_what_was_written_down_when_it_was_made(seed: int) -> None:
    random = Random(seed)  # noqa: S311 no secret depends on it
    text, meaning = route_oracle.condition(random)
    condition = Condition(parse(f"FROM /* WHERE {text} INTO $upstream").condition)
    for _ in range(5):
        message = route_oracle.sample(random)
        facts = Facts(message.properties, message.system, message.body)
        assert condition.value(facts) == meaning(message), (text, message)


def _manifest(random: Random) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """Routes, and each as a source's module and output, a condition's meaning and a sink."""
    routes: dict[str, Any] = {}
    meanings: list[tuple[Any, ...]] = []
    for number in range(random.randint(1, ROUTES)):
        module = random.choice([None, None, *MODULES])
        output = random.choice([None, "out", "alerts"]) if module else None
        source = random.choice(["/*", "/messages/*", "/messages/modules/*"])
        if module:
            name = module.upper() if random.random() < 0.2 else module
            source = f"/messages/modules/{name}" + (f"/outputs/{output}" if output else "/*")
        where = ""
        meaning: Callable[[Sample], bool | None] = lambda _: True  # noqa: E731
        if random.random() < 0.9:
            text, meaning = route_oracle.condition(random)
            where = f"WHERE {text} "
        sink = random.choice([*INPUTS, "upstream"])
        into = "$upstream" if sink == "upstream" else f'BrokeredEndpoint("/modules/a/inputs/{sink}")'
        route: Any = f"FROM {source} {where}INTO {into}"
        if random.random() < 0.5:
            route = {"route": route, "priority": random.randint(0, 9), "timeToLiveSecs": 3600}
        routes[f"route{number}"] = route
        meanings.append((module, output, meaning, sink))
    return routes, meanings


def _expected(meanings: list[tuple[Any, ...]], module: str, output: str, message: Sample) -> set[str]:
    return {
        sink
        for wanted, from_output, meaning, sink in meanings
        if wanted in (None, module) and from_output in (None, output) and meaning(message) is True
    }


class _Receiver:
    """The module `a`: acknowledges everything and notes what came to which input."""

    def __init__(self, hub: Hub) -> None:
        self.arrived: list[Arrival] = []
        self._module = hub.module("a")
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                packet = self._module.receive(60)
            except (Gone, TimeoutError, OSError):
                return
            if packet.kind == PUBLISH:
                name, _, properties = packet.topic.partition("/inputs/")[2].partition("/")
                number = dict(pair.split("=", 1) for pair in properties.split("&"))["number"]
                self.arrived.append((number, name))
                self._module.acknowledge(packet)


def test_messages_arrive_where_an_independent_evaluation_says(record_property: Callable[[str, object], None]) -> None:
    random = Random(20261130)  # noqa: S311 no secret depends on it
    sent = arrived = everywhere = 0
    different: list[str] = []
    with running(Limits(loop=0)) as hub:
        receiver = _Receiver(hub)
        for index in range(MANIFESTS):
            routes, meanings = _manifest(random)
            hub.hub.configure({"routes": routes, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}})
            hub.cloud.messages.clear()
            receiver.arrived.clear()
            expected: set[Arrival] = set()
            for number in range(MESSAGES):
                sample = route_oracle.sample(random)
                module, output = random.choice(MODULES), random.choice(OUTPUTS)
                # The hub adds who sent it, which a condition may ask for.
                seen = Sample(
                    {**sample.properties, "number": str(number)},
                    {**sample.system, "connectionModuleId": module},
                    sample.body,
                )
                expected |= {(str(number), sink) for sink in _expected(meanings, module, output, seen)}
                message = Message(sample.body, seen.properties, sample.system, "edge-1", module, output)
                hub.hub.publish(message)
                sent += 1
            wait(lambda: not hub.hub.waiting())
            got = [*receiver.arrived, *((m.properties["number"], "upstream") for m in hub.cloud.messages)]
            if sorted(got) != sorted(expected):
                different.append(f"manifest {index}: {routes}: got {sorted(got)}, expected {sorted(expected)}")
            arrived += len(got)
            everywhere += MESSAGES * len({sink for *_, sink in meanings})
    record_property("routes", f"{MANIFESTS} manifests, {sent} messages, {arrived} of {everywhere} possible arrivals")
    assert not different, "\n".join(different[:3])
    assert everywhere / 10 < arrived < everywhere * 9 / 10
