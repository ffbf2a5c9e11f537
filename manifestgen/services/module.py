"""The services of one module: its models and builder, beside the services that a project's modules share."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manifestgen.cloud import Builder, Distribution, Hub, Login, ModelSource, Registry, Services, Vaults
    from manifestgen.project.load import Project


def open_builder(project: Project, services: Services) -> Builder:
    """The builder that a project's `image.builder` names. Raises ValueError if the project builds no image."""
    from importlib import import_module

    from manifestgen.project.builders import entry_of

    if project.image is None:
        raise ValueError("the project builds no image")
    builder: Builder = import_module(entry_of(project.image).module).open_builder(project, services)
    return builder


def open_models(project: Project) -> ModelSource:
    """The models of a project of one module: from its workspace, or on this machine if it names and needs none."""
    if is_local(project):
        from manifestgen.images.local_models import LocalModels

        return LocalModels(project)
    from manifestgen.project.workspace import workspace_of

    if _reads_second_version(project):
        from manifestgen.azure.azureml2_models import WorkspaceModels2

        return WorkspaceModels2(lambda: workspace_of(project))
    from manifestgen.azure.aml import open_workspace
    from manifestgen.azure.aml_models import WorkspaceModels

    return WorkspaceModels(lambda: open_workspace(project))


def is_local(project: Project) -> bool:
    """Whether a project's model is a local file, not registered: the project names no workspace and needs none."""
    from manifestgen.project.builders import builds_from_context

    return project.workspace is None and builds_from_context(project.image)


def _reads_second_version(project: Project) -> bool:
    """Whether models come through azure-ai-ml: always, unless Azure ML builds or only azureml-core is installed.

    Both SDKs see the same models; Azure ML builds through azureml-core only.
    """
    from manifestgen.project.builders import entry_of

    image = project.image
    if image is not None and image.builds and entry_of(image).needs_workspace:
        return False
    return _is_installed("azure.ai.ml") or not _is_installed("azureml")


def _is_installed(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is missing, too
        return False


class ModuleServices:
    """The services of one of several modules of a project: `Services` with its own models and builder."""

    def __init__(self, whole: Services, project: Project, shared: threading.Lock) -> None:
        """The services of a module.

        Args:
            whole: the project's services, which are shared.
            project: the project with only that module.
            shared: a lock held while a shared service connects or a login is looked up: modules are built in threads.
        """
        self._whole = whole
        self._project = project
        self._shared = shared

    def of(self, module: str) -> Services:
        """See `Services.of`."""
        return self._whole.of(module)

    @cached_property
    def models(self) -> ModelSource:
        """The models of its project's workspace, or the model on this machine."""
        return open_models(self._project)

    @cached_property
    def builder(self) -> Builder:
        """The builder that its `image.builder` names."""
        return open_builder(self._project, self)

    @property
    def registry(self) -> Registry:
        """The container registries of the caller's subscriptions."""
        with self._shared:
            return self._whole.registry

    @property
    def distribution(self) -> Distribution:
        """The registries that images come from."""
        with self._shared:
            return self._whole.distribution

    @property
    def vaults(self) -> Vaults:
        """The key vaults that the caller may read."""
        with self._shared:
            return self._whole.vaults

    @property
    def hub(self) -> Hub:
        """The IoT hub."""
        with self._shared:
            return self._whole.hub

    def credentials(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Login]:
        """See `Services.credentials`."""
        with self._shared:
            return self._whole.credentials(hosts)
