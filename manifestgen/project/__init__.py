"""The project: its file, its lock file, its values, and the files that it names.

`load` reads a project file. The modules: `sections` what may stand in it, `lock` the lock file, `inputs` the hashes of
what an image is made from, `score` the checks of entry script and conda file, `values` the values of a rendering,
and the section `registry` is in `manifestgen.credentials`.
"""

from manifestgen.project.load import FILE_NAME, Project, load

__all__ = ["FILE_NAME", "Project", "load"]
