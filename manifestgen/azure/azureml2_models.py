"""The registered models of an Azure ML workspace, through azure-ai-ml, the SDK of the second version of its API.

The SDK is asked for models and datastores. Files go to and from the datastore with azure-storage-blob, on which the SDK
depends: the SDK itself holds a whole file in memory, and sends with its own transport.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import RetryPolicy

from manifestgen.azure import aml_sdk
from manifestgen.azure.aml_answer import LATER, NETWORK
from manifestgen.azure.answer import decoded
from manifestgen.azure.auth import credential as default_credential
from manifestgen.azure.auth import tokens_of
from manifestgen.azure.azureml2_errors import translated
from manifestgen.azure.azureml2_storage import Datastore, place_of
from manifestgen.azure.patience import Patience
from manifestgen.azure.sdk_error import SdkError
from manifestgen.azure.transport import RetryingTransport, azure_core_transport
from manifestgen.cloud import SHA256_PROPERTY, ModelRegistration, RegisteredModel
from manifestgen.errors import CloudError, InputError, NotFoundError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import TokenCredential

    from manifestgen.project.workspace import WorkspaceId

_NAME: Final = "Azure ML"
PATIENCE: Final = Patience(answer=60.0)

# Two clients that register at once choose the same next version, which only one of them gets.
_TRIES: Final = 5
_TAKEN: Final = "paths cannot be updated"
# A model is missing with another code than the workspace that it would be in.
_PLACE_CODES: Final = frozenset({"ResourceNotFound", "ResourceGroupNotFound", "SubscriptionNotFound"})


class _Created(msgspec.Struct):
    """The fields that we use of the SDK's `SystemData`."""

    created_at: datetime | None = None


class _Model(msgspec.Struct):
    """The fields that we use of the SDK's `Model`."""

    name: str
    version: str
    path: str | None
    description: str | None
    tags: dict[str, str | None] | None
    properties: dict[str, str | None] | None
    creation_context: _Created | None = None


