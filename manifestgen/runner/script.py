"""score.py: loaded and called by the contract of Azure ML's entry scripts.

The contract is that of azureml-inference-server-http 1.5 (`server/user_script.py`, `server/input_parsers.py`); tests
compare the answers of the two. Beyond it, a script may define `configure`, whose parameters are the settings that it
takes from the twin's desired properties.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from .errors import ScorerError
from .log import logger
from .request import BadInput, Request, forget_rawhttp, provide_stand_ins, rawhttp_requested
from .settings import REPORTED, RESERVED, Answer
from .swagger import Swagger

_HEADERS = "request_headers"
_MODULE = "entry_module"

# Names of a version of Swagger.
_SHORT = {"2.0": "2", "3.0": "3"}


class Scorer(Protocol):
    """Answers inputs. Called in the main thread only, one call at a time."""

    batches: bool
    """Whether an input may be an array of inputs."""

    def run(self, request: Request) -> Any:
        """The result: None, anything that JSON can represent, or a response with `status_code` and `get_data()`.

        Raises:
            BadInput: the input does not fit.
            Exception: whatever the scorer raises.
        """
        ...

    def configure(self, values: Mapping[str, Any]) -> dict[str, Answer]:
        """Apply settings; an answer for each."""
        ...

    @property
    def swagger(self) -> Swagger:
        """The scorer's description of its inputs and results."""
        ...

    def close(self) -> None:
        """Release resources; `run` is not called again."""
        ...


class Script:
    """A loaded score.py. `init` has not been called yet."""

    def __init__(self, path: Path) -> None:
        """Load it.

        Raises:
            ScorerError: it is missing, cannot be imported, or breaks the contract.
        """
        self._path = path
        provide_stand_ins()
        forget_rawhttp()
        module = _load(path)
        for name in ("init", "run"):
            if not callable(getattr(module, name, None)):
                raise ScorerError(f"{path} defines no function {name}()")
        # Some of Azure ML's tools generate a script around the user's: its init counts, the inner run is called.
        inner = getattr(module, "driver_module", None)
        run = inner.run if isinstance(inner, ModuleType) and hasattr(inner, "run") else module.run
        self._init: Callable[[], Any] = module.init
        self._run: Callable[..., Any] = run
        self._call, self.batches = _caller(run)
        self._settings = _Configure(getattr(module, "configure", None))

    def init(self) -> None:
        """Call the script's `init`, then `configure` with its defaults.

        Raises:
            ScorerError: one of them raised; the log has its traceback.
        """
        name = "init"
        try:
            self._init()
            name = "configure"
            self._settings.call({})
        except (Exception, SystemExit) as error:
            raise ScorerError(f"{name}() of {self._path} raised {describe(error)}") from error

    def run(self, request: Request) -> Any:
        """See `Scorer`."""
        return self._call(request)

    def configure(self, values: Mapping[str, Any]) -> dict[str, Answer]:
        """See `Scorer`."""
        return self._settings.apply(values)

    def close(self) -> None:
        """See `Scorer`: a script has nothing to close."""

    @property
    def swagger(self) -> Swagger:
        """See `Scorer`. The schemas are those of inference-schema if `run` is decorated."""
        if not _has_schema(self._run):
            return Swagger(self._path.parent)
        module = sys.modules["inference_schema.schema_util"]
        versions = tuple(_SHORT.get(v, v) for v in module.get_supported_versions(self._run))
        inputs, outputs = module.get_input_schema(self._run), module.get_output_schema(self._run)
        return Swagger(self._path.parent, inputs, outputs, versions)


