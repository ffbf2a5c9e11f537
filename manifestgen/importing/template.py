"""The template of an imported project: the solution's own, with expressions in place of its placeholders."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from manifestgen.credentials.hosts import comparable
from manifestgen.credentials.variables import PASSWORD, USERNAME, suffixes
from manifestgen.importing.images import Images
from manifestgen.importing.item import Notes
from manifestgen.manifest.manifest import Manifest, locate
from manifestgen.manifest.pointer import escape, split
from manifestgen.manifest.secrecy import holds_secret, is_written_secret
from manifestgen.manifest.secret_text import secret_texts
from manifestgen.project.yaml_text import Reference
from manifestgen.solution.expansion import Kind, Piece, expanded, pieces
from manifestgen.solution.generate import OPTIONS, Text, in_shell, module_settings, options_text, rewritten, unresolved
from manifestgen.solution.jinja import BEGIN, MORE, Marks
from manifestgen.solution.solution import Solution

_CREDENTIALS: Final = "registryCredentials"
_LAYER: Final = f"properties.desired.runtime.settings.{_CREDENTIALS}."
_LOOP: Final = (
    f'{{%- for name, entry in registry_credentials.items() %}}\n"{_LAYER}{{{{ name }}}}": {{{{ entry | tojson }}}}'
    f'{{{{ "," {MORE}}}}}{{%- endfor %}}'
)


class Credential(Struct, frozen=True):
    """An entry of `registryCredentials` that the template has.

    Attributes:
        key: of the entry.
        address: of the registry, expanded.
        username, password: as they are written.
        where: `FILE:LINE:COLUMN` of the entry.
        used: whether an image comes from the registry.
    """

    key: str
    address: str
    username: str
    password: str
    where: str
    used: bool


class ProjectTemplate(Struct, frozen=True):
    """A template of manifestgen.

    Attributes:
        text: in Jinja.
        variables: values that it takes as `variables.NAME`; a secret is `${env:NAME}`.
        open: names of those that have no value, with the placeholder as their value.
        credentials: that the solution's template has, and this one leaves to the section `registry`.
        layered: whether it makes a layer.
    """

    text: str
    variables: dict[str, str]
    open: tuple[str, ...]
    credentials: tuple[Credential, ...]
    layered: bool


def project_template(
    solution: Solution, images: Images, references: Mapping[str, str], hosts: Collection[str], notes: Notes
) -> ProjectTemplate:
    """Make the template.

    Args:
        solution: whose template it is.
        images: that its placeholders stand for.
        references: the tool's, by key, for images whose names have placeholders themselves.
        hosts: registries that its images come from.
        notes: what has to be supplied.
    """
    return _Making(solution, images, references, hosts, notes).made()


class _Making:
    def __init__(
        self,
        solution: Solution,
        images: Images,
        references: Mapping[str, str],
        hosts: Collection[str],
        notes: Notes,
    ) -> None:
        self._names, self._notes = images.names, notes
        self._hosts = {comparable(host) for host in hosts}
        self._marks = Marks()
        self._variables: dict[str, str] = {}
        self._open: dict[str, None] = {}
        self._data: dict[str, Any] = copy.deepcopy(solution.template.data)
        self._open_images = {key: folder for key, folder in images.open.items() if key in references}
        self._references = references
        # Only those are found in texts; what they stand for comes from `_piece`.
        self._keys = {**dict.fromkeys(images.names, ""), **dict.fromkeys(self._open_images, "")}
        self._solution = solution
        self._credentials = tuple(self._taken_credentials())
        self._hide_literals()
        self._solution = replace(solution, template=replace(solution.template, data=self._data))
        found = list(unresolved(self._solution, self._keys))
        self._unresolved = {(one.where, one.text) for one in found if one.name}
        for one in found:
            if not one.name and solution.module_of(one.text[2:-1]) is None:
                why = "no module.json says what image it is, so the placeholder stays, and 'apply' refuses it"
                fix = "create the module's module.json and import again, or write an image into the template"
                notes.lose(f"image {one.text}", why, fix, one.where)

    def made(self) -> ProjectTemplate:
        content = rewritten(self._solution, self._keys, self._written)
        for _, _, settings in module_settings(content):
            if isinstance(settings.get(OPTIONS), str) and settings[OPTIONS]:
                text = options_text(settings)
                kept = {key: value for key, value in settings.items() if not key.lower().startswith(OPTIONS.lower())}
                settings.clear()
                settings.update({**kept, OPTIONS: text})
        found = locate(content)
        assert found is not None  # noqa: S101 - the solution has been read
        body = {"modulesContent": found.value}
        return ProjectTemplate(
            self._marks.template(body), self._variables, tuple(self._open), self._credentials, Manifest.of(body).layered
        )

    def _written(self, text: Text) -> str:
        return "".join(self._piece(text, piece) for piece in text.pieces)

    def _image(self, text: Text, key: str) -> str:
        if key in self._names:
            return self._marks.add(f"modules[{json.dumps(self._names[key])}].image")
        places = {one.text: one.where for one in self._open_images[key].unresolved}
        solution = self._solution
        cut = pieces(self._references[key], {}, solution.lookup, solution.profile)
        return "".join(self._piece(text, piece, places.get(piece.text, "")) for piece in cut)

    def _piece(self, text: Text, piece: Piece, where: str = "") -> str:
        if piece.kind is Kind.IMAGE:
            return self._image(text, piece.name)
        if piece.kind is Kind.TEXT:
            return piece.text
        variable = self._solution.env.variables.get(piece.name)
        if piece.value is None:
            where = where or self._solution.template.where(text.pointer, key=text.is_key, index=piece.start)
            if (where, piece.text) not in self._unresolved:
                return piece.text
            self._open[piece.name] = None
            self._variables.setdefault(piece.name, piece.text)
            fix = f"write it into the project file: manifest.values.variables.{piece.name}"
            self._notes.supply(f"value of {piece.text}", "neither .env nor the environment has it", fix, where)
        elif variable is None or not variable.text:
            if in_shell(self._solution, text.pointer):
                where = self._solution.template.where(text.pointer, index=piece.start)
                why = "the container's shell reads it; the tool would put the value of this machine"
                self._notes.lose(f"expansion of {piece.text}", why, where=where)
                return piece.text
            self._from_environment(piece.name, f"value of {piece.name}", "it is in the environment, not in .env", "")
        elif variable.secret:
            self._from_environment(piece.name, f"secret {piece.name}", "it looks like a secret", variable.where)
        else:
            self._variables[piece.name] = piece.value
        return self._marks.add(_expression(piece.name))

    def _from_environment(self, name: str, what: str, why: str, where: str) -> None:
        self._variables[name] = Reference(f"${{env:{name}}}")
        self._notes.supply(what, f"{why}, so its value is not copied", f"set the environment variable {name}", where)

    # -- registry credentials -------------------------------------------------------------------------------------

    def _taken_credentials(self) -> Iterator[Credential]:
        """Take the registry credentials out of the data; what puts them in again is left in their place."""
        found = locate(self._data)
        agent = found.value.get("$edgeAgent") if found is not None and isinstance(found.value, dict) else None
        if found is None or not isinstance(agent, dict):
            return
        base = f"{found.pointer}/$edgeAgent"
        yield from self._taken_below(agent, base)
        loop = False
        for key in [key for key in agent if key.startswith(_LAYER)]:
            taken = list(self._entry(key.removeprefix(_LAYER), agent.pop(key), f"{base}/{escape(key)}"))
            for one in taken:
                if not one.used:
                    agent[key] = self._marks.add(f"{json.dumps(_placeholders(one))} | tojson")
            loop = loop or any(one.used for one in taken)
            yield from taken
        if loop:
            rest = dict(agent)
            agent.clear()
            agent[self._marks.member(_LOOP)] = None
            agent.update(rest)

    def _taken_below(self, value: Any, pointer: str) -> Iterator[Credential]:
        if not isinstance(value, dict):
            return
        for key, item in value.items():
            below = f"{pointer}/{escape(key)}"
            if key == _CREDENTIALS or key == _LAYER[:-1]:
                if not isinstance(item, dict):
                    where = self._solution.template.where(below)
                    self._notes.lose("registryCredentials", "it is not an object", where=where)
                entries = item.items() if isinstance(item, dict) else ()
                taken = [one for name, entry in entries for one in self._entry(name, entry, f"{below}/{escape(name)}")]
                kept = {one.key: _placeholders(one) for one in taken if not one.used}
                merged = f"dict(registry_credentials, **{json.dumps(kept)})" if kept else "registry_credentials"
                value[key] = self._marks.add(f"{merged} | tojson")
                yield from taken
            elif re.fullmatch(r"properties\.desired(\.runtime(\.settings)?)?|runtime|settings", key):
                yield from self._taken_below(item, below)

    def _entry(self, name: str, entry: Any, pointer: str) -> Iterator[Credential]:
        where = self._solution.template.where(pointer, key=True)
        fields = {key.lower(): value for key, value in entry.items()} if isinstance(entry, dict) else {}
        address, username, password = (fields.get(key) for key in ("address", "username", "password"))
        if not isinstance(address, str):
            self._notes.lose(f"registry credential {name!r}", "it has no address", where=where)
            return
        solution = self._solution
        host = expanded(address, {}, solution.lookup, solution.profile)
        used = comparable(host) in self._hosts
        yield Credential(name, host, str(username or ""), str(password or ""), where, used)

    # -- secrets in the template itself ---------------------------------------------------------------------------

    def _hide_literals(self) -> None:
        """Replace what seems to be a secret in the template's own texts by a variable."""
        literals = [part for text in secret_texts(Manifest.of(self._data)) for part in _literal_parts(text)]
        names: dict[str, str] = {}
        self._data = self._hidden(self._data, "", literals, names)

    def _hidden(self, value: Any, pointer: str, literals: list[str], names: dict[str, str]) -> Any:
        if isinstance(value, dict):
            return {key: self._hidden(item, f"{pointer}/{escape(key)}", literals, names) for key, item in value.items()}
        if isinstance(value, list):
            return [self._hidden(item, f"{pointer}/{index}", literals, names) for index, item in enumerate(value)]
        if not isinstance(value, str) or BEGIN in value:
            return value
        for literal in (*literals, *_of_variables(pointer, value)):
            if literal == value and re.search(r"(?i)/env/\d+$", pointer):
                literal = literal.partition("=")[2] or literal
            written = literal if literal in value else json.dumps(literal, ensure_ascii=False)[1:-1]
            if written not in value:
                continue
            name = names.get(literal) or _variable_name(pointer, value, literal, {*names.values(), *self._taken()})
            names[literal] = name
            where = self._solution.template.where(pointer)
            self._from_environment(name, f"secret in the template, now {name}", "it looks like a secret", where)
            # In JSON within the text it would have to be escaped twice: the whole text becomes the variable.
            value = (
                value.replace(literal, self._marks.add(_expression(name)))
                if literal in value
                else self._marks.add(_expression(name))
            )
        return value

    def _taken(self) -> set[str]:
        return {*self._solution.env.variables, *self._variables}


