"""An Azure ML workspace through azureml-core: registered models, and images built from them.

Everything that sends or registers goes through the SDK. Builds are asked for with requests of our own: the SDK's ways
to wait have no end, print to stdout, and need the object that started the build.

What a caller must know of the SDK, 1.61 and before:

- It repeats a POST after a 5xx or a lost answer, so a second version of a model or an image can appear. That is looked
  for after each such call, and said as a warning of the logger `manifestgen.azure.aml`, which the command line shows.
- A 429 is repeated three times; see `aml_sdk` for the pauses.
"""

from __future__ import annotations

import codecs
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from manifestgen.azure import aml_sdk
from manifestgen.azure.aml_workspace import WorkspaceId, find_config, read_config
from manifestgen.cloud import (
    SHA256_PROPERTY,
    Build,
    BuildRequest,
    BuildState,
    BuildStatus,
    ModelRegistration,
    RegisteredModel,
)
from manifestgen.errors import CloudError, DeniedError, InputError, NotFoundError
from manifestgen.project import Project

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_LOG = logging.getLogger("manifestgen.azure.aml")

INPUTS_PROPERTY = "manifestgen.inputs"

# Of the environment of an image that `package` built.
TAGS_VARIABLE = "MANIFESTGEN_IMAGE_TAGS"
DESCRIPTION_VARIABLE = "MANIFESTGEN_IMAGE_DESCRIPTION"
INPUTS_VARIABLE = "MANIFESTGEN_IMAGE_INPUTS"

_OPEN_SECONDS = 180.0
_START_SECONDS = 600.0
_TIMEOUT = (10.0, 60.0)  # to connect, to wait for the next bytes
# For our own questions. Together they bridge some 15 seconds, as long as the SDK bridges for its own.
RETRY = Retry(
    total=4,
    backoff_factor=1.0,
    backoff_max=20.0,
    status_forcelist=(408, 429, 500, 502, 503, 504),
    allowed_methods=("GET",),
    raise_on_status=False,
)
_STATES = {"NotStarted": BuildState.QUEUED, "Running": BuildState.RUNNING, "Succeeded": BuildState.SUCCEEDED}
_DEPRECATED = (
    "builder 'container-image' uses an interface of Azure ML that its makers have deprecated; "
    "builder 'package' makes the same image with its successor"
)
_NO_SERVER = "{} does not name azureml-defaults under pip: without it nothing in the container answers"


# Request, the SDK's model, names of script and conda file in the working directory.
_Start = Callable[[BuildRequest, Any, str, str], Build]


def open_workspace(project: Project, credential: TokenCredential | None = None) -> Workspace:
    """The workspace that a project names; without a section `workspace`, the one of the config.json around it.

    Raises:
        InputError: azureml-core is missing, or config.json is missing or wrong.
        NotFoundError, DeniedError, CloudError: the workspace cannot be read.
    """
    section = project.workspace
    if section is not None and section.name and section.resource_group and section.subscription_id:
        return Workspace(WorkspaceId(section.subscription_id, section.resource_group, section.name), credential)
    start = section.config if section is not None and section.config is not None else project.root
    return Workspace(read_config(find_config(start)), credential)


