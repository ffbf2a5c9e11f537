"""Simulated edge devices: what edgeAgent and edgeHub do with their desired properties, and report."""
