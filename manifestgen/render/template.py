"""Renders templates: finds and runs them, parses their output into a manifest, and locates mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.utils import missing
from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest import create_options
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.registries import image_hosts
from manifestgen.render.context import with_modules
from manifestgen.render.environment import Environment, MissingError, TracingEnvironment
from manifestgen.render.limits import LimitError, limited
from manifestgen.render.registry import Login, entries, fill
from manifestgen.render.splice import MARKS, line_at, text_of
from manifestgen.secret import redact

SUFFIX: Final = ".json.j2"
_PACKAGE: Final = Path(__file__).resolve().parent.parent

# Errors of a template's own expressions, besides Jinja's: adding text and number, dividing by zero…
_TEMPLATE_FAULTS: Final = (
    jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError,
    MemoryError,
)  # fmt: skip


class UndefinedValueError(InputError):
    """A template uses an undefined value.

    Attributes:
        name: of the value, such as `image` or `site.name`.
    """

    def __init__(self, name: str, what: str, *, where: str) -> None:
        super().__init__(what, where=where, fix="add the value, or give it a default in the template")
        self.name = name


def builtin_templates() -> Path:
    """The folder of built-in templates: inside the wheel, or beside the package in a checkout."""
    packaged = _PACKAGE / "templates"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "templates"


def builtin_names() -> tuple[str, ...]:
    """The names of the built-in templates."""
    files = builtin_templates().glob(f"[!_]*{SUFFIX}")  # the others are parts of templates
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in files))


def builtin_name(name: str) -> str:
    """Validate the name of a built-in template.

    Raises:
        InputError: there is none; the fix suggests the nearest.
    """
    names = builtin_names()
    if name in names:
        return name
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    fix = (
        f"did you mean '{near[0]}'?" if near else f"use a built-in one ({', '.join(names)}), or pass the path of a file"
    )
    raise InputError(f"template '{name}' not found", fix=fix)


class Template(Struct, frozen=True):
    """A compiled template. Rendering does not change it, so it can be reused for many devices.

    Attributes:
        name: as messages show it.
    """

    name: str
    _file: str
    _folders: tuple[Path, ...]
    _environment: Environment
    _compiled: jinja2.Template

    def render(self, values: Mapping[str, Any], logins: Mapping[str, Login] | None = None) -> Manifest:
        """Render a manifest; the same values and logins give the same manifest, in the same order.

        Args:
            values: the names that the template can use, see `context_of`; plain JSON data. Without `modules`, they
                belong to one module.
            logins: login for each registry host. `registryCredentials` gets an entry only for hosts that an image
                names.

        Raises:
            UndefinedValueError: the template uses an undefined value.
            InputError: the template fails in another way, or its output is not a manifest's JSON; with the
                template's line.
        """
        logins, values = logins or {}, with_modules(values)
        manifest = self._once(values, logins)
        used = {host: login for host, login in logins.items() if host.lower() in image_hosts(manifest)}
        if len(used) < len(logins):
            manifest = self._once(values, used)
        return Manifest.of(manifest.data) if fill(manifest, used) else manifest

    def sources(self) -> Iterator[tuple[str, nodes.Template] | None]:
        """Text and syntax tree of this template and of those that it extends, includes or imports.

        None stands for a template named by an expression, which is known only while rendering.
        """
        from jinja2 import meta

        loader = _loader(self._folders)
        waiting: list[str | None] = [self._file]
        for file in waiting:
            try:
                text = None if file is None else loader.get_source(self._environment, file)[0]
            except jinja2.TemplateNotFound:
                text = None
            if text is None:
                yield None
                continue
            tree = self._environment.parse(text)
            yield text, tree
            waiting += [name for name in meta.find_referenced_templates(tree) if name not in waiting]

    def _once(self, values: Mapping[str, Any], logins: Mapping[str, Login]) -> Manifest:
        data = self._data({**values, "registry_credentials": entries(logins)})
        try:
            manifest = Manifest.of(data)
            if _write_options(manifest):
                manifest = Manifest.of(data)
        except InputError as error:
            raise InputError(error.what, where=error.where or self.name, fix=error.fix) from error
        return manifest

    def _data(self, values: Mapping[str, Any]) -> Any:
        text = text_of(self._run(self._compiled, values))
        try:
            return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            what, position = f"{error.msg[:1].lower()}{error.msg[1:]}", error.pos
        except _BadJsonError as error:
            what, position = str(error), None
        except (RecursionError, ValueError):
            what, position = "nested too deeply or a number too long", None
        where = self.name if position is None else self._where(values, position)
        raise InputError(
            f"the template's output is not JSON: {what}",
            where=where,
            fix="check the commas, quotes and brackets of the template on this line and just before it",
        )

    def _run(self, compiled: jinja2.Template, values: Mapping[str, Any]) -> str:
        try:
            with limited():
                return compiled.render(values)
        except MissingError as error:
            name = _full_name(error, values)
            raise UndefinedValueError(name, f"'{name}' is undefined", where=self._line_of(error)) from error
        except jinja2.TemplateSyntaxError as error:
            raise _syntax_error(error, _shown(error.filename or error.name or self.name)) from error
        except jinja2.TemplateNotFound as error:
            what = f"template '{error.name}' not found" if error.name else "an included template is not found"
            fix = "write its path from the template's folder, or the name of a built-in template with .json.j2"
            raise InputError(what, where=self._line_of(error), fix=fix) from error
        except LimitError as error:
            fix = "make the template's loops, texts and lists smaller"
            raise InputError(str(error), where=self._line_of(error), fix=fix) from error
        except _TEMPLATE_FAULTS as error:
            what = redact(str(error)) if str(error) else type(error).__name__
            what = f"{what[:1].lower()}{what[1:]}".rstrip(".")
            raise InputError(what, where=self._line_of(error), fix="correct the expression in this line") from error

    def _line_of(self, error: BaseException) -> str:
        """The innermost line of a template in an error's traceback."""
        where = self.name
        traceback = error.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if "__jinja_exception__" in frame.f_globals:  # Jinja's own frames for lines of templates
                where = f"{_shown(frame.f_code.co_filename)}:{traceback.tb_lineno}"
            traceback = traceback.tb_next
        return where

    def _where(self, values: Mapping[str, Any], position: int) -> str:
        """The template line that produced a position of the text, found by rendering again with line marks."""
        tracing = TracingEnvironment(_loader(self._folders))
        try:
            with limited():
                found = line_at(tracing.get_template(self._file).render(values), position)
        except _TEMPLATE_FAULTS:
            return self.name  # the file has changed in between
        if found is None:
            return self.name
        name = tracing.template_of(found[0])
        return f"{self.name if name == self._file else name}:{found[1]}"


