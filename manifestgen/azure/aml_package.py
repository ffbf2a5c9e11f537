"""The builder `package`: `Model.package` of Azure ML."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from manifestgen.azure.aml_builder import WorkspaceBuilder
from manifestgen.cloud import Build, BuildRequest, BuildState, BuildStatus, ModelSource, Services
from manifestgen.errors import ManifestgenError, UnconfirmedError
from manifestgen.images.content_tag import digest_of, target_host
from manifestgen.project import Project
from manifestgen.project.score import check_inputs

_LOG = logging.getLogger("manifestgen.azure.aml")

# Environment variables of the image.
TAGS_VARIABLE = "MANIFESTGEN_IMAGE_TAGS"
DESCRIPTION_VARIABLE = "MANIFESTGEN_IMAGE_DESCRIPTION"
INPUTS_VARIABLE = "MANIFESTGEN_IMAGE_INPUTS"

_NO_SERVER = "{} does not list azureml-defaults under pip; without it, no server runs in the container"


def open_builder(project: Project, services: Services) -> PackageBuilder:
    """The builder of a project."""

    def find(request: BuildRequest) -> str | None:
        host = target_host(project.image, services) if project.image is not None else None
        reference = f"{host}/{request.name}:{request.label}"
        return reference if host is not None and digest_of(reference, services) is not None else None

    return PackageBuilder(lambda: services.models, lambda: check_inputs(project), find)


class PackageBuilder(WorkspaceBuilder):
    """Implements `manifestgen.cloud.Builder`.

    Args:
        models, check: see `WorkspaceBuilder`.
        find: the image of a request, if the registry has its tag.
    """

    def __init__(
        self,
        models: Callable[[], ModelSource],
        check: Callable[[], None] = lambda: None,
        find: Callable[[BuildRequest], str | None] = lambda request: None,
    ) -> None:
        super().__init__(models, check)
        self._find = find

    def start(self, request: BuildRequest) -> Build:
        """See `Builder.start`."""
        model = self._model_of(request)
        try:
            return self._send(request, model, self._start)
        except UnconfirmedError:
            built = self._built(request)
        if built is not None:
            _LOG.warning("the answer was lost, but the workspace has built %s", built)
            return Build("", built)
        # The workspace cannot look up a build without its number. If it is building after all, a second
        # build under the same tag would move the tag away from the first one.
        other = replace(request, label=f"{request.label}-{secrets.token_hex(2)}")
        _LOG.warning(
            "the answer was lost, and the workspace may be building %s:%s; this build is tagged %s",
            request.name,
            request.label,
            other.label,
        )
        return self._send(other, model, self._start)

    def status(self, build: Build) -> BuildStatus:
        """See `Builder.status`; `build.image` is an image that was found in the registry."""
        return BuildStatus(BuildState.SUCCEEDED, reference=build.image) if build.image else super().status(build)

    def log(self, build: Build, offset: int = 0) -> str:
        """See `Builder.log`."""
        return "" if build.image else super().log(build, offset)

    def _built(self, request: BuildRequest) -> str | None:
        try:
            return self._find(request)
        except ManifestgenError as error:
            _LOG.info("could not look for the image: %s", error)
            return None

    def find(self, request: BuildRequest) -> Build | None:
        """None: Azure ML keeps no record of packages that could be searched."""
        return None

    def _start(self, request: BuildRequest, model: Any, script: str, conda: str) -> Build:
        from azureml.core import Environment
        from azureml.core.model import InferenceConfig, Model

        environment = Environment.from_conda_specification(request.name, conda)
        if "azureml-defaults" not in environment.python.conda_dependencies.serialize_to_string():
            _LOG.warning(_NO_SERVER.format(conda))
        # A package has no tags and no description, and the service keeps no record of it. The environment's variables,
        # which the SDK itself uses for the name of the entry script, do end up in the image.
        environment.environment_variables = {
            TAGS_VARIABLE: json.dumps(dict(request.tags), sort_keys=True, ensure_ascii=False),
            DESCRIPTION_VARIABLE: request.description,
            INPUTS_VARIABLE: request.inputs,
        }
        package = Model.package(
            self._workspace.sdk,
            [model],
            InferenceConfig(entry_script=script, environment=environment, description=request.description),
            image_name=request.name,
            image_label=request.label,
        )
        # The one thing that another process needs has no public name.
        return Build(package._operation_id)
