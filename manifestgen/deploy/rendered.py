"""Prepares the project's manifest for a target: render, pin, check, preflight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from manifestgen.check import Finding, summarize
from manifestgen.cloud.distribution import Platform, Trouble
from manifestgen.credentials.logins import inline
from manifestgen.deploy.job import Job
from manifestgen.errors import FoundError
from manifestgen.images.existing import NOWHERE
from manifestgen.images.pin import moved, pin
from manifestgen.images.preflight import Pull, State, digests, locked_images, preflight, require_found
from manifestgen.manifest.document import Document, of_manifest
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.placeholder import Styles
from manifestgen.project import lock
from manifestgen.project.load import Project
from manifestgen.render import Rendered, render_project


@dataclass(frozen=True)
class RenderedManifest:
    """The rendered manifest.

    Attributes:
        tags: the registries' answers about its tags, if they were replaced with digests.
        styles: of the project's placeholders.
    """

    manifest: Manifest
    tags: Sequence[Pull] | None
    styles: Styles

    @property
    def document(self) -> Document:
        """The manifest as `check` takes it."""
        return of_manifest(self.manifest, "the rendered manifest", styles=self.styles)


def render_manifest(job: Job) -> RenderedManifest:
    """The manifest with its credentials, and with digests if the project pins them.

    Raises:
        FoundError: an image to pin does not exist.
    """
    logins = inline(job.project.registry_settings, job.services.credentials)
    rendered = render_project(job.project, logins, values=job.values, image=job.images)
    found = (
        _pinned(job, rendered.manifest)
        if job.pins
        else RenderedManifest(rendered.manifest, None, job.project.placeholder_styles)
    )
    job.observer.step("render", _summary(rendered, pinned=job.pins))
    return found


def _pinned(job: Job, manifest: Manifest) -> RenderedManifest:
    pulls = _asked(job, manifest, None)
    require_found(pulls)
    return RenderedManifest(pin(manifest, digests(pulls)), pulls, job.project.placeholder_styles)


def _summary(rendered: Rendered, *, pinned: bool) -> str:
    names = ", ".join(module.name for module in rendered.manifest.modules() if not module.system)
    logins = f", credentials for {', '.join(rendered.hosts)}" if rendered.hosts else ""
    return f"modules {names}{logins}{', images by digest' if pinned else ''}"


def run_preflight(job: Job, rendered: RenderedManifest, platform: Platform | None) -> None:
    """Run the preflight, and compare the images' tags with the lock file, which is then updated.

    Raises:
        FoundError: an image cannot be pulled, or a tag names another image than the lock file has.
    """
    if not job.options.preflight:
        return
    pulls = _asked(job, rendered.manifest, platform)
    job.observer.pulls(pulls)
    if not job.options.force:
        require_found(pulls, unreachable="skip this check with --no-preflight if only the device can reach it")
    tags = pulls if rendered.tags is None else rendered.tags
    if not job.options.moved_tags:
        _refuse_moved(job.project, tags)
    if not job.rehearses:
        lock.record(job.project, locked_images(tags))
    job.observer.step("preflight", _counted(pulls))


def _asked(job: Job, manifest: Manifest, platform: Platform | None) -> tuple[Pull, ...]:
    """The preflight's results, without missing images that are not built yet."""
    pulls = preflight(manifest, job.services.distribution, platform, leave_out=(NOWHERE,))
    missing = (Trouble.TAG_NOT_FOUND, Trouble.REPOSITORY_NOT_FOUND)
    coming = {job.expected[name] for name in job.building}
    return tuple(pull for pull in pulls if pull.image not in coming or pull.trouble not in missing)


def _refuse_moved(project: Project, tags: Sequence[Pull]) -> None:
    """Stop if a tag names another image than the one in the lock file."""
    found = moved(lock.read_file(project).digests, digests(tags))
    if found:
        first, others = found[0], f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise FoundError(
            f"the tag has moved: it now names {first.found}; the lock file has {first.locked}{others}",
            where=first.image,
            fix="give the new image its own tag, or accept it with --allow-moved-tag",
        )


def _counted(pulls: Sequence[Pull]) -> str:
    found = sum(pull.state is State.FOUND for pull in pulls)
    failed = sum(pull.state is State.FAILED for pull in pulls)
    skipped = len(pulls) - found - failed
    words = [f"{found} of {len(pulls)} images can be pulled"]
    words += [f"{failed} cannot"] * bool(failed) + [f"{skipped} not checked"] * bool(skipped)
    return ", ".join(words)


def report_check(job: Job) -> Callable[[Document, Sequence[Finding]], None]:
    """Returns a callback that passes findings on, and reports their number as the step's result."""

    def report(document: Document, findings: Sequence[Finding]) -> None:
        job.observer.findings(document, findings)
        found = summarize(findings)
        counts = ((found.errors, "error"), (found.warnings, "warning"), (found.infos, "note"))
        job.observer.step("check", ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts))

    return report
