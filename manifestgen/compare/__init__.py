"""Two manifests side by side: their differences, one merged into the other, one normalised for export."""
