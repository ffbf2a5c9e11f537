"""Checks across the keys of a project file, once each of them is valid."""

from __future__ import annotations

import re

from manifestgen.credentials import section as registry_section
from manifestgen.errors import InputError
from manifestgen.hub_name import hub_identity, is_device_name
from manifestgen.project.modules import require_platform
from manifestgen.project.sections import ProjectFile, Target
from manifestgen.project.source import Source


def check(document: Source, sections: ProjectFile) -> None:
    """Compare the keys of all sections with each other; for those of modules see `modules.modules_of`.

    Raises:
        InputError: a key is missing or must not be there; with file, line and column.
    """
    workspace, registry, target = sections.workspace, sections.registry, sections.target
    if sections.check is not None:
        _check_pattern(document, "placeholder", sections.check.placeholder)
        _check_pattern(document, "literal", sections.check.literal)
    if workspace is not None:
        ids = (workspace.subscription_id, workspace.resource_group, workspace.name)
        if any(ids) and (workspace.config is not None or not all(ids)):
            fix = "write either config, or subscription_id, resource_group and name"
            where = document.where(("workspace",), key=True)
            raise InputError("the workspace is only partly given, or given twice", where=where, fix=fix)
    if registry is not None:
        registry_section.check(registry, lambda *keys: document.where(("registry", *keys), key=True))
    if sections.hub is not None and is_device_name(sections.hub.host):
        raise InputError(
            f"{sections.hub.host} is a host name for devices only",
            where=document.where(("hub", "host")),
            fix=f"write {hub_identity(sections.hub.host)}, or the hub's name with '.service.' in it",
        )
    if target is not None:
        _check_target(document, document.where(("target",), key=True), target)
        if target.platform is not None:
            require_platform(target.platform, document.where(("target", "platform")))
    for platform in sections.manifest.platform_values if sections.manifest is not None else ():
        require_platform(platform, document.where(("manifest", "platform_values", platform), key=True))


def _check_pattern(document: Source, key: str, pattern: str | None) -> None:
    if pattern is None:
        return
    where = document.where(("check", key))
    try:
        empty = re.compile(pattern).search("") is not None
    except re.error as error:
        what, fix = f"check.{key} is not a regular expression: {error.msg}", "correct it"
        raise InputError(what, where=where, fix=fix) from None
    if empty:
        fix = "write an expression that matches at least one character"
        raise InputError(f"check.{key} matches an empty text", where=where, fix=fix)


def _check_target(document: Source, where: str, target: Target) -> None:
    if (target.device is None) == (target.deployment is None):
        what = (
            "target has neither a device nor a deployment"
            if target.device is None
            else "target has both a device and a deployment"
        )
        fix = "write 'device: ID', or 'deployment: NAME' with 'condition: …'"
        if document.environment is not None and target.device is not None:
            fix = "remove the one that the environment does not have: write 'device: null' or 'deployment: null' in it"
        raise InputError(what, where=where, fix=fix)
    if target.deployment is not None and target.condition is None:
        fix = "add 'condition: …', such as \"tags.site = 'lab'\""
        raise InputError("target.condition is missing; a deployment needs it", where=where, fix=fix)
    if target.device is not None and (target.condition is not None or target.priority is not None):
        what = "condition and priority are for a deployment, but the target is a device"
        raise InputError(what, where=where, fix="remove them, or replace the device by a deployment")
