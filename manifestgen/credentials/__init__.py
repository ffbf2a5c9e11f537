"""The credentials with which devices log in to registries.

- `source`: what a source of logins is; `sources`: one file each, and the table of them.
- `section`: the section `registry` of the project file, whose keys are those of the sources.
- `logins`: the way from a manifest and a project's settings to logins, or to placeholders for them.
- `standing`: how each login stands, for `doctor`, `credentials show` and the warnings.
- `acr_token`: creates repository-scoped tokens; `stored`: their passwords, on this machine; `rotation` renews them.
- `azure_registry`: what Azure knows about a registry; `variables`, `placeholders`: `ACR_PASSWORD_<NAME>` and `${…}`.
"""
