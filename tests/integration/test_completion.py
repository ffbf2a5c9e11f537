"""Completion in the shells themselves: commands, options, choices, rules, and the sandbox's devices."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import eventually, in_this_process, installed_in

#: Completes a command line in a shell without a terminal, and prints what it offers, a line each.
BASH = """
eval "$(manifestgen completion bash)"
read -ra COMP_WORDS <<<"$LINE"; [[ $LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_manifestgen_completion manifestgen
printf '%s\\n' "${COMPREPLY[@]}"
"""
# Its completion functions only work below the line editor: what they would add is printed in place of adding it.
ZSH = """
autoload -Uz compinit; compinit -u -d "$HOME/.zcompdump"
eval "$(manifestgen completion zsh)"
compadd() { for word in ${completions:-$@}; do print -r -- $word; done }
_describe() {
  shift
  for name in $@; do
    [[ -n ${(P)name} ]] && for each in ${(P)name}; do print -r -- ${each%%:*}; done
  done
  true
}
words=(${(z)LINE}); [[ $LINE == *' ' ]] && words+=("")
CURRENT=$#words
_manifestgen_completion
"""
FISH = """
manifestgen completion fish | source
complete --do-complete "$LINE"
"""
SHELLS = {
    "bash": ["bash", "--norc", "-c", BASH],
    "zsh": ["zsh", "-f", "-c", ZSH],
    "fish": ["fish", "--no-config", "-c", FISH],
}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the shells are not there")


@pytest.fixture(params=SHELLS)
def complete(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    program = installed_in(tmp_path / "bin")

    def offered(line: str) -> set[str]:
        environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "LINE": line}
        environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "TERM": "dumb"}
        done = subprocess.run(
            SHELLS[request.param],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return {shown.split("\t")[0].strip() for shown in done.stdout.splitlines()}

    return offered


def test_commands_options_and_choices(complete: Any) -> None:
    assert {"render", "rollback"} <= complete("manifestgen r")
    assert "--rollback-on-failure" in complete("manifestgen apply --roll")
    assert {"error", "never"} <= complete("manifestgen check --fail-on ")


def test_modules_and_environments_of_the_project_that_is_named_or_here(complete: Any, tmp_path: Path) -> None:
    for folder, prefix in ((tmp_path, "here"), (tmp_path / "other", "there")):
        folder.mkdir(exist_ok=True)
        image = "{image: {builder: none, reference: s:1}}"
        text = f"version: 1\nmodules: {{{prefix}-cam: {image}, {prefix}-scorer: {image}}}\n"
        (folder / "manifestgen.yaml").write_text(f"{text}environments: {{{prefix}-dev: {{}}, {prefix}-prod: {{}}}}\n")
    assert complete("manifestgen deploy --module ") >= {"here-cam", "here-scorer"}
    assert complete("manifestgen render other --module there-c") == {"there-cam"}
    assert complete("manifestgen status -e ") >= {"here-dev", "here-prod"}
    assert complete("manifestgen check other --environment there-p") == {"there-prod"}


def test_devices_of_the_hub(complete: Any, quick: Any) -> None:
    assert in_this_process("device", "register", "tab-07", "-q").code in (0, 3)
    # A busy machine may need longer than anybody waits for a completion.
    eventually(lambda: "tab-07" in complete("manifestgen status --device tab-"), "the device")


def test_rules_and_what_cannot_be_known(complete: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "floating-tag" in complete("manifestgen explain float")
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", "nonsense")
    assert complete("manifestgen status --device ") & {"error", "Traceback"} == set()
