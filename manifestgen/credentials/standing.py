"""The state of the logins of a project's registries, for `doctor`, `credentials show` and the warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from manifestgen.credentials import stored
from manifestgen.credentials.azure_registry import is_azure, with_registry
from manifestgen.credentials.expiry import is_near, until, warning
from manifestgen.credentials.logins import wanted_of
from manifestgen.credentials.source import Inputs, Source, Standing, Wanted
from manifestgen.credentials.sources import SOURCES
from manifestgen.credentials.sources.token import RENEWAL
from manifestgen.errors import InputError
from manifestgen.manifest.credentials import RegistryCredential

_BOTH: Final[tuple[stored.Which, ...]] = ("next", "current")

#: Without a project.
WARN_DAYS: Final = 14


def standings(hosts: Mapping[str, frozenset[str]], inputs: Inputs, *, azure: bool = True) -> Iterator[Standing]:
    """The state of the login for each registry host that needs or has one.

    Args:
        hosts: of a manifest, see `logins.hosts_of`.
        inputs: of the sources.
        azure: whether Azure can be reached; otherwise, checks that need it are `skipped`.
    """
    wanted = list(wanted_of(hosts, inputs.settings))
    sources = {one.host: SOURCES[inputs.settings.registry.source_of(one.host)] for one in wanted}
    unassigned = _unassigned(wanted, sources, inputs)
    for one in wanted:
        source = sources[one.host]
        try:
            if one.required and source.name in unassigned:
                raise unassigned[source.name]
            standing = _standing(one, source, inputs, azure=azure)
        except InputError as error:
            standing = Standing(one.host, source.name, problem=error.message, fix=error.fix, mistake=error)
        if standing is not None:
            yield standing


def _standing(one: Wanted, source: Source, inputs: Inputs, *, azure: bool) -> Standing | None:
    if source.azure and not azure:
        return Standing(one.host, source.name, skipped=True) if one.required else None
    standing = source.standing(one, inputs)
    # A user name from any source may be a token's, whose expiry the registry knows.
    if standing is not None and azure and is_azure(one.host) and standing.admin is None:
        return with_registry(standing, inputs)
    return standing


def _unassigned(wanted: Iterable[Wanted], sources: Mapping[str, Source], inputs: Inputs) -> dict[str, InputError]:
    """By source, why the project does not assign a login to each host."""
    required: dict[str, list[str]] = {}
    for one in wanted:
        if one.required:
            required.setdefault(sources[one.host].name, []).append(one.host)
    problems: dict[str, InputError] = {}
    for name, hosts in required.items():
        try:
            SOURCES[name].assign(hosts, inputs.settings)
        except InputError as error:
            problems[name] = error
    return problems


def describe(standing: Standing, now: datetime) -> str:
    """A login in one line; never a password."""
    facts = [f"source {standing.source}", f"user {standing.username}" if standing.username else "no user"]
    if standing.found != "nowhere":
        facts.append(f"password in {_place(standing)}")
    if standing.expiry is not None:
        facts.append(until(standing.expiry, now))
    if standing.admin is not None:
        facts.append(f"admin user {'enabled' if standing.admin else 'disabled'}")
    return ", ".join(facts)


def _place(standing: Standing) -> str:
    places = {source.found: source.place for source in SOURCES.values()}
    return places.get(standing.found, standing.found)


def warnings(
    credentials: Iterable[RegistryCredential], root: Path, now: datetime, warn_days: int = WARN_DAYS
) -> Iterator[str]:
    """Warnings about registry credentials of a manifest that expire soon, or have been replaced.

    Reads only the passwords stored on this machine, without a request to Azure.

    Args:
        credentials: of the manifest.
        root: the user's state folder.
        now: the time.
        warn_days: expiries further away than this are fine.
    """
    for one in credentials:
        try:
            known = [stored.read(root, one.address, one.username, which) for which in _BOTH]
        except InputError:
            continue  # reported where the password is needed
        passwords = [each for each in known if each is not None and each.password is not None]
        same = next((each for each in passwords if each.password == one.password), None)
        if same is not None:
            if same.expiry is not None and is_near(same.expiry, now, warn_days):
                yield warning(f"the password of token {one.username}", one.address, same.expiry, RENEWAL, now)
        elif passwords and not one.password.reveal().startswith("${"):
            yield (
                f"the password of token {one.username} for {one.address} is not the latest one created on this "
                "machine, and may have been deleted; render the manifest again"
            )
