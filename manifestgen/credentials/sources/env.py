"""The source `env`: the variables `ACR_USERNAME_<NAME>` and `ACR_PASSWORD_<NAME>`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from manifestgen.credentials import variables
from manifestgen.credentials.source import Inputs, Login, Settings, Source, Wanted


class Env(Source):
    """The environment variables of the process."""

    name = "env"
    summary = "the variables ACR_USERNAME_<NAME> and ACR_PASSWORD_<NAME>"
    place = "the environment"
    found = "environment"

    def logins(self, wanted: Sequence[Wanted], inputs: Inputs) -> Mapping[str, Login]:
        """The logins whose variables are set. Raises InputError if only one of the two is."""
        found = {one.host: variables.login(one.host, one.suffix, inputs.environ, self.place) for one in wanted}
        return {host: Login(*login) for host, login in found.items() if login is not None}

    def advice(self, wanted: Wanted, settings: Settings) -> str:
        """The names of the variables."""
        return f"set {variables.USERNAME}{wanted.suffix} and {variables.PASSWORD}{wanted.suffix}"
