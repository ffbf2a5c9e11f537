"""How long a route takes: prints microseconds a route, best of five rounds. `python tests/bench/route.py`."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial

from manifestgen.manifest.route import compile_check, parse, warnings

ROUTES = {
    "upstream": "FROM /messages/* INTO $upstream",
    "to a module": 'FROM /messages/modules/sensor/outputs/heat INTO BrokeredEndpoint("/modules/filter/inputs/in")',
    "condition": "FROM /messages/modules/filter/outputs/* WHERE $body.temperature > 30 INTO $upstream",
    "long condition": "FROM /messages/* WHERE NOT is_defined($connectionModuleId) AND as_number(level) >= 3 "
    "AND (kind = 'alert' OR starts_with(kind, 'warn')) INTO $upstream",
}


_ROUNDS = 2000


def main() -> None:
    """Print one line a route, then what long texts take."""
    for name, text in ROUTES.items():
        route = parse(text)
        works: dict[str, Callable[[], object]] = {
            "parse": partial(parse, text),
            "types": partial(compile_check, route),
            "warnings": partial(warnings, route),
        }
        figures = {
            what: min(timeit.repeat(work, number=_ROUNDS, repeat=5)) / _ROUNDS * 1e6 for what, work in works.items()
        }
        print(f"{name:18}", *(f"{what} {figure:6.1f}" for what, figure in figures.items()), "µs")
    for name, condition in (
        ("1 MB of AND", " AND ".join(["a = 'b'"] * 90_000)),
        ("100,000 (", "(" * 100_000 + "a = 'b'" + ")" * 100_000),
    ):
        text = f"FROM /messages/* WHERE {condition} INTO $upstream"
        print(f"{name:18} {timeit.timeit(partial(_check, text), number=1):6.2f} s")


def _check(text: str) -> None:
    compile_check(parse(text))


if __name__ == "__main__":
    main()
