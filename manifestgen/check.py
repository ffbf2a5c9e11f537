"""Finds what IoT Hub and the device would reject in a manifest: runs the rules, applies ignores, counts findings.

    document = read(Path("deployment.json").read_bytes(), "deployment.json")
    for finding in check(document):
        print(finding.line, finding.message)

    for finding in check(manifest):
        print(finding.pointer, finding.message)

Findings depend only on the manifest and the arguments, not on the clock, the network or the machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from manifestgen.errors import InputError
from manifestgen.manifest.document import Document, Kind, of_data, of_manifest, read
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.nearest import nearest
from manifestgen.manifest.placeholder import USUAL, Styles
from manifestgen.manifest.pointer import split
from manifestgen.manifest.secret_text import hide
from manifestgen.manifest.value import Value
from manifestgen.rules import BY_ID, KNOWN_ON, RULES, Effect, Problem, Rule, Severity, Side
from manifestgen.rules._of_modules import found_in_modules

__all__ = [
    "Checked",
    "Document",
    "Effect",
    "Finding",
    "Kind",
    "Severity",
    "Side",
    "Summary",
    "check",
    "check_data",
    "check_source",
    "known_rules",
    "read",
    "summarize",
]


class Finding(Value, frozen=True, gc=False):
    """A problem at one place of a manifest.

    Attributes:
        rule: ID of the rule.
        effect: what would happen.
        pointer: JSON Pointer into the file as given.
        message: what is wrong.
        fix: what to do.
        line: from 1; 0 if the subject has no text.
        column: in characters, from 1; 0 if the subject has no text.
        offset: in the text, from 0.
        length: characters to underline from there; at least 1, 0 without a text.
        side: the component that rejects the manifest, for the effect `refused`.
        status: the code that edgeAgent or edgeHub reports; None if IoT Hub rejects it.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset({"offset", "length"})

    rule: str
    effect: Effect
    pointer: str
    message: str
    fix: str
    line: int = 0
    column: int = 0
    offset: int = 0
    length: int = 0
    side: Side | None = None
    status: int | None = None

    @property
    def severity(self) -> Severity:
        """The severity, which follows from the effect."""
        return self.effect.severity

    @property
    def place(self) -> str:
        """`LINE:COLUMN`, or the JSON Pointer if the subject has no text."""
        return f"{self.line}:{self.column}" if self.line else self.pointer or "(root)"


