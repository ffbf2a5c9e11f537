"""A source of registry credentials in one file, as somebody would add it: logins from a password manager, say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Annotated

from msgspec import Meta, Struct

from manifestgen.credentials.source import Inputs, Login, Registry, Settings, Source, Wanted, Where
from manifestgen.errors import InputError
from manifestgen.secret import Secret


class Toys(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the source toy needs to know."""

    box: Annotated[str, Meta(pattern="^[a-z]+$", description="Name of the box.")]
    user: str = ""
    until: str = ""


class Toy(Source):
    """Logins from a box of toys."""

    name = "toy"
    summary = "a box of toys"
    place = "the box"
    found = "box"
    settings = {"toys": (Annotated[Toys | None, Meta(description=Toys.__doc__)], None)}  # noqa: RUF012 - a constant
    patterns = {"box": ("box", "use small letters")}  # noqa: RUF012 - a constant

    def check(self, registry: Registry, where: Where) -> None:
        if registry.uses(self.name) and registry.setting("toys") is None:
            raise InputError("registry.toys is missing; source toy needs it", where=where(), fix="add 'toys: {box: …}'")

    def logins(self, wanted: Sequence[Wanted], inputs: Inputs) -> Mapping[str, Login]:
        toys: Toys = inputs.settings.registry.setting("toys")
        if not toys.user:
            return {}
        expiry = datetime.fromisoformat(toys.until).replace(tzinfo=timezone.utc) if toys.until else None
        login = Login(toys.user, Secret("canary-of-a-toy"), expiry, f"box {toys.box}", "fill the box again")
        return {one.host: login for one in wanted if one.required}

    def advice(self, wanted: Wanted, settings: Settings) -> str:
        return f"put a login for {wanted.host} into box {settings.registry.setting('toys').box}"
