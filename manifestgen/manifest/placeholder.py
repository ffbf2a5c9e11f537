r"""Which texts are placeholders of template tools: the styles, and where in a manifest each of them counts.

A style counts as far as its characters cannot mean anything else at a place:

- In an image, a name, a status, a credential, a bind or a port every style counts, anywhere in the text.
- In a route `$name` belongs to the language of routes.
- In a variable, a twin or a label a module reads what it likes. There a style counts anywhere in the text if nothing
  else looks like it (`${X}`, `{{ x }}`, `__X__`, `$NAME` in capitals), and else only as the whole text (`<x>`, `{x}`).
- A password may hold any characters: it is a placeholder only as a whole.
- What a shell in the container expands is not one: `["sh", "-c", "echo ${HOSTNAME}"]`.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

#: Replaces a placeholder outside of strings in a value.
FILLER: Final = "\ue000"

# {{ jinja, helm }} · {% jinja %} · <%= erb %> · #{Azure DevOps}# · __TOKEN__ · __AML · %CMD% · @CMAKE@ · #SED#
_SURE: Final = (
    rf"{FILLER}+|\{{\{{[^{{}}]*\w[^{{}}]*\}}\}}|\{{%.*?%\}}|<%.*?%>|#\{{[^{{}}]+\}}#?"
    r"|(?<!\w)__[A-Za-z]\w*?__(?!\w)|(?<!\w)__[A-Z][A-Z0-9_]+(?!\w)"
    r"|%[A-Z][A-Z0-9_]{2,}%|@[A-Z][A-Z0-9_]{2,}@|#[A-Z][A-Z0-9_]{2,}#|<[A-Z][A-Z0-9_-]{2,}>"
    r"|(?<![A-Za-z0-9])(?:REPLACE|CHANGE|FILL)_(?:ME|THIS|WITH)\w*"
)
# ${SHELL} ${MODULES.x} ${MODULEDIR<../x>} · $(Azure DevOps) · $NAME as VS Code and iotedgedev expand it
_DOLLARS: Final = r"|\$\{[^{}]+\}|\$\([\w.]+\)|(?<![\w$])\$[A-Z_][A-Z0-9_]+(?!\w)"
# <fill me in> · {python} · [[x]] · @x@ · %x% · #x#
_LOOSE: Final = (
    r"|<[A-Za-z][\w .:/-]*>|\{[A-Za-z_][\w.-]*\}|\[\[[^\[\]]*\w[^\[\]]*\]\]|@[A-Za-z]\w*@|%[A-Za-z]\w*%|#[A-Za-z]\w*#"
    r"|(?<!\w)__[A-Za-z]\w*"
)
# Names of the runtime, the hub and the schemas are not placeholders.
_LOWER_DOLLAR: Final = (
    r"|\$(?!(?:upstream|edgeAgent|edgeHub|schema|comment|description|id|version|metadata|body)\b)[A-Za-z_]\w*"
)

#: Where nothing but the value itself can stand.
STRICT: Final = f"(?s){_SURE}{_DOLLARS}{_LOOSE}{_LOWER_DOLLAR}"
#: In a text that another program interprets.
FREE: Final = rf"(?s){_SURE}{_DOLLARS}|\A\s*(?:{(_LOOSE + _LOWER_DOLLAR)[1:]})\s*\Z"
#: In a key that another program interprets.
KEY: Final = rf"(?s){_SURE}{_DOLLARS}|\A(?:{_LOOSE[1:]})\Z"
#: A text that is nothing else, such as a generated password.
WHOLE: Final = rf"(?s)\A\s*(?:{_SURE}{_DOLLARS}{_LOOSE}{_LOWER_DOLLAR})\s*\Z"
#: In the text of a route.
ROUTE: Final = (
    rf"(?s){_SURE}{_DOLLARS}|<[A-Za-z][\w.-]*>|\{{[A-Za-z_][\w.-]*\}}|\[\[[^\[\]]*\w[^\[\]]*\]\]|@[A-Za-z]\w*@"
    rf"|#[A-Za-z]\w*#|(?<!\w)__[A-Za-z]\w*|\A\s*\$(?!upstream|edge)[A-Za-z_]\w*\s*\Z"
)
#: In a shell command, which has its own dollars.
SHELL: Final = f"(?s){_SURE}"
#: In a text that Docker reads as a template, such as a log's tag.
DOCKER: Final = r"(?s)(?!\{\{\s*\.)(?:" + f"{_SURE}{_DOLLARS})"
#: In the section `mqttBroker`, which had variables.
BROKER: Final = r"(?s)(?!\{\{(?:iot|mqtt):)(?:" + f"{_SURE}{_DOLLARS})"
#: Outside the strings of a text that is not JSON yet.
_BARE: Final = (
    rf"(?s){_SURE}{_DOLLARS}|<[A-Za-z][\w .:/-]*>|\{{\s*(?!true|false|null)[A-Za-z_]\w*\s*\}}"
    rf"|\[\[\s*(?!true|false|null)[A-Za-z_]\w*\s*\]\]|@[A-Za-z]\w*@|%[A-Za-z]\w*%|#[A-Za-z]\w*#|(?<!\w)__[A-Za-z]\w*"
    rf"{_LOWER_DOLLAR}"
)
_STRING: Final = r'"(?:[^"\\\n]|\\.)*"'

#: A part of every placeholder of any style; quick to look for, and in few texts.
MARKS: Final = rf"[$<{{#%@\[{FILLER}]|__|[EL]_[MTW]"

#: A user name or password that `render` left open, and `apply` fills in.
OURS: Final = r"\$\{(ACR_(?:USERNAME|PASSWORD)_[A-Z0-9_]+)\}"


class Styles(Struct, frozen=True):
    """A project's placeholder styles: two regular expressions, empty by default.

    Attributes:
        more: a placeholder of a style that is not known by default.
        literal: what looks like a placeholder and is not one; it must match all of it.
    """

    more: str = ""
    literal: str = ""


#: Without a project.
USUAL: Final = Styles()


def possible(json: bytes) -> bool:
    """Whether a JSON text without blanks may have placeholders; a quick look that spares most manifests the search."""
    # Single characters are found at many times the speed of pairs; the last one begins FILLER.
    if b"<" in json or b"#" in json or b"%" in json or b"\xee" in json or json.count(b"@") > 1:
        return True
    at = json.find(b"$")
    while at >= 0:
        if not json.startswith((b"$upstream", b"$edge", b"$body."), at):
            return True
        at = json.find(b"$", at + 1)
    if b"[[" in json or (b"__" in json and re.search(rb"__[A-Za-z]", json)):
        return True
    if b"REPLACE_" in json or b"CHANGE_" in json or b"FILL_" in json:
        return True
    return re.search(rb"\{[A-Za-z_{]", json) is not None


def is_one(text: str) -> bool:
    """Whether a text is a placeholder and nothing else, as in place of a password."""
    # First what `render` itself writes: the pattern of all styles is long to compile.
    if re.fullmatch(OURS, text):
        return True
    return re.search(MARKS, text) is not None and re.search(WHOLE, text) is not None


def fill(text: str, pattern: str = "") -> str | None:
    """A text that is not JSON with its bare placeholders replaced by JSON texts of the same length.

    Args:
        text: not JSON.
        pattern: of another style; empty if there is none.

    Returns:
        None if there is no bare placeholder. Whether the result is JSON then is for the caller to try.
    """
    bare, whole_string = re.compile(f"{_BARE}|{pattern}" if pattern else _BARE), re.compile(_STRING)
    parts: list[str] = []
    last = 0
    position = 0
    while position < len(text):
        quote = text.find('"', position)
        bare_end = len(text) if quote < 0 else quote
        for match in bare.finditer(text, position, bare_end):
            if match.end() - match.start() >= 2:
                parts.append(text[last : match.start()])
                parts.append('"' + FILLER * (match.end() - match.start() - 2) + '"')
                last = match.end()
        if quote < 0:
            break
        string = whole_string.match(text, quote)
        position = string.end() if string else quote + 1
    return "".join(parts) + text[last:] if parts else None


def has_blocks(text: str) -> bool:
    """Whether a text that is not JSON has the marks of a Jinja, Mustache or Helm template."""
    return "{%" in text or "{#" in text or "{{" in text
