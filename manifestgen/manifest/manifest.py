"""A deployment manifest as a value: its parts and their places, without validating them.

Reading is tolerant. A malformed part is skipped here; the rule that owns its shape reports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest import container, create_options
from manifestgen.manifest.container import Options
from manifestgen.manifest.credentials import RegistryCredential
from manifestgen.manifest.module import Module, module_of
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.reading import as_text
from manifestgen.manifest.section import DESIRED, Part, Section, child, section_of
from manifestgen.manifest.value import Value
from manifestgen.secret import Secret


class RouteEntry(Value, frozen=True):
    """A route of `$edgeHub`.

    Attributes:
        name: its key.
        pointer: JSON Pointer to the text, or to the object that has it.
        text: None if it is missing or not a string.
        value: the entry as it is written, a text or an object.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset({"value"})

    name: str
    pointer: str
    text: str | None
    value: Any
    entry_pointer: str = ""


class Manifest(Struct, frozen=True, eq=False, dict=True):
    """A deployment manifest.

    Equality is that of `content`. Its repr names modules only, since the rest may hold passwords.

    Attributes:
        content: `{"modulesContent": {…}}`, as IoT Hub takes it.
        base: JSON Pointer to the value of `modulesContent` in the file as given, whatever it is wrapped in.
        layered: whether it is a layered deployment: it does not set all of `$edgeAgent`, and has keys such as
            `properties.desired.modules.NAME`.
        data: the file's value as given.
        cache: derived values, by name.
    """

    content: Mapping[str, Any]
    base: str = "/modulesContent"
    layered: bool = False
    data: Any = None
    cache: dict[str, Any] = {}
    _only: Module | None = None

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
                fix='give a manifest of the form {"modulesContent": {"$edgeAgent": {…}, "$edgeHub": {…}}}',
            )
        entries: Mapping[str, Any] = found.value
        if layered is None:
            layered = _is_layered(entries)
        content = data if found.pointer == "/modulesContent" and len(data) == 1 else {"modulesContent": entries}
        return cls(content, found.pointer, layered, data)

    @classmethod
    def of_twins(cls, twins: Mapping[str, Any]) -> Manifest:
        """A manifest that sets the whole desired properties of module twins.

        Args:
            twins: desired properties by module id, `$edgeAgent` and `$edgeHub` among them.
        """
        return cls.of({"modulesContent": {name: {DESIRED: desired} for name, desired in twins.items()}})

    @classmethod
    def of_module(cls, name: str, data: Any, *, system: bool = False) -> Manifest:
        """A manifest of one module alone, whose pointers begin at the module."""
        return cls({"modulesContent": {}}, "", _only=module_of(Part(name, "", data), system=system))

    @property
    def entries(self) -> Mapping[str, Any]:
        """The content for each module twin, by name: `$edgeAgent`, `$edgeHub` and the modules."""
        entries: Mapping[str, Any] = self.content["modulesContent"]
        return entries

    @cached_property
    def _sections(self) -> Mapping[str, Section]:
        return {name: section_of(entry, f"{self.base}/{escape(name)}") for name, entry in self.entries.items()}

    @cached_property
    def _modules(self) -> tuple[Module, ...]:
        return (self._only,) if self._only is not None else _modules(self.agent)

    @cached_property
    def agent(self) -> Section:
        """The desired properties of `$edgeAgent`."""
        return self._sections.get("$edgeAgent", Section())

    @cached_property
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
        """The modules that the device is to run, system modules first, without those that are not objects."""
        return self._modules

    @cached_property
    def module_names(self) -> tuple[str, ...]:
        """The names of all modules, system modules first, those that are not objects among them."""
        system = [module.name for module in self._modules if module.system]
        return (*system, *(part.name for part in self.agent.children("modules")))

    @cached_property
    def options(self) -> tuple[tuple[Module, Options], ...]:
        """The modules with their createOptions, without those whose chunks are out of sequence."""
        found: list[tuple[Module, Options]] = []
        for module in self._modules:
            try:
                found.append((module, container.read(module.create_options())))
            except create_options.ChunkError:
                continue
        return tuple(found)

    def routes(self) -> tuple[RouteEntry, ...]:
        """The routes, including those without a text."""
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
                # A number becomes a string, which is not a route either.
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
                if name in outer and not _is_configuration(outer[name]):
                    return Part(name, f"{base}/{name}", outer[name])
    return None


def _is_configuration(content: Any) -> bool:
    """Whether it is the `moduleContent` of a module's automatic configuration, which sets paths of one twin."""
    return isinstance(content, dict) and bool(content) and all(key.startswith("properties.") for key in content)


def _is_layered(entries: Mapping[str, Any]) -> bool:
    """Whether no entry sets all of `$edgeAgent`, and one sets a part of a twin, or is a text that may do so yet."""
    agent = entries.get("$edgeAgent")
    if isinstance(agent, dict) and DESIRED in agent:
        return False
    if (
        not agent
        and not entries.get("$edgeHub")
        and any(isinstance(entry, dict) and entry for entry in entries.values())
    ):
        # It sets twins alone.
        return True
    return any(
        (isinstance(entry, str) and name.startswith("$edge"))
        or (isinstance(entry, dict) and any(key.startswith(f"{DESIRED}.") for key in entry))
        for name, entry in entries.items()
    )


def _object(part: Part | None) -> Mapping[str, Any] | None:
    return part.value if part is not None and isinstance(part.value, dict) else None


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
