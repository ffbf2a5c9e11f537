"""A trial: the model's entry script run on this machine as its image would run it, with a sample message."""
