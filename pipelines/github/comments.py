"""A plan as a comment on a pull request, written once and updated in place."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

#: Characters of a comment, of which GitHub takes no more.
MOST_CHARACTERS: Final = 65_536
_TIMEOUT: Final = 30
_PAGE: Final = 100
# Beyond these nobody looks for an earlier comment.
_MOST_PAGES: Final = 30


class Refused(Exception):
    """GitHub did not take the comment."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request, and where its comments are.

    Attributes:
        api: address of GitHub's API.
        repository: `OWNER/NAME`.
        number: of the pull request.
    """

    api: str
    repository: str
    number: int

    def put(self, key: str, body: str, token: str) -> str:
        """Write a comment, in place of that with the same key.

        Args:
            key: of the comment: letters, digits, `.`, `_` and `-`.
            body: its markdown.
            token: may write to pull requests.

        Returns:
            `created` or `updated`.

        Raises:
            Refused: GitHub did not take it.
        """
        if not token:
            raise Refused("there is no token; a pull request from a fork gets none that may write")
        mark = f"<!-- manifestgen plan: {key} -->"
        text = f"{mark}\n{body}"
        comments = f"/repos/{self.repository}/issues/{self.number}/comments"
        # Somebody else's comment with our mark is not ours to change.
        own = next((each for each in self._comments(comments, token) if _is_ours(each, mark)), None)
        if own is None:
            self._ask("POST", comments, token, {"body": text})
            return "created"
        self._ask("PATCH", f"/repos/{self.repository}/issues/comments/{int(own['id'])}", token, {"body": text})
        return "updated"

    def _comments(self, path: str, token: str) -> Iterator[Mapping[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            found = self._ask("GET", f"{path}?per_page={_PAGE}&page={page}", token)
            yield from found
            if len(found) < _PAGE:
                return

    def _ask(self, method: str, path: str, token: str, data: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.api}{path}",
            method=method,
            data=json.dumps(data).encode() if data is not None else None,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                "User-Agent": "manifestgen-action",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                why = " (give the job 'pull-requests: write')" if error.code in (401, 403, 404) else ""
                raise Refused(f"GitHub answered {method} with status {error.code}{why}") from error
        except (OSError, ValueError) as error:
            raise Refused(f"GitHub could not be asked: {type(error).__name__}") from error


def of_pull_request(environ: Mapping[str, str]) -> PullRequest | None:
    """The pull request that the job runs for; None for any other event."""
    path, repository = environ.get("GITHUB_EVENT_PATH"), environ.get("GITHUB_REPOSITORY", "")
    if not path or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        return None
    try:
        number = json.loads(Path(path).read_text("utf-8"))["pull_request"]["number"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    api = environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    return PullRequest(api, repository, int(number))


def body_of(markdown: str, graph: str, *, most: int | None = MOST_CHARACTERS - 500) -> str:
    """A comment's text: the plan, and below it the picture.

    Args:
        markdown: of `manifestgen plan`.
        graph: of `manifestgen view`, in mermaid; empty for none.
        most: characters; without room for both the picture goes first, then the end of the plan. None for any number.
    """
    text = f"{markdown.rstrip()}\n"
    if graph:
        drawn = f"{text}\n<details><summary>Picture</summary>\n\n```mermaid\n{graph.rstrip()}\n```\n\n</details>\n"
        if most is None or len(drawn) <= most:
            return drawn
        text += "\nThe picture is too large for a comment; it is in the job's summary.\n"
    remark = "The plan is longer than a comment may be; the whole of it is in the job's summary."
    return text if most is None else shortened(text, most, remark)


def shortened(text: str, most: int, remark: str) -> str:
    """The text, cut at the end of a line if it is longer, with a block of code closed and a remark below."""
    if len(text) <= most:
        return text
    kept, used, fence = [], 0, ""
    for line in text.splitlines(keepends=True):
        used += len(line)
        if used > most - len(remark) - 100:
            break
        kept.append(line)
        if run := re.match(r"(`{3,})", line):
            fence = "" if fence and run[1] == fence else fence or run[1]
    closed = f"{fence}\n" if fence else ""
    return f"{''.join(kept)}{closed}\n{remark}\n"


def plain(text: str) -> str:
    """A text in which nothing is markup."""
    return re.sub(r"([^\w\s.,:;/()-])", r"\\\1", " ".join(text.split()))


def _is_ours(comment: Mapping[str, Any], mark: str) -> bool:
    author = comment.get("user") or {}
    return author.get("type") == "Bot" and str(comment.get("body", "")).startswith(mark)
