"""Renders a project's manifest to a file: with or without secrets and digests, checked, with the right permissions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
from msgspec import Struct

from manifestgen.credentials.logins import inline as real_logins
from manifestgen.credentials.logins import placeholders
from manifestgen.errors import InputError
from manifestgen.files import (
    OWNER_ONLY,
    PUBLIC,
    git_would_commit,
    is_special,
    is_stdout,
    refuse_input_as_output,
    write_atomic,
)
from manifestgen.gate import require_no_errors
from manifestgen.manifest.document import Document, of_manifest
from manifestgen.manifest.dump import dump
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.value import Value
from manifestgen.project import Project
from manifestgen.project.builders import builds_from_context
from manifestgen.project.lock import LockedImage, never_built, record
from manifestgen.project.lock import path_of as lock_path
from manifestgen.project.written import output_of
from manifestgen.render import Logins, NoImageError, Rendered, render_project

if TYPE_CHECKING:
    from manifestgen.check import Finding
    from manifestgen.cloud import Services


class Options(Struct, frozen=True):
    """How a manifest is rendered.

    Attributes:
        out: file to write, `-` for stdout; None for the project's `manifest.output`, else `default_output`.
        secrets: registry credentials, or placeholders for them; None for credentials in a file and placeholders on
            stdout.
        images: image references to use instead of the project's, by module.
        values: override those of the project file.
        pin: replace tags with digests; None for the project's `manifest.pin`.
        locked: require that the lock file matches the inputs of the project's image.
        force: write it even if `check` finds errors, unless IoT Hub would reject it.
    """

    out: str | None = None
    secrets: Literal["inline", "placeholder"] | None = None
    images: Mapping[str, str] = {}
    values: Mapping[str, Any] = {}
    pin: bool | None = None
    force: bool = False
    locked: bool = False


#: Placeholder in a manifest for a model image that was never built.
NOT_BUILT = "${MODEL_IMAGE}"


class RenderedFile(Value, frozen=True):
    """A rendered manifest.

    Attributes:
        text: of the file, or to be printed.
        path: of the file; None for stdout, which the caller writes.
        registries: hosts for which it has a credential.
        secret: whether it contains registry credentials, or the content of a file.
    """

    manifest: Manifest
    text: str
    path: Path | None
    registries: tuple[str, ...]
    secret: bool
    _hidden: ClassVar[frozenset[str]] = frozenset({"text"})


class Observer(Struct, frozen=True):
    """Callbacks: findings of the check, and warnings."""

    findings: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None
    warn: Callable[[str], None] = lambda text: None


def render_file(
    project: Project,
    services: Services,
    options: Options | None = None,
    observer: Observer | None = None,
) -> RenderedFile:
    """Render the manifest of a project, check it, and write it unless it is for stdout.

    If it contains secrets, only the owner can read the file. Digests are also recorded in the lock file.

    Args:
        project: what to render.
        services: of the project; used only if the manifest needs credentials or digests from them.
        options: how to render.
        observer: callbacks.

    Raises:
        ManifestgenError: the manifest cannot be rendered or written, has errors, or would print a secret on stdout.
    """
    options, observer = options or Options(), observer or Observer()
    job = _Job(project, services, options)
    if job.target is not None:
        refuse_input_as_output(job.target, _inputs(project), "-o")
    _check_locks(job, observer)
    rendered = _rendered(job, observer)
    if rendered.secret and not job.inline:
        raise InputError(
            "the manifest would show a secret that manifest.values reads with ${file:…} or ${env:…}",
            where=str(project.path),
            fix="write it to a file with -o FILE, or add --secrets inline if it may be shown"
            if options.secrets is None
            else "drop --secrets placeholder, which is for registry credentials only, or override the value with --set",
        )
    manifest, locked = _pinned(job, rendered, observer) if job.pins else (rendered.manifest, {})
    document = of_manifest(manifest, "the rendered manifest", styles=project.placeholder_styles)
    require_no_errors(document, ignore=project.ignored, force=options.force, report=observer.findings)
    if locked:
        record(project, locked)
    text = dump(manifest.content)
    secret = job.inline and (rendered.secret or bool(rendered.hosts))
    if job.target is not None:
        _write(job.target, text, observer, secret=secret)
    return RenderedFile(manifest, text, job.target, rendered.hosts, secret)


class _Job(Struct, frozen=True):
    project: Project
    services: Services
    options: Options

    @property
    def target(self) -> Path | None:
        """The file to write; None for stdout."""
        out = self.options.out
        target = Path(out) if out is not None else output_of(self.project)
        return None if out == "-" or is_stdout(target) else target

    @property
    def inline(self) -> bool:
        """Whether the manifest gets real credentials: by default if it is not printed."""
        if self.options.secrets is not None:
            return self.options.secrets == "inline"
        return self.target is not None and not is_special(self.target)

    @property
    def pins(self) -> bool:
        if self.options.pin is not None:
            return self.options.pin
        return self.project.manifest is not None and self.project.manifest.pin

    def render(self, *, inline: bool) -> Rendered:
        settings = self.project.registry_settings
        logins: Logins = real_logins(settings, self.services.credentials) if inline else placeholders(settings)
        return render_project(self.project, logins, values=self.options.values, image=self.options.images)


def _check_locks(job: _Job, observer: Observer) -> None:
    """Compare the lock file with the inputs of the images that the project builds and no option gives."""
    for one in job.project.each():
        if one.builds and one.module.name not in job.options.images:
            # A project that builds nothing need not wait for what parses and hashes inputs.
            from manifestgen.project.fit import check_lock

            check_lock(one, locked=job.options.locked, warn=observer.warn)


def _rendered(job: _Job, observer: Observer) -> Rendered:
    """The manifest; if the image was never built, with a placeholder for it that `apply` rejects.

    For Azure ML's builders, it is an error instead: only the lock file knows their images, and it may be missing by
    mistake.
    """
    try:
        return job.render(inline=job.inline)
    except NoImageError:
        missing = dict.fromkeys(never_built(job.project), NOT_BUILT)
        contexts = all(builds_from_context(one.image) for one in job.project.each() if one.module.name in missing)
        expected = bool(missing) and contexts and (job.project.modular or not lock_path(job.project).exists())
        if not expected or job.pins or job.options.locked:
            raise
    whose, them = "the model image has", "it"
    if job.project.modular:
        whose = f"the image of {next(iter(missing))} has"
    if len(missing) > 1:
        whose, them = f"the images of {', '.join(missing)} have", "them"
    what = f"{whose} not been built yet: {NOT_BUILT} stands for {them}, and 'manifestgen apply' rejects that"
    observer.warn(f"{what}; run 'manifestgen image' to build {them}, or give --image REF")
    options = msgspec.structs.replace(job.options, images={**missing, **job.options.images})
    return msgspec.structs.replace(job, options=options).render(inline=job.inline)


def _inputs(project: Project) -> Iterator[Path]:
    """The input files of the project's manifest."""
    yield project.path
    yield lock_path(project)
    if project.manifest is not None:
        yield project.root / project.manifest.template
    for module in project.modules:
        if module.image is not None:
            yield from (path for path in (module.image.entry_script, module.image.conda_file) if path is not None)


def _pinned(job: _Job, rendered: Rendered, observer: Observer) -> tuple[Manifest, dict[str, LockedImage]]:
    """The manifest with digests, and the tags' images; requesting them needs the real credentials."""
    from manifestgen.images.pin import pin
    from manifestgen.images.preflight import digests, locked_images, preflight, require_found

    real = rendered if job.inline else job.render(inline=True)
    pulls = preflight(real.manifest, job.services.distribution)
    require_found(pulls, unreachable="keep the tags with --no-pin if only the device can reach it")
    for pull in pulls:
        if pull.remote is None:
            observer.warn(f"{pull.image} keeps its tag: {pull.words}")
    return pin(rendered.manifest, digests(pulls)), locked_images(pulls)


def _write(target: Path, text: str, observer: Observer, *, secret: bool) -> None:
    write_atomic(target, text, OWNER_ONLY if secret else PUBLIC)
    if secret and not is_special(target) and git_would_commit(target):
        advice = "add it to .gitignore, or use --secrets placeholder"
        observer.warn(f"{target} holds secrets and git does not ignore it; {advice}")
