"""The sources of registry credentials: one file each, and this table of them.

To add one, write its file with a subclass of `Source`, add it to the table, and describe it in docs/credentials.md. Its
name, its keys in the project file and their checks, the JSON Schema, the logins, `doctor`, `credentials show`, expiry
warnings, and the advice if a login is missing all come from that class.
"""

from __future__ import annotations

from typing import Final

from manifestgen.credentials.source import Source
from manifestgen.credentials.sources.admin import Admin
from manifestgen.credentials.sources.env import Env
from manifestgen.credentials.sources.file import File
from manifestgen.credentials.sources.keyvault import KeyVault
from manifestgen.credentials.sources.token import Token

#: By name, in the order in which messages list them.
SOURCES: Final[dict[str, Source]] = {source.name: source for source in (Admin(), Token(), Env(), File(), KeyVault())}
