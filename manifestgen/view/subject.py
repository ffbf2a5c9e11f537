"""The subject of a picture, with everything known about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from manifestgen.check import Finding, check
from manifestgen.errors import InputError
from manifestgen.manifest.document import Document, Kind
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.secret_text import hide
from manifestgen.report.printable import printable
from manifestgen.secret import redact

if TYPE_CHECKING:
    from manifestgen.device.rollout import Rollout


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image besides its name.

    Attributes:
        platforms: such as `linux/arm64`.
        sizes: bytes that a device downloads that has none of its layers, by platform.
    """

    platforms: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A manifest with where it came from.

    Attributes:
        name: of the file, the device or the deployment.
        document: with the manifest in it.
        facts: short remarks, such as the hub's name.
        rollout: of a device, what it reports.
        images: what is known about images, by their references.
        ignore: rules that the project ignores.
    """

    name: str
    document: Document = field(repr=False)
    facts: tuple[str, ...] = ()
    rollout: Rollout | None = None
    images: Mapping[str, ImageFacts] = field(default_factory=dict)
    ignore: Collection[str] = ()

    @property
    def manifest(self) -> Manifest:
        """The manifest in it.

        Raises:
            InputError: there is none.
        """
        if self.document.manifest is not None:
            return self.document.manifest
        if self.document.kind is Kind.TEMPLATE:
            what = "it is a template that has to be rendered first"
            fix = "run 'manifestgen render' in its project, and give the manifest that it writes"
        elif (error := self.document.error) is not None:
            place = self.document.position(error.offset)
            where = f"{self.name}:{place.line}:{place.column}"
            raise InputError(f"it is not JSON: {error.what}", where=where, fix=error.fix)
        else:
            what, fix = "it is not a deployment manifest", "give a file with a 'modulesContent' object"
        raise InputError(what, where=self.name, fix=fix)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of `check`."""
        return tuple(check(self.document, ignore=self.ignore))

    @cached_property
    def safe(self) -> Callable[[str], str]:
        """Makes a text safe to show: without the manifest's secrets, those of this process and control characters."""
        secrets = self.document.secrets
        return lambda text: printable(redact(hide(text, secrets)))
