"""Secrets that everybody who sees the manifest can read."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.secret_text import is_secret
from manifestgen.rules._rule import Effect, Problem, option, rule


@rule(
    Effect.RISK,
    alone=True,
    bad='"env": {"DB_PASSWORD": {"value": "hunter2"}}',
    good='"env": {"DB_PASSWORD_FILE": {"value": "/run/secrets/db"}}',
)
def clear_secret(manifest: Manifest) -> Iterator[Problem]:
    """An environment variable or createOptions holds a secret in clear text.

    Anyone who can read the twin, the portal, the file or its history can read the manifest, and it is copied to
    the device and into support bundles. For registry passwords the runtime offers no alternative; for
    everything else there is one.

    Let the module fetch the secret itself (Key Vault, a mounted file), or insert it when rendering and keep the
    result out of git.
    """
    fix = "let the module fetch it, for example from Key Vault or a mounted file"
    for module in manifest.modules():
        for name in module.env:
            value = module.env_value(name)
            if value and is_secret(name, value):
                yield Problem(
                    module.at_env(name),
                    f"variable {name!r} of module {module.name!r} holds a secret in clear text",
                    fix,
                )
    for module, options in manifest.options:
        env = options.get("Env")
        for index, item in enumerate(env if isinstance(env, list) else ()):
            name, _, value = item.partition("=") if isinstance(item, str) else ("", "", "")
            if value and is_secret(name, value):
                yield Problem(
                    module.at_setting("createOptions"),
                    f"'Env' in createOptions of module {module.name!r} holds a secret in clear text: {name!r}",
                    fix,
                    needs=(option(module, "Env", index),),
                )
