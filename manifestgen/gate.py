"""What must be true of a manifest before it is sent to a hub."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from manifestgen.check import Finding, Severity, Side, check
from manifestgen.errors import FoundError, InputError
from manifestgen.manifest.document import Document, Kind, read
from manifestgen.manifest.dump import dump
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.section import DESIRED
from manifestgen.secret import Secret

# What `render --secrets placeholder` writes in place of a registry credential.
_PLACEHOLDER: Final = re.compile(r"\$\{(ACR_(?:USERNAME|PASSWORD)_[A-Z0-9_]+)\}")


def resolve(
    document: Document,
    environ: Mapping[str, str],
    logins: Callable[[Manifest, Sequence[str]], Mapping[str, tuple[str, Secret]]] = lambda manifest, hosts: {},
) -> Document:
    """The document with `${ACR_USERNAME_…}` and `${ACR_PASSWORD_…}` in its registry credentials filled in.

    Args:
        environ: the environment variables, which win.
        logins: finds user name and password for registry hosts elsewhere; asked once, for those whose variables are
            not set.

    Raises:
        InputError: one of them is found nowhere, or blank: a device would refuse the whole manifest.
    """
    if document.manifest is None or not any(_names(part.value) for part in document.manifest.credential_entries()):
        return document
    data = copy.deepcopy(document.data)
    manifest = Manifest.of(data)
    waiting = [part for part in manifest.credential_entries() if _unset(part.value, environ)]
    hosts = [str(part.value.get("address", "")) for part in waiting]
    found = logins(document.manifest, hosts) if hosts else {}
    for part in manifest.credential_entries():
        login = found.get(str(part.value.get("address", ""))) if isinstance(part.value, dict) else None
        for key, name in _names(part.value).items():
            value = environ.get(name, "")
            if not value.strip() and login is not None:
                value = login[1].reveal() if name.startswith("ACR_PASSWORD_") else login[0]
            if not value.strip():
                raise InputError(
                    f"{name} is not set, and registry credential {part.name!r} needs it",
                    where=document.name,
                    fix=f"set {name}, or render with --secrets inline",
                )
            part.value[key] = value
    return read(dump(data), document.name)


def _unset(entry: Any, environ: Mapping[str, str]) -> bool:
    return any(not environ.get(name, "").strip() for name in _names(entry).values())


def _names(entry: Any) -> dict[str, str]:
    """The fields of a registry credential that are placeholders, and the variables that they name."""
    if not isinstance(entry, dict):
        return {}
    found = {key: _PLACEHOLDER.fullmatch(value) for key, value in entry.items() if isinstance(value, str)}
    return {key: match[1] for key, match in found.items() if match}


def verify(
    document: Document,
    *,
    ignore: Collection[str] = (),
    force: bool = False,
    report: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None,
) -> None:
    """Make sure that `check` has no error in a document.

    Args:
        ignore: ids of rules that do not count.
        force: let errors pass, but for those that IoT Hub itself would refuse.
        report: is given all findings.

    Raises:
        FoundError: it has errors.
    """
    findings = check(document, ignore=ignore)
    report(document, findings)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    stopping = [finding for finding in errors if finding.side is Side.HUB] if force else errors
    if stopping:
        what = "1 error" if len(stopping) == 1 else f"{len(stopping)} errors"
        by_hub = " that IoT Hub itself refuses" if force else ""
        raise FoundError(
            f"{what}{by_hub}, the first at line {stopping[0].line}: {stopping[0].message}",
            where=document.name,
            fix=stopping[0].fix,
        )


def admit(
    document: Document,
    *,
    ignore: Collection[str] = (),
    force: bool = False,
    report: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None,
) -> Manifest:
    """The manifest of a document, if it can be set on a device and `check` has no error in it; see `verify`.

    Raises:
        InputError: it is no manifest, a layer, or a template that is not filled in.
        FoundError: it has errors.
    """
    manifest = settable(document)
    verify(document, ignore=ignore, force=force, report=report)
    return manifest


def settable(document: Document, *, layered: bool = False) -> Manifest:
    """The manifest of a document, whatever `check` says of it.

    Args:
        layered: take a layered manifest, too.

    Raises:
        InputError: it is no manifest, a layer that is not asked for, or a template that is not filled in.
    """
    if document.error is not None and document.kind is not Kind.TEMPLATE:
        place = document.position(document.error.offset)
        where = f"{document.name}:{place.line}:{place.column}"
        raise InputError(document.error.what, where=where, fix=document.error.fix)
    if document.kind is Kind.TEMPLATE:
        first = f" at {document.placeholders[0]}" if document.placeholders else ""
        raise InputError(
            f"this is a template: a placeholder{first} is not filled in",
            where=document.name,
            fix="render it first, and apply what comes out",
        )
    if document.manifest is None:
        raise InputError(
            "this is not a deployment manifest: it has no 'modulesContent' object",
            where=document.name,
            fix="give a manifest, as 'manifestgen render' writes it",
        )
    if document.kind is Kind.LAYERED and not layered:
        raise InputError(
            f"this is a layered manifest (keys such as '{DESIRED}.modules.NAME'), which one device cannot take",
            where=document.name,
            fix="give a full manifest; layers belong to automatic deployments",
        )
    return document.manifest
