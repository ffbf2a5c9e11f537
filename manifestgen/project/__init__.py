"""The project: its file, its lock file, its values, and the files that it names.

`load` reads a project file. The modules: `sections` defines its keys, `lock` the lock file, `inputs` hashes an image's
inputs, `score` checks entry script and conda file, `values` has the values of a rendering. The section `registry` is in
`manifestgen.credentials`.
"""

from manifestgen.project.load import FILE_NAME, Project, load

__all__ = ["FILE_NAME", "Project", "load"]
