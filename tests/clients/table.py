"""Runs other clients against a sandbox and writes what they were able to do to docs/sandbox-clients.md.

    make clients                      install the clients below build/clients, run all, rewrite the page
    python tests/clients/table.py     run those that are installed; the others' tables stay as they are

skopeo is looked for on the PATH, all others below build/clients. Each client runs in a sandbox of its own. Commands
whose result is not `works` are listed as well: the page says what the sandbox does not support.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "sandbox-clients.md"
CLIENTS = ROOT / "build" / "clients"

# Images that the registry has before a client starts, as REPOSITORY:TAG.
_IMAGES = ("team/app:v1", "team/app:old", "team/gone:v1", "team/kept:v1", "sdk/app:v1")

Row = tuple[str, str]
_ROW = re.compile(r"^\| `(?P<what>.+?)` \| (?P<result>.+) \|$")
_HEAD = re.compile(r"^## (?P<client>[\w-]+) (?P<version>\S+)")

_INTRODUCTION = """\
# What other clients can do in the sandbox

`make clients` installs these clients, runs their commands in a new sandbox each, and writes this page. A test compares
it with what the installed clients do. "works" means that a command ended without an error and its output has what it
should have. Everything else is the client's own message, or its output: the sandbox does not support that.
"""


@dataclass(frozen=True)
class Client:
    """A client: its name, its installed version (None if it is not installed), and the command that runs it."""

    name: str
    version: Callable[[], str | None]
    command: Callable[[], Sequence[str]]


def _ours(*parts: str) -> Path:
    return CLIENTS.joinpath(*parts)


def _python(folder: str) -> str | None:
    own = _ours(folder, "bin", "python")
    return str(own) if own.is_file() else None


def _package_version(python: str | None, package: str) -> str | None:
    if python is None:
        return None
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return _printed([python, "-c", code])


def _printed(command: Sequence[str]) -> str | None:
    """The last word that a command prints; None if it fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    words = ended.stdout.split()
    return words[-1] if ended.returncode == 0 and words else None


def _node_version() -> str | None:
    package = _ours("node", "node_modules", "azure-iothub", "package.json")
    return json.loads(package.read_text())["version"] if package.is_file() and shutil.which("node") else None


def _az_client(name: str, folder: str) -> Client:
    return Client(
        name,
        lambda: _package_version(_python(folder), "azure-cli"),
        lambda: [_python(folder) or "", str(HERE / "az.py"), name],
    )


def _sdk_client(package: str) -> Client:
    return Client(
        package,
        lambda: _package_version(_python("python"), package),
        lambda: [_python("python") or "", "-W", "ignore", str(HERE / "sdks.py"), package],
    )


ALL: dict[str, Client] = {
    client.name: client
    for client in (
        _az_client("azure-cli", "az"),
        # The extension's last stored release does not load in the latest az, so both have a folder of their own.
        _az_client("azure-cli-with-azure-iot", "az-iot"),
        Client("azure-iothub", _node_version, lambda: ["node", str(HERE / "node.js")]),
        *(
            _sdk_client(package)
            for package in (
                "azure-identity",
                "azure-iot-hub",
                "azure-containerregistry",
                "azure-keyvault-secrets",
                "azure-mgmt-containerregistry",
                "azure-mgmt-iothub",
                "azure-mgmt-resource",
            )
        ),
        Client(
            "skopeo",
            lambda: _printed(["skopeo", "--version"]),
            lambda: [sys.executable, str(HERE / "table.py"), "--tool"],
        ),
    )
}


def installed() -> list[str]:
    """The names of the clients that this machine has."""
    return [client.name for client in ALL.values() if client.version() is not None]


def run(name: str) -> list[Row]:
    """What a client does in a new sandbox: its commands with their results.

    Raises:
        RuntimeError: it printed nothing, or something else than results.
    """
    inner = [sys.executable, str(HERE / "table.py"), "--inside", name]
    command = [sys.executable, "-m", "manifestgen", "sandbox", "run", "--", *inner]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    try:
        lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"')]
        rows = [(line["what"], line["result"]) for line in lines]
    except (ValueError, KeyError) as error:
        raise RuntimeError(f"{name}: {error}\n{ended.stdout}\n{ended.stderr}") from error
    if not rows:
        raise RuntimeError(f"{name} printed no result:\n{ended.stdout}\n{ended.stderr}")
    return [(what, _plain(result)) for what, result in rows]


def read() -> dict[str, tuple[str, list[Row]]]:
    """The page's tables: version and rows by client."""
    tables: dict[str, tuple[str, list[Row]]] = {}
    name = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines() if PAGE.is_file() else ():
        if head := _HEAD.match(line):
            name = head["client"]
            tables[name] = head["version"], []
        elif (row := _ROW.match(line)) and name:
            tables[name][1].append((row["what"].replace("\\|", "|"), row["result"]))
    return tables


