"""A solution of the VS Code extension or of iotedgedev, as a value: template, `.env` and `module.json` files.

`read_solution` reads one, `generate` makes the manifest that those tools make of it. What a placeholder is and what it
stands for is in `expansion`; how `manifestgen import` makes a project of it is in `manifestgen.importing`.
"""

from manifestgen.solution.generate import Generated, generate
from manifestgen.solution.solution import PLATFORMS, Solution, read_solution, template_of

__all__ = ["PLATFORMS", "Generated", "Solution", "generate", "read_solution", "template_of"]
