"""Imports a solution of the VS Code extension or iotedgedev: as a manifestgen project, or as the manifest alone.

- `project`: the project file, its template and what could not be carried over, as values; `images` and `template` make
  parts of it.
- `manifest`: the manifest that the tool generates.
- `write`: writes files, all or none.
"""
