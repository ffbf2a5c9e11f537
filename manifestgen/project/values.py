"""Values for a template: from files and from `KEY=VALUE`, merged so that the last one wins."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.project import source


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings: nested mappings are merged, any other value of `over` replaces that of `base`."""
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = merge(before, value) if both and before is not None else value
    return merged


def given(files: Iterable[str | Path], sets: Iterable[str]) -> dict[str, Any]:
    """The values of a command line, merged; later ones override earlier ones, and `KEY=VALUE` overrides files.

    Args:
        files: paths of values files; see `read_values`.
        sets: texts such as `a.b=1`; see `parse_set`.

    Raises:
        InputError: one of them cannot be read.
    """
    values: dict[str, Any] = {}
    for file in files:
        values = merge(values, read_values(Path(file)))
    for text in sets:
        values = merge(values, parse_set(text))
    return values


def read_values(path: Path) -> dict[str, Any]:
    """The values in a YAML or JSON file.

    Raises:
        InputError: it is missing, does not parse, or is not a mapping.
    """
    text = read_text(path, "values file", limit=source.MAX_BYTES)
    data = _json(text, path) if path.suffix == ".json" else source.parse(text, str(path)).data
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError("the values are not a mapping", where=str(path), fix="write lines of 'name: value'")
    return data


def parse_set(text: str) -> dict[str, Any]:
    r"""`a.b=1` as `{"a": {"b": 1}}`.

    Args:
        text: KEY=VALUE; dots in KEY nest, `\.` is a dot; VALUE is read as YAML.

    Raises:
        InputError: it has no '=', an empty key, or a value that is not YAML.
    """
    name, equals, written = text.partition("=")
    keys = [part.replace("\0", ".") for part in name.replace("\\.", "\0").split(".")]
    if not equals or not all(key.strip() for key in keys):
        # The value is not shown: it may be a secret that should not have been typed here.
        fix = "write --set KEY=VALUE, for example --set ttl=3600 or --set site.name=lab"
        raise InputError(f"'{name}' is not KEY=VALUE", where="--set", fix=fix)
    try:
        value = source.parse(written, f"--set {name}").data
    except InputError as error:
        fix = f"put a string with special characters in quotes: --set {name}='\"…\"'"
        raise InputError(error.what, where=f"--set {name}", fix=fix) from None
    for key in reversed(keys):
        value = {key.strip(): value}
    assert isinstance(value, dict)  # noqa: S101 - there is at least one key
    return value


def _json(text: str, path: Path) -> Any:
    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        data = dict(pairs)
        if len(data) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"key '{twice}' is given twice in one object", where=str(path), fix="keep one of the two")
        return data

    def refuse(constant: str) -> NoReturn:
        raise InputError(f"{constant} is not JSON", where=str(path), fix="write a number, or null")

    try:
        return json.loads(text, object_pairs_hook=mapping, parse_constant=refuse)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        what = f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise InputError(what, where=where, fix="correct the JSON") from None
    except (RecursionError, ValueError) as error:
        fix = "make it flatter, or its numbers shorter"
        raise InputError("nested too deeply, or a number of too many digits", where=str(path), fix=fix) from error
