"""An IoT Edge on this machine: what edgeAgent and edgeHub do, for modules that are processes."""