def load_template(template: str | Path, root: Path = Path()) -> Template:
    """Find and compile a template.

    Args:
        template: a built-in name, or the path of a file.
        root: folder that a relative path starts from.

    Raises:
        InputError: the template does not exist or is not Jinja; with its line.
    """
    path = root / template
    if path.is_file():
        return _compile(str(path), path.name, (path.parent, builtin_templates()))
    if str(template).endswith(".j2") or len(Path(template).parts) > 1:
        raise InputError("template not found", where=str(path), fix="correct the path of the template")
    file = f"{builtin_name(str(template))}{SUFFIX}"
    return _compile(file, file, (builtin_templates(),))


def render(
    template: str | Path,
    values: Mapping[str, Any],
    *,
    root: Path = Path(),
    logins: Mapping[str, Login] | None = None,
) -> Manifest:
    """Render a template once: `load_template`, then `Template.render`."""
    return load_template(template, root).render(values, logins)


def _loader(folders: Sequence[Path]) -> jinja2.FileSystemLoader:
    # Some editors begin a file with a byte order mark, which would be text of the template.
    return jinja2.FileSystemLoader(folders, encoding="utf-8-sig")


def _compile(shown: str, file: str, folders: tuple[Path, ...]) -> Template:
    loader = _loader(folders)
    environment = Environment(loader)
    try:
        text, _, _ = loader.get_source(environment, file)
        if found := MARKS.search(text):
            line = text.count("\n", 0, found.start()) + 1
            what = f"the template contains the noncharacter U+{ord(found.group()):04X}"
            raise InputError(what, where=f"{shown}:{line}", fix="remove it; Unicode reserves it for internal use")
        compiled = environment.get_template(file)
    except jinja2.TemplateSyntaxError as error:
        raise _syntax_error(error, shown) from error
    except UnicodeDecodeError as error:
        raise InputError("the template is not UTF-8 text", where=shown, fix="save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"the template cannot be read: {error.strerror}", where=shown, fix="check it") from error
    except RecursionError as error:
        raise InputError("the template is nested too deeply", where=shown, fix="flatten it") from error
    return Template(shown, file, folders, environment, compiled)


def _syntax_error(error: jinja2.TemplateSyntaxError, shown: str) -> InputError:
    what = (error.message or "not a template").rstrip(".")
    return InputError(
        f"not a template: {what[:1].lower()}{what[1:]}",
        where=f"{shown}:{error.lineno}",
        fix="correct the template; https://jinja.palletsprojects.com/templates/ has the syntax",
    )


def _shown(file: str) -> str:
    """A template's file for messages: a built-in one by its name."""
    path = Path(file)
    return path.name if path.parent == builtin_templates() else str(path)


class _BadJsonError(Exception):
    """JSON that only Python accepts."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _BadJsonError(f"the key '{redact(twice)}' is given twice in one object")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise _BadJsonError(f"{name} is not JSON")


def _write_options(manifest: Manifest) -> bool:
    """Convert createOptions that are objects, or too long for one string in IoT Hub, into strings; in place.

    Returns:
        Whether anything changed.
    """
    changed = False
    for module in manifest.modules():
        settings = module.settings
        if not isinstance(settings, dict) or "createOptions" not in settings:
            continue
        written = create_options.with_text_options(settings)
        text = written.get("createOptions")
        if isinstance(text, str) and len(create_options.keys(written)) == 1:
            options = create_options.split(text)
            written = {
                name: part
                for key, value in written.items()
                for name, part in (options.items() if key == "createOptions" else ((key, value),))
            }
        if written != settings:
            settings.clear()
            settings.update(written)
            changed = True
    return changed


def _full_name(error: MissingError, values: Mapping[str, Any]) -> str:
    """`site.name` for `name` looked up in the value of `site`."""
    if error.holder is missing or error.holder is None:
        return str(error.name)
    name = f"[{error.name}]" if isinstance(error.name, int) else f".{error.name}"
    owner = next(_paths_to(error.holder, values), None)
    full = f"{owner}{name}" if owner else name.removeprefix(".")
    # The value of the only module is given without the module's name.
    return full.removeprefix(f"modules.{values['module']}.") if "module" in values else full


def _paths_to(wanted: object, values: Mapping[str, Any]) -> Iterator[str]:
    """The paths of a value among the values, by identity."""
    open_: list[tuple[str, Any]] = list(values.items())
    while open_:
        path, value = open_.pop(0)
        if value is wanted:
            yield path
        elif isinstance(value, dict):
            open_ += ((f"{path}.{key}", item) for key, item in value.items())
        elif isinstance(value, list):
            open_ += ((f"{path}[{index}]", item) for index, item in enumerate(value))
