"""Translates what the SDKs of Azure ML's second API raise into ManifestgenError: azure-ai-ml and azure-storage-blob."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

from manifestgen.azure.aml_answer import ROLE, http_error
from manifestgen.azure.answer import not_understood
from manifestgen.azure.sdk_error import SHAPE_ERRORS, SdkError, unquoted
from manifestgen.errors import CloudError, ManifestgenError


@contextmanager
def translated(
    service: str, where: str, without_answer: Callable[[str], CloudError], *, role: str = ROLE
) -> Iterator[None]:
    """Raise what an SDK raises in the block as ours, with the service's words.

    Args:
        service: the name for an answer that is not understood.
        where: what was asked, for the message.
        without_answer: the error for an SDK's words that come with no answer of the service.
        role: the advice for a 403.
    """
    try:
        yield
    except ManifestgenError:
        raise
    except HttpResponseError as error:
        body = str(error.response.text() or "") if error.response is not None else ""
        status = 404 if isinstance(error, ResourceNotFoundError) else error.status_code or 0
        raise http_error(status, body, where, role=role) from SdkError(error)
    except AzureError as error:  # of azure-core, of azure-ai-ml and of azure-storage-blob
        raise without_answer(unquoted(str(error))) from SdkError(error)
    except SHAPE_ERRORS as error:
        raise not_understood(service, where) from SdkError(error)
