"""Shared by the sandbox's services: names, secrets, state and clock.

State is kept in SQLite, not in memory: a sandbox with a hundred thousand devices stays small, and with a state folder
it survives a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

_LOG = logging.getLogger(__name__)

# Size of SQLite's page cache.
_CACHE_KIB = 32 * 1024

# Sorts after every other character: every string that begins with a prefix sorts below prefix + _LAST.
_LAST = "\U0010ffff"


def dump(value: Any) -> bytes:
    """JSON text of a value."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeError, OverflowError):
        # Half a surrogate pair cannot be encoded in UTF-8; a very large number does not fit 64 bits.
        return json.dumps(value).encode()


def load(text: bytes) -> Any:
    """The value of a JSON text that `dump` wrote."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


class Store:
    """JSON documents by kind and key, in one SQLite file.

    Changes are written at once but not synced to disk: a killed sandbox loses nothing, and losing data in a power cut
    does not matter here.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL" if path else "PRAGMA journal_mode = MEMORY")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS document (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key)) "
            "WITHOUT ROWID"
        )

        self._watchers: dict[str, Callable[[str], object]] = {}

    def watch(self, kind: str, changed: Callable[[str], object]) -> None:
        """From now on, call `changed` with the key of each document of this kind that is written or deleted."""
        self._watchers[kind] = changed

    def get(self, kind: str, key: str) -> Any:
        """The document, or None."""
        row = self._db.execute("SELECT value FROM document WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return None if row is None else load(row[0])

    def put(self, kind: str, key: str, value: Any) -> None:
        """Create or replace the document."""
        self._db.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", (kind, key, dump(value)))
        if kind in self._watchers:
            self._watchers[kind](key)

    def delete(self, kind: str, key: str) -> bool:
        """Delete the document; return whether it existed."""
        deleted = self._db.execute("DELETE FROM document WHERE kind = ? AND key = ?", (kind, key)).rowcount > 0
        if deleted and kind in self._watchers:
            self._watchers[kind](key)
        return deleted

    def items(self, kind: str, *, prefix: str = "", after: str = "", limit: int = -1) -> Iterator[tuple[str, Any]]:
        """Documents of a kind, ordered by key, with keys that begin with `prefix` and sort after `after`."""
        rows = self._db.execute(
            "SELECT key, value FROM document WHERE kind = ? AND key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?",
            (kind, prefix, after, prefix + _LAST, limit),
        ).fetchall()
        return ((key, load(value)) for key, value in rows)

    def keys(self, kind: str) -> Iterator[str]:
        """The keys of a kind, in order."""
        rows = self._db.execute("SELECT key FROM document WHERE kind = ? ORDER BY key", (kind,))
        return (key for (key,) in rows.fetchall())

    def count(self, kind: str, *, prefix: str = "") -> int:
        """The number of documents of a kind."""
        rows = self._db.execute(
            "SELECT count(*) FROM document WHERE kind = ? AND key >= ? AND key < ?", (kind, prefix, prefix + _LAST)
        )
        return int(rows.fetchone()[0])

    def counts(self) -> dict[str, int]:
        """The number of documents, by kind."""
        return dict(self._db.execute("SELECT kind, count(*) FROM document GROUP BY kind ORDER BY kind").fetchall())

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Make many changes in one transaction. Do not await inside: nothing else may run in the meantime."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()


@dataclass(frozen=True)
class Names:
    """Names of the sandbox's resources. The IDs are fixed, so a project file can refer to them."""

    tenant_id: str = "7e4a4700-0000-4000-8000-000000000001"
    subscription_id: str = "5ab5c710-0000-4000-8000-000000000001"
    client_id: str = "c11e4700-0000-4000-8000-000000000001"
    location: str = "westeurope"
    resource_group: str = "sandbox"
    workspace: str = "sandbox-ml"
    workspace_id: str = "3052ace0-0000-4000-8000-000000000001"
    # Not the workspace's resource group, as often in reality: code must not guess where the registry is.
    registry_group: str = "sandbox-shared"
    registry: str = "sandboxmodels"
    storage_account: str = "sandboxmodelstore"
    hub: str = "sandbox-hub"
    device: str = "edge-01"
    vault: str = "sandbox-vault"

    @property
    def login_server(self) -> str:
        """The registry's host."""
        return f"{self.registry}.azurecr.io"

    @property
    def hub_host(self) -> str:
        """The hub's host."""
        return f"{self.hub}.azure-devices.net"

    @property
    def hub_service_host(self) -> str:
        """The same hub's host name for back ends."""
        return f"{self.hub}.service.azure-devices.net"

    @property
    def vault_host(self) -> str:
        """The key vault's host."""
        return f"{self.vault}.vault.azure.net"

    @property
    def registry_arm_id(self) -> str:
        """The registry's full ARM ID."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.registry_group}"
            f"/providers/Microsoft.ContainerRegistry/registries/{self.registry}"
        )

    @property
    def workspace_arm_id(self) -> str:
        """The workspace's full ARM ID."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )


@dataclass(frozen=True)
class Pace:
    """How long simulated work takes, in seconds.

    Attributes:
        retry: a device's first pause before a retry.
        sensor: between two messages of the simulated temperature sensor; Microsoft's waits for 5 s.
        packages: whether builds really install packages; a test's sandbox does not, and its logs say so.
    """

    image_build: float = 3.0
    pull: float = 0.3
    start: float = 0.1
    retry: float = 2.0
    sensor: float = 0.1
    packages: bool = False


@dataclass
class World:
    """Everything the services share. One per sandbox, used from one event loop."""

    store: Store
    blobs: Path
    names: Names = field(default_factory=Names)
    pace: Pace = field(default_factory=Pace)
    # `run`: devices run the modules whose files there are, as processes. `simulate`: they run none.
    modules: str = "simulate"
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    # Callables with which services report their state to the admin API, by name.
    views: dict[str, Callable[[], Any]] = field(default_factory=dict)

    _secrets: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.store.watch("secret", lambda name: self._secrets.pop(name, None))

    def secret(self, name: str, make: Callable[[], str] = secrets.token_urlsafe) -> str:
        """A random secret, created with `make` on first use; it keeps its value as long as the state is kept."""
        known = self._secrets.get(name)
        if known is None:
            known = self.store.get("secret", name)
            if known is None:
                known = make()
                self.store.put("secret", name, known)
            self._secrets[name] = known
        return known

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def spawn(self, work: Any) -> asyncio.Task[None]:
        """Run a coroutine in the background until it ends or the sandbox stops."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("the sandbox failed in the background", exc_info=task.exception())
