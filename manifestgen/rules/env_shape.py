"""The environment of a module."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.reading import is_null, key_of
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    bad='"env": {"LEVEL": "info"}',
    good='"env": {"LEVEL": {"value": "info"}}',
)
def env_shape(manifest: Manifest) -> Iterator[Problem]:
    """A module's `env` is not an object of variables with values.

    `env` is an object, and each variable in it is an object whose `value` is a string, a number, or true or
    false. Docker's list of `NAME=value` belongs in createOptions.

    Write `"env": {"NAME": {"value": "text"}}`.
    """
    for module in manifest.modules():
        env = module.get("env")
        if is_null(env):
            continue
        if not isinstance(env, dict):
            yield Problem(
                module.at("env"), f"'env' of module {module.name!r} is not an object", 'write {"NAME": {"value": "…"}}'
            )
            continue
        for name, entry in env.items():
            if type(entry) is dict:
                value = entry.get("value", "")
                if type(value) is str:
                    if "value" in entry or len(entry) == 0:
                        continue
                    key = key_of(entry, "value")
                    value = entry[key] if key else ""
                if not isinstance(value, dict | list):
                    continue
                what = "an object" if isinstance(value, dict) else "a list"
                yield Problem(
                    f"{module.at('env')}/{escape(name)}",
                    f"the value of variable {name!r} of module {module.name!r} is {what}",
                    "write it as a string",
                )
            elif entry is not None:
                yield Problem(
                    f"{module.at('env')}/{escape(name)}",
                    f"variable {name!r} of module {module.name!r} is not an object",
                    'write {"value": "…"}',
                )