class Workspace:
    """A workspace that was found; implements `manifestgen.cloud.ImageBuilder`.

    Args:
        place: which one.
        credential: of azure-identity; the one of `manifestgen.azure.auth` if None. Nothing ever logs in interactively.
        retry: how questions about builds are repeated.

    Raises:
        InputError: azureml-core is missing.
        NotFoundError, DeniedError, CloudError: the workspace cannot be read.
    """

    def __init__(self, place: WorkspaceId, credential: TokenCredential | None = None, *, retry: Retry = RETRY) -> None:
        if credential is None:
            from manifestgen.azure.auth import credential as default_credential

            credential = default_credential()
        aml_sdk.load()
        from azureml.core import Workspace as SdkWorkspace
        from azureml.core.authentication import TokenAuthentication

        from manifestgen.azure import aml_errors

        self._errors = aml_errors
        self._where = f"workspace {place.name}"
        chosen = credential

        def token(audience: str) -> str:
            return chosen.get_token(audience.rstrip("/") + "/.default").token

        def open_it() -> Any:
            found = SdkWorkspace.get(
                place.name,
                auth=TokenAuthentication(token),
                subscription_id=place.subscription_id,
                resource_group=place.resource_group,
            )
            # Asks for the addresses of its services, without a timeout; later calls find them in its cache.
            _ = found.service_context
            return found

        with self._errors.translated(self._where), aml_sdk.calling():
            self._sdk = aml_sdk.bounded(open_it, _OPEN_SECONDS, "opening the workspace")
        self._session = requests.Session()
        self._session.mount("https://", HTTPAdapter(max_retries=retry))
        # Characters and bytes of each build log read so far, so that the next piece can be asked for by its range.
        self._read: dict[str, tuple[int, int]] = {}

    def models(self, name: str | None = None) -> Sequence[RegisteredModel]:
        """See `ImageBuilder.models`."""
        from azureml.core.model import Model

        with self._errors.translated(self._where), aml_sdk.calling():
            found = [_registered(model) for model in Model.list(self._sdk, name=name, expand=False)]
        return sorted(found, key=lambda model: (model.name, -model.version))

    def model(self, name: str, version: int | None = None) -> RegisteredModel:
        """See `ImageBuilder.model`."""
        return _registered(self._model(name, version))

    def _model(self, name: str, version: int | None) -> Any:
        from azureml.core.model import Model

        try:
            with self._errors.translated(self._where), aml_sdk.calling():
                return Model(self._sdk, name=name, version=version, expand=False)
        except NotFoundError as error:
            wanted = name if version is None else f"{name}:{version}"
            raise NotFoundError(
                f"no model {wanted!r} is registered",
                where=self._where,
                fix="give model.path to register one, or see 'manifestgen model list' for those there are",
            ) from error

    def register(self, registration: ModelRegistration) -> RegisteredModel:
        """See `ImageBuilder.register`."""
        from azureml.core.model import Model

        # Only the folder: the model's own name may be that of a link.
        path = Path(os.path.normpath(registration.path.absolute()))
        if path.is_dir() and not any(child.is_file() for child in path.rglob("*")):
            raise InputError("the model's folder holds no file", where=str(path), fix="save the model there first")
        before = self._same(registration)
        try:
            # The SDK refuses a model outside the working directory (1.61), whatever the model's size.
            with self._errors.translated(self._where), aml_sdk.calling(path.parent):
                model = Model.register(
                    self._sdk,
                    model_path=path.name,
                    model_name=registration.name,
                    tags=dict(registration.tags),
                    properties={SHA256_PROPERTY: registration.sha256},
                    description=registration.description,
                )
                mine = _registered(model)
        except (DeniedError, NotFoundError):
            raise
        except CloudError:
            taken = [model for version, model in self._same(registration).items() if version not in before]
            if not taken:
                raise
            mine = taken[0]
            _LOG.warning("the answer was lost, but the workspace has registered model %s", mine.id)
        extra = sorted(set(self._same(registration)) - set(before) - {mine.version})
        if extra:
            _LOG.warning(
                "azureml-core repeated a request, so %s was registered more than once: version %s is used, delete %s",
                mine.name,
                mine.version,
                ", ".join(map(str, extra)),
            )
        return mine

    def _same(self, registration: ModelRegistration) -> dict[int, RegisteredModel]:
        """Versions that hold the same content, the newest first."""
        models = self.models(registration.name)
        return {m.version: m for m in models if m.properties.get(SHA256_PROPERTY) == registration.sha256}

    def start(self, request: BuildRequest) -> Build:
        """See `ImageBuilder.start`."""
        model = self._model(request.model.name, request.model.version)
        if request.builder == "package":
            return self._send(request, model, self._start_package)
        _LOG.warning(_DEPRECATED)
        before = self._image_ids(request)
        try:
            build = self._send(request, model, self._start_container_image)
        except (DeniedError, NotFoundError):
            raise
        except CloudError:
            taken = [image for image in self._image_ids(request) if image not in before]
            if not taken:
                raise
            build = Build("container-image", "", taken[0])
            _LOG.warning("the answer was lost, but the workspace builds image %s", build.image)
        extra = [image for image in self._image_ids(request) if image not in (*before, build.image)]
        if extra:
            _LOG.warning(
                "azureml-core repeated a request, so the image is built more than once: %s is used, delete %s",
                build.image,
                ", ".join(extra),
            )
        return build

    def _send(self, request: BuildRequest, model: Any, start: _Start) -> Build:
        """Send what the image is made from, by one of the two builders."""
        with tempfile.TemporaryDirectory(prefix="manifestgen-") as name:
            # A folder of our own: the script must be in the working directory, and what is uploaded tells its path.
            folder = Path(name)
            script = _copied(request.entry_script, folder)
            conda = _copied(request.conda_file, folder)
            with self._errors.translated(self._where), aml_sdk.calling(folder):
                return aml_sdk.bounded(
                    lambda: start(request, model, script, conda), _START_SECONDS, "starting the build"
                )

    def _start_package(self, request: BuildRequest, model: Any, script: str, conda: str) -> Build:
        from azureml.core import Environment
        from azureml.core.model import InferenceConfig, Model

        environment = Environment.from_conda_specification(request.name, conda)
        if "azureml-defaults" not in environment.python.conda_dependencies.serialize_to_string():
            _LOG.warning(_NO_SERVER.format(request.conda_file.name))
        # A package has no tags and no description, and the service keeps no record of it. What travels into the image
        # are the environment's variables, by which the SDK itself tells the image where its entry script is.
        environment.environment_variables = {
            TAGS_VARIABLE: json.dumps(dict(request.tags), sort_keys=True, ensure_ascii=False),
            DESCRIPTION_VARIABLE: request.description,
            INPUTS_VARIABLE: request.inputs,
        }
        package = Model.package(
            self._sdk,
            [model],
            InferenceConfig(entry_script=script, environment=environment, description=request.description),
            image_name=request.name,
            image_label=request.label,
        )
        # The one thing that another process needs has no public name.
        return Build("package", package._operation_id)

    def _start_container_image(self, request: BuildRequest, model: Any, script: str, conda: str) -> Build:
        from azureml.core.image import Image

        from manifestgen.azure.aml_container_image import ScriptBesideDriver

        configuration = ScriptBesideDriver(
            execution_script=script,
            runtime="python",
            conda_file=conda,
            tags=dict(request.tags),
            properties={INPUTS_PROPERTY: request.inputs},
            description=request.description,
        )
        image = Image.create(self._sdk, request.name, [model], configuration)
        return Build("container-image", image._operation_endpoint.rpartition("/")[2], image.id)

    def find(self, request: BuildRequest) -> Build | None:
        """The newest image of these inputs that has not failed.

        The service keeps no record of packages that could be searched: for `package` the answer is always None, and
        whether it is there already is for the registry to tell, by name and label.
        """
        if request.builder == "package":
            return None
        with self._errors.translated(self._where):
            alive = [
                image for image in self._images(request) if _state(image["creationState"]) is not BuildState.FAILED
            ]
        return Build("container-image", "", alive[0]["id"]) if alive else None

    def _image_ids(self, request: BuildRequest) -> list[str]:
        with self._errors.translated(self._where):
            return [str(image["id"]) for image in self._images(request)]

    def _images(self, request: BuildRequest) -> list[dict[str, Any]]:
        """Images of the request's name and inputs, the newest first."""
        wanted = {
            "name": request.name,
            "properties": f"{INPUTS_PROPERTY}={request.inputs}",
            "orderBy": "CreatedAtDesc",
            "count": "20",
        }
        images: list[dict[str, Any]] = self._get("/images", wanted)["value"]
        return images

    def status(self, build: Build) -> BuildStatus:
        """See `ImageBuilder.status`."""
        with self._errors.translated(self._where):
            operation = self._get(f"/operations/{build.operation}") if build.operation else {}
            image = self._get(f"/images/{build.image}") if build.image else {}
        named = operation.get("state") or image.get("creationState")
        state = _state(named)
        if state is BuildState.SUCCEEDED:
            return BuildStatus(state, reference=image.get("imageLocation") or operation.get("resourceLocation") or "")
        if state is BuildState.FAILED:
            return BuildStatus(state, error=_reason(operation.get("error") or image.get("error")) or f"state {named}")
        return BuildStatus(state)

    def log(self, build: Build, offset: int = 0) -> str:
        """See `ImageBuilder.log`."""
        with self._errors.translated(self._where):
            if build.image:
                url = self._get(f"/images/{build.image}").get("imageBuildLogUri")
            else:
                url = self._get(f"/operations/{build.operation}").get("operationLog")
            return self._log_from(str(url), build.image or build.operation, offset) if url else ""

    def _log_from(self, url: str, key: str, offset: int) -> str:
        characters, first = self._read.get(key, (0, 0))
        if characters != offset:
            characters, first = 0, 0
        response = self._session.get(url, headers={"Range": f"bytes={first}-"}, timeout=_TIMEOUT)
        if response.status_code in (404, 416):
            return ""
        if not response.ok:
            raise self._errors.http_error(response.status_code, response.text, self._where)
        # The last character may be incomplete: it then waits for the next call.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(response.content)
        self._read[key] = (characters + len(text), first + len(response.content) - len(decoder.getstate()[0]))
        return text[max(0, offset - characters) :]

    def registry_id(self) -> str | None:
        """See `ImageBuilder.registry_id`."""
        with self._errors.translated(self._where), aml_sdk.calling():
            details = aml_sdk.bounded(self._sdk.get_details, _OPEN_SECONDS, "reading the workspace")
        return details.get("containerRegistry") or None

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """What model management answers to a GET."""
        from azureml._model_management._util import _get_mms_url

        headers = self._sdk._auth_object.get_authentication_header()
        response = self._session.get(_get_mms_url(self._sdk) + path, params=query, headers=headers, timeout=_TIMEOUT)
        if not response.ok:
            raise self._errors.http_error(response.status_code, response.text, self._where)
        return response.json()


def _registered(model: Any) -> RegisteredModel:
    return RegisteredModel(
        name=model.name,
        version=int(model.version),
        tags=dict(model.tags or {}),
        description=model.description or "",
        properties=dict(model.properties or {}),
        created=model.created_time,
    )


def _copied(file: Path, folder: Path) -> str:
    try:
        shutil.copyfile(file, folder / file.name)
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", where=str(file), fix="check its name in the project file"
        ) from error
    return file.name


def _state(named: object) -> BuildState:
    # Failed, TimedOut, Cancelled, and whatever else the service may think of, are not on their way to an image.
    return _STATES.get(str(named), BuildState.FAILED)


def _reason(error: object) -> str:
    if not isinstance(error, dict):
        return str(error or "")
    details = error.get("details")
    more = [str(item.get("message")) for item in details if isinstance(item, dict)] if isinstance(details, list) else []
    return ": ".join(filter(None, (str(error.get("message") or ""), "; ".join(more)))).rstrip(".")