def describe(error: BaseException) -> str:
    """An exception in one line that is short enough for a log, and for a message."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""  # an exception that cannot say what it is
    return f"{type(error).__name__}: {text[:200]}{'…' if len(text) > 200 else ''}" if text else type(error).__name__


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise ScorerError(f"{path} does not exist: set AML_APP_ROOT and AZUREML_ENTRY_SCRIPT")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # for the modules beside it
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise ScorerError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Decorators look a function's module up there.
    before = sys.modules.get(_MODULE)
    sys.modules[_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        if before is not None:
            sys.modules[_MODULE] = before
        raise ScorerError(f"{path} cannot be imported: {describe(error)}") from error
    return module


def _caller(run: Callable[..., Any]) -> tuple[Callable[[Request], Any], bool]:
    """A function that calls `run` as it is declared; and whether it also takes arrays of inputs."""
    parameters = list(inspect.signature(run).parameters.values())
    usual = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(parameter.kind not in usual for parameter in parameters):
        raise ScorerError("run() cannot have positional-only parameters, *args or **kwargs")
    headers = any(parameter.name == _HEADERS for parameter in parameters)
    inputs = [parameter for parameter in parameters if parameter.name != _HEADERS]
    if not inputs:
        raise ScorerError("run() has no parameter for the input")
    name = inputs[0].name
    raw, typed = rawhttp_requested(), _has_schema(run)
    if raw and typed:
        raise ScorerError("run() cannot be decorated with both @rawhttp and @input_schema")

    def arguments(request: Request) -> dict[str, Any]:
        if raw:
            return {name: request}
        return _typed(request, inputs) if typed else {name: _text(request)}

    if headers:
        return (lambda request: run(**arguments(request), request_headers=dict(request.headers))), not (raw or typed)
    if raw or typed:
        return (lambda request: run(**arguments(request))), False
    return (lambda request: run(**{name: _text(request)})), True


def _text(request: Request) -> str:
    if request.method == "GET":
        return json.dumps(_query(request))
    try:
        return str(request.data, "utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"the input is not UTF-8: {error.reason} at byte {error.start}") from None


def _typed(request: Request, parameters: list[inspect.Parameter]) -> dict[str, Any]:
    content = _query(request) if request.method == "GET" else _object(request)
    found = {}
    for parameter in parameters:
        value = content.get(parameter.name, parameter.default)
        if value is inspect.Parameter.empty:
            raise BadInput(f"the input has no value for the parameter {parameter.name!r}")
        found[parameter.name] = value
    return found


def _object(request: Request) -> dict[str, Any]:
    if not request.is_json:
        raise BadInput("expected the content type application/json", 415)
    try:
        content = json.loads(request.data)
    except ValueError:
        raise BadInput("the input is not JSON") from None
    if not isinstance(content, dict):
        raise BadInput("the input is not a JSON object")
    return content


def _query(request: Request) -> dict[str, Any]:
    """The parameters of a URL, each read as JSON if it is; several of one name are a list."""

    def value(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    return {
        name: value(texts[0]) if len(texts) == 1 else [value(text) for text in texts]
        for name, texts in request.arguments.items()
    }


def _has_schema(run: Callable[..., Any]) -> bool:
    """Whether `run` is decorated by inference-schema, which is loaded only if the script imported it."""
    module = sys.modules.get("inference_schema.schema_util")
    return module is not None and bool(module.is_schema_decorated(run))


class _Configure:
    """A script's `configure`: its parameters' names, defaults and the defaults' types say what it takes."""

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self._function = function if callable(function) else None
        self._parameters: dict[str, inspect.Parameter] = {}
        self._current: dict[str, Any] = {}
        if self._function is None:
            return
        for name, parameter in inspect.signature(self._function).parameters.items():
            if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
                raise ScorerError("configure() cannot have *args or **kwargs: name each setting with its default")
            if parameter.default is inspect.Parameter.empty:
                raise ScorerError(f"configure()'s parameter {name!r} needs a default")
            if name in RESERVED | REPORTED:
                raise ScorerError(f"configure()'s parameter {name!r} is the name of a setting of the runner")
            self._parameters[name] = parameter
        self._current = {name: parameter.default for name, parameter in self._parameters.items()}

    def call(self, values: Mapping[str, Any]) -> None:
        """Call it with these values and defaults for the others."""
        if self._function is None:
            return
        full = {name: values.get(name, parameter.default) for name, parameter in self._parameters.items()}
        self._function(**full)
        self._current = full

    def apply(self, values: Mapping[str, Any]) -> dict[str, Answer]:
        """Check values and call it if anything changes; an answer for each value."""
        answers: dict[str, Answer] = {}
        accepted: dict[str, Any] = {}
        for name, value in values.items():
            if name not in self._parameters:
                answers[name] = Answer(None, 404, _unknown(name, {*self._parameters, *RESERVED}))
            elif (why := _mismatch(value, self._parameters[name].default)) is not None:
                answers[name] = Answer(self._current[name], 400, why)
            else:
                accepted[name] = value
        defaults = {name: parameter.default for name, parameter in self._parameters.items()}
        failed = ""
        if {**defaults, **accepted} != self._current:
            try:
                self.call(accepted)
            except Exception as error:
                logger.error("configure() raised %s", describe(error), exc_info=True)
                failed = f"configure() raised {describe(error)}"
        for name in accepted:
            answers[name] = Answer(self._current[name], 400 if failed else 200, failed)
        return answers


def _unknown(name: str, known: set[str]) -> str:
    match = difflib.get_close_matches(name, known, 1)
    return "unknown setting" + (f": did you mean {match[0]}?" if match else "")


def _mismatch(value: Any, default: Any) -> str | None:
    """Why a value is not of its default's type; None if it is. A default of None takes any value."""
    kinds: tuple[tuple[type, tuple[type, ...], str], ...] = (
        (bool, (bool,), "true or false"),
        (int, (int,), "a whole number"),
        (float, (int, float), "a number"),
        (str, (str,), "a string"),
        (dict, (dict,), "an object"),
        (list, (list,), "an array"),
        (tuple, (list,), "an array"),
    )
    for kind, allowed, words in kinds:
        if isinstance(default, kind):
            fits = isinstance(value, allowed) and (kind is bool or not isinstance(value, bool))
            return None if fits else f"expected {words}"
    return None
