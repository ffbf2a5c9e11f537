"""Which devices a command asks: one, those in a file, or those that a condition matches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from manifestgen.cli._console import Console
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, hub_option
from manifestgen.cli._target import device_of, device_option
from manifestgen.errors import InputError, ManifestgenError
from manifestgen.report.amount import counted

if TYPE_CHECKING:
    from manifestgen.cloud import Hub
    from manifestgen.operate.fleet import Reply
    from manifestgen.operate.score import Smoke

_T = TypeVar("_T")


@dataclass(frozen=True)
class Devices:
    """The devices that the options name, and the hub that has them.

    Attributes:
        many: whether they are a fleet, even of one.
        rate: how many to ask per second.
    """

    hub: Hub
    names: Sequence[str]
    many: bool
    rate: float
    console: Console

    def ask(
        self,
        work: Callable[[str], _T],
        words: Callable[[_T], str],
        data: Callable[[_T], Any],
        show: Callable[[str, _T], None] = lambda device, value: None,
    ) -> int:
        """Ask each of a fleet, and show a table of who answered; exit code 1 unless all did.

        Args:
            work: asks one device.
            words, data: its answer in a few words, and as JSON data.
            show: shows an answer when it is there, above the table.
        """
        from manifestgen.operate.fleet import each

        replies: list[Reply[_T]] = []
        for reply in each(self.names, work, self.rate):
            replies.append(reply)
            if reply.error is None and reply.value is not None:
                show(reply.device, reply.value)
        self._table(replies, words)
        self.console.document({"devices": [_data(reply, data) for reply in replies]})
        return 0 if all(reply.error is None for reply in replies) else 1

    def _table(self, replies: Sequence[Reply[_T]], words: Callable[[_T], str]) -> None:
        width = max((len(reply.device) for reply in replies), default=0)
        counts: dict[str, int] = {}
        for reply in replies:
            said = _why(reply.error) if reply.error is not None else "" if reply.value is None else words(reply.value)
            self.console.result(f"{reply.device:<{width}}  {reply.word:<9}  {said}".rstrip())
            counts[reply.word] = counts.get(reply.word, 0) + 1
        listed = ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items()))
        self.console.result(f"{counted(len(replies), 'device')}: {listed}")


def _why(error: ManifestgenError) -> str:
    """Without where, which the table says."""
    return " ".join(error.what.split())


def _data(reply: Reply[_T], data: Callable[[_T], Any]) -> dict[str, Any]:
    error = reply.error
    return {
        "device": reply.device,
        "answered": error is None,
        "outcome": reply.word,
        "answer": data(reply.value) if reply.value is not None else None,
        "error": {"message": error.message, "fix": error.fix} if error is not None else None,
    }


def devices_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--device`, `--devices`, `--target-condition`, `--rate`, `--hub` and the common options.

    They become its argument `devices`.
    """

    @functools.wraps(function)
    def command(
        *args: Any,
        device: str | None,
        devices: Path | None,
        condition: str | None,
        rate: float,
        hub: str | None,
        console: Console,
        **kwargs: Any,
    ) -> Any:
        found = functools.partial(open_devices, device, devices, condition, rate, hub, console)
        return function(*args, devices=found, console=console, **kwargs)

    # S1 allows 20 direct methods a second and unit, and something else may want some.
    options = many_options(rate=10.0, verb="ask")
    return device_option()(options(hub_option(common_options(command))))  # type: ignore[no-any-return]


def many_options(*, rate: float, verb: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command `--devices`, `--target-condition` and `--rate`: its arguments `devices`, `condition` and `rate`.

    Args:
        rate: devices per second, unless another is given.
        verb: what is done with them, for the help text.
    """
    options = (
        click.option(
            "--devices",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Many devices: a CSV or JSON Lines file with a row for each.",
        ),
        click.option(
            "--target-condition",
            "condition",
            metavar="CONDITION",
            help="Many devices: those that match, such as \"tags.site='lab'\".",
        ),
        click.option(
            "--rate",
            type=FiniteRange(min=0, min_open=True),
            default=rate,
            show_default=True,
            help=f"Of many devices, how many to {verb} per second.",
        ),
    )
    return lambda function: functools.reduce(lambda inner, option: option(inner), reversed(options), function)


def open_devices(
    device: str | None, devices: Path | None, condition: str | None, rate: float, hub: str | None, console: Console
) -> Devices:
    """The devices that the options name, else the project's; InputError if there are none, or some in two ways."""
    from manifestgen.operate.fleet import devices_matching, devices_of
    from manifestgen.project.beside import project_here
    from manifestgen.services import open_hub

    given = [each for each in (device, devices, condition) if each is not None]
    fix = "give one of --device ID, --devices FILE and --target-condition CONDITION"
    if len(given) > 1:
        raise InputError("the devices are named in two ways", fix=fix)
    project = project_here()
    if not given:
        device = device_of(None, project, console, fix=fix)
    names: Sequence[str] | None = (device,) if device is not None else None
    if devices is not None:
        names = devices_of(devices)
    service = open_hub(hub, project)
    if condition is not None:
        names = devices_matching(service, condition)
    return Devices(service, names or (), device is None, rate, console)


def smoke_of(data: Path, expect: Path | None) -> Smoke:
    """The input in a file, with the answer that is expected in another; `-` is stdin.

    Raises:
        InputError: a file is not JSON, the input is too large for a direct method, or both are stdin.
    """
    from manifestgen.operate.score import Smoke, require_size

    refuse_stdin_twice(str(data), expect)
    found = json_of(data, "input")
    require_size(found, str(data))
    return Smoke(found, json_of(expect, "expected answer") if expect is not None else None, expect is not None)


def refuse_stdin_twice(data: str | None, expect: Path | None) -> None:
    """Raise InputError if stdin would be both the input and the expected answer."""
    if data == "-" and str(expect) == "-":
        raise InputError("stdin cannot be both the input and the expected answer", fix="give one of them as a file")


def json_of(path: Path, what: str) -> Any:
    """The JSON data in a file; `-` is stdin. Raises InputError."""
    import json

    from manifestgen.files import read_stdin, read_text
    from manifestgen.manifest.json_error import explain

    where = "stdin" if str(path) == "-" else str(path)
    # PowerShell's pipes begin with a byte order mark.
    text = read_stdin().decode("utf-8-sig", errors="replace") if str(path) == "-" else read_text(path, what)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{where}:{error.lineno}:{error.colno}"
        raise InputError(
            f"not JSON: {explain(text, error).what}", where=where, fix=f"write the {what} as JSON"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", where=where, fix=f"write the {what} as JSON") from None
