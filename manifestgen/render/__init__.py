"""Template and values become a deployment manifest.

- `render`, `load_template`, `Template`: a Jinja template, from the package or from anywhere, rendered.
- `render_project`: the manifest of a project, with its image and its registry credentials.
- `context_of`: what a template can use, for a project.
- `named_hosts`, `private_hosts`, `needed_hosts`: the registries that a manifest's images name, for which credentials
  are to be found; `repositories`: what is pulled from each.
- `placeholder_logins`, `placeholders_for`, `inline_logins`: where the credentials of a rendered manifest come from.
- `with_placeholders`: a manifest without the user names and passwords in it.
- `builtin_templates`, `builtin_names`, `builtin_name`: the templates that come with the package.
"""

from manifestgen.render.context import context_of
from manifestgen.render.project import (
    AzureLogins,
    Logins,
    Rendered,
    inline_logins,
    needed_hosts,
    placeholder_logins,
    placeholders_for,
    render_project,
)
from manifestgen.render.registry import Login, named_hosts, private_hosts, repositories, with_placeholders
from manifestgen.render.template import (
    Template,
    UndefinedValueError,
    builtin_name,
    builtin_names,
    builtin_templates,
    load_template,
    render,
)

__all__ = [
    "AzureLogins",
    "Login",
    "Logins",
    "Rendered",
    "Template",
    "UndefinedValueError",
    "builtin_name",
    "builtin_names",
    "builtin_templates",
    "context_of",
    "inline_logins",
    "load_template",
    "named_hosts",
    "needed_hosts",
    "placeholder_logins",
    "placeholders_for",
    "private_hosts",
    "render",
    "render_project",
    "repositories",
    "with_placeholders",
]
