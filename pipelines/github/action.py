"""What `action.yml` runs: manifestgen in a job of GitHub; its results as annotations, comment, summary and outputs.

Inputs are in `INPUT_…` variables. Each becomes an argument of its own, without a shell, so quotes, newlines and `$(…)`
in one are only characters. Everything else is in the variables that GitHub documents: GITHUB_OUTPUT,
GITHUB_STEP_SUMMARY, GITHUB_EVENT_PATH, GITHUB_REPOSITORY, GITHUB_API_URL, RUNNER_TEMP.

Needs nothing but Python's standard library, and manifestgen in the same Python.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

# Run as a file: the folder of this file is where Python looks first.
import comments

#: What GitHub takes: docs.github.com, "SARIF support for code scanning", and of a job summary for each step.
MOST_RESULTS: Final = 25_000
MOST_SARIF_BYTES: Final = 10 * 1024 * 1024
# A character has up to four bytes.
MOST_SUMMARY_CHARACTERS: Final = 1024 * 1024 // 4

_USAGE: Final = 2
_LEVELS: Final = {"error": 0, "warning": 1, "note": 2}


class WrongInput(Exception):
    """An input of the action is wrong."""


class Job:
    """The job that runs this, as its environment describes it.

    Args:
        environ: its variables.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.folder = Path(environ["RUNNER_TEMP"]) / "manifestgen"
        self.folder.mkdir(parents=True, exist_ok=True)

    def input(self, name: str) -> str:
        """An input; empty if it is not given."""
        return self._environ.get(f"INPUT_{name}", "").strip()

    def lines(self, name: str) -> list[str]:
        """An input of which each line is one argument."""
        return [line.strip() for line in self.input(name).splitlines() if line.strip()]

    def path(self, name: str) -> str:
        """An input that names a file or folder, as an absolute path; empty if it is not given."""
        value = self.input(name)
        return str(Path(value).absolute()) if value else ""

    @property
    def project_folder(self) -> Path:
        """Where commands on a manifest run, so that they find the project's hub and registry logins."""
        path = Path(self.path("PROJECT") or ".")
        return path if path.is_dir() else path.parent

    def option(self, option: str, name: str) -> list[str]:
        """An option with an input's value; nothing if it is not given."""
        value = self.input(name)
        return [f"{option}={value}"] if value else []

    def output(self, name: str, value: str) -> None:
        """Set an output; a delimiter that nobody can guess keeps a value from setting others."""
        mark = f"end-{secrets.token_hex(16)}"
        with Path(self._environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as stream:
            stream.write(f"{name}<<{mark}\n{value}\n{mark}\n")

    def summarize(self, markdown: str) -> None:
        """Add to the job's summary; what is longer than GitHub takes is cut."""
        path = self._environ.get("GITHUB_STEP_SUMMARY")
        if path:
            remark = "The rest is longer than a job's summary may be."
            text = comments.shortened(markdown, MOST_SUMMARY_CHARACTERS, remark)
            with Path(path).open("a", encoding="utf-8") as stream:
                stream.write(f"{text}\n")

    def run(
        self, *arguments: str, show: bool = False, hushed: bool = False, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run manifestgen; its errors and progress go to the log unless `hushed`, and with `show` its results, too."""
        done = subprocess.run(
            [sys.executable, "-m", "manifestgen", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if hushed else None,
            encoding="utf-8",
            cwd=folder,
            env={name: value for name, value in self._environ.items() if not name.startswith("INPUT_")},
            check=False,
        )
        if show:
            sys.stdout.write(done.stdout)
            sys.stdout.flush()
        return done


def check(job: Job) -> int:
    """Mode `check`: annotations on the lines, findings as SARIF, counts in the summary."""
    files = [f"./{file}" if file.startswith("-") else file for file in job.lines("FILES")]
    if not files:
        raise WrongInput("files: there is nothing to check")
    options = [*job.option("--fail-on", "FAIL_ON"), *job.lines("ARGUMENTS")]
    done = job.run("check", *options, "--output=github", "--", *files, show=True)
    if done.returncode not in (0, 1):
        return done.returncode
    found = job.run("check", *options, "--quiet", "--output=sarif", "--", *files)
    sarif = json.loads(found.stdout)
    if dropped := fit(sarif):
        _notice("warning", f"code scanning takes fewer results: {dropped} of the least severe were left out")
    path = job.folder / "findings.sarif"
    path.write_text(json.dumps(sarif), encoding="utf-8")
    job.output("sarif", str(path))
    job.summarize("\n".join(_check_summary(sarif, dropped)))
    return done.returncode


def fit(sarif: dict[str, Any]) -> int:
    """Leave out results until GitHub takes the file, the least severe first; returns how many."""
    results = [result for run in sarif["runs"] for result in run["results"]]
    kept = sorted(results, key=lambda result: _LEVELS.get(result.get("level", "warning"), 1))[:MOST_RESULTS]
    while True:
        chosen = set(map(id, kept))
        fitted = [[result for result in run["results"] if id(result) in chosen] for run in sarif["runs"]]
        trial = {**sarif, "runs": [{**run, "results": own} for run, own in zip(sarif["runs"], fitted, strict=True)]}
        if not kept or len(gzip.compress(json.dumps(trial).encode())) <= MOST_SARIF_BYTES:
            sarif["runs"] = trial["runs"]
            return len(results) - len(kept)
        kept = kept[: len(kept) // 2]


def _check_summary(sarif: Mapping[str, Any], dropped: int) -> Iterator[str]:
    results = [result for run in sarif["runs"] for result in run["results"]]
    counts = {level: sum(result.get("level") == level for result in results) for level in _LEVELS}
    yield "### manifestgen check\n"
    yield f"{counts['error']} errors, {counts['warning']} warnings, {counts['note']} notes"
    if dropped:
        yield f"\n{dropped} more findings are not counted here."
    if results:
        yield "\n| rule | findings |\n|---|---|"
        rules = [str(result["ruleId"]) for result in results]
        yield from (f"| {rule} | {rules.count(rule)} |" for rule in sorted(set(rules)))


def plan(job: Job) -> int:
    """Mode `plan`: what a deployment would change, in the summary and as a comment on the pull request."""
    if not job.input("DEVICE"):
        raise WrongInput("device: mode plan needs the device that is planned for")
    manifest = job.path("MANIFEST")
    if not manifest:
        manifest = str(job.folder / "deployment.json")
        rendered = job.run("render", f"--out={manifest}", "--secrets=placeholder", "--", job.path("PROJECT"), show=True)
        if rendered.returncode:
            return rendered.returncode
    device, hub, saved = job.option("--device", "DEVICE"), job.option("--hub", "HUB"), job.folder / "plan.json"
    more = job.lines("ARGUMENTS")
    done = job.run(
        *("plan", *device, *hub, *more, f"--out={saved}", "--exit-code", "--output=markdown", "--", manifest),
        show=True,
        folder=job.project_folder,
    )
    # Exit code 1 without a plan is a finding that stopped it.
    if done.returncode not in (0, 1) or not done.stdout.strip():
        return done.returncode
    changed = done.returncode == 1
    graph = _picture(job, manifest, hub) if changed else ""
    job.output("manifest", manifest)
    job.output("plan", str(saved))
    job.output("changed", str(changed).lower())
    job.summarize(comments.body_of(done.stdout, graph, most=None))
    if job.input("COMMENT") == "true":
        _comment(job, done.stdout, graph)
    return 0


def _picture(job: Job, manifest: str, hub: list[str]) -> str:
    """What changes, in mermaid; of a device on which nothing is set yet, the manifest alone."""
    for subjects in ([f"device:{job.input('DEVICE')}", manifest], [manifest]):
        command = ("view", *hub, "--format=mermaid", "--", *subjects)
        drawn = job.run(*command, hushed=True, folder=job.project_folder)
        if drawn.returncode == 0:
            return drawn.stdout
    return ""


def _comment(job: Job, markdown: str, graph: str) -> None:
    """Write the plan into the pull request's comment, if this is a pull request; a failure is only a warning."""
    request = comments.of_pull_request(os.environ)
    if request is None:
        return
    # One comment for each device, whatever its name holds.
    key = re.sub(r"[^A-Za-z0-9._-]", "_", f"{job.input('HUB')}/{job.input('DEVICE')}")
    try:
        written = request.put(key, comments.body_of(markdown, graph), job.input("TOKEN"))
    except comments.Refused as error:
        _notice("warning", f"the comment was not written, and the plan is in the job's summary: {error}")
    else:
        print(f"{written} the comment on pull request {request.number}")


def deploy(job: Job) -> int:
    """Mode `deploy`: the whole project, or a manifest as it is."""
    target = [*job.option("--device", "DEVICE"), *job.option("--hub", "HUB")]
    state = [f"--state={job.path('STATE')}"] if job.path("STATE") else []
    common = [*target, *state, *job.lines("ARGUMENTS")]
    if manifest := job.path("MANIFEST"):
        command = ["apply", *common, "--yes", "--output=json", "--", manifest]
    else:
        command = ["deploy", *common, "--yes", "--output=json", "--", job.path("PROJECT")]
    done = job.run(*command, show=True, folder=job.project_folder)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return done.returncode or _USAGE
    image = str(document.get("image") or "")
    job.output("image", image)
    job.output("digest", image.partition("@")[2] or _locked_digest(job, image))
    job.output("changed", str(bool(document.get("applied"))).lower())
    job.summarize(_deploy_summary(document, done.returncode))
    return done.returncode


def _locked_digest(job: Job, image: str) -> str:
    """The digest of an image by its tag, from the project's lock file; empty if nobody told it."""
    path = Path(job.path("PROJECT") or ".")
    lock = path.with_suffix(".lock.json") if path.is_file() else path / "manifestgen.lock.json"
    try:
        locked = json.loads(lock.read_text("utf-8"))
        return str(locked["images"][image]["digest"] or "")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _deploy_summary(document: Mapping[str, Any], code: int) -> str:
    error = document.get("error")
    if error:
        return f"### manifestgen deploy\n\nfailed: {comments.plain(str(error.get('message', '')))}"
    state = "applied" if document.get("applied") else "nothing to change"
    image = f"\n\nimage {comments.plain(str(document['image']))}" if document.get("image") else ""
    return f"### manifestgen deploy\n\n{state}, exit code {code}{image}"


def _notice(kind: str, text: str) -> None:
    """An annotation of the job."""
    safe = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{kind} title=manifestgen::{safe}", flush=True)


_MODES: Final = {"check": check, "plan": plan, "deploy": deploy}


def main() -> int:
    """Run the mode that the inputs choose; returns the exit code of the step."""
    job = Job(os.environ)
    mode = _MODES.get(job.input("MODE"))
    try:
        if mode is None:
            raise WrongInput(f"mode: {job.input('MODE')!r} is none of {', '.join(_MODES)}")
        return mode(job)
    except WrongInput as error:
        _notice("error", str(error))
        return _USAGE


if __name__ == "__main__":
    sys.exit(main())
