"""Every error that a user can cause: what happened and where, then what to do.

    ManifestgenError
    ├── InputError          exit 2   a file, a value or an option is wrong
    │   └── NoSnapshotError          (in `state`) there is no snapshot to roll back to
    ├── FoundError          exit 1   the command completed, and the result is bad: a failed build, an unhealthy rollout
    │   ├── ReplacedError            the modules set on a device have been replaced since
    │   └── DeclinedError            the user answered no
    ├── CloudError          exit 3   a service rejected the request, or could not be reached
    │   ├── NotFoundError            the requested resource does not exist
    │   ├── DeniedError              401 or 403
    │   ├── OfflineError             the device is not connected
    │   ├── UnconfirmedError         a change was sent, and the response was lost
    │   └── BusyError                nothing was done, and the same request may succeed later
    └── Interrupted         exit 130 Ctrl-C

Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class ManifestgenError(Exception):
    """An expected error.

    Attributes:
        where: the file, JSON Pointer, device, workspace… with the problem; may be empty.
        what: one sentence, lower-case, without a full stop.
        fix: what the user can do about it, in the imperative mood.
        options: alternative fixes, each with a command-line option, such as `wait longer with --timeout`. Code
            that raises an error does not know which command runs: the command line shows the first that it has.
        detail: more lines, such as the end of a build log; shown unless the user has seen them already.
    """

    exit_code: ClassVar[int] = 2
    #: The kind of error in JSON documents; a stable name.
    code: ClassVar[str] = "error"

    def __init__(
        self,
        what: str,
        *,
        fix: str,
        where: str = "",
        options: tuple[str, ...] = (),
        detail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what)
        self.where = where
        self.what = what
        self.fix = fix
        self.options = options
        self.detail = detail

    @property
    def message(self) -> str:
        """`WHERE: WHAT`, or only `WHAT`."""
        return f"{self.where}: {self.what}" if self.where else self.what

    def __str__(self) -> str:
        return self.message


class InputError(ManifestgenError):
    """A file, a value or an option that the user gave is wrong."""

    code = "input"


class FoundError(ManifestgenError):
    """The command completed, and the result is bad."""

    exit_code = 1
    code = "found"


class ReplacedError(FoundError):
    """Other modules were set on the device in the meantime."""

    code = "replaced"


class DeclinedError(FoundError):
    """The user answered no: the changes were shown, and nothing was changed."""

    code = "declined"


class CloudError(ManifestgenError):
    """A service rejected the request or could not be reached."""

    exit_code = 3
    code = "cloud"


class NotFoundError(CloudError):
    """The service does not have the requested resource."""

    code = "not-found"


class DeniedError(CloudError):
    """The service does not accept the credential, or the credential lacks a role."""

    code = "denied"


class OfflineError(CloudError):
    """The device is not connected to the hub."""


class UnconfirmedError(CloudError):
    """A change was sent, and the response was lost: read the state before retrying."""

    code = "unconfirmed"


class BusyError(CloudError):
    """The service throttled the request or could not be reached, and did nothing; a retry may succeed.

    Attributes:
        retry_after: seconds that the service asks to wait; None if it does not say.
        throttled: whether the service throttled the request, rather than failed.
    """

    code = "busy"

    def __init__(
        self, what: str, *, fix: str, where: str = "", retry_after: float | None = None, throttled: bool = False
    ) -> None:
        super().__init__(what, fix=fix, where=where)
        self.retry_after = retry_after
        self.throttled = throttled


class Interrupted(ManifestgenError):
    """The user stopped the command; `what` says how far it had got."""

    exit_code = 130
    code = "interrupted"


def os_reason(error: OSError) -> str:
    """The reason that the operating system gives, in lower case, for the end of a message."""
    return (error.strerror or str(error)).lower()
