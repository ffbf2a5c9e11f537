"""A manifest as a picture: values in, SVG, HTML or mermaid out.

- `model`: what is shown: a manifest, or two, with findings and what a device reports, as texts that are safe to show.
- `read`: makes that from a manifest.
- `layout`: where boxes and lines are.
- `svg`, `page`, `mermaid`: the three forms.
"""
