"""An IoT hub's service API, its deployments and its query language."""
