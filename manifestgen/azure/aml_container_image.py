"""The builder `container-image`: `ContainerImage` of Azure ML, which `package` replaces."""

from __future__ import annotations

import logging
from typing import Any

from manifestgen.azure.aml_builder import WorkspaceBuilder, state_of
from manifestgen.cloud import Build, BuildRequest, BuildState, Services
from manifestgen.errors import UnconfirmedError
from manifestgen.project import Project
from manifestgen.project.score import check_inputs

_LOG = logging.getLogger("manifestgen.azure.aml")

INPUTS_PROPERTY = "manifestgen.inputs"

_DEPRECATED = (
    "builder 'container-image' uses a deprecated interface of Azure ML; "
    "builder 'package' builds the same image with its successor"
)


def open_builder(project: Project, services: Services) -> ContainerImageBuilder:
    """The builder of a project."""
    return ContainerImageBuilder(lambda: services.models, lambda: check_inputs(project))


class ContainerImageBuilder(WorkspaceBuilder):
    """Implements `manifestgen.cloud.Builder`."""

    def start(self, request: BuildRequest) -> Build:
        """See `Builder.start`."""
        model = self._model_of(request)
        _LOG.warning(_DEPRECATED)
        before = self._image_ids(request)
        try:
            return self._send(request, model, self._start)
        except UnconfirmedError:
            taken = [image for image in self._image_ids(request) if image not in before]
            if not taken:
                return self._send(request, model, self._start)
            _LOG.warning("the answer was lost, but the workspace is building image %s", taken[0])
            return Build("", taken[0])

    def find(self, request: BuildRequest) -> Build | None:
        """The newest image of these inputs that has not failed."""
        images = self._images(request)
        alive = [image for image in images if state_of(image["creationState"]) is not BuildState.FAILED]
        return Build("", alive[0]["id"]) if alive else None

    def _start(self, request: BuildRequest, model: Any, script: str, conda: str) -> Build:
        from azureml.core.image import Image

        from manifestgen.azure.aml_image_configuration import ScriptBesideDriver

        configuration = ScriptBesideDriver(
            execution_script=script,
            runtime="python",
            conda_file=conda,
            tags=dict(request.tags),
            properties={INPUTS_PROPERTY: request.inputs},
            description=request.description,
        )
        image = Image.create(self._workspace.sdk, request.name, [model], configuration)
        return Build(image._operation_endpoint.rpartition("/")[2], image.id)

    def _image_ids(self, request: BuildRequest) -> list[str]:
        return [str(image["id"]) for image in self._images(request)]

    def _images(self, request: BuildRequest) -> list[dict[str, Any]]:
        """Images of the request's name and inputs, the newest first."""
        wanted = {
            "name": request.name,
            "properties": f"{INPUTS_PROPERTY}={request.inputs}",
            "orderBy": "CreatedAtDesc",
            "count": "20",
        }
        images: list[dict[str, Any]] = self._workspace.get("/images", wanted)["value"]
        return images
