"""The source `admin`: the admin user of the Azure container registry of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from manifestgen.credentials.source import Inputs, Login, Settings, Source, Standing, Wanted
from manifestgen.errors import ManifestgenError

_FIX = "set registry.credentials to another source, such as token, or enable it: 'manifestgen deploy --enable-admin'"


class Admin(Source):
    """The admin user, who may do everything in the registry."""

    name = "admin"
    summary = "the admin user of an Azure container registry"
    place = "Azure"
    found = "Azure"
    azure = True

    def logins(self, wanted: Sequence[Wanted], inputs: Inputs) -> Mapping[str, Login]:
        """User name and first password of each registry's admin user.

        Raises:
            NotFoundError: the caller can read no registry with this host.
            DeniedError: the admin user is disabled; the error names the option and the other sources.
        """
        return {one.host: self._login(one.host, inputs) for one in wanted if one.required}

    def advice(self, wanted: Wanted, settings: Settings) -> str:
        """Another source: Azure returns either a login or an error with its own advice."""
        return "choose another source in registry.credentials or registry.sources"

    def standing(self, wanted: Wanted, inputs: Inputs) -> Standing | None:
        """Whether the admin user is enabled; its password is not read."""
        if not wanted.required:
            return None
        standing = Standing(wanted.host, self.name)
        try:
            info = inputs.registry_of(wanted.host)
        except ManifestgenError as error:
            return structs.replace(standing, problem=error.message, fix=error.fix)
        username = info.id.rpartition("/")[2]
        if not info.admin_enabled:
            return structs.replace(
                standing, username=username, admin=False, problem="the admin user is disabled", fix=_FIX
            )
        return structs.replace(standing, username=username, admin=True, found=self.found)

    def _login(self, host: str, inputs: Inputs) -> Login:
        info, registry = inputs.registry_of(host), inputs.services.registry
        if inputs.enable_admin and not info.admin_enabled:
            info = registry.enable_admin(info)
            inputs.report(f"enabled the admin user of registry {info.login_server}")
        credential = registry.admin_credential(info)
        return Login(credential.username, credential.password)
