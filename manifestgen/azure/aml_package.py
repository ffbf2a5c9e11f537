"""The builder `package`: `Model.package` of Azure ML."""

from __future__ import annotations

import json
import logging
from typing import Any

from manifestgen.azure.aml_builder import WorkspaceBuilder
from manifestgen.cloud import Build, BuildRequest, Services
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
    return PackageBuilder(lambda: services.models, lambda: check_inputs(project))


class PackageBuilder(WorkspaceBuilder):
    """Implements `manifestgen.cloud.Builder`."""

    def start(self, request: BuildRequest) -> Build:
        """See `Builder.start`."""
        return self._send(request, self._model_of(request), self._start)

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