class WorkspaceModels2:
    """Implements `manifestgen.cloud.ModelSource`.

    Args:
        place: the workspace; is called when it is first needed.
        credential: of azure-identity; None for that of `manifestgen.azure.auth`.
        patience: how long to wait for an answer, and to repeat what failed.

    Raises by every method:
        InputError: azure-ai-ml is not installed.
        NotFoundError, DeniedError, CloudError: the workspace cannot be read, or its storage.
    """

    registers: Final = True

    def __init__(
        self,
        place: Callable[[], WorkspaceId],
        credential: TokenCredential | None = None,
        *,
        patience: Patience | None = None,
    ) -> None:
        self._place = place
        self._given = credential
        self._patience = (patience or PATIENCE).scaled()

    @cached_property
    def where(self) -> str:
        """How errors name the workspace."""
        return f"workspace {self._place().name}"

    @cached_property
    def _credential(self) -> TokenCredential:
        return self._given if self._given is not None else default_credential()

    @cached_property
    def _client(self) -> MLClient:
        try:
            from azure.ai.ml import MLClient
        except ModuleNotFoundError as error:
            raise InputError(
                "Azure ML support is not installed", fix="run: pip install 'manifestgen[azureml2]'"
            ) from error
        aml_sdk.listen("azure.ai.ml")
        place = self._place()
        with self._translated():
            return MLClient(
                self._credential,
                place.subscription_id,
                place.resource_group,
                place.name,
                transport=azure_core_transport(self._transport(_NAME)),
                retry_policy=RetryPolicy.no_retries(),
                enable_telemetry=False,
                show_progress=False,
            )

    def _transport(self, name: str) -> RetryingTransport:
        return RetryingTransport(name, self._patience, tokens=tokens_of(self._credential))

    def find(self, name: str, version: str | None = None) -> RegisteredModel:
        """See `ModelSource.find`."""
        return _registered(self._found(name, version))

    def _found(self, name: str, version: str | None) -> _Model:
        models = self._client.models
        from azure.ai.ml.exceptions import ValidationException

        missing = NotFoundError(
            f"model {name if version is None else f'{name}:{version}'!r} is not registered",
            where=self.where,
            fix="set model.path to register one, or see 'manifestgen model list'",
        )
        with self._translated():
            try:
                found = models.get(name, version=version) if version else models.get(name, label="latest")
            except ValidationException as error:  # what the SDK makes of a name without versions
                raise missing from SdkError(error)
            except HttpResponseError as error:
                if not _is_missing_model(error):
                    raise
                raise missing from SdkError(error)
        return self._model(found)

    def list(self, name: str | None = None) -> Sequence[RegisteredModel]:
        """See `ModelSource.list`."""
        models = self._client.models
        with self._translated():
            names = [name] if name is not None else sorted(str(one.name) for one in models.list())
            listed = [version for one in names for version in self._versions(one)]
        found = [_registered(self._model(one)) for one in listed]
        return sorted(found, key=lambda model: (model.name, -_number(model.version)))

    def _versions(self, name: str) -> Sequence[Any]:
        try:
            return [*self._client.models.list(name=name)]
        except HttpResponseError as error:
            if not _is_missing_model(error):
                raise
            return []

    def register(self, registration: ModelRegistration) -> RegisteredModel:
        """See `ModelSource.register`.

        The files' path has the hash of their content, so that an interrupted upload resumes.
        """
        client = self._client
        from azure.ai.ml.entities import Model

        path = registration.path
        if not path.exists():
            raise InputError("model not found", where=str(path), fix="correct model.path")
        if path.is_dir() and not any(child.is_file() for child in path.rglob("*")):
            raise InputError("the model's folder is empty", where=str(path), fix="save the model there first")
        with self._translated():
            store = self._datastore(client.datastores.get_default(include_secrets=True))
        target = f"LocalUpload/{registration.sha256}/{_name_of(path)}"
        store.upload(path, target)
        for _ in range(_TRIES):
            # A new object each time: the SDK writes the version that it has chosen into it.
            model = Model(
                name=registration.name,
                path=f"azureml://datastores/{store.name}/paths/{target}",
                type="mlflow_model" if (path / "MLmodel").is_file() else "custom_model",
                tags=dict(registration.tags),
                properties={SHA256_PROPERTY: registration.sha256},
                description=registration.description,
            )
            try:
                with self._translated():
                    return _registered(self._model(client.models.create_or_update(model)))
            except CloudError as error:
                if _TAKEN not in error.what:
                    raise
                taken = error
        raise taken

    def download(self, model: RegisteredModel, folder: Path) -> Path:
        """See `ModelSource.download`."""
        found = self._found(model.name, model.version)
        name, path = place_of(found.path or "", self.where)
        with self._translated():
            store = self._datastore(self._client.datastores.get(name, include_secrets=True))
        return store.download(path, folder)

    def _datastore(self, found: Any) -> Datastore:
        return Datastore(found, self._credential, self._transport("Azure Blob Storage"))

    def _model(self, found: Any) -> _Model:
        return decoded(found, _Model, service=_NAME, where=self.where)

    def _translated(self) -> AbstractContextManager[None]:
        return translated(_NAME, self.where, self._without_answer)

    def _without_answer(self, words: str) -> CloudError:
        if _TAKEN in words:
            return CloudError(words, where=self.where, fix=LATER)
        return CloudError(f"{_NAME} could not be used: {words}", where=self.where, fix=NETWORK)


def _is_missing_model(error: HttpResponseError) -> bool:
    """Whether the workspace says that it has no such model, rather than ARM that there is no such workspace."""
    code = error.error.code if error.error is not None else None
    return error.status_code == 404 and code not in _PLACE_CODES


def _name_of(path: Path) -> str:
    """Its name, which may be a link's; for a folder such as `..`, the resolved name."""
    return Path(os.path.normpath(path.absolute())).name


def _number(version: str) -> int:
    """A version's place among the others: Azure ML counts them, unless a version is given explicitly."""
    return int(version) if version.isdecimal() else 0


def _registered(found: _Model) -> RegisteredModel:
    return RegisteredModel(
        name=found.name,
        version=found.version,
        tags={name: text or "" for name, text in (found.tags or {}).items()},
        description=found.description or "",
        properties={name: text or "" for name, text in (found.properties or {}).items()},
        created=found.creation_context.created_at if found.creation_context is not None else None,
    )
