"""The bridge: inputs are scored by an HTTP server beside the module instead of by a score.py.

Three kinds of body: `plain` sends an input as it is and takes the answer as it is, which is what Azure ML's server
expects; `mlflow` and `kserve` put it into the form of MLflow's `/invocations` and of KServe's protocol version 2
(Triton, MLServer, OpenVINO), and take the results out again.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .request import BadInput, Request, Response
from .settings import Answer
from .swagger import Swagger

# Statuses of a proxy, or of a server that is starting up.
_AWAY = (502, 503, 504)


class ScorerAway(Exception):
    """The server cannot be reached now. The same request may be sent again."""


class ForwardError(Exception):
    """The server's answer is not a result."""


class Forward:
    """A scorer that asks a server. See `script.Scorer`."""

    batches = True

    def __init__(self, url: str, kind: str, name: str, timeout: float) -> None:
        """Nothing is connected yet.

        Args:
            url: with the path that scores.
            kind: `plain`, `mlflow` or `kserve`.
            name: of the input tensor, for `kserve`.
            timeout: in seconds, for connecting and for each part of an answer.
        """
        parts = urlsplit(url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._host, self._secure = parts.netloc, parts.scheme == "https"
        self._kind, self._name, self._timeout = kind, name, timeout
        self._connection: http.client.HTTPConnection | None = None

    @property
    def swagger(self) -> Swagger:
        """See `script.Scorer`."""
        return Swagger()

    def configure(self, values: Mapping[str, Any]) -> dict[str, Answer]:
        """See `script.Scorer`: a server takes no settings from the twin."""
        return {name: Answer(None, 404, "unknown setting: inputs are forwarded to a server") for name in values}

    def run(self, request: Request) -> Any:
        """See `script.Scorer`. Raises `ScorerAway` and `ForwardError`, too."""
        if self._kind == "plain":
            return self._plain(*self._post(request.data, request.content_type or "application/json"))
        try:
            content = json.loads(request.data)
        except ValueError:
            raise BadInput("the input is not JSON") from None
        pack, unpack = (mlflow_body, mlflow_result) if self._kind == "mlflow" else (self._tensors, kserve_result)
        answer, _ = self._post(json.dumps(pack(content)).encode(), "application/json")
        try:
            return unpack(json.loads(answer), content)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise ForwardError(f"the server's answer is not {self._kind}'s: {answer[:200]!r}") from None

    def close(self) -> None:
        """See `script.Scorer`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @staticmethod
    def _plain(answer: bytes, content_type: str) -> Any:
        if not answer:
            return None
        try:
            return json.loads(answer)
        except ValueError:
            return Response(answer, 200, {"Content-Type": content_type})

    def _tensors(self, content: Any) -> Any:
        return kserve_body(content, self._name)

    def _post(self, body: bytes, content_type: str) -> tuple[bytes, str]:
        try:
            response, answer = self._send(body, content_type)
        except socket.timeout:
            self.close()
            raise ForwardError(f"the server at {self._host} did not answer within {self._timeout:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ScorerAway(f"the server at {self._host} is not reachable: {error}") from error
        if response.status in _AWAY:
            raise ScorerAway(f"the server at {self._host} answered with status {response.status}")
        if not 200 <= response.status < 300:
            text = answer[:200].decode("utf-8", "replace")
            raise ForwardError(f"the server answered with status {response.status}: {text}")
        return answer, response.headers.get("Content-Type") or "application/octet-stream"

    def _send(self, body: bytes, content_type: str) -> tuple[http.client.HTTPResponse, bytes]:
        headers = {"Content-Type": content_type}
        if self._connection is not None:
            try:
                return self._exchange(self._connection, body, headers)
            except (http.client.RemoteDisconnected, ConnectionError):
                self.close()  # the server closed it while it was idle
        self._connection = self._connect()
        return self._exchange(self._connection, body, headers)

    def _exchange(
        self, connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection.request("POST", self._path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.will_close:
            self.close()
        return response, answer

    def _connect(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(self._host, timeout=self._timeout, context=ssl.create_default_context())
        return http.client.HTTPConnection(self._host, timeout=self._timeout)


def mlflow_body(content: Any) -> Any:
    """An input in MLflow's format; an input that has it already is unchanged."""
    forms = {"dataframe_split", "dataframe_records", "instances", "inputs"}
    if isinstance(content, dict):
        return content if forms & content.keys() else {"dataframe_records": [content]}
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        return {"dataframe_records": content}
    return {"inputs": content}


def mlflow_result(answer: Any, content: Any) -> Any:
    """The predictions; the only one for a single row."""
    predictions = answer["predictions"]
    single = (
        isinstance(content, dict) and "dataframe_records" in mlflow_body(content) and content != mlflow_body(content)
    )
    return predictions[0] if single and isinstance(predictions, list) and len(predictions) == 1 else predictions


def kserve_body(content: Any, name: str) -> Any:
    """An input as KServe's protocol takes it: an object's fields are tensors, numbers are one of the name given.

    Raises:
        BadInput: it is neither.
    """
    if isinstance(content, dict) and isinstance(content.get("inputs"), list):
        return content
    rows = content if isinstance(content, list) else [content]
    if rows and all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows):
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        return {"inputs": [_tensor(key, values) for key, values in columns.items()]}
    return {"inputs": [_tensor(name, rows if not _is_scalar_list(rows) else [rows])]}


def kserve_result(answer: Any, content: Any) -> Any:
    """The outputs by name, without their outer dimension; a list of them for a list of objects."""
    outputs = {output["name"]: _nested(output["data"], output["shape"]) for output in answer["outputs"]}
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        return [{name: values[index] for name, values in outputs.items()} for index in range(len(content))]
    return {name: values[0] if len(values) == 1 else values for name, values in outputs.items()}


def _is_scalar_list(rows: list[Any]) -> bool:
    return not any(isinstance(row, (list, dict)) for row in rows)


def _tensor(name: str, values: list[Any]) -> Any:
    shape, flat = _flattened(values)
    kinds = {bool} if any(isinstance(v, bool) for v in flat) else {type(v) for v in flat}
    datatype = {frozenset({bool}): "BOOL", frozenset({int}): "INT64", frozenset({str}): "BYTES"}.get(frozenset(kinds))
    if datatype is None:
        if not kinds <= {int, float}:
            raise BadInput(f"the field {name!r} is neither numbers nor strings nor booleans")
        datatype = "FP64"
    return {"name": name, "shape": shape, "datatype": datatype, "data": flat}


def _flattened(values: Any) -> tuple[list[int], list[Any]]:
    if not isinstance(values, list):
        return [], [values]
    parts = [_flattened(value) for value in values]
    if any(shape != parts[0][0] for shape, _ in parts):
        raise BadInput("the arrays of the input have different lengths")
    inner = parts[0][0] if parts else []
    return [len(values), *inner], [value for _, flat in parts for value in flat]


def _nested(data: list[Any], shape: list[int]) -> Any:
    if len(shape) <= 1 or any(isinstance(value, list) for value in data):
        return data
    size = len(data) // shape[0] if shape[0] else 0
    return [_nested(data[index * size : (index + 1) * size], shape[1:]) for index in range(shape[0])]
