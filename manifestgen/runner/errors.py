"""The errors that end the runner, and its exit codes."""

from __future__ import annotations

EXIT_STOPPED = 0
EXIT_INTERNAL = 1
EXIT_SETTINGS = 2
EXIT_SCORER = 3
EXIT_MAX_ERRORS = 4
EXIT_RUN_TIMEOUT = 5


class RunnerError(Exception):
    """The runner cannot start or continue.

    Attributes:
        exit_code: what the process ends with.
    """

    exit_code = EXIT_INTERNAL


class SettingsError(RunnerError):
    """A variable is missing or has a value that cannot be used. The text names the variable and the fix."""

    exit_code = EXIT_SETTINGS


class ScorerError(RunnerError):
    """score.py cannot be loaded, breaks the contract of an entry script, or its `init` failed."""

    exit_code = EXIT_SCORER