class Checked(Value, frozen=True):
    """A file and its findings: everything that a report needs.

    Attributes:
        path: as given.
        kind: of the file.
        findings: in the order of the text.
        lines: the text of lines with findings, by number, with secrets replaced by as many asterisks.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset({"lines"})

    path: str
    kind: Kind
    findings: tuple[Finding, ...] = ()
    lines: Mapping[int, str] = {}


class Summary(Struct, frozen=True):
    """The number of findings of each severity."""

    errors: int = 0
    warnings: int = 0
    infos: int = 0

    def reaches(self, threshold: str) -> bool:
        """Whether there is a finding at a threshold: `error`, `warning`, `info` or `never`."""
        if threshold == "never":
            return False
        found = self.errors
        if threshold in ("warning", "info"):
            found += self.warnings
        if threshold == "info":
            found += self.infos
        return found > 0


def check(
    subject: Document | Manifest,
    *,
    select: Collection[str] = (),
    ignore: Collection[str] | Mapping[str, str] = (),
    as_of: date = KNOWN_ON,
    literal: bool = False,
) -> list[Finding]:
    """All findings in a manifest, in its order, except those that depend on a placeholder.

    Args:
        subject: a document, from `read`, whose findings have lines; or a manifest, whose findings have pointers only.
        select: IDs of the rules to run; empty for all.
        ignore: IDs of rules to ignore; a mapping may give the reason for each.
        as_of: the date to compare end-of-support dates with.
        literal: treat placeholders as ordinary text, as a device does.

    Raises:
        InputError: a rule ID is unknown.
    """
    document = of_manifest(subject) if isinstance(subject, Manifest) else subject
    rules = _selected(tuple(select), tuple(ignore))
    found: list[tuple[Rule, Problem]] = []
    for rule in rules:
        if not rule.alone:
            for problem in rule.problems(document, as_of):
                found.append((rule, problem))
    if document.manifest is not None:
        alone = found_in_modules(document.manifest)
        if rules is not RULES:
            kept = {rule.id for rule in rules}
            alone = [(rule, problem) for rule, problem in alone if rule.id in kept]
        found += alone
        if document.manifest.layered:
            found += _of_pieces(document.manifest, rules, found)
    if document.placeholders and found and not literal:
        found = _known(document, found)
    if not found:
        return []
    found = _joined(found)
    return _hidden(document, _placed(document, found) if document.has_text else _in_order(document, found))


def check_data(data: Any, *, as_of: date = KNOWN_ON) -> list[Finding]:
    """All findings in plain JSON data that may not be a manifest; for a manifest, use `check(Manifest.of(data))`."""
    return check(of_data(data), as_of=as_of)


def check_source(
    source: bytes,
    path: str,
    *,
    layered: bool = False,
    styles: Styles = USUAL,
    select: Collection[str] = (),
    ignore: Collection[str] | Mapping[str, str] = (),
    as_of: date = KNOWN_ON,
    lines: bool = True,
) -> Checked:
    """Parse and check the content of a file.

    Args:
        source: the file's bytes.
        path: shown in reports.
        layered: read it as a layered deployment, whatever its keys.
        styles: of the project's placeholders.
        select: see `check`.
        ignore: see `check`.
        as_of: see `check`.
        lines: whether to keep lines with findings, for a report that shows them.

    Raises:
        InputError: a rule ID is unknown.
    """
    document = read(source, path, layered=layered, styles=styles)
    findings = check(document, select=select, ignore=ignore, as_of=as_of)
    return Checked(path, document.kind, tuple(findings), _lines(document, findings) if lines else {})


def _lines(document: Document, findings: Sequence[Finding]) -> dict[int, str]:
    if not findings:
        return {}
    numbers = {finding.line for finding in findings}
    if document.error is not None or document.manifest is None:
        from manifestgen.manifest.written_secret import hide_passwords, hide_unparsed
    if document.manifest is None:
        masked = (hide_unparsed if document.error is not None else hide_passwords)(document.text).split("\n")
        return {number: masked[number - 1].removesuffix("\r") for number in numbers if number <= len(masked)}
    lines = {number: hide(document.line(number), document.secrets) for number in numbers}
    # A comment may have one, too.
    return lines if document.error is None else {number: hide_passwords(line) for number, line in lines.items()}


def _hidden(document: Document, findings: list[Finding]) -> list[Finding]:
    """The findings with secrets in their messages hidden; even a key may contain one, by mistake."""
    secrets = document.secrets
    if not secrets:
        return findings
    said = "\n".join([text for finding in findings for text in (finding.message, finding.fix, finding.pointer)])
    # Most findings quote no secret.
    if not any(secret in said for secret in secrets):
        return findings
    return [_without(finding, secrets) for finding in findings]


def _without(finding: Finding, secrets: Sequence[str]) -> Finding:
    message, fix, pointer = (hide(text, secrets) for text in (finding.message, finding.fix, finding.pointer))
    if (message, fix, pointer) == (finding.message, finding.fix, finding.pointer):
        return finding
    return replace(finding, message=message, fix=fix, pointer=pointer)


def known_rules(ids: Iterable[str]) -> None:
    """Validate rule IDs.

    Raises:
        InputError: one is unknown; the fix suggests the closest.
    """
    for id_ in ids:
        if id_ not in BY_ID:
            near = nearest(id_, BY_ID)
            raise InputError(
                f"no such rule: {id_!r}",
                fix=f"did you mean {near[0]!r}?" if near else "list the rules with 'manifestgen explain'",
            )


def summarize(findings: Iterable[Finding]) -> Summary:
    """Count findings by severity."""
    errors = warnings = infos = 0
    for finding in findings:
        severity = finding.effect.severity
        if severity is Severity.ERROR:
            errors += 1
        elif severity is Severity.WARNING:
            warnings += 1
        else:
            infos += 1
    return Summary(errors, warnings, infos)


def _selected(select: tuple[str, ...], ignore: tuple[str, ...]) -> Sequence[Rule]:
    if not select and not ignore:
        return RULES
    known_rules((*select, *ignore))
    return [rule for rule in RULES if (not select or rule.id in select) and rule.id not in ignore]


def _of_pieces(
    layer: Manifest, rules: Sequence[Rule], found: Sequence[tuple[Rule, Problem]]
) -> list[tuple[Rule, Problem]]:
    """Findings for what a device would reject in a layer's pieces, whatever the base; without those in `found`."""
    # Imported here, since most manifests are not layers.
    from manifestgen.manifest.layer import completed

    whole = completed(layer)
    if whole is None:
        return []
    seen = {(rule.id, problem.pointer) for rule, problem in found}
    pieces = frozenset(whole.pieces.values())
    of_pieces: list[tuple[Rule, Problem]] = []
    for rule in rules:
        if not rule.pieces:
            continue
        for problem in rule.problems_of(whole.manifest):
            pointer = whole.in_layer(problem.pointer)
            if pointer is None or (rule.id, pointer) in seen:
                continue
            # createOptions set as a piece may have chunks that only the base has.
            if pointer not in pieces or not rule.joins_chunks:
                of_pieces.append((rule, problem.moved(whole.in_layer)))
    return of_pieces


