"""Compares two manifests: their differences, merging one into the other, normal form for export."""
