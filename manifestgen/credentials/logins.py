"""Finds the logins that a manifest needs, by the project's settings.

All commands that need logins use it: `render`, `deploy`, rows, and `plan`, `apply` and `preflight` of a file with
placeholders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from manifestgen.credentials.expiry import is_near, warning
from manifestgen.credentials.section import NEVER_PRIVATE, names
from manifestgen.credentials.source import Inputs, Login, Settings, Wanted
from manifestgen.credentials.sources import SOURCES
from manifestgen.credentials.sources.token import Token
from manifestgen.credentials.variables import suffixes
from manifestgen.errors import InputError
from manifestgen.manifest.image import is_private
from manifestgen.manifest.registries import image_hosts, named_hosts, repositories

if TYPE_CHECKING:
    from manifestgen.cloud import Login as AnyLogin
    from manifestgen.credentials.placeholders import Placeholder
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.secret import Secret

#: Finds the logins for registry hosts, given with the repositories that are pulled from them.
Find = Callable[[Mapping[str, frozenset[str]]], Mapping[str, "AnyLogin"]]


class Logins:
    """The logins of a project's registries, looked up once each."""

    def __init__(self, inputs: Inputs) -> None:
        """Nothing is looked up yet."""
        self._inputs = inputs
        self._known: dict[tuple[str, str], Login | None] = {}
        self._required: dict[str, tuple[str, ...]] = {}

    def find(self, hosts: Mapping[str, frozenset[str]], beside: Iterable[str] = ()) -> dict[str, Login]:
        """The login for each registry host that has one, from the source that the project names for it.

        A public registry that the project does not name gets a login only if there is one on this machine.

        Args:
            hosts: in the form of image references, each with the repositories that are pulled from it; without
                repositories, no token is created.
            beside: other registry hosts of the manifest, since the names of variables depend on them.

        Raises:
            ManifestgenError: a login cannot be used or looked up, or the project does not say which one is for a host.
        """
        wanted = list(wanted_of(hosts, self._inputs.settings, beside))
        # Logins on this machine come first, so that a mistake there is found before any request to Azure.
        for name, source in sorted(SOURCES.items(), key=lambda item: item[1].azure):
            mine = [one for one in wanted if self._inputs.settings.registry.source_of(one.host) == name]
            new = tuple(one for one in mine if (one.host, one.suffix) not in self._known)
            if not new:
                continue
            earlier = self._required.get(name, ())
            required = (*earlier, *(one.host for one in new if one.required and one.host not in earlier))
            source.assign(required, self._inputs.settings)
            found = source.logins(new, self._inputs)
            self._required[name] = required
            self._known |= {(one.host, one.suffix): found.get(one.host) for one in new}
            for host, login in found.items():
                self._warn(host, login)
        known = {one.host: self._known[one.host, one.suffix] for one in wanted}
        return {host: login for host, login in known.items() if login is not None}

    def _warn(self, host: str, login: Login) -> None:
        now, warn_days = self._inputs.now, self._inputs.settings.registry.warn_days
        if login.expiry is not None and is_near(login.expiry, now, warn_days):
            self._inputs.report(warning(login.subject, host, login.expiry, login.renewal, now))


def wanted_of(hosts: Mapping[str, frozenset[str]], settings: Settings, beside: Iterable[str] = ()) -> Iterable[Wanted]:
    """The logins to look up for registry hosts; see `Logins.find`."""
    named = suffixes((*hosts, *beside))
    for host, pulled in hosts.items():
        if host.lower() != NEVER_PRIVATE:
            yield Wanted(host, named[host], pulled, _is_required(host, settings))


def may_ask_azure(hosts: Mapping[str, frozenset[str]], settings: Settings) -> bool:
    """Whether a required login may come from Azure, not from this machine."""
    required = (host for host in hosts if _is_required(host, settings))
    return any(SOURCES[settings.registry.source_of(host)].azure for host in required)


def hosts_of(manifest: Manifest) -> dict[str, frozenset[str]]:
    """The registry hosts of a manifest without a credential in it, with the repositories of each."""
    pulled = repositories(manifest)
    return {host: pulled[host.lower()] for host in named_hosts(manifest)}


def needed_hosts(settings: Settings, manifest: Manifest) -> tuple[str, ...]:
    """The hosts that need a credential: private registries, and those that the project names."""
    return tuple(host for host in named_hosts(manifest) if _is_required(host, settings))


def token_hosts(settings: Settings, manifest: Manifest) -> dict[str, frozenset[str]]:
    """The registries of a manifest with the source `token`, with the repositories that are pulled from each.

    Raises:
        InputError: there is none.
    """
    pulled = repositories(manifest)
    hosts = [host for host in needed_hosts(settings, manifest) if settings.registry.source_of(host) == Token.name]
    if not hosts:
        fix = "write 'registry: {credentials: token}' in the project file"
        raise InputError("no registry of the manifest has the source token", where=settings.file, fix=fix)
    return {host: pulled[host.lower()] for host in hosts}


def inline(settings: Settings, find: Find) -> Callable[[Manifest], Mapping[str, AnyLogin]]:
    """The real logins of a manifest, for `render_project`.

    Args:
        settings: of the project.
        find: `Logins.find`, or `credentials` of the project's services.

    Returns:
        A function that raises InputError if a registry that needs a login has none.
    """

    def logins(manifest: Manifest) -> Mapping[str, AnyLogin]:
        hosts = hosts_of(manifest)
        found = find(hosts)
        for one in wanted_of(hosts, settings):
            if one.required and one.host not in found:
                fix = SOURCES[settings.registry.source_of(one.host)].advice(one, settings)
                raise InputError(f"no credential for registry {one.host}", where=settings.file, fix=fix)
        return found

    return logins


def for_placeholders(manifest: Manifest, hosts: Sequence[str], logins: Logins) -> dict[str, tuple[str, Secret]]:
    """User names and passwords for the placeholders among a manifest's registry credentials.

    Args:
        manifest: with placeholders.
        hosts: the addresses of the credentials that are placeholders.
        logins: of the project beside the manifest.

    Raises:
        ManifestgenError: see `Logins.find`.
    """
    named, pulled = image_hosts(manifest), repositories(manifest)
    asked = {named.get(host.lower(), host): pulled.get(host.lower(), frozenset()) for host in hosts}
    found = {host.lower(): login for host, login in logins.find(asked, beside=named.values()).items()}
    known = {host: found[host.lower()] for host in hosts if host.lower() in found}
    return {host: (login.username, login.password) for host, login in known.items()}


def placeholders(settings: Settings | None = None) -> Callable[[Manifest], Mapping[str, Placeholder]]:
    """Placeholders in place of the logins of a manifest, for `render_project`.

    Args:
        settings: of the project, whose named registries get one too; None for private registries only.
    """
    from manifestgen.credentials.placeholders import placeholders as placeholders_for

    def logins(manifest: Manifest) -> Mapping[str, Placeholder]:
        named = named_hosts(manifest)
        hosts = [host for host in named if is_private(host) or (settings is not None and _is_required(host, settings))]
        return placeholders_for(hosts, named)

    return logins


def _is_required(host: str, settings: Settings) -> bool:
    return is_private(host) or names(settings.registry, host)
