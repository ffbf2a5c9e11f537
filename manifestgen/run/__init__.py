"""A project's modules and routes on this machine, without a hub: `manifestgen run`."""
