"""The deployment manifest as a value.

- `manifest`: what is in a manifest: modules, routes, registry credentials, each with its place.
- `document`: a file's text becomes a value with positions, and a manifest if it is one.
- `image`, `create_options`, `credentials`, `schema_version`, `twin`: parts of it, as the runtime and IoT Hub read them.
- `route`: the language of routes.
- `dump`: a manifest as text.
"""
