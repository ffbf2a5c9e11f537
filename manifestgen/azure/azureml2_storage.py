"""The files of registered models: in a datastore of the workspace, which is a container of Azure Blob Storage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import msgspec

from manifestgen.azure.aml_answer import NETWORK
from manifestgen.azure.answer import decoded
from manifestgen.azure.azureml2_errors import translated
from manifestgen.azure.transport import RetryingTransport, azure_core_transport
from manifestgen.errors import CloudError, InputError, NotFoundError
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

# Bytes of a request or an answer with a piece of a file; the transport takes no answer above 32 MiB.
_PIECE: Final = 8 << 20
_AT_ONCE: Final = 4
_NAME: Final = "Azure Blob Storage"
_ROLE: Final = (
    "give the identity the role 'Storage Blob Data Contributor' on the workspace's storage account, "
    "and allow this network in its firewall"
)
_URI: Final = re.compile(r"azureml://(?:.+/)?datastores/(?P<store>[^/]+)/paths/(?P<path>.+)", re.IGNORECASE)
# Azure Data Lake's mark for an empty blob that represents a folder.
_FOLDER_MARK: Final = "hdi_isfolder"


class _Secret(msgspec.Struct):
    """The fields that we use of a datastore's credentials, which have one of several classes."""

    account_key: str | None = None
    sas_token: str | None = None


class _Store(msgspec.Struct):
    """The fields that we use of the SDK's `AzureBlobDatastore`."""

    name: str
    account_name: str
    container_name: str
    endpoint: str | None = None
    protocol: str | None = None


def place_of(uri: str, where: str) -> tuple[str, str]:
    """Datastore and path of a model's files. Raises CloudError if they are nowhere that can be read."""
    match = _URI.fullmatch(uri)
    if match is None:
        what = f"the model's files are at {uri!r}, which is not a path in a datastore"
        raise CloudError(what, where=where, fix="download the model, and use it with model.path")
    return match["store"], match["path"].strip("/")


class Datastore:
    """A datastore as far as models need it.

    Args:
        found: as azure-ai-ml returned it, with its secret.
        credential: for one that has no secret.
        transport: sends the requests.

    Raises:
        CloudError: it is not a container of Azure Blob Storage.
    """

    def __init__(self, found: Any, credential: TokenCredential, transport: RetryingTransport) -> None:
        if not hasattr(found, "container_name"):
            what = f"datastore {found.name!r} is not in Azure Blob Storage"
            raise CloudError(what, where="model", fix="download the model, and use it with model.path")
        store = decoded(found, _Store, service="Azure ML", where="datastore")
        secret = decoded(found.credentials, _Secret, service="Azure ML", where="datastore")
        self.name = store.name
        self._where = f"datastore {store.name}"
        self._address = (
            f"{store.protocol or 'https'}://{store.account_name}.blob.{store.endpoint or 'core.windows.net'}"
        )
        self._container_name = store.container_name
        key = Secret(secret.account_key or secret.sas_token or "")
        self._credential: Any = key.reveal() or credential
        self._transport = transport

    def _container(self) -> ContainerClient:
        from azure.storage.blob import ContainerClient

        return ContainerClient(
            self._address,
            self._container_name,
            credential=self._credential,
            transport=azure_core_transport(self._transport),
            retry_total=0,
            max_single_get_size=_PIECE,
            max_chunk_get_size=_PIECE,
            max_single_put_size=_PIECE,
            max_block_size=_PIECE,
        )

    def upload(self, source: Path, path: str) -> None:
        """Put a file, or the files of a folder, under a path that no other content has. Existing files are kept.

        Raises:
            InputError: a file cannot be read.
            CloudError: the storage rejected the upload, or could not be reached.
        """
        with self._translated(), self._container() as container:
            there = {blob.name: blob.size for blob in container.list_blobs(name_starts_with=path)}
            for file in [source] if source.is_file() else sorted(one for one in source.rglob("*") if one.is_file()):
                name = path if file == source else f"{path}/{file.relative_to(source).as_posix()}"
                with _opened(file) as data:
                    if there.get(name) != file.stat().st_size:
                        container.upload_blob(name, data, overwrite=True, max_concurrency=_AT_ONCE)

    def download(self, path: str, folder: Path) -> Path:
        """Fetch the file or folder at a path into a folder; returns where it is then.

        Raises:
            NotFoundError: there is nothing.
            InputError: a file cannot be written.
            CloudError: the storage rejected a request, or could not be reached; a name leads out of the folder.
        """
        target = folder / PurePosixPath(path).name
        found = False
        with self._translated(), self._container() as container:
            for blob in container.list_blobs(name_starts_with=path, include=["metadata"]):
                inside = blob.name[len(path) :]
                if (inside and not inside.startswith("/")) or _FOLDER_MARK in (blob.metadata or {}):
                    continue  # another model, whose name begins like this one's; or a folder
                file = self._inside(target, inside)
                with _written(file) as out:
                    container.download_blob(blob.name, max_concurrency=_AT_ONCE).readinto(out)
                found = True
        if not found:
            fix = "register the model again: its files were deleted"
            raise NotFoundError(f"there are no files at {path!r}", where=self._where, fix=fix)
        return target

    def _inside(self, target: Path, inside: str) -> Path:
        parts = inside.strip("/").split("/") if inside else []
        if any(part in ("", ".", "..") or "\\" in part for part in parts):
            fix = "download the model, and use it with model.path"
            raise CloudError(f"the model has a file with the name {inside!r}", where=self._where, fix=fix)
        return target.joinpath(*parts)

    def _translated(self) -> AbstractContextManager[None]:
        return translated(_NAME, self._where, self._without_answer, role=_ROLE)

    def _without_answer(self, words: str) -> CloudError:
        return CloudError(f"{_NAME} could not be reached: {words}", where=self._where, fix=NETWORK)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        data = file.open("rb")
    except OSError as error:
        what = f"could not read the file: {error.strerror}"
        raise InputError(what, where=str(file), fix="check that the file exists and is readable") from error
    with data:
        yield data


@contextmanager
def _written(file: Path) -> Iterator[Any]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            yield out
    except OSError as error:  # the transport raises none
        what = f"could not write the file: {error.strerror or error}"
        raise InputError(what, where=str(file), fix="check that the folder is writable and has free space") from error
