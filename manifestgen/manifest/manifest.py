"""A deployment manifest as a value: what is in it and where, without judging it.

Reading is tolerant. A part that is malformed is passed over here; the rule that owns its shape reports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest import container, create_options
from manifestgen.manifest.container import Options
from manifestgen.manifest.credentials import RegistryCredential
from manifestgen.manifest.image import ImageReference
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.reading import as_text, get, key_of
from manifestgen.manifest.value import Value
from manifestgen.secret import Secret

DESIRED: Final = "properties.desired"
_DOTTED: Final = DESIRED + "."
_NOTHING: Final[Mapping[str, Any]] = {}


class Part(Value, frozen=True):
    """A value in a manifest with its place.

    Attributes:
        name: the last key of its place.
        pointer: JSON Pointer into the file as given.
        value: plain JSON.
    """

    _unseen: ClassVar[frozenset[str]] = frozenset({"value"})

    name: str
    pointer: str
    value: Any


class Section(Struct, frozen=True):
    """The desired properties of one module twin, whole or in the pieces that a layered deployment sets.

    Attributes:
        pieces: path below `properties.desired` (empty for the whole) and what is set there.
    """

    pieces: tuple[tuple[tuple[str, ...], Part], ...] = ()

    @property
    def whole(self) -> Part | None:
        """`properties.desired` itself, if the manifest replaces it."""
        return next((part for path, part in self.pieces if not path), None)

    def find(self, *path: str) -> Part | None:
        """What is at a path, looked up as the runtime does: whatever the case of the names. None if nothing is."""
        for at, part in self.pieces:
            if path[: len(at)] != at:
                continue
            found: Part | None = part
            for name in path[len(at) :]:
                found = child(found, name)
                if found is None:
                    break
            else:
                return found
        return None

    def children(self, *path: str) -> Iterator[Part]:
        """What is in the object at a path, from whichever piece sets it."""
        length = len(path)
        for at, part in self.pieces:
            if len(at) == length + 1:
                if at[:length] == path:
                    yield part
            elif path[: len(at)] == at:
                found: Part | None = part
                for name in path[len(at) :]:
                    found = child(found, name)
                    if found is None:
                        break
                if found is not None and isinstance(found.value, dict):
                    for key, value in found.value.items():
                        yield Part(key, f"{found.pointer}/{escape(key)}", value)

    def deeper(self, *path: str) -> Iterator[tuple[tuple[str, ...], Part]]:
        """Pieces that set something inside a child of the object at `path`, with their paths from there on."""
        length = len(path)
        for at, part in self.pieces:
            if len(at) > length + 1 and at[:length] == path:
                yield at[length:], part


def child(part: Part | None, name: str) -> Part | None:
    """What the runtime finds under `name` in an object; None if there is no such key, or no object."""
    if part is None or not isinstance(part.value, dict):
        return None
    key = key_of(part.value, name)
    return None if key is None else Part(key, f"{part.pointer}/{escape(key)}", part.value[key])


class Module(Value, frozen=True):
    """A module that `$edgeAgent` is told to run.

    Attributes:
        name: its key; for the system modules `edgeAgent` and `edgeHub`.
        pointer: JSON Pointer to its object.
        system: whether it stands under `systemModules`.
        data: its object as given.
        settings: its `settings`, empty if there are none or they are no object.
        image: None if there is none or edgeAgent refuses it.
    """

    _unseen: ClassVar[frozenset[str]] = frozenset({"data", "settings", "_odd"})

    name: str
    pointer: str
    system: bool
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    image: ImageReference | None
    # Whether there are keys that may be known ones in another case; most manifests have none to look for.
    _odd: bool = True

    @property
    def image_text(self) -> str | None:
        """The image as it is written; None if it is missing or no scalar."""
        key = self.setting_key("image")
        return None if key is None else as_text(self.settings[key])

    @property
    def status(self) -> Any:
        """The `status` as it is written; None if it is missing."""
        return self.get("status")

    @property
    def env(self) -> Mapping[str, Any]:
        """Its environment as it is written, name to `{"value": …}`; empty if there is none or it is no object."""
        env = self.get("env")
        return env if isinstance(env, dict) else _NOTHING

    def key(self, name: str) -> str | None:
        """The key under which the runtime finds a property; None if it is missing."""
        if name in self.data:
            return name
        return key_of(self.data, name) if self._odd else None

    def setting_key(self, name: str) -> str | None:
        """The key under which the runtime finds a property of the settings; None if it is missing."""
        if name in self.settings:
            return name
        return key_of(self.settings, name) if self._odd else None

    def get(self, name: str) -> Any:
        """A property whatever the case of its name; None if it is missing or null."""
        if name in self.data or not self._odd:
            return self.data.get(name)
        key = key_of(self.data, name)
        return None if key is None else self.data[key]

    def has(self, name: str) -> bool:
        """Whether it has a property, null included."""
        return self.key(name) is not None

    def at(self, name: str) -> str:
        """JSON Pointer to a property of the module, or to the module if it has no such property."""
        key = self.key(name)
        return self.pointer if key is None else f"{self.pointer}/{escape(key)}"

    def at_setting(self, name: str) -> str:
        """JSON Pointer to a property of its settings, or to the next outer place that is there."""
        key = self.setting_key(name)
        return self.at("settings") if key is None else f"{self.at('settings')}/{escape(key)}"

    def env_value(self, name: str) -> str | None:
        """A variable of its environment as the module sees it; None if it is not set or malformed."""
        entry = self.env.get(name)
        if not isinstance(entry, dict):
            return None
        key = key_of(entry, "value")
        return None if key is None else as_text(entry[key]) or ""

    def create_options(self) -> str:
        """Its createOptions as one text.

        Raises:
            ChunkError: their chunks are not in sequence.
        """
        return create_options.join(self.settings)


class RouteEntry(Value, frozen=True):
    """A route of `$edgeHub`.

    Attributes:
        name: its key.
        pointer: JSON Pointer to the text, or to the object that has it.
        text: None if there is none or it is no text.
        value: the entry as it is written, a text or an object.
    """

    _unseen: ClassVar[frozenset[str]] = frozenset({"value"})

    name: str
    pointer: str
    text: str | None
    value: Any
    entry_pointer: str = ""


_USUAL_KEYS: Final = frozenset(
    {
        "type",
        "status",
        "restartPolicy",
        "imagePullPolicy",
        "startupOrder",
        "version",
        "env",
        "settings",
        "configuration",
    }
)
_USUAL_SETTINGS: Final = frozenset({"image", "createOptions"})


def module_of(part: Part, *, system: bool = False) -> Module | None:
    """A module from its object; None if it is none."""
    data = part.value
    if not isinstance(data, dict):
        return None
    odd = not data.keys() <= _USUAL_KEYS
    settings = data.get("settings")
    if settings is None and odd:
        settings = get(data, "settings")
    if not isinstance(settings, dict):
        settings = _NOTHING
    odd = odd or not settings.keys() <= _USUAL_SETTINGS
    text = settings.get("image")
    if type(text) is not str:
        text = as_text(get(settings, "image"))
    return Module(part.name, part.pointer, system, data, settings, _image(text), odd)


@lru_cache(maxsize=2048)
def _image(text: str | None) -> ImageReference | None:
    if text is None:
        return None
    try:
        return ImageReference.parse(text)
    except InputError:
        return None


@dataclass(frozen=True, eq=False)
class Manifest:
    """A deployment manifest.

    Equality is that of `content`. Its repr names modules only, since the rest may hold passwords.

    Attributes:
        content: `{"modulesContent": {…}}`, as IoT Hub takes it.
        base: JSON Pointer to the value of `modulesContent` in the file as given, whatever it is wrapped in.
        layered: whether it is a layered deployment: no whole `$edgeAgent`, and keys such as
            `properties.desired.modules.NAME`.
        data: the file's value as given.
        kept: what was worked out about it, for whoever asks next.
    """

    content: Mapping[str, Any]
    base: str = "/modulesContent"
    layered: bool = False
    data: Any = None
    kept: dict[str, Any] = field(default_factory=dict)
    _sections: Mapping[str, Section] = field(default_factory=dict)
    _modules: tuple[Module, ...] = ()

    @classmethod
    def of(cls, data: Any, *, layered: bool | None = None) -> Manifest:
        """A manifest from plain JSON data.

        Args:
            data: `{"modulesContent": …}`; also with the old spelling `moduleContent`, or within `content`, as an
                exported automatic deployment has it.
            layered: False or True to read it so; None to tell by its keys.

        Raises:
            InputError: there is no modulesContent object in it.
        """
        found = locate(data)
        if found is None or not isinstance(found.value, dict):
            raise InputError(
                "this is not a deployment manifest: it has no 'modulesContent' object",
                fix='a manifest has the form {"modulesContent": {"$edgeAgent": {…}, "$edgeHub": {…}}}',
            )
        entries: Mapping[str, Any] = found.value
        sections = {name: _section(entry, f"{found.pointer}/{escape(name)}") for name, entry in entries.items()}
        if layered is None:
            agent = sections.get("$edgeAgent")
            layered = (agent is None or agent.whole is None) and any(
                path for section in sections.values() for path, _ in section.pieces
            )
        modules = _modules(sections.get("$edgeAgent", Section()))
        content = data if found.pointer == "/modulesContent" and len(data) == 1 else {"modulesContent": entries}
        return cls(content, found.pointer, layered, data, _sections=sections, _modules=modules)

    @classmethod
    def of_module(cls, name: str, data: Any, *, system: bool = False) -> Manifest:
        """A manifest of one module alone, whose pointers begin at the module."""
        module = module_of(Part(name, "", data), system=system)
        return cls({"modulesContent": {}}, "", _modules=(module,) if module else ())

    @property
    def entries(self) -> Mapping[str, Any]:
        """What is set for each module twin, by its name: `$edgeAgent`, `$edgeHub` and the modules."""
        entries: Mapping[str, Any] = self.content["modulesContent"]
        return entries

    @property
    def agent(self) -> Section:
        """The desired properties of `$edgeAgent`."""
        return self._sections.get("$edgeAgent", Section())

    @property
    def hub(self) -> Section:
        """The desired properties of `$edgeHub`."""
        return self._sections.get("$edgeHub", Section())

    def section(self, name: str) -> Section:
        """The desired properties of a module twin; empty if the manifest does not set them."""
        return self._sections.get(name, Section())

    def sections(self) -> Mapping[str, Section]:
        """The desired properties of all twins that the manifest sets."""
        return self._sections

    @property
    def agent_desired(self) -> Mapping[str, Any] | None:
        """`properties.desired` of `$edgeAgent`; None if it is missing, or set in pieces."""
        return _object(self.agent.whole)

    @property
    def hub_desired(self) -> Mapping[str, Any] | None:
        """`properties.desired` of `$edgeHub`; None if it is missing, or set in pieces."""
        return _object(self.hub.whole)

    def pointer(self, name: str) -> str:
        """JSON Pointer to what is set for a module twin, or to `modulesContent` if there is nothing."""
        return f"{self.base}/{escape(name)}" if name in self.entries else self.base

    def modules(self) -> tuple[Module, ...]:
        """The modules that the device shall run, system modules first; those that are no object left out."""
        return self._modules

    @cached_property
    def options(self) -> tuple[tuple[Module, Options], ...]:
        """The modules with their createOptions; those whose chunks are out of sequence left out."""
        found: list[tuple[Module, Options]] = []
        for module in self._modules:
            try:
                found.append((module, container.read(module.create_options())))
            except create_options.ChunkError:
                continue
        return tuple(found)

    def routes(self) -> tuple[RouteEntry, ...]:
        """The routes; those without a text included."""
        return self._routes

    @cached_property
    def route_parts(self) -> tuple[Part, ...]:
        """The entries of `routes` as they are written."""
        return tuple(self.hub.children("routes"))

    @cached_property
    def _routes(self) -> tuple[RouteEntry, ...]:
        return tuple(self._read_routes())

    def _read_routes(self) -> Iterator[RouteEntry]:
        for part in self.route_parts:
            if isinstance(part.value, str):
                yield RouteEntry(part.name, part.pointer, part.value, part.value, part.pointer)
            elif (inner := child(part, "route")) is not None:
                # A number becomes its text, which is no route either.
                text = as_text(inner.value)
                yield RouteEntry(part.name, inner.pointer, text, part.value, part.pointer)
            else:
                yield RouteEntry(part.name, part.pointer, None, part.value, part.pointer)
        for path, part in self.hub.deeper("routes"):
            if len(path) == 2 and path[1] == "route" and isinstance(part.value, str):
                yield RouteEntry(path[0], part.pointer, part.value, part.value, part.pointer)

    def credential_entries(self) -> tuple[Part, ...]:
        """The entries of `registryCredentials` as they are written."""
        return self._credential_entries

    @cached_property
    def _credential_entries(self) -> tuple[Part, ...]:
        return tuple(self.agent.children("runtime", "settings", "registryCredentials"))

    def credentials(self) -> dict[str, RegistryCredential]:
        """The registry credentials that have all of address, username and password, by key."""
        found: dict[str, RegistryCredential] = {}
        for part in self.credential_entries():
            values = [child(part, name) for name in ("address", "username", "password")]
            texts = [as_text(value.value) if value is not None else None for value in values]
            if texts[0] is not None and texts[1] is not None and texts[2] is not None:
                found[part.name] = RegistryCredential(part.name, texts[0], texts[1], Secret(texts[2]))
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Manifest):
            return NotImplemented
        return self.content == other.content

    __hash__ = None  # type: ignore[assignment]  # a value of dicts, as dict itself is not hashable

    def __repr__(self) -> str:
        names = ", ".join(module.name for module in self._modules)
        return f"<Manifest{' layered' if self.layered else ''}: {names}>"


def locate(data: Any) -> Part | None:
    """The value of `modulesContent` wherever the known forms have it; None if there is none."""
    if not isinstance(data, dict):
        return None
    for base, outer in (("", data), ("/content", data.get("content"))):
        if isinstance(outer, dict):
            for name in ("modulesContent", "moduleContent"):
                if name in outer:
                    return Part(name, f"{base}/{name}", outer[name])
    return None


def _object(part: Part | None) -> Mapping[str, Any] | None:
    return part.value if part is not None and isinstance(part.value, dict) else None


def _section(entry: Any, pointer: str) -> Section:
    if not isinstance(entry, dict):
        return Section()
    pieces: list[tuple[tuple[str, ...], Part]] = []
    for key, value in entry.items():
        if key == DESIRED:
            pieces.append(((), Part(key, f"{pointer}/{DESIRED}", value)))
        elif key.startswith(_DOTTED):
            path = tuple(key[len(_DOTTED) :].split("."))
            pieces.append((path, Part(path[-1], f"{pointer}/{escape(key)}", value)))
    return Section(tuple(pieces))


def _modules(agent: Section) -> tuple[Module, ...]:
    found: list[Module] = []
    for part in agent.children("systemModules"):
        # Their names are properties of a class in the runtime, so that any case is read.
        name = {"edgeagent": "edgeAgent", "edgehub": "edgeHub"}.get(part.name.lower())
        if name is not None and (module := module_of(Part(name, part.pointer, part.value), system=True)):
            found.append(module)
    for part in agent.children("modules"):
        if module := module_of(part):
            found.append(module)
    return tuple(found)
