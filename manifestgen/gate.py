"""The checks before a manifest is sent to a hub: it is a manifest, has no placeholders, and has no errors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from manifestgen.check import Finding, Severity, Side, check
from manifestgen.errors import FoundError, InputError
from manifestgen.manifest.document import Document, Kind
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.section import DESIRED


def require_applicable(
    document: Document,
    *,
    ignore: Collection[str] = (),
    force: bool = False,
    report: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None,
) -> Manifest:
    """The manifest of a document, if it can be applied to a device: a full one, without errors from `check`.

    Raises:
        InputError: see `require_manifest`.
        FoundError: see `require_no_errors`.
    """
    manifest = require_manifest(document)
    require_no_errors(document, ignore=ignore, force=force, report=report)
    return manifest


def require_manifest(document: Document, *, layered: bool = False) -> Manifest:
    """The manifest of a document, whether or not `check` finds errors in it.

    Args:
        document: from `read`, or `of_manifest` for a rendered one.
        layered: accept a layered manifest too.

    Raises:
        InputError: it is not a manifest, is a layer although a full one is needed, or is a template.
    """
    if document.error is not None and not document.blocks:
        place = document.position(document.error.offset)
        where = f"{document.name}:{place.line}:{place.column}"
        raise InputError(document.error.what, where=where, fix=document.error.fix)
    if document.kind is Kind.TEMPLATE:
        raise _placeholder_error(document)
    if document.manifest is None:
        raise InputError(
            "this is not a deployment manifest: it has no 'modulesContent' object",
            where=document.name,
            fix="pass a manifest such as 'manifestgen render' writes",
        )
    if document.kind is Kind.LAYERED and not layered:
        raise InputError(
            f"this is a layered manifest (with keys such as '{DESIRED}.modules.NAME'), and a device needs a full one",
            where=document.name,
            fix="pass a full manifest; layers belong to automatic deployments",
        )
    return document.manifest


def _placeholder_error(document: Document) -> InputError:
    if not document.placeholders:
        what = "this is a template, and not JSON until it is rendered"
        return InputError(what, where=document.name, fix=_render_first(document))
    first, *others = document.placeholders
    place = document.place_of(first)
    where = f"{document.name}:{place.line}:{place.column}" if place.line else document.name
    at = "" if place.line else f" at {first.pointer}"
    more = f", and {len(others)} more {'is' if len(others) == 1 else 'are'} not" if others else ""
    what = f"placeholder {first.text}" if first.text else "a placeholder"
    fix = f"{_render_first(document)}; if the device is to have this text, match it with check.literal"
    return InputError(f"this is a template: {what}{at} is not filled in{more}", where=where, fix=fix)


def _render_first(document: Document) -> str:
    if isinstance(document.data, dict) and "$schema-template" in document.data:
        return f"make a project of it with 'manifestgen import {document.name}', and give what that renders"
    return "run 'manifestgen render' in its project, and give the manifest that it writes"


def require_no_errors(
    document: Document,
    *,
    ignore: Collection[str] = (),
    force: bool = False,
    report: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None,
) -> None:
    """Raise if `check` finds errors in a document.

    Args:
        document: from `read`, or `of_manifest` for a manifest without a text.
        ignore: IDs of rules to ignore.
        force: allow errors, except those that IoT Hub itself would reject.
        report: called with all findings.

    Raises:
        FoundError: it has errors.
    """
    findings = check(document, ignore=ignore)
    report(document, findings)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    stopping = [finding for finding in errors if finding.side is Side.HUB] if force else errors
    if stopping:
        what = "1 error" if len(stopping) == 1 else f"{len(stopping)} errors"
        by_hub = " that IoT Hub itself rejects" if force else ""
        first = stopping[0]
        place = f"line {first.line}" if first.line else first.place
        raise FoundError(
            f"{what}{by_hub}, the first at {place}: {first.message}",
            where=document.name,
            fix=first.fix,
        )
