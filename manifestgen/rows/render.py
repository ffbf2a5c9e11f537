"""A row's manifest: rendered, checked and encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from manifestgen.check import Finding, Severity, check
from manifestgen.errors import CloudError, ManifestgenError
from manifestgen.gate import require_applicable
from manifestgen.manifest.document import Document, Kind, of_manifest, read
from manifestgen.manifest.dump import compact
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.placeholder import USUAL, Styles
from manifestgen.manifest.registries import image_hosts
from manifestgen.render import Login, Template, complete
from manifestgen.rows.rows import Row

#: Determines which logins a manifest needs: the hosts of its images, and those that it has a credential for.
Registries = tuple[frozenset[str], frozenset[str]]

# So many combinations of registries are remembered with their logins.
_MOST_KNOWN: Final = 64


class Ready(msgspec.Struct, frozen=True):
    """A manifest that can be sent.

    Attributes:
        body: the JSON of `{"modulesContent": …}` without blanks, as the hub is sent it. It may hold passwords.
        digest: of the body, 32 hex digits.
    """

    body: bytes
    digest: str

    @property
    def messages(self) -> int:
        """How many messages of 4 KB the hub charges for it."""
        return -(-len(self.body) // 4096)


class Refused(msgspec.Struct, frozen=True):
    """A row without a manifest, or with one in which `check` finds errors.

    Attributes:
        why: in words, with its place.
        fix: what to do.
    """

    why: str
    fix: str


class Renderer:
    """Renders, checks and encodes the manifest of one row after another.

    Args:
        template: of the manifests.
        base: what every rendering has, see `render.base_of`; a row's values win.
        logins: finds the registry credentials for a manifest.
        ignore: ids of rules that do not count.
        force: let errors of `check` pass that the hub itself does not reject.
        styles: of the project's placeholders.
        report: is given the first document that was checked, with what was found in it.
    """

    def __init__(
        self,
        template: Template,
        base: Mapping[str, Any],
        logins: Callable[[Manifest], Mapping[str, Login]],
        *,
        ignore: Collection[str] = (),
        force: bool = False,
        styles: Styles = USUAL,
        report: Callable[[Document, Sequence[Finding]], None] | None = None,
    ) -> None:
        self.template = template
        self.base = base
        self.ignore = ignore
        self.force = force
        self.styles = styles
        #: Logins by the registries that needed them, as far as they were asked for.
        self.known: dict[Registries, Mapping[str, Login]] = {}
        self._logins = logins
        self._report = report
        self._last: tuple[Mapping[str, Login], Registries] | None = None

    @property
    def reported(self) -> bool:
        """Whether the first document was reported, or no report is wanted."""
        return self._report is None

    def render_all(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Ready | Refused]]:
        """Each row with its manifest, in their order; see `render`."""
        return ((row, self.render(row)) for row in rows)

    def render(self, row: Row) -> Ready | Refused:
        """The manifest of a row.

        Raises:
            CloudError: the registry credentials could not be read.
        """
        if row.problem:
            return Refused(row.problem, row.fix)
        try:
            manifest = self._manifest(complete(self.base, {**row.values(), "device": row.device}))
            body = compact(manifest.content)
            document = read(body, _about(row), styles=self.styles)
            findings = check(document, ignore=self.ignore)
            if not self.reported or any(finding.severity is Severity.ERROR for finding in findings):
                # By their pointers: the user never sees the text that is sent to the hub.
                document = of_manifest(manifest, _about(row), styles=self.styles)
                require_applicable(document, ignore=self.ignore, force=self.force, report=self._report_once)
            elif document.kind is not Kind.MANIFEST:
                document = of_manifest(manifest, _about(row), styles=self.styles)
                require_applicable(document, ignore=self.ignore, force=self.force)
            encoded = body.encode()
        except CloudError:
            raise
        except ManifestgenError as error:
            # Where it is, but for the device: the row says that already.
            return Refused(error.what if error.where == _about(row) else error.message, error.fix)
        except UnicodeEncodeError:
            return Refused("a string in the manifest is not valid Unicode", "correct the values of the row")
        return Ready(encoded, hashlib.blake2b(encoded, digest_size=16).hexdigest())

    def _manifest(self, context: Mapping[str, Any]) -> Manifest:
        """The manifest for these values, with the credentials that its images need.

        Most rows need those that the last one needed, so these are tried first.
        """
        if self._last is not None:
            logins, registries = self._last
            manifest = self.template.render(context, logins)
            if _registries(manifest) == registries:
                return manifest
        draft = self.template.render(context)
        needed = _registries(draft)
        if needed not in self.known:
            logins = self._logins(draft)
            if len(self.known) >= _MOST_KNOWN:
                del self.known[next(iter(self.known))]
            self.known[needed] = logins
        logins = self.known[needed]
        manifest = self.template.render(context, logins) if logins else draft
        self._last = logins, _registries(manifest)
        return manifest

    def _report_once(self, document: Document, findings: Sequence[Finding]) -> None:
        report, self._report = self._report, None
        if report is not None:
            report(document, findings)


def _registries(manifest: Manifest) -> Registries:
    entries = (part.value for part in manifest.credential_entries())
    addresses = (str(entry.get("address", "")).lower() for entry in entries if isinstance(entry, dict))
    return frozenset(image_hosts(manifest)), frozenset(addresses)


def _about(row: Row) -> str:
    return f"device {row.device!r}"
