"""Registry credentials from Azure: the admin user's, and tokens that may only pull what a manifest names.

`admin` reads the admin user's. `token` makes tokens and finds the passwords of those that this machine made, which
`kept` keeps in the user's state folder: Azure tells a token's password only once. `expiry` says how long they last.
"""

from manifestgen.credentials.admin import admin_credentials, find
from manifestgen.credentials.token import token_credentials

__all__ = ["admin_credentials", "find", "token_credentials"]
