"""A project: the content of its file, with its modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from manifestgen.credentials.section import RegistrySection
from manifestgen.credentials.source import Registry, Settings
from manifestgen.errors import InputError
from manifestgen.manifest.nearest import nearest
from manifestgen.manifest.placeholder import USUAL, Styles
from manifestgen.project import builders
from manifestgen.project.sections import (
    Check,
    HubSection,
    Image,
    ManifestSection,
    Model,
    Module,
    Target,
    Workspace,
)
from manifestgen.secret import Secret

FILE_NAME: Final = "manifestgen.yaml"


class Project(msgspec.Struct, frozen=True):
    """A project file: its sections, None for those it does not have. Paths in them are absolute.

    Functions that build, test or name one image take a project of one module: `each` gives one for each module.

    Attributes:
        modules: at least one; the short form of the file (`model`, `image`, `manifest.module`) gives exactly one.
        modular: whether the file has the section `modules`.
        path: of the project file.
        root: its folder, absolute.
        secret_texts: strings from `${file:…}` in `manifest.values`, and from `${env:…}` if they look like a secret.
        engine: for the builder `local`; empty for the first one found.
        environment: merged into the sections; None for the file without its environments.
        environments: the names of all environments in the file.
        own_packages: whether the environment changes a key that determines an image's packages.
    """

    path: Path
    root: Path
    workspace: Workspace | None = None
    modules: tuple[Module, ...] = (Module(),)
    modular: bool = False
    registry: Registry | None = None
    manifest: ManifestSection | None = None
    hub: HubSection | None = None
    target: Target | None = None
    check: Check | None = None
    secret_texts: tuple[Secret, ...] = ()
    engine: str = ""
    environment: str | None = None
    environments: tuple[str, ...] = ()
    own_packages: bool = False

    @property
    def name(self) -> str:
        """The project file's name without its suffix."""
        return self.path.stem

    @property
    def own_name(self) -> str:
        """The name with the environment's, for files that each environment has separately."""
        return self.name if self.environment is None else f"{self.name}.{self.environment}"

    @property
    def words(self) -> str:
        """The project file and the environment, for messages."""
        return self.path.name if self.environment is None else f"{self.path.name}, environment {self.environment}"

    @property
    def choices(self) -> tuple[str, ...]:
        """Alternatives for an error about a missing setting, for its `options`: environments may have it."""
        if self.environment is not None or not self.environments:
            return ()
        return (choice_of(self.environments),)

    @property
    def device(self) -> str | None:
        """The device that is its target; None if that is a deployment, or there is none."""
        return self.target.device if self.target is not None else None

    @property
    def deployment(self) -> str | None:
        """The automatic deployment that is its target; None if that is a device, or there is none."""
        return self.target.deployment if self.target is not None else None

    @property
    def ignored(self) -> Mapping[str, str]:
        """The rules that its manifest need not keep: id to reason."""
        return self.check.ignore if self.check is not None else {}

    @property
    def placeholder_styles(self) -> Styles:
        """Its placeholder styles."""
        if self.check is None:
            return USUAL
        return Styles(self.check.placeholder or "", self.check.literal or "")

    @property
    def builds(self) -> bool:
        """Whether manifestgen builds an image of the project."""
        return any(module.builds for module in self.modules)

    @property
    def module(self) -> Module:
        """The module of a project of one. Raises ValueError for others."""
        if len(self.modules) != 1:
            raise ValueError("the project has several modules")
        return self.modules[0]

    @property
    def image(self) -> Image | None:
        """The image of a project of one module."""
        return self.module.image

    @property
    def model(self) -> Model | None:
        """The model of a project of one module."""
        return self.module.model

    def of_module(self, name: str) -> str:
        """The prefix for file names that differ by module: `manifestgen`, with `modules` `manifestgen.scorer`.

        Args:
            name: `name` or `own_name`.
        """
        return f"{name}.{self.module.name}" if self.modular else name

    def each(self) -> tuple[Project, ...]:
        """A project of one module for each of the modules."""
        return tuple(msgspec.structs.replace(self, modules=(module,)) for module in self.modules)

    def only(self, names: Sequence[str]) -> Project:
        """The project with only some of its modules, in its own order.

        Args:
            names: of the modules; empty for all.

        Raises:
            InputError: it has no such module.
        """
        known = tuple(module.name for module in self.modules)
        for name in names:
            if name not in known:
                lower = {one.lower(): one for one in known}
                near = nearest(name.lower(), lower)
                fix = f"did you mean '{lower[near[0]]}'?" if near else f"choose one of its modules: {', '.join(known)}"
                raise InputError(f"the project has no module '{name}'", where=str(self.path), fix=fix)
        chosen = tuple(module for module in self.modules if not names or module.name in names)
        return msgspec.structs.replace(self, modules=chosen)

    def built_by(self, builder: str | None, engine: str | None = None) -> Project:
        """The project with another builder in place of the file's; None keeps them.

        Args:
            builder: its name.
            engine: for the builder `local`.

        Raises:
            InputError: it builds no image, or its file lacks what that builder needs.
        """
        if not self.builds and self.modular:
            names = ", ".join(module.name for module in self.modules)
            fix = "name a module that has a builder, or give the image of one of these a builder"
            raise InputError(f"nothing to build: images are built elsewhere ({names})", where=str(self.path), fix=fix)
        if not self.builds:
            raise InputError(
                "the project builds no image",
                where=str(self.path),
                fix=f"give its 'image' section a builder ({', '.join(builders.BUILDERS)}) and the keys that it needs",
            )
        modules = tuple(self._built_by(module, builder) for module in self.modules)
        if engine is not None and not any(one.image is not None and one.image.builder == "local" for one in modules):
            what = f"the engine {engine} is for the builder local, and no image is built by it"
            raise InputError(what, where=str(self.path), options=("drop --engine",), fix="choose the builder local")
        return msgspec.structs.replace(self, modules=modules, engine=engine or self.engine)

    def _built_by(self, module: Module, builder: str | None) -> Module:
        if module.image is None or not module.image.builds:
            return module
        image = msgspec.structs.replace(module.image, builder=builder or module.image.builder)
        try:
            builders.check_image(image, module.model)
        except InputError as error:
            what = f"module {module.name}: {error.what}" if self.modular else error.what
            raise InputError(what, where=str(self.path), fix=error.fix) from None
        return msgspec.structs.replace(module, image=image)

    @property
    def title(self) -> str:
        """The name of the project as a whole: its only module, else its file or folder."""
        if not self.modular:
            return self.module.name
        return self.name if self.path.name != FILE_NAME else self.root.name

    @property
    def registry_settings(self) -> Settings:
        """The project's settings for registry credentials, with defaults."""
        return Settings(
            registry=self.registry or RegistrySection(),
            file=str(self.path),
            module=self.title,
            builds=self.builds,
        )


def choice_of(names: Iterable[str]) -> str:
    """Advice to choose one of the environments."""
    return f"choose an environment with --environment: {', '.join(names)}"
