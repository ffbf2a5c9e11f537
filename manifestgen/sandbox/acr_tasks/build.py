"""Carries out a Dockerfile: FROM, COPY and WORKDIR here, what only sets the configuration in `image`.

The packages of `RUN pip install` are really chosen and installed with uv (`sandbox.packages`), and the run fails if
that fails. Nothing else is run, downloaded or executed: other RUNs, the archives and URLs of ADD, and ONBUILD are
simulated, and the log and the image's history say so. Ownership and modes are Docker's: files belong to root, or to
`--chown`, and have the mode that they have in the source.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from manifestgen.context.environment import HERE
from manifestgen.sandbox.acr_tasks import layer, pip
from manifestgen.sandbox.acr_tasks.bases import Base
from manifestgen.sandbox.acr_tasks.dockerfile import (
    DockerfileError,
    Step,
    base_name,
    expand,
    expand_words,
    stage_name,
    words,
)
from manifestgen.sandbox.acr_tasks.files import apply, is_folder, matching, resolve
from manifestgen.sandbox.acr_tasks.image import Files, Image, configure
from manifestgen.sandbox.acr_tasks.source import Entry
from manifestgen.sandbox.packages import SIMULATED, Outcome

_ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class Stopped(Exception):
    """The run was cancelled, or its time is up."""


class Builder:
    """Carries out the steps of one Dockerfile.

    Args:
        source: files of the build's source by path.
        bases: what each FROM starts from, by the name that it gives after variables are replaced.
        arguments: build arguments by name.
        folder: for the new layers.
        say: takes each line of the log.
        stopped: whether to stop.
        install: installs packages, see `packages.install`.
    """

    def __init__(
        self,
        source: Mapping[str, Entry],
        bases: Mapping[str, Base],
        arguments: Mapping[str, str],
        folder: Path,
        say: Callable[[str], object],
        stopped: Callable[[], bool],
        install: Callable[[Sequence[str], str, str], Outcome],
    ) -> None:
        self._source = source
        self._bases = bases
        self._arguments = arguments
        self._folder = folder
        self._say = say
        self._stopped = stopped
        self._install = install
        self._python = ""
        self._stages: list[tuple[str, Image]] = []
        self._globals: dict[str, str] = {}
        self._known: dict[str, str] = {}
        self._consumed: set[str] = set()
        self._image = Image()

    def carry_out(self, steps: Sequence[Step], target: str = "") -> Image:
        """Carry out all steps, or those up to the end of the stage `target`.

        Raises:
            DockerfileError: a step cannot be carried out.
            Stopped: `stopped` returned true.
        """
        reached = False
        for number, step in enumerate(steps, 1):
            if self._stopped():
                raise Stopped
            if step.name == "FROM":
                if reached:
                    break
                reached = bool(target) and stage_name(step).lower() == target.lower()
            self._say(f"Step {number}/{len(steps)} : {step.text}")
            self._step(step)
            self._say(f" ---> {self._image.short_id}")
        if target and not reached:
            raise DockerfileError(f"failed to reach build target {target} in Dockerfile")
        left = sorted(set(self._arguments) - self._consumed)
        if left:
            self._say(f"[Warning] One or more build-args [{' '.join(left)}] were not consumed")
        return self._image

    def _step(self, step: Step) -> None:
        image = self._image
        if step.name == "FROM":
            self._begin(step)
        elif step.name == "ARG":
            self._argument(step)
        elif step.name in ("COPY", "ADD"):
            self._copy(step)
        elif step.name == "WORKDIR":
            self._work_in(posixpath.join("/", image.config.get("WorkingDir") or "/", self._expand(step.rest)), step)
        elif step.name in ("RUN", "ONBUILD"):
            self._run(step)
        else:
            configure(image, step, self._values())
            self._note(step)

    def _begin(self, step: Step) -> None:
        name = base_name(step, self._globals)
        stage = next((one for known, one in self._stages if known and known == name.lower()), None)
        if stage is not None:
            self._image = replace(
                stage,
                config=dict(stage.config),
                layers=list(stage.layers),
                diff_ids=list(stage.diff_ids),
                history=list(stage.history),
                files=dict(stage.files),
            )
        else:
            self._image = self._from_base(name, self._bases[name])
        self._known = {}
        self._stages.append((stage_name(step).lower(), self._image))

    def _from_base(self, name: str, base: Base) -> Image:
        self._python = pip.python_of(name, base.config)
        image = Image({**base.config}, list(base.layers), list(base.diff_ids), [dict(one) for one in base.history])
        if base.stand_in:
            self._say(
                f"{SIMULATED} {name} is not in the sandbox: a minimal base (folders, /etc/passwd) stands in for it"
            )
            self._add(image, dict(base.files), f"minimal base of the manifestgen sandbox, in place of {name}")
        for one in base.layers:
            apply(image.files, layer.read(one.path, self._folder, compressed=one.compressed))
        return image

    def _argument(self, step: Step) -> None:
        for word in words(step.rest):
            name, equals, default = word.partition("=")
            self._consumed.add(name)
            known = self._globals if not self._stages else self._known
            value = self._arguments.get(name)
            if value is None and equals:
                value = expand(default, self._values())
            if value is None and self._stages:
                value = self._globals.get(name)
            if value is not None:
                known[name] = value
        if self._stages:
            self._note(step)

    def _values(self) -> dict[str, str]:
        """The values of variables: the stage's ENV before its ARGs."""
        if not self._stages:
            return self._globals
        return {**self._known, **self._image.environ}

    def _expand(self, text: str) -> str:
        return expand_words(text, self._values())

    def _run(self, step: Step) -> None:
        """RUN, of which only the packages of pip are carried out, and ONBUILD."""
        folder = str(self._image.config.get("WorkingDir") or "/")
        wanted = pip.requirements(step.rest, self._image.files, folder) if step.name == "RUN" else None
        if wanted is None:
            self._leave_out(step, "the sandbox runs no commands but pip install" if step.name == "RUN" else "")
            return
        found = self._install(wanted, self._python or HERE, "pip install")
        for line in found.lines:
            self._say(line)
        if found.error:
            raise DockerfileError(f"The command '/bin/sh -c {step.rest}' returned a non-zero code: 1")
        self._note(step, comment="simulated by the manifestgen sandbox: packages without their files")

    def _leave_out(self, step: Step, why: str) -> None:
        self._say(f"{SIMULATED} {step.text}{': ' if why else ''}{why}")
        self._note(step, comment="simulated by the manifestgen sandbox")

    def _note(self, step: Step, *, comment: str = "") -> None:
        entry: dict[str, Any] = {"created_by": f"/bin/sh -c #(nop)  {step.text}", "empty_layer": True}
        self._image.history.append({**entry, **({"comment": comment} if comment else {})})

    def _work_in(self, path: str, step: Step) -> None:
        path = posixpath.normpath(path)
        self._image.config["WorkingDir"] = path
        made: Files = {}
        self._make_folders(resolve(self._image.files, path), (0, 0), made)
        if made:
            self._add(self._image, made, f"/bin/sh -c #(nop) {step.text}")
        else:
            self._note(step)

    def _copy(self, step: Step) -> None:
        array = step.array
        named = [expand(word, self._values()) for word in (array if array is not None else words(step.rest))]
        if len(named) < 2:
            raise DockerfileError(f"{step.name} requires at least two arguments, but only one was provided")
        *sources, target = named
        if any(re.match(r"https?://|git@", one) for one in sources) and step.name == "ADD":
            self._leave_out(step, "the sandbox downloads nothing")
            return
        if step.name == "ADD" and any(one.endswith(_ARCHIVES) for one in sources):
            self._leave_out(step, "the sandbox unpacks no archives")
            return
        files = self._stage_files(step.flags["from"]) if "from" in step.flags else self._source
        found = [path for one in sources for path in matching(files, one, step.name)]
        if not found:
            raise DockerfileError(f"{step.name} failed: no source files were specified")
        owner = self._owner(step.flags["chown"]) if "chown" in step.flags else (0, 0)
        absolute = posixpath.join("/", self._image.config.get("WorkingDir") or "/", target)
        place = resolve(self._image.files, absolute)
        into = target.endswith("/") or target in (".", "..") or is_folder(self._image.files, place)
        if len(found) > 1 and not into:
            raise DockerfileError(
                f"When using {step.name} with more than one source file, the destination must be a directory and end "
                "with a /"
            )
        made: Files = {}
        for path in found:
            self._place(files, path, place, owner, made, into=into)
        self._add(self._image, made, f"/bin/sh -c #(nop) {step.text}")

    def _place(
        self, files: Mapping[str, Entry], path: str, place: str, owner: tuple[int, int], made: Files, *, into: bool
    ) -> None:
        """Add a source to a new layer: the content of a folder, or a file."""
        if not is_folder(files, path):
            name = posixpath.join(place, posixpath.basename(path)) if into else place
            self._make_folders(posixpath.dirname(name), owner, made)
            made[name] = _owned(files[path], owner)
            return
        self._make_folders(place, owner, made)
        prefix = f"{path}/" if path else ""
        for name, entry in files.items():
            if name.startswith(prefix) and name != path:
                below = posixpath.join(place, name[len(prefix) :])
                self._make_folders(posixpath.dirname(below), owner, made)
                made[below] = _owned(entry, owner)

    def _make_folders(self, path: str, owner: tuple[int, int], made: Files) -> None:
        missing = []
        while path and not (path in made or is_folder(self._image.files, path)):
            missing.append(path)
            path = posixpath.dirname(path)
        for one in missing:
            made[one] = Entry("folder", 0o755, *owner)

    def _add(self, image: Image, files: Files, created_by: str) -> None:
        new = layer.write(files, self._folder)
        image.layers.append(new)
        image.diff_ids.append(new.diff_id)
        image.history.append({"created_by": created_by})
        apply(image.files, files)

    def _stage_files(self, name: str) -> Mapping[str, Entry]:
        """The files of an earlier stage, by its name or number, or of another image."""
        name = expand(name, self._globals)
        for number, (known, stage) in enumerate(self._stages[:-1]):
            if name.lower() == known or name == str(number):
                return stage.files
        if name not in self._bases:
            raise DockerfileError(f"invalid from flag value {name}: there is no such stage")
        return self._from_base(name, self._bases[name]).files

    def _owner(self, text: str) -> tuple[int, int]:
        """User and group of `--chown`, as numbers."""
        user, colon, group = self._expand(text).partition(":")
        uid, own_group = self._number(user, "etc/passwd", "user")
        return uid, self._number(group, "etc/group", "group")[0] if colon else own_group

    def _number(self, name: str, file: str, word: str) -> tuple[int, int]:
        if name.isdecimal():
            return int(name), int(name)
        entry = self._image.files.get(file)
        text = b"".join(entry.content.chunks()).decode(errors="replace") if entry and entry.content else ""
        for line in text.splitlines():
            parts = line.split(":")
            if parts[0] == name and len(parts) >= 3 and parts[2].isdecimal():
                second = parts[3] if word == "user" and len(parts) > 3 and parts[3].isdecimal() else parts[2]
                return int(parts[2]), int(second)
        raise DockerfileError(
            f"unable to convert uid/gid chown string to host mapping: can't find {word[0]}id for {word} {name}: "
            f"no such {word}: {name}"
        )


def _owned(entry: Entry, owner: tuple[int, int]) -> Entry:
    return replace(entry, uid=owner[0], gid=owner[1])
