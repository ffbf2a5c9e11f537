"""Placeholders of template tools that were not filled in: told apart from mistakes.

A placeholder counts only where a manifest has a place for a value that differs from site to site: images, registry
credentials, module names, routes, and the bare places of a text that is not JSON yet. The same characters in an
environment variable or in a module's own twin are that module's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from manifestgen.manifest import container, create_options
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.reading import trim

# {{ jinja, mustache, helm }} · ${SHELL} ${MODULES.x} ${MODULEDIR<../x>} · #{Azure DevOps}# · __TOKEN__ · <fill me in>
_BRACES: Final = r"\{\{.*?\}\}|\{%.*?%\}|\$\{[^{}]*\}|#\{[^{}]*\}#?|\$\([\w.]+\)"
_WORDS: Final = r"(?<![A-Za-z0-9_])__[A-Za-z][A-Za-z0-9_]*?__(?![A-Za-z0-9_])|<[A-Za-z][\w .:/-]*>"
# $NAME as VS Code and iotedgedev expand it; what the runtime itself names so is not one.
_DOLLAR: Final = r"\$(?!upstream\b|edgeAgent\b|edgeHub\b)[A-Za-z_]\w*"
_IN_ROUTE: Final = f"(?s){_BRACES}|{_WORDS}"
_ANY: Final = f"{_IN_ROUTE}|{_DOLLAR}"
_STRING: Final = r'"(?:[^"\\\n]|\\.)*"'

#: What stands in a value for a placeholder that was not inside a text.
FILLER: Final = "\ue000"


def possible(text: str) -> bool:
    """Whether a JSON text may have placeholders; a quick look that spares most manifests the search."""
    # Single characters are found at many times the speed of pairs.
    if "<" in text or ("#" in text and "#{" in text) or ("%" in text and "{%" in text) or FILLER in text:
        return True
    if "{{" in text:
        return True
    dollars = text.count("$")
    if dollars and dollars != text.count("$upstream") + text.count("$edge"):
        return True
    return "__" in text and re.search(r"__[A-Za-z]\w*__", text) is not None


def in_value(text: str) -> bool:
    """Whether a text, such as an image, has a placeholder."""
    return FILLER in text or re.search(_ANY, text) is not None


def in_route(text: str) -> bool:
    """Whether the text of a route has a placeholder; `$name` and `$body` belong to its own language."""
    return re.search(_IN_ROUTE, text) is not None


def fill(text: str) -> str | None:
    """A text that is not JSON with its bare placeholders replaced by JSON texts of the same length.

    Returns:
        None if there is no bare placeholder. Whether the result is JSON then is for the caller to try.
    """
    bare, whole_string = re.compile(_ANY), re.compile(_STRING)
    parts: list[str] = []
    last = 0
    found = False
    position = 0
    while position < len(text):
        quote = text.find('"', position)
        bare_end = len(text) if quote < 0 else quote
        for match in bare.finditer(text, position, bare_end):
            if match.end() - match.start() >= 2:
                parts.append(text[last : match.start()])
                parts.append('"' + FILLER * (match.end() - match.start() - 2) + '"')
                last = match.end()
                found = True
        if quote < 0:
            break
        string = whole_string.match(text, quote)
        position = string.end() if string else quote + 1
    if not found:
        return None
    return "".join(parts) + text[last:]


def has_blocks(text: str) -> bool:
    """Whether a text that is not JSON has the marks of a Jinja, Mustache or Helm template."""
    return "{%" in text or "{#" in text or "{{" in text


def places(manifest: Manifest) -> Iterator[str]:
    """JSON Pointers to the values, or to the objects under the keys, that have a placeholder."""
    for name in manifest.entries:
        if not name.startswith("$") and in_value(name):
            yield f"{manifest.base}/{escape(name)}"
    for module in manifest.modules():
        if in_value(module.name):
            yield module.pointer
        image = module.image_text
        if image is not None and in_value(image):
            yield module.at_setting("image")
        if isinstance(module.get("settings"), str) and in_value(module.get("settings")):
            yield module.at("settings")
        for name in ("type", "status", "restartPolicy", "version"):
            value = module.get(name)
            if isinstance(value, str) and in_value(value):
                yield module.at(name)
    for part in manifest.credential_entries():
        if in_value(part.name):
            yield part.pointer
        if isinstance(part.value, dict):
            for key, value in part.value.items():
                if isinstance(value, str) and _fills_credential(key, value):
                    yield f"{part.pointer}/{escape(key)}"
    for route in manifest.routes():
        if in_value(route.name):
            yield route.entry_pointer
        if route.text is not None and in_route(route.text):
            yield route.pointer
    data = manifest.data
    if isinstance(data, dict) and "$schema-template" in data:
        yield "/$schema-template"


def dependent(manifest: Manifest) -> Iterator[str]:
    """JSON Pointers to what else depends on a placeholder, in a file that is a template anyhow.

    On their own these tell nothing: a `$` in createOptions or a `$name` for a number is a mistake as often as not.
    """
    for section, names in (
        (manifest.agent, ("schemaVersion", "runtime", "modules", "systemModules")),
        (manifest.hub, ("schemaVersion", "routes", "storeAndForwardConfiguration")),
    ):
        for name in names:
            part = section.find(name)
            if part is not None and isinstance(part.value, str) and in_value(part.value):
                yield part.pointer
    for part in (
        manifest.agent.find("runtime", "type"),
        manifest.agent.find("runtime", "settings"),
        manifest.agent.find("runtime", "settings", "registryCredentials"),
        manifest.hub.find("storeAndForwardConfiguration", "timeToLiveSecs"),
    ):
        if part is not None and isinstance(part.value, str) and in_value(part.value):
            yield part.pointer
    for module in manifest.modules():
        for name in ("imagePullPolicy", "startupOrder", "env"):
            value = module.get(name)
            if isinstance(value, str) and in_value(value):
                yield module.at(name)
        for name, entry in module.env.items():
            if in_value(name) or (isinstance(entry, str) and in_value(entry)):
                yield f"{module.at('env')}/{escape(name)}"
            elif isinstance(entry, dict) and re.fullmatch(_ANY, trim(module.env_value(name) or "")):
                yield module.at_env(name)
        for key in create_options.keys(module.settings):
            if _decides_options(module.settings[key]):
                yield f"{module.at('settings')}/{escape(key)}"
    for route in manifest.routes():
        if route.text is not None and re.fullmatch(_ANY, trim(route.text)):
            yield route.pointer
        for key, value in route.value.items() if isinstance(route.value, dict) else ():
            if isinstance(value, str) and re.fullmatch(_ANY, trim(value)):
                yield f"{route.entry_pointer}/{escape(key)}"
    for name, section in manifest.sections().items():
        whole = section.whole
        if not name.startswith("$") and whole is not None and isinstance(whole.value, str) and in_value(whole.value):
            yield whole.pointer


def _decides_options(value: Any) -> bool:
    # A part of a text in createOptions, such as a bind's, changes nothing that is judged; a whole value may.
    text = create_options.join({"createOptions": value})
    if not in_value(text):
        return False
    if any(re.fullmatch(_ANY, string) for string in re.findall(r'"((?:[^"\\]|\\.)*)"', text)):
        return True
    return isinstance(value, str) and container.read(text).error != ""


def _fills_credential(key: str, value: str) -> bool:
    # A generated password may hold any characters: it is a placeholder only as a whole.
    if key.lower() == "password":
        return FILLER in value or re.fullmatch(_ANY, value) is not None
    return in_value(value)


def fillers(value: Any, base: str = "") -> Iterator[str]:
    """JSON Pointers to the values that stand for a bare placeholder."""
    stack: list[tuple[Any, str]] = [(value, base)]
    while stack:
        item, pointer = stack.pop()
        if isinstance(item, str):
            if FILLER in item:
                yield pointer
        elif isinstance(item, dict):
            for key, inner in item.items():
                if FILLER in key:
                    yield f"{pointer}/{escape(key)}"
                stack.append((inner, f"{pointer}/{escape(key)}"))
        elif isinstance(item, list):
            stack.extend((inner, f"{pointer}/{index}") for index, inner in enumerate(item))
