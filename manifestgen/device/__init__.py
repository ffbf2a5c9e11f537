"""One device: planning changes to its modules, applying them, waiting, and rolling back."""
