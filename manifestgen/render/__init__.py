"""Renders a template and values to a deployment manifest.

- `render`, `load_template`, `Template`: load and render a Jinja template, built-in or from a file.
- `render_project`: the manifest of a project, with its image and its registry credentials.
- `context_of`: the names that a project's template can use; `base_of` and `complete` are its two steps.
  The credentials are given as `Logins`, a function from the manifest to a `Login` for each registry host.
- `builtin_templates`, `builtin_names`, `builtin_name`: the templates that come with the package.
"""

from manifestgen.render.context import base_of, complete, context_of
from manifestgen.render.project import Logins, NoImageError, Rendered, locks_of, render_project
from manifestgen.render.registry import Login
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
    "Login",
    "Logins",
    "NoImageError",
    "Rendered",
    "Template",
    "UndefinedValueError",
    "base_of",
    "builtin_name",
    "builtin_names",
    "builtin_templates",
    "complete",
    "context_of",
    "load_template",
    "locks_of",
    "render",
    "render_project",
]
