"""Azure Resource Manager: subscriptions, workspaces, registries, hubs."""
