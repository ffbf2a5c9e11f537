"""A device's downloads for its new images, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from manifestgen.images.downloads import Download
from manifestgen.report.amount import amount
from manifestgen.report.printable import printable


def lines(downloads: Sequence[Download]) -> Iterator[str]:
    """One line for each new image."""
    for one in downloads:
        yield f"download {printable(one.image)}: {_words(one)}"


def _words(one: Download) -> str:
    if one.size is None:
        return f"size unknown: {printable(one.trouble)}"
    whole = f"{amount(one.size)} compressed for {one.platform}"
    if one.pulled is None:
        return f"up to {whole}; {printable(one.trouble)}"
    if not one.reused:
        return whole
    return f"{amount(one.pulled)} of {whole} (the device has {one.reused} of {one.layers} layers)"


def data(downloads: Sequence[Download]) -> list[dict[str, Any]]:
    """The downloads as JSON data; sizes are compressed bytes, null if they are unknown."""
    return [
        {
            "image": one.image,
            "modules": list(one.modules),
            "platform": str(one.platform),
            "former": list(one.previous),
            "size": one.size,
            "pulled": one.pulled,
            "layers": one.layers,
            "layers_reused": one.reused,
            "message": one.trouble,
        }
        for one in downloads
    ]
