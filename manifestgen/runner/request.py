"""A request to a scorer from any source: a message, a direct method or HTTP.

Also the little of `azureml_inference_server_http.api` and `azureml.contrib.services` that entry scripts import, for
images in which neither is installed.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

_JSON = "application/json"


class BadInput(Exception):
    """The input cannot be handed to `run`: it is not UTF-8, not JSON, or lacks a parameter.

    Attributes:
        status: the HTTP status that says so.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Headers(MutableMapping[str, str]):
    """Headers whose names ignore case."""

    def __init__(self, items: Mapping[str, str]) -> None:
        self._items = {name.lower(): (name, value) for name, value in items.items()}

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()][1]

    def __setitem__(self, name: str, value: str) -> None:
        self._items[name.lower()] = (name, value)

    def __delitem__(self, name: str) -> None:
        del self._items[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)


class Request:
    """One call of `run`. A `@rawhttp` script gets it in place of Flask's request, and finds the common part of it here.

    Attributes:
        method: GET or POST; a message is a POST.
        path: of the URL.
        query_string: as it came.
    """

    def __init__(
        self, body: bytes, headers: Mapping[str, str], *, method: str = "POST", path: str = "/score", query: str = ""
    ) -> None:
        self._body = body
        self.method, self.path = method, path
        self.query_string = query.encode()
        self._headers = headers

    # Made on demand: a script that takes only the body does not need it.

    @cached_property
    def headers(self) -> Headers:
        """Of HTTP; for a message its properties."""
        return Headers(self._headers)

    @cached_property
    def arguments(self) -> dict[str, list[str]]:
        """The query's parameters, all values of each."""
        return parse_qs(self.query_string.decode(), keep_blank_values=True)

    @cached_property
    def args(self) -> dict[str, str]:
        """The query's parameters, the first value of each."""
        return {name: values[0] for name, values in self.arguments.items()}

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Any:
        """The body, as bytes or as text."""
        return self._body.decode("utf-8", "replace") if as_text else self._body

    @property
    def data(self) -> bytes:
        """The body."""
        return self._body

    @property
    def content_type(self) -> str | None:
        """The header of this name."""
        return self.headers.get("Content-Type")

    @property
    def mimetype(self) -> str:
        """The content type without its parameters."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """Whether the content type says JSON."""
        return self.mimetype == _JSON or (self.mimetype.startswith("application/") and self.mimetype.endswith("+json"))

    @property
    def json(self) -> Any:
        """The body read as JSON."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body read as JSON; None if it is not and `silent`."""
        try:
            if not (force or self.is_json):
                raise BadInput("the content type is not application/json", 415)
            return json.loads(self._body)
        except (BadInput, ValueError):
            if silent:
                return None
            raise

    @property
    def form(self) -> Any:
        """Not there: forms and files of multipart requests are not read."""
        raise NotImplementedError("the runner reads no forms: use get_data(), get_json() or args")

    files = values = form


class Response:
    """Replaces `AMLResponse` without Azure ML's packages."""

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        """The arguments are those of Azure ML's `AMLResponse`."""
        self.status_code = status_code
        self.headers = Headers({"Content-Type": "text/html; charset=utf-8"})
        if message is None or json_str:
            message = json.dumps({} if message is None else message)
            self.headers["Content-Type"] = _JSON
        self._body = message.encode() if isinstance(message, str) else bytes(message)
        self.headers["x-ms-run-function-failed"] = str(run_function_failed)
        for name, value in (response_headers or {}).items():
            self.headers[name] = value

    def get_data(self, as_text: bool = False) -> Any:
        """The body, as bytes or as text."""
        return self._body.decode() if as_text else self._body


_RAW_FLAG = "_rawHttpRequested"
_API = "azureml_inference_server_http.api"
_CONTRIB = "azureml.contrib.services"
_REQUEST_MODULES = (f"{_API}.aml_request", f"{_CONTRIB}.aml_request")
_RESPONSE_MODULES = (f"{_API}.aml_response", f"{_CONTRIB}.aml_response")
_MODULES = (*_REQUEST_MODULES, *_RESPONSE_MODULES)


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Provides the modules if no finder before it does."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name in _MODULES:
            return importlib.machinery.ModuleSpec(name, self)
        if any(module.startswith(name + ".") for module in _MODULES):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__name__ in _REQUEST_MODULES:
            contents: dict[str, Any] = {_RAW_FLAG: False, "rawhttp": _rawhttp_of(module), "AMLRequest": Request}
            vars(module).update(contents)
        elif module.__name__ in _RESPONSE_MODULES:
            vars(module).update(AMLResponse=Response)


def _rawhttp_of(module: types.ModuleType) -> Callable[[Any], Any]:
    def rawhttp(function: Any) -> Any:
        """Mark `run`: it gets the request itself."""
        setattr(module, _RAW_FLAG, True)
        return function

    return rawhttp


def provide_stand_ins() -> None:
    """Let `import azureml_inference_server_http.api.…` work where it is not installed. An installed one wins."""
    if not any(isinstance(finder, _StandIns) for finder in sys.meta_path):
        sys.meta_path.append(_StandIns())


def forget_rawhttp() -> None:
    """Forget that a script was decorated with `@rawhttp`, before another is loaded."""
    for name in _REQUEST_MODULES:
        if name in sys.modules:
            setattr(sys.modules[name], _RAW_FLAG, False)


def rawhttp_requested() -> bool:
    """Whether `@rawhttp` was used since `forget_rawhttp`."""
    return any(getattr(sys.modules.get(name), _RAW_FLAG, False) for name in _REQUEST_MODULES)
