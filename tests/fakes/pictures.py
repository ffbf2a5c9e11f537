"""Manifests to draw: one with every kind of mistake, one of any size, and what a device reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from manifestgen.manifest.document import of_manifest, read
from manifestgen.manifest.manifest import Manifest
from manifestgen.view.subject import Subject

#: Secrets of `FAULTY` that no form of a picture may show.
CANARIES = ("canary-registry-1", "canary-variable-2", "canary-options-3", "canary-twin-4", "canary-route-5")
MARKUP = "<script>alert(1)</script>"


def module(image: str, **more: Any) -> dict[str, Any]:
    settings = {"image": image, **more.pop("settings", {})}
    return {"type": "docker", "status": "running", "restartPolicy": "always", "settings": settings, **more}


def manifest(modules: Mapping[str, Any], routes: Mapping[str, Any], **twins: Any) -> dict[str, Any]:
    """A whole manifest, in which all else is as it should be."""
    system = {
        name: module(f"mcr.microsoft.com/azureiotedge-{name[4:].lower()}:1.6") for name in ("edgeAgent", "edgeHub")
    }
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": system,
        "modules": dict(modules),
    }
    hub = {
        "schemaVersion": "1.1",
        "routes": dict(routes),
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
    }
    entries = {"$edgeAgent": agent, "$edgeHub": hub, **twins}
    return {"modulesContent": {name: {"properties.desired": desired} for name, desired in entries.items()}}


def sink(name: str, put: str) -> str:
    return f'BrokeredEndpoint("/modules/{name}/inputs/{put}")'


FAULTY = manifest(
    {
        "sensor": module(
            "acme.azurecr.io/sensor:1.0.0-arm64v8",
            startupOrder=2,
            env={"INTERVAL": {"value": "5"}, "DB_PASSWORD": {"value": "canary-variable-2"}},
        ),
        "scorer": module(
            "acme.azurecr.io/scorer",
            restartPolicy="never",
            settings={
                "createOptions": json.dumps(
                    {
                        "Env": ["TOKEN_SECRET=canary-options-3"],
                        "ExposedPorts": {"9000/tcp": {}},
                        "HostConfig": {
                            "Binds": ["/srv/data:/data"],
                            "Mounts": [{"Type": "volume", "Source": "models", "Target": "/models"}],
                            "PortBindings": {"8080/tcp": [{"HostPort": "8883", "HostIp": "127.0.0.1"}]},
                        },
                    }
                )
            },
        ),
        MARKUP: module('acme.azurecr.io/"><img src=x onerror=alert(2)>:1', status="stopped"),
        "logger": module("acme.azurecr.io/logger@sha256:" + "a" * 64),
        "部品検査": module("acme.azurecr.io/inspect:2"),
    },
    {
        "up": {
            "route": "FROM /messages/modules/scorer/outputs/alerts WHERE $body.level = 'high' AND note <> "
            "'password=canary-route-5' INTO $upstream",
            "priority": 0,
            "timeToLiveSecs": 3600,
        },
        "all": "FROM /messages/* INTO $upstream",
        "toScorer": f"FROM /messages/modules/sensor/outputs/temperature INTO {sink('scorer', 'in')}",
        "alsoToScorer": f"FROM /messages/modules/sensor/outputs/pressure INTO {sink('scorer', 'in')}",
        "typo": f"FROM /messages/modules/sensor/* INTO {sink('scorrer', 'in')}",
        "deadSource": "FROM /message/* INTO $upstream",
        "never": "FROM /messages/modules/logger/* WHERE temperature INTO $upstream",
        "loop": f"FROM /messages/modules/logger/outputs/a INTO {sink('logger', 'b')}",
        "back": f"FROM /messages/modules/scorer/outputs/feedback INTO {sink('sensor', 'control')}",
        'quoted"name"|x': f"FROM /twinChangeNotifications INTO {sink('部品検査', 'in')}",
    },
    scorer={"threshold": 0.8, "apiKey": "canary-twin-4"},
)
FAULTY["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"]["settings"]["registryCredentials"] = {
    "acme": {"address": "acme.azurecr.io", "username": "robot", "password": "canary-registry-1"}
}


def of_size(modules: int, routes: int) -> dict[str, Any]:
    """A manifest of modules that pass messages on, mostly in their order, and some of them to the cloud."""
    names = [f"module{number:02}" for number in range(modules)]
    found = {}
    for number in range(routes):
        at, to = (number * 7) % modules, (number * 7 + 1 + number % 5) % modules
        target = "$upstream" if number % 3 == 0 else sink(names[to], f"in{number % 4}")
        condition = " WHERE $body.temperature > 30 AND level = 'high'" if number % 4 == 0 else ""
        text = f"FROM /messages/modules/{names[at]}/outputs/out{number % 3}{condition} INTO {target}"
        found[f"route{number:03}"] = {"route": text, "priority": number % 10} if number % 2 else text
    options = json.dumps({"HostConfig": {"Binds": ["/srv/data:/data"]}})
    return manifest(
        {
            name: module(
                f"mcr.microsoft.com/team/{name}:1.0",
                settings={"createOptions": options},
                env={"LOG_LEVEL": {"value": "info"}, "SITE": {"value": "hall 3"}},
            )
            for name in names
        },
        found,
    )


def subject(data: Any, name: str = "deployment.json", **more: Any) -> Subject:
    """The subject of a file with this JSON data."""
    return Subject(name, read(json.dumps(data, ensure_ascii=False), name), **more)


def value(data: Any, name: str = "device edge-01", **more: Any) -> Subject:
    """The subject of a manifest that is in no file."""
    return Subject(name, of_manifest(Manifest.of(data), name), **more)
