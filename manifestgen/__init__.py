"""From a trained model to a running Azure IoT Edge module.

The names that most programs need are here, imported on first use:

    from manifestgen import check_document, read_document

    for finding in check_document(read_document(Path("deployment.json").read_bytes())):
        print(finding.line, finding.message)

The public modules, from values to effects. Everything else is an implementation detail, whatever its name:

- `manifestgen.errors`, `manifestgen.secret`: every expected error; a string that hides itself.
- `manifestgen.manifest.document`, `manifestgen.manifest.manifest`, `manifestgen.manifest.image`: the deployment
  manifest as a value; `manifestgen.manifest.route`: the route language.
- `manifestgen.project`: the project file. `manifestgen.render`: renders a template and values to a manifest.
- `manifestgen.check`: finds what IoT Hub and the device would reject in a manifest.
- `manifestgen.compare.diff`, `manifestgen.compare.merge`, `manifestgen.compare.export`: compares, merges and exports
  manifests.
- `manifestgen.cloud`: requests to Azure, as Protocols. `manifestgen.services`: their implementation.
- `manifestgen.target`, `manifestgen.device.plan`, `manifestgen.device.apply`: change one device and wait for it.
- `manifestgen.deploy`: from a model to a running module.
"""

from __future__ import annotations

# As `typing` has it, which takes longer to import than anything that this module needs.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from manifestgen.check import Effect, Finding, Severity, check_data, check_source, summarize
    from manifestgen.check import check as check_document
    from manifestgen.check import read as read_document
    from manifestgen.compare.diff import Change
    from manifestgen.compare.diff import diff as diff_manifests
    from manifestgen.errors import ManifestgenError
    from manifestgen.manifest.document import Document, Kind
    from manifestgen.manifest.image import ImageReference
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.manifest.route import Route, RouteSyntaxError
    from manifestgen.manifest.route import compile_check as check_route
    from manifestgen.manifest.route import parse as parse_route
    from manifestgen.render import render as render_template

__version__ = "0.1.0"

__all__ = [
    "Change",
    "Document",
    "Effect",
    "Finding",
    "ImageReference",
    "Kind",
    "Manifest",
    "ManifestgenError",
    "Route",
    "RouteSyntaxError",
    "Severity",
    "check_data",
    "check_document",
    "check_route",
    "check_source",
    "diff_manifests",
    "parse_route",
    "read_document",
    "render_template",
    "summarize",
]

# The module of each name. A function that has the name of its module is renamed here: `manifestgen.check` is the module
# once anything has imported it.
_HOMES = {
    "Change": "manifestgen.compare.diff:Change",
    "Document": "manifestgen.manifest.document:Document",
    "Effect": "manifestgen.check:Effect",
    "Finding": "manifestgen.check:Finding",
    "ImageReference": "manifestgen.manifest.image:ImageReference",
    "Kind": "manifestgen.manifest.document:Kind",
    "Manifest": "manifestgen.manifest.manifest:Manifest",
    "ManifestgenError": "manifestgen.errors:ManifestgenError",
    "Route": "manifestgen.manifest.route:Route",
    "RouteSyntaxError": "manifestgen.manifest.route:RouteSyntaxError",
    "Severity": "manifestgen.check:Severity",
    "check_data": "manifestgen.check:check_data",
    "check_document": "manifestgen.check:check",
    "check_route": "manifestgen.manifest.route:compile_check",
    "check_source": "manifestgen.check:check_source",
    "diff_manifests": "manifestgen.compare.diff:diff",
    "parse_route": "manifestgen.manifest.route:parse",
    "read_document": "manifestgen.check:read",
    "render_template": "manifestgen.render:render",
    "summarize": "manifestgen.check:summarize",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value
