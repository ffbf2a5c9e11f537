"""The hub of a command that is about no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manifestgen.cloud import Hub


def hub_here(host: str | None) -> Hub:
    """The hub that `--hub` names, else that of the environment or of the project in the working directory.

    Raises:
        InputError: none of them names one, or they name two.
    """
    from manifestgen.project.beside import project_here
    from manifestgen.services import open_hub

    return open_hub(host, project_here())
