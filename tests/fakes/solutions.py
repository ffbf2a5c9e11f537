"""Solutions of the VS Code extension and iotedgedev, written into a folder."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Secrets that no imported file may hold.
CANARIES = ("canary-of-a-registry", "canaryStorageKey0123456789==", "canary-in-the-template")

ENV = f"""\
CONTAINER_REGISTRY_USERNAME_acme=robot
CONTAINER_REGISTRY_PASSWORD_acme="{CANARIES[0]}"
STORAGE=DefaultEndpointsProtocol=https;AccountName=x;AccountKey={CANARIES[1]}
LOG_LEVEL='debug'
SITE=hall 3
"""
CREDENTIAL = {
    "username": "$CONTAINER_REGISTRY_USERNAME_acme",
    "password": "$CONTAINER_REGISTRY_PASSWORD_acme",
    "address": "acme.azurecr.io",
}


def module(image: str = "${MODULES.filter}", **more: Any) -> dict[str, Any]:
    """A module of a template."""
    settings = {"image": image, "createOptions": more.pop("options", {})}
    if settings["createOptions"] is ...:
        del settings["createOptions"]
    usual = {"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always"}
    return {**usual, **more, "settings": settings}


def template(
    modules: Mapping[str, Any] | None = None,
    *,
    version: str | None = "4.0.0",
    credentials: Any = None,
    routes: Any = None,
    twins: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A whole template."""
    agent = {
        "schemaVersion": "1.1",
        "runtime": {
            "type": "docker",
            "settings": {
                "minDockerVersion": "v1.25",
                "loggingOptions": "",
                "registryCredentials": {"acme": CREDENTIAL} if credentials is None else credentials,
            },
        },
        "systemModules": {
            "edgeAgent": {
                "type": "docker",
                "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.5", "createOptions": {}},
            },
            "edgeHub": module(
                "mcr.microsoft.com/azureiotedge-hub:1.5",
                options={"HostConfig": {"PortBindings": {"5671/tcp": [{"HostPort": "5671"}]}}},
            ),
        },
        "modules": {"filter": module()} if modules is None else dict(modules),
    }
    hub = {
        "schemaVersion": "1.1",
        "routes": {"up": "FROM /messages/modules/filter/outputs/* INTO $upstream"} if routes is None else routes,
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
    }
    content = {"$edgeAgent": {"properties.desired": agent}, "$edgeHub": {"properties.desired": hub}}
    for name, twin in (twins or {}).items():
        content[name] = {"properties.desired": twin}
    return copy.deepcopy({**({"$schema-template": version} if version else {}), "modulesContent": content})


def module_json(repository: str = "acme.azurecr.io/filter", *platforms: str, **image: Any) -> dict[str, Any]:
    """A `module.json`."""
    names = platforms or ("amd64", "amd64.debug", "arm64v8")
    tag = {"version": image.pop("version", "0.0.1"), "platforms": {name: f"./Dockerfile.{name}" for name in names}}
    more = {"buildOptions": [], "contextPath": "./", **image}
    return {"$schema-version": "0.0.1", "image": {"repository": repository, "tag": tag, **more}, "language": "python"}


def write(
    folder: Path,
    data: Any = None,
    *,
    modules: Mapping[str, Any] | None = None,
    env: str = ENV,
    name: str = "deployment.template.json",
) -> Path:
    """Write a solution; returns the path of its template.

    Args:
        folder: of the solution.
        data: the template, or its text.
        modules: `module.json` by the folder below `modules`, or by a path with a slash; their Dockerfiles are written.
        env: text of `.env`; empty for none.
        name: of the template's file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    data = template() if data is None else data
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=2, ensure_ascii=False), "utf-8")
    if env:
        (folder / ".env").write_text(env, "utf-8")
    for place, content in ({"filter": module_json()} if modules is None else modules).items():
        inside = (folder / place if "/" in place else folder / "modules" / place).resolve()
        inside.mkdir(parents=True, exist_ok=True)
        (inside / "module.json").write_text(json.dumps(content, indent=2), "utf-8")
        for file in content.get("image", {}).get("tag", {}).get("platforms", {}).values():
            (inside / file).parent.mkdir(parents=True, exist_ok=True)
            (inside / file).write_text("FROM scratch\n")
    return path
