"""A manifest for each of many devices, rendered from rows of values."""
