"""Simulated edge devices: how edgeAgent and edgeHub apply their desired properties, and what they report."""
