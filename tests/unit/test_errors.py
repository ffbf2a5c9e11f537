from __future__ import annotations

import re

import pytest

from manifestgen import errors
from manifestgen.errors import CloudError, FoundError, InputError, ManifestgenError


def _tree(kind: type[ManifestgenError]) -> list[type[ManifestgenError]]:
    """The errors of the module `errors`; others are refinements that live where they are raised."""
    below = (found for sub in kind.__subclasses__() if sub.__module__ == errors.__name__ for found in _tree(sub))
    return [kind, *below]


def test_where_comes_first() -> None:
    error = InputError("'image' is undefined", where="single.json.j2:3", fix="add the value")
    assert str(error) == error.message == "single.json.j2:3: 'image' is undefined"
    assert error.fix == "add the value"


def test_without_a_where_only_what_is_said() -> None:
    assert str(CloudError("no answer", fix="try again")) == "no answer"


def test_details_are_not_part_of_the_message() -> None:
    error = FoundError("the build failed", fix="read the log", detail=("line 1", "line 2"))
    assert str(error) == "the build failed"
    assert error.detail == ("line 1", "line 2")


@pytest.mark.parametrize("kind", _tree(ManifestgenError)[1:], ids=lambda kind: kind.__name__)
def test_the_tree_in_the_docstring_is_the_tree(kind: type[ManifestgenError]) -> None:
    assert errors.__doc__ is not None
    line = re.search(rf"^( *)[│ ]*[├└]── {kind.__name__}\b(.*)$", errors.__doc__, re.MULTILINE)
    assert line is not None
    told = re.search(r"exit (\d+)", line[2])
    if told is not None:
        assert kind.exit_code == int(told[1])
    else:
        # A kind of another error is told apart by its name, not by its exit code.
        (base,) = (other for other in (CloudError, FoundError) if other is kind.__base__)
        assert kind.exit_code == base.exit_code


def test_every_error_of_the_user_has_one_of_the_promised_exit_codes() -> None:
    assert {kind.exit_code for kind in _tree(ManifestgenError)} == {1, 2, 3, 130}
