"""A module that edgeAgent should run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final

from manifestgen.errors import InputError
from manifestgen.manifest import create_options
from manifestgen.manifest.image import ImageReference
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.reading import UINT32, as_text, get, key_of, trim
from manifestgen.manifest.section import Part
from manifestgen.manifest.value import Value

#: The `startupOrder` of a module that names none: it is started after all others.
LAST_ORDER: Final = UINT32[1]

_NOTHING: Final[Mapping[str, Any]] = {}


class Module(Value, frozen=True):
    """A module that `$edgeAgent` should run.

    Attributes:
        name: its key; for the system modules `edgeAgent` and `edgeHub`.
        pointer: JSON Pointer to its object.
        system: whether it is under `systemModules`.
        data: its object as given.
        settings: its `settings`, empty if there are none or they are no object.
        image: None if there is none or edgeAgent refuses it.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset({"data", "settings", "_odd"})

    name: str
    pointer: str
    system: bool
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    image: ImageReference | None
    # Whether there are keys that may be known ones in another case; most manifests have none to look for.
    _odd: bool = True

    @property
    def usual(self) -> bool:
        """Whether all its keys are documented ones in their usual case."""
        return not self._odd

    @property
    def image_text(self) -> str | None:
        """The image as it is written; None if it is missing or no scalar."""
        key = self.setting_key("image")
        return None if key is None else as_text(self.settings[key])

    @property
    def open_image(self) -> ImageReference | None:
        """The image, also one that begins with a placeholder; None if edgeAgent refuses it anyhow."""
        text = self.image_text
        if self.image is not None or text is None or not trim(text).startswith("$"):
            return self.image
        try:
            return ImageReference.parts(trim(text))
        except InputError:
            return None

    @property
    def is_edge_agent(self) -> bool:
        """Whether it is edgeAgent, which ignores some of its properties."""
        return self.system and self.name == "edgeAgent"

    @property
    def status(self) -> Any:
        """The `status` as it is written; None if it is missing."""
        return self.get("status")

    @property
    def restart_policy(self) -> str:
        """The `restartPolicy` in lower case; what edgeAgent takes for it if it is missing."""
        return str(self.get("restartPolicy") or ("always" if self.system else "on-unhealthy")).lower()

    @property
    def startup_order(self) -> int:
        """The `startupOrder`; `LAST_ORDER` if it is missing or no integer."""
        order = self.get("startupOrder")
        return order if isinstance(order, int) else LAST_ORDER

    @property
    def env(self) -> Mapping[str, Any]:
        """Its environment as it is written, name to `{"value": …}`; empty if it is missing or not an object."""
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

    @property
    def variables(self) -> dict[str, str]:
        """Its environment as the module sees it; a malformed variable is empty."""
        return {name: self.env_value(name) or "" for name in self.env}

    def at_env(self, name: str) -> str:
        """JSON Pointer to the value of a variable, or to the next outer place that is there."""
        entry = self.env.get(name)
        if entry is None:
            return self.at("env")
        place = f"{self.at('env')}/{escape(name)}"
        key = key_of(entry, "value") if isinstance(entry, dict) else None
        return place if key is None else f"{place}/{escape(key)}"

    def create_options(self) -> str:
        """Its createOptions as one text.

        Raises:
            ChunkError: their chunks are not in sequence.
        """
        return create_options.join(self.settings)


#: The keys of a module.
KEYS: Final = frozenset(
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
#: The keys of its `settings`; besides them, there are the chunks of long createOptions.
SETTINGS: Final = frozenset({"image", "createOptions"})


def module_of(part: Part, *, system: bool = False) -> Module | None:
    """A module from its object; None if it is none."""
    data = part.value
    if not isinstance(data, dict):
        return None
    odd = not data.keys() <= KEYS
    settings = data.get("settings")
    if settings is None and odd:
        settings = get(data, "settings")
    if not isinstance(settings, dict):
        settings = _NOTHING
    odd = odd or not settings.keys() <= SETTINGS
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