def write(tables: dict[str, tuple[str, list[Row]]]) -> None:
    """Write the page."""
    parts = [_INTRODUCTION]
    for name in ALL:
        if name not in tables:
            parts.append(f"\n## {name}\n\nNot installed when this page was written: nothing was tried.\n")
            continue
        version, rows = tables[name]
        works = sum(result == "works" for _, result in rows)
        parts.append(f"\n## {name} {version}\n\n{works} of {len(rows)} work.\n\n| command | result |\n|---|---|\n")
        parts += [f"| `{what.replace('|', chr(92) + '|')}` | {result} |\n" for what, result in rows]
    PAGE.write_text("".join(parts), encoding="utf-8")


def _plain(result: str) -> str:
    """A result that is the same in every run, and fits a table."""
    result = re.sub(r".*'Message': '([^']*)'.*", r"\1", result)  # of the hub's errors: the rest is about the request
    result = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "ID", " ".join(result.split()))
    result = re.sub(r"localhost:\d+|127\.0\.0\.1:\d+|0x[0-9a-f]+|[0-9a-f]{32,}", "…", result)
    return result.replace("|", "/")[:160].strip()


def _inside(name: str) -> int:
    """Within `sandbox run`: prepare the registry, then become the client."""
    _seed()
    environment = {**os.environ, "AZURE_CORE_COLLECT_TELEMETRY": "no", "AZURE_CORE_NO_COLOR": "yes"}
    if name == "azure-cli-with-azure-iot":
        environment["AZURE_EXTENSION_DIR"] = str(_ours("az-iot", "extensions"))
    if name == "azure-iothub":
        sys.path.insert(0, str(HERE))
        from az import FILES  # type: ignore[import-not-found, unused-ignore] # beside this file

        manifest = json.dumps(FILES["manifest.json"])
        environment |= {"MANIFEST": manifest, "NODE_PATH": str(_ours("node", "node_modules"))}
    return subprocess.run(ALL[name].command(), env=environment, check=False).returncode


def _seed() -> None:
    for image in _IMAGES:
        _admin("PUT", f"/images/sandboxmodels.azurecr.io/{image}", {"labels": {"image": image}})


def _admin(method: str, path: str, body: object) -> None:
    address = urlsplit(os.environ["MANIFESTGEN_SANDBOX"])
    login = b64encode(f"{address.username}:{address.password}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{address.port}{path}",
        method=method,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Basic {login}"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
        response.read()


def _skopeo() -> Iterator[tuple[str, Sequence[str]]]:
    """Commands of skopeo, and the words that stand for them in the table."""
    from azure.identity import DefaultAzureCredential
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient

    client = ContainerRegistryManagementClient(DefaultAzureCredential(), os.environ["AZURE_SUBSCRIPTION_ID"])
    found = client.registries.list_credentials("sandbox-shared", "sandboxmodels")
    credentials = f"{found.username}:{found.passwords[0].value}"
    public, private = "docker://mcr.microsoft.com/azureiotedge-agent:1.5", "docker://sandboxmodels.azurecr.io"
    with tempfile.TemporaryDirectory() as folder:
        for words in (
            f"inspect {public}",
            f"list-tags {public.rpartition(':')[0]}",
            f"copy --all {public} {private}/mirror/agent:1.5 --dest-creds CREDENTIALS",
            f"inspect {private}/mirror/agent:1.5 --creds CREDENTIALS",
            f"copy {private}/team/app:v1 oci:FOLDER/image:v1 --src-creds CREDENTIALS",
            f"copy oci:FOLDER/image:v1 {private}/copied:v2 --dest-creds CREDENTIALS",
            f"list-tags {private}/copied --creds CREDENTIALS",
            f"delete {private}/copied:v2 --creds CREDENTIALS",
        ):
            real = [word.replace("CREDENTIALS", credentials).replace("FOLDER", folder) for word in words.split()]
            yield f"skopeo {words}", ["skopeo", *real]


def _tool() -> None:
    for what, command in _skopeo():
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        lines = ended.stderr.strip().splitlines() or ["no reason given"]
        print(json.dumps({"what": what, "result": "works" if ended.returncode == 0 else lines[-1]}), flush=True)


def main() -> int:
    """Run the clients that are installed and write the page."""
    if sys.argv[1:2] == ["--inside"]:
        return _inside(sys.argv[2])
    if sys.argv[1:2] == ["--tool"]:
        _tool()
        return 0
    tables = read()
    for name in sys.argv[1:] or installed():
        rows = run(name)
        tables[name] = ALL[name].version() or "", rows
        print(f"{name}: {sum(result == 'works' for _, result in rows)} of {len(rows)} work", flush=True)
    write(tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
