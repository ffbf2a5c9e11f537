"""A solution of the VS Code extension or of iotedgedev, as a value: template, `.env` and `module.json` files.

`read_solution` reads one, `generate` creates the manifest that those tools generate from it. The syntax and values of
placeholders are in `expansion`; `manifestgen import` is in `manifestgen.importing`.
"""

from manifestgen.solution.generate import Generated, generate
from manifestgen.solution.solution import PLATFORMS, Solution, read_solution, template_of

__all__ = ["PLATFORMS", "Generated", "Solution", "generate", "read_solution", "template_of"]
