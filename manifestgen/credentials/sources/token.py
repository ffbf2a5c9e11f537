"""The source `token`: a repository-scoped token of an Azure container registry.

Its password is in the environment, set by a pipeline, or in the user's state folder, if it was created on this
machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, structs

from manifestgen.credentials import variables
from manifestgen.credentials.source import Inputs, Login, Settings, Source, Standing, Wanted
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.credentials.stored import StoredPassword

RENEWAL = "renew it with 'manifestgen credentials rotate'"
_IN_ENVIRONMENT = "the environment"


class Token(Source):
    """A token that may pull the manifest's repositories and nothing else."""

    name = "token"
    summary = "a token of an Azure container registry that may only pull the manifest's repositories"
    place = "this machine's state folder"
    found = "state folder"
    azure = True
    settings = {  # noqa: RUF012 - annotated in the base class
        "token": (
            Annotated[
                Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{5,50}$")] | None,
                Meta(
                    description="For the source token: its name. By default, manifestgen- and the name of the module "
                    "that runs the model image.",
                    examples=["manifestgen-hall-3"],
                ),
            ],
            None,
        ),
        "days": (
            Annotated[
                Annotated[int, Meta(ge=1, le=3650)],
                Meta(description="Days after which a token's password expires, counted from its creation."),
            ],
            90,
        ),
    }
    patterns = {"token": ("token name", "use 5 to 50 letters, digits and '-'")}  # noqa: RUF012 - annotated in the base class

    def logins(self, wanted: Sequence[Wanted], inputs: Inputs) -> Mapping[str, Login]:
        """From the variables, or else stored on this machine, or else created if that is allowed.

        Raises:
            InputError: only one of the two variables is set; no password is stored here, or it has expired.
        """
        found = _from_variables(wanted, inputs)
        for one in wanted:
            if one.required and one.host not in found:
                found[one.host] = _stored(one, self.advice(one, inputs.settings), inputs)
        return found

    def advice(self, wanted: Wanted, settings: Settings) -> str:
        """How to get a password."""
        names = f"{variables.USERNAME}{wanted.suffix} and {variables.PASSWORD}{wanted.suffix}"
        return f"create one with 'manifestgen credentials create-token', or give it as {names}"

    def standing(self, wanted: Wanted, inputs: Inputs) -> Standing | None:
        """With the registry's state of the token and its password."""
        from manifestgen.credentials.acr_token import name_of
        from manifestgen.credentials.azure_registry import if_expired, with_registry
        from manifestgen.credentials.stored import latest

        standing = Standing(wanted.host, self.name, renewal=RENEWAL)
        given = _from_variables((wanted,), inputs).get(wanted.host)
        name = name_of(inputs.settings)
        known = latest(inputs.state, wanted.host, name) if given is None else None
        if given is None and not wanted.required:
            return None
        if given is not None:
            standing = structs.replace(standing, username=given.username, found="environment")
        elif known is not None:
            standing = structs.replace(standing, username=name, found=self.found, expiry=known.expiry)
            standing = if_expired(standing, inputs.now)
        else:
            problem = "no password of the token is stored on this machine"
            standing = structs.replace(
                standing, username=name, problem=problem, fix=self.advice(wanted, inputs.settings)
            )
        return with_registry(standing, inputs, token=True)


def _from_variables(wanted: Sequence[Wanted], inputs: Inputs) -> dict[str, Login]:
    found = {one.host: variables.login(one.host, one.suffix, inputs.environ, _IN_ENVIRONMENT) for one in wanted}
    return {host: Login(*login) for host, login in found.items() if login is not None}


def _stored(wanted: Wanted, advice: str, inputs: Inputs) -> Login:
    """The password that is stored on this machine; created now if necessary."""
    from manifestgen.credentials.acr_token import name_of
    from manifestgen.credentials.azure_registry import ROTATE
    from manifestgen.credentials.stored import latest

    name = name_of(inputs.settings)
    known = latest(inputs.state, wanted.host, name) or _created(wanted, name, inputs)
    if known is None or known.password is None:
        what = f"no password of token {name} is stored on this machine"
        raise InputError(what, where=f"registry {wanted.host}", fix=advice)
    if known.expired(inputs.now):
        what = f"the password of token {name} expired on {known.expiry:%Y-%m-%d}"
        raise InputError(what, where=f"registry {wanted.host}", fix=ROTATE)
    return Login(name, known.password, known.expiry, f"the password of token {name}", RENEWAL)


def _created(wanted: Wanted, name: str, inputs: Inputs) -> StoredPassword | None:
    """The password of a newly created token; None unless creating is allowed."""
    if not inputs.create_token or not wanted.repositories:
        return None
    from manifestgen.credentials.acr_token import create

    created = create(
        inputs.services.registry,
        inputs.registry_of(wanted.host),
        name,
        wanted.repositories,
        root=inputs.state,
        days=inputs.settings.registry.setting("days"),
        now=inputs.now,
    )
    for note in created.notes:
        inputs.report(note)
    return created.stored