def _placeholders(credential: Credential) -> dict[str, str]:
    """An entry for a registry that no image comes from: `apply` fills it in, `render` knows only those of images."""
    name = suffixes([credential.address])[credential.address]
    login = {"username": f"${{{USERNAME}{name}}}", "password": f"${{{PASSWORD}{name}}}"}
    return {"address": credential.address, **login}


def _expression(name: str) -> str:
    """How a template names a variable."""
    plain = re.fullmatch(r"(?a)[A-Za-z]\w*", name) and not hasattr(dict, name)
    return f"variables.{name}" if plain else f"variables[{json.dumps(name)}]"


def _of_variables(pointer: str, text: str) -> Iterator[str]:
    """The secrets in a text that sets variables of a module: its own variables, or those in createOptions."""
    if match := re.search(r"/env/([^/]+)/value$", pointer):
        yield from [text] if is_written_secret(match[1], text) else []
        return
    items = [text] if re.search(r"/Env/\d+$", pointer) else []
    if pointer.endswith(f"/{OPTIONS}"):
        try:
            options = json.loads(text)
        except ValueError:
            return
        env = options.get("Env") if isinstance(options, dict) else None
        items = [item for item in env if isinstance(item, str)] if isinstance(env, list) else []
    for item in items:
        name, _, value = item.partition("=")
        if value and is_written_secret(name, value):
            yield value


def _literal_parts(text: str) -> Iterator[str]:
    """The secret parts of a secret text: if it has placeholders, the parts between them."""
    if "$" not in text:
        yield text
        return
    for part in re.split(r"[;&\s]", text):
        name, equals, value = part.partition("=")
        if equals and "$" not in value and len(value) > 3 and holds_secret(name, value):
            yield value


def _variable_name(pointer: str, text: str, literal: str, taken: set[str]) -> str:
    """A name for a literal's variable: that of its variable, or of the key that it is under."""
    before = re.search(r"([A-Za-z_][\w.-]*)\s*[=:\"' ]+$", text[: max(text.find(literal), 0)])
    keys = [key for key in split(pointer) if key.lower() != "value" and not key.isdigit()]
    name = before[1] if before else keys[-1] if keys else "SECRET"
    owner = re.search(r"/(?:properties\.desired[/.])?modules[/.]([^/]+)/|/modulesContent/([^/$]+)/", pointer)
    if owner:
        name = f"{owner[1] or owner[2]}_{name}"
    name = re.sub(r"[^A-Z0-9_]", "_", name.upper())
    name = name if name[:1].isalpha() else f"SECRET_{name}"
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
