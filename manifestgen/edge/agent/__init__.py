"""edgeAgent's work for modules that are processes: start order, restart policies, back-off, logs, limits."""
