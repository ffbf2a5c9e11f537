"""The credentials with which devices log in to registries.

- `source`: what a source of logins is; `sources`: one file each, and the table of them.
- `section`: the section `registry` of the project file, whose keys are those of the sources.
- `logins`: finds logins, or placeholders for them, for a manifest and a project's settings.
- `standing`: the status of each login, for `doctor`, `credentials show` and the warnings.
- `acr_token`: creates repository-scoped tokens; `stored`: their passwords, on this machine; `rotation` renews them.
- `azure_registry`: a registry's state in Azure; `variables`, `placeholders`: `ACR_PASSWORD_<NAME>` and `${…}`.
"""
