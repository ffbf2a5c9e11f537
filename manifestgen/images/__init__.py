"""The images of a manifest: built from a model, pulled as a device would, named by digest."""