def _known(document: Document, found: list[tuple[Rule, Problem]]) -> list[tuple[Rule, Problem]]:
    """The problems that do not depend on a placeholder's value."""
    from manifestgen.manifest.unfilled import Unknown

    if all(rule.about_placeholders for rule, _ in found):
        return found
    unknown = Unknown(document.placeholders)
    return [(rule, problem) for rule, problem in found if rule.about_placeholders or not problem.depends_on(unknown)]


def _joined(found: list[tuple[Rule, Problem]]) -> list[tuple[Rule, Problem]]:
    """The problems; the same problem of several subjects becomes one."""
    subjects: dict[tuple[str, str], list[str]] = {}
    for rule, problem in found:
        if problem.subject:
            subjects.setdefault((rule.id, problem.message), []).append(problem.subject)
    if not subjects:
        return found
    joined: list[tuple[Rule, Problem]] = []
    for rule, problem in found:
        if problem.subject:
            names = subjects.pop((rule.id, problem.message), None)
            if names is None:
                continue
            problem = replace(problem, message=f"{problem.message} ({', '.join(names)})")
        joined.append((rule, problem))
    return joined


def _placed(document: Document, found: list[tuple[Rule, Problem]]) -> list[Finding]:
    # In order, so that findings of one module are adjacent.
    spans = document.spans(dict.fromkeys([problem.pointer for _, problem in found if problem.offset is None]))
    placed = [
        (*(_place(document, spans, problem) if problem.offset is None else (problem.offset, 1)), rule, problem)
        for rule, problem in found
    ]
    placed.sort(key=lambda one: one[0])
    findings = []
    text = document.text
    line, last = 1, 0
    for offset, length, rule, problem in placed:
        line += text.count("\n", last, offset)
        last = offset
        findings.append(_finding(rule, problem, line, offset - text.rfind("\n", 0, offset), offset, length))
    return findings


def _finding(rule: Rule, problem: Problem, line: int = 0, column: int = 0, offset: int = 0, length: int = 0) -> Finding:
    message, fix = problem.message, problem.fix
    return Finding(
        rule.id, rule.effect, problem.pointer, message, fix, line, column, offset, length, rule.side, rule.status
    )


def _in_order(document: Document, found: list[tuple[Rule, Problem]]) -> list[Finding]:
    """The findings in a value without a text, in the order in which its text would have them."""
    found.sort(key=lambda one: _steps(document.data, one[1]))
    return [_finding(rule, problem) for rule, problem in found]


def _steps(data: Any, problem: Problem) -> list[int]:
    """The index of each key or item on the path to a place; a key comes before its value."""
    steps: list[int] = []
    for key in split(problem.pointer):
        if isinstance(data, dict) and key in data:
            steps.append(list(data).index(key))
            data = data[key]
        elif isinstance(data, list) and key.isdigit() and int(key) < len(data):
            steps.append(int(key))
            data = data[int(key)]
        else:
            return [-1]
    if problem.at_key and steps:
        return [*steps, -2]
    return [*steps, -1] if problem.start is None else [*steps, -1, problem.start]


def _place(document: Document, spans: Mapping[str, Any], problem: Problem) -> tuple[int, int]:
    span = spans.get(problem.pointer)
    if span is None:
        return 0, 1
    if problem.at_key:
        key = split(problem.pointer)
        return span.key, len(key[-1]) + 2 if key else 1
    if problem.start is not None:
        start = document.inside(span.value, problem.start)
        end = document.inside(span.value, problem.start + problem.length)
        return start, max(1, end - start)
    return span.value, document.extent(span.value)
