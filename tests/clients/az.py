"""Runs commands of az against the sandbox; `table` runs this file with the Python that has az.

All commands run in this process, through az's own entry point: starting az takes longer than most of them. Prints one
JSON line for each: what was run, and `works` or the error.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

# A command, and text that its output must contain. @FILE is a file written below.
CORE = [
    ("account show", '"name": "manifestgen sandbox"'),
    ("account list", '"tenantId"'),
    ("account get-access-token", '"accessToken"'),
    ("group list", '"name": "sandbox"'),
    ("group show -n sandbox", '"provisioningState": "Succeeded"'),
    ("group exists -n nowhere", "false"),
    ("resource list", "Microsoft.ContainerRegistry/registries"),
    ("resource list --resource-type Microsoft.Devices/IotHubs", '"name": "sandbox-hub"'),
    ("acr list", '"loginServer": "sandboxmodels.azurecr.io"'),
    ("acr show -n sandboxmodels", '"adminUserEnabled": true'),
    ("acr credential show -n sandboxmodels", '"username": "sandboxmodels"'),
    ("acr credential renew -n sandboxmodels --password-name password2", '"password2"'),
    ("acr update -n sandboxmodels --admin-enabled false", '"adminUserEnabled": false'),
    ("acr update -n sandboxmodels --admin-enabled true", '"adminUserEnabled": true'),
    ("acr scope-map create -r sandboxmodels -n pumps --repository team/app content/read metadata/read", '"pumps"'),
    ("acr scope-map list -r sandboxmodels", '"_repositories_pull"'),
    ("acr scope-map show -r sandboxmodels -n pumps", '"repositories/team/app/content/read"'),
    ("acr scope-map update -r sandboxmodels -n pumps --add-repository team/other content/read", "team/other"),
    ("acr token create -r sandboxmodels -n edge-reader --scope-map pumps", '"edge-reader"'),
    ("acr token list -r sandboxmodels", '"edge-reader"'),
    ("acr token show -r sandboxmodels -n edge-reader", '"status": "enabled"'),
    ("acr token credential generate -r sandboxmodels -n edge-reader --password1", '"password1"'),
    ("acr token credential delete -r sandboxmodels -n edge-reader --password1", ""),
    ("acr token update -r sandboxmodels -n edge-reader --status disabled", '"status": "disabled"'),
    ("acr token delete -r sandboxmodels -n edge-reader -y", ""),
    ("acr scope-map delete -r sandboxmodels -n pumps -y", ""),
    ("acr login -n sandboxmodels --expose-token", '"accessToken"'),
    ("acr repository list -n sandboxmodels", "team/app"),
    ("acr repository show -n sandboxmodels --repository team/app", '"imageName": "team/app"'),
    ("acr repository show -n sandboxmodels --image team/app:v1", '"digest": "sha256:'),
    ("acr repository show-tags -n sandboxmodels --repository team/app", "v1"),
    ("acr repository show-tags -n sandboxmodels --repository team/app --detail --orderby time_desc", '"createdTime"'),
    ("acr manifest list-metadata -r sandboxmodels -n team/app", '"architecture": "amd64"'),
    ("acr manifest show-metadata sandboxmodels.azurecr.io/team/app:v1", '"digest": "sha256:'),
    ("acr manifest show sandboxmodels.azurecr.io/team/app:v1", '"schemaVersion": 2'),
    ("acr repository untag -n sandboxmodels --image team/app:old", ""),
    ("acr repository delete -n sandboxmodels --image team/app:v1 -y", ""),
    ("acr repository delete -n sandboxmodels --repository team/gone -y", ""),
    ("acr repository update -n sandboxmodels --image team/kept:v1 --write-enabled false", '"writeEnabled": false'),
    ("iot hub list", '"name": "sandbox-hub"'),
    ("iot hub show -n sandbox-hub", '"hostName": "sandbox-hub.azure-devices.net"'),
    ("iot hub policy list --hub-name sandbox-hub", '"iothubowner"'),
    ("iot hub policy show --hub-name sandbox-hub -n service", '"primaryKey"'),
    ("keyvault secret set --vault-name sandbox-vault -n pull --value hidden", '"name": "pull"'),
    ("keyvault secret show --vault-name sandbox-vault -n pull", '"value": "hidden"'),
    ("keyvault secret list --vault-name sandbox-vault", "/secrets/pull"),
    ("keyvault secret list-versions --vault-name sandbox-vault -n pull", "/secrets/pull/"),
    ("keyvault secret set-attributes --vault-name sandbox-vault -n pull --enabled false", '"enabled": false'),
    ("keyvault secret delete --vault-name sandbox-vault -n pull", '"recoveryId"'),
    ("keyvault secret list-deleted --vault-name sandbox-vault", "/deletedsecrets/pull"),
    ("keyvault secret recover --vault-name sandbox-vault -n pull", "/secrets/pull"),
    ("keyvault list", "sandbox-vault"),
    ("role assignment list --all", "[]"),
]
IOT = [
    ("iot hub connection-string show -n sandbox-hub", "SharedAccessKeyName=iothubowner"),
    ("iot hub generate-sas-token -n sandbox-hub", "SharedAccessSignature"),
    ("iot hub device-identity list -n sandbox-hub", '"deviceId": "edge-01"'),
    ("iot hub device-identity show -n sandbox-hub -d edge-01", '"iotEdge": true'),
    ("iot hub device-identity create -n sandbox-hub -d az-edge --edge-enabled", '"iotEdge": true'),
    ("iot hub device-identity create -n sandbox-hub -d az-child", '"deviceId": "az-child"'),
    ("iot hub device-identity update -n sandbox-hub -d az-child --set status=disabled", '"status": "disabled"'),
    ("iot hub device-identity renew-key -n sandbox-hub -d az-child --kt primary", '"primaryKey"'),
    ("iot hub device-identity connection-string show -n sandbox-hub -d az-edge", "DeviceId=az-edge"),
    ("iot hub device-identity parent set -n sandbox-hub -d az-child --pd az-edge", ""),
    ("iot hub device-identity parent show -n sandbox-hub -d az-child", '"deviceId": "az-edge"'),
    ("iot hub device-identity children list -n sandbox-hub -d az-edge", "az-child"),
    ("iot hub device-identity children remove -n sandbox-hub -d az-edge --child-list az-child", ""),
    ("iot hub module-identity create -n sandbox-hub -d az-child -m sensor", '"moduleId": "sensor"'),
    ("iot hub module-identity list -n sandbox-hub -d az-child", '"moduleId": "sensor"'),
    ("iot hub module-identity show -n sandbox-hub -d az-edge -m $edgeAgent", '"moduleId": "$edgeAgent"'),
    ("iot hub module-identity connection-string show -n sandbox-hub -d az-child -m sensor", "ModuleId=sensor"),
    ("iot hub module-identity renew-key -n sandbox-hub -d az-child -m sensor --kt swap", '"primaryKey"'),
    ("iot hub device-twin show -n sandbox-hub -d az-edge", '"deviceId": "az-edge"'),
    ("iot hub device-twin list -n sandbox-hub", '"deviceId": "edge-01"'),
    ('iot hub device-twin update -n sandbox-hub -d az-edge --tags \'{"site":"lab"}\'', '"site": "lab"'),
    ("iot hub device-twin update -n sandbox-hub -d az-edge --desired '{\"limit\":5}'", '"limit": 5'),
    ('iot hub device-twin replace -n sandbox-hub -d az-edge -j \'{"tags":{"site":"lab"}}\'', '"site": "lab"'),
    ("iot hub module-twin show -n sandbox-hub -d az-child -m sensor", '"moduleId": "sensor"'),
    ('iot hub module-twin update -n sandbox-hub -d az-child -m sensor --tags \'{"kind":"heat"}\'', '"kind": "heat"'),
    ('iot hub module-twin replace -n sandbox-hub -d az-child -m sensor -j \'{"tags":{"kind":"heat"}}\'', '"heat"'),
    ("iot edge set-modules -n sandbox-hub -d az-edge -k @manifest.json", '"moduleId": "$edgeHub"'),
    ("iot edge deployment create -n sandbox-hub -d base -k @manifest.json --pri 5 --tc \"tags.site='lab'\"", '"base"'),
    (
        "iot edge deployment create -n sandbox-hub -d layer -k @layer.json --pri 9 --layered --tc \"tags.site='lab'\"",
        '"layer"',
    ),
    ("iot edge deployment list -n sandbox-hub", '"id": "base"'),
    ("iot edge deployment show -n sandbox-hub -d base", '"priority": 5'),
    ("iot edge deployment update -n sandbox-hub -d base --set priority=6", '"priority": 6'),
    ("iot edge deployment show-metric -n sandbox-hub -d base -m targetedCount --mt system", "az-edge"),
    ("iot edge deployment delete -n sandbox-hub -d layer", ""),
    (
        "iot hub configuration create -n sandbox-hub -c devices --pri 2 --content @devices.json"
        " --tc \"tags.site='lab'\"",
        '"devices"',
    ),
    (
        "iot hub configuration create -n sandbox-hub -c modules --pri 2 --content @modules.json"
        " --tc \"from devices.modules where tags.kind='heat'\"",
        '"modules"',
    ),
    ("iot hub configuration list -n sandbox-hub", '"id": "devices"'),
    ("iot hub configuration show -n sandbox-hub -c devices", '"deviceContent"'),
    ("iot hub configuration update -n sandbox-hub -c devices --set priority=3", '"priority": 3'),
    ("iot hub configuration show-metric -n sandbox-hub -c devices -m appliedCount --mt system", "az-edge"),
    ("iot hub configuration delete -n sandbox-hub -c devices", ""),
    ("iot hub query -n sandbox-hub -q \"SELECT deviceId FROM devices WHERE tags.site = 'lab'\"", '"az-edge"'),
    ('iot hub query -n sandbox-hub -q "SELECT tags.site, COUNT() AS n FROM devices GROUP BY tags.site"', '"n":'),
    ('iot hub query -n sandbox-hub --top 1 -q "SELECT TOP 1 deviceId FROM devices"', '"deviceId"'),
    ("iot hub invoke-module-method -n sandbox-hub -d edge-01 -m $edgeAgent --mn ping", '"status": 200'),
    (
        "iot hub invoke-module-method -n sandbox-hub -d az-edge -m $edgeAgent --mn GetModuleLogs --mp"
        ' \'{"schemaVersion":"1.0","items":[{"id":"^edgeHub$","filter":{"tail":10}}],"contentType":"text"}\'',
        '"id": "edgeHub"',
    ),
    (
        "iot hub invoke-module-method -n sandbox-hub -d az-edge -m $edgeAgent --mn RestartModule --mp"
        ' \'{"schemaVersion":"1.0","id":"edgeHub"}\'',
        '"status": 200',
    ),
    (
        "iot hub invoke-module-method -n sandbox-hub -d az-edge -m $edgeAgent --mn RestartModule --mp"
        ' \'{"schemaVersion":"1.0","id":"nothing"}\'',
        "Module nothing not found in the current environment",
    ),
    ("iot hub device-identity list -n sandbox-hub --login {connection}", '"edge-01"'),
    ("iot hub device-identity list -n sandbox-hub --auth-type login", '"edge-01"'),
    ("iot hub module-identity delete -n sandbox-hub -d az-child -m sensor", ""),
    ("iot hub device-identity delete -n sandbox-hub -d az-child", ""),
    ("iot hub job list -n sandbox-hub", "[]"),
    ("iot hub invoke-device-method -n sandbox-hub -d edge-01 --mn ping", '"status": 200'),
]
COMMANDS = {"azure-cli": CORE, "azure-cli-with-azure-iot": IOT}
FILES = {
    "manifest.json": {
        "modulesContent": {
            "$edgeAgent": {
                "properties.desired": {
                    "schemaVersion": "1.1",
                    "runtime": {"type": "docker", "settings": {}},
                    "systemModules": {
                        name: {
                            "type": "docker",
                            "settings": {"image": f"mcr.microsoft.com/azureiotedge-{image}:1.5"},
                            **({} if name == "edgeAgent" else {"status": "running", "restartPolicy": "always"}),
                        }
                        for name, image in (("edgeAgent", "agent"), ("edgeHub", "hub"))
                    },
                    "modules": {},
                }
            },
            "$edgeHub": {
                "properties.desired": {
                    "schemaVersion": "1.1",
                    "routes": {},
                    "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
                }
            },
        }
    },
    "layer.json": {
        "content": {"modulesContent": {"$edgeHub": {"properties.desired.routes.up": "FROM /* INTO $upstream"}}}
    },
    "devices.json": {"deviceContent": {"properties.desired.limit": 5}},
    "modules.json": {"moduleContent": {"properties.desired.limit": 5}},
}


def main() -> None:
    """Log in, run all commands, print the results."""
    from azure.cli.core import get_default_cli

    # One for all commands: az's log keeps the stream that it finds first.
    errors = sys.stderr = io.StringIO()

    def az(*words: str) -> tuple[int, str, str]:
        output, before = io.StringIO(), errors.tell()
        with redirect_stdout(output):
            try:
                code = get_default_cli().invoke(list(words), out_file=output)
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 1
        return code or 0, output.getvalue(), errors.getvalue()[before:]

    identity = ("-u", os.environ["AZURE_CLIENT_ID"], "-p", os.environ["AZURE_CLIENT_SECRET"])
    login = az("login", "--service-principal", *identity, "--tenant", os.environ["AZURE_TENANT_ID"])
    report("az login --service-principal", login, '"tenantId"')
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, content in FILES.items():
            Path(name).write_text(json.dumps(content))
        for command, expected in COMMANDS[sys.argv[1]]:
            words = shlex.split(command)
            words = [word.replace("{connection}", os.environ["IOTHUB_CONNECTION_STRING"]) for word in words]
            words = [folder + "/" + word[1:] if word.startswith("@") else word for word in words]
            report(f"az {command}", az(*words), expected)
        os.chdir("/")


def report(what: str, ended: tuple[int, str, str], expected: str) -> None:
    """Print the result of one command."""
    code, output, errors = ended
    if code == 0 and expected in output:
        result = "works"
    elif code == 0:
        result = f"the output lacks {expected}: {output[:200]}"
    else:
        lines = [line.strip() for line in errors.splitlines() if line.strip() and "/github.com/" not in line]
        stated = [line for line in lines if line.startswith("ERROR: ") and "unexpected error" not in line]
        result = stated[0].removeprefix("ERROR: ") if stated else lines[-1] if lines else f"exit code {code}"
    print(json.dumps({"what": what, "result": result}), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main()
