"""JSON with marks in it as a Jinja template of manifestgen: each mark becomes an expression, all else stays text."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from manifestgen.manifest.dump import dump

# Characters that no text has: they mark the place of an expression until the rest is JSON.
BEGIN: Final = "\ufdd0"
_END: Final = "\ufdd1"
_MEMBER: Final = "\ufdd2"
_MARK: Final = re.compile(f"{BEGIN}(\\d+){_END}")
#: In a loop in place of a member of an object: what says whether a comma follows.
MORE: Final = "{more}"


class Marks:
    """The expressions of a template that is being made.

    An expression is in a string and becomes a part of it. One that ends with `| tojson` and is all of a string
    is the value itself.
    """

    def __init__(self) -> None:
        self._expressions: list[str] = []

    def add(self, expression: str) -> str:
        """The mark for an expression."""
        self._expressions.append(expression)
        return f"{BEGIN}{len(self._expressions) - 1}{_END}"

    def member(self, text: str) -> str:
        """The mark for Jinja text in place of a member of an object: a key, with null as its value."""
        self._expressions.append(text)
        return f"{_MEMBER}{len(self._expressions) - 1}{_END}"

    def template(self, data: Any) -> str:
        """The template for plain JSON data with marks in its keys and strings."""
        text = re.sub(rf"\{{(?=[{{%#{BEGIN}])", '{{ "{" }}', dump(data))
        member = rf'"{_MEMBER}(\d+){_END}": null'
        text = re.sub(f"{member},", partial(self._member, ""), text)
        text = re.sub(member, partial(self._member, "if not loop.last "), text)
        text = re.sub(f'"{_MARK.pattern}"', self._alone, text)
        return _MARK.sub(lambda match: f"{{{{ {self._of(match)} }}}}", text)

    def _of(self, match: re.Match[str]) -> str:
        return self._expressions[int(match[1])]

    def _member(self, more: str, match: re.Match[str]) -> str:
        return self._of(match).replace(MORE, more)

    def _alone(self, match: re.Match[str]) -> str:
        expression = self._of(match)
        return f"{{{{ {expression} }}}}" if expression.endswith("| tojson") else f'"{{{{ {expression} }}}}"'
