"""Creates the tokens that a project's manifest needs."""

from __future__ import annotations

from collections.abc import Iterator

from manifestgen.credentials.acr_token import Created, create, name_of
from manifestgen.credentials.logins import token_hosts
from manifestgen.credentials.source import Inputs
from manifestgen.manifest.manifest import Manifest


def create_tokens(
    inputs: Inputs, manifest: Manifest, *, days: int | None, widen: bool
) -> Iterator[tuple[str, Created]]:
    """Create the token of each registry of a manifest that has the source token; see `create`.

    Args:
        inputs: of the project's sources.
        manifest: without credentials.
        days: until a new password expires; None for the project's setting.
        widen: see `create`.
    """
    for host, repositories in token_hosts(inputs.settings, manifest).items():
        yield (
            host,
            create(
                inputs.services.registry,
                inputs.registry_of(host),
                name_of(inputs.settings),
                repositories,
                root=inputs.state,
                days=days or inputs.settings.registry.setting("days"),
                widen=widen,
                now=inputs.now,
            ),
        )
