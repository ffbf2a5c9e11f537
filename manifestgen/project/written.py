"""The files that manifestgen itself writes beside a project file."""

from __future__ import annotations

from pathlib import Path

from manifestgen.project.project import FILE_NAME, Project


def default_output(project: Project) -> Path:
    """The default output file of a project's manifest, beside the project file.

    It is `deployment.json` for `manifestgen.yaml` and `deployment.NAME.json` for another project file `NAME.yaml`; in
    an environment `deployment.ENVIRONMENT.json` and `deployment.NAME.ENVIRONMENT.json`.
    """
    return project.path.parent / _manifest_name(project, project.environment)


def output_of(project: Project) -> Path:
    """The output file of a project's manifest: its `manifest.output`, else `default_output`."""
    configured = project.manifest.output if project.manifest is not None else None
    return configured or default_output(project)


def written_files(project: Project) -> frozenset[Path]:
    """Files written by manifestgen for a project and its environments: lock files and manifests, with links followed.

    They are in no image that is built from the project's folder: each build would change what it was built from, and
    a manifest has passwords in it.
    """
    root, name = project.root, project.name
    found = {output_of(project), *(root / _manifest_name(project, one) for one in (None, *project.environments))}
    for kind in ("lock.json", "requirements.lock"):
        found |= {path for path in root.glob(f"*.{kind}") if path.name.startswith(f"{name}.")}
    return frozenset(path.resolve() for path in found)


def _manifest_name(project: Project, environment: str | None) -> str:
    own = (None if project.path.name == FILE_NAME else project.name, environment)
    return ".".join(("deployment", *filter(None, own), "json"))
