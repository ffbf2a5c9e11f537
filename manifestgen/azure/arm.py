"""Azure Resource Manager: its address, its patience, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

from manifestgen.azure.answer import not_understood
from manifestgen.azure.auth import EXPIRED, LOG_IN_AGAIN
from manifestgen.azure.sdk_error import SHAPE_ERRORS, SdkError, code_of, unquoted, words_of
from manifestgen.errors import CloudError, DeniedError, ManifestgenError, NotFoundError
from manifestgen.waits import waiting

#: Its name in messages.
NAME: Final = "Azure Resource Manager"
URL: Final = "https://management.azure.com"
#: Of the tokens that it takes.
SCOPE: Final = f"{URL}/.default"
#: The api-version for subscriptions.
SUBSCRIPTIONS_VERSION: Final = "2022-12-01"

#: Seconds for a change that the service makes in the background.
OPERATION: Final = 120.0
_ADMIN_OFF: Final = "UnAuthorizedForCredentialOperations"


def done(poller: Any) -> Any:
    """The result of a long-running operation. Raises CloudError if it takes too long."""
    with waiting(NAME, changes=True):
        found = poller.result(timeout=OPERATION)
    if not poller.done():
        raise CloudError(
            f"{NAME} did not finish within {OPERATION:.0f} s",
            fix="check the registry in the portal, then run the same command again",
        )
    return found


@contextmanager
def translated(where: str, role: str) -> Iterator[None]:
    """Translate the SDK's errors into ours, with the service's message; `role` is the advice for a 403."""
    try:
        yield
    except ManifestgenError:
        raise
    except SHAPE_ERRORS as error:
        raise not_understood(NAME, where) from SdkError(error)
    except HttpResponseError as error:
        raise _rejected(error, where, role) from SdkError(error)
    except AzureError as error:
        raise CloudError(
            f"{NAME} could not be reached: {unquoted(str(error))}",
            where=where,
            fix="check the network and HTTPS_PROXY, then try again",
        ) from SdkError(error)


def _rejected(error: HttpResponseError, where: str, role: str) -> CloudError:
    words = words_of(error)
    if code_of(error) == _ADMIN_OFF:
        return DeniedError(
            "the registry's admin user is disabled",
            where=where,
            fix="use registry credentials 'token', 'keyvault', 'env' or 'file', or enable it: "
            "'manifestgen deploy --enable-admin'",
        )
    if error.status_code == 401:
        return DeniedError(f"{EXPIRED}: {words}", where=where, fix=LOG_IN_AGAIN)
    if error.status_code == 403:
        return DeniedError(f"access is denied: {words}", where=where, fix=role)
    if isinstance(error, ResourceNotFoundError) or error.status_code == 404:
        return NotFoundError(
            words, where=where, fix="check the ID; a registry that was moved or recreated has a new one"
        )
    if error.status_code == 429:
        return CloudError(f"too many requests: {words}", where=where, fix="wait a minute, then try again")
    status = f" (status {error.status_code})" if error.status_code else ""
    return CloudError(f"{words}{status}", where=where, fix="try again; if it persists, see https://status.azure.com")
