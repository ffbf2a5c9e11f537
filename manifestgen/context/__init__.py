"""The build context of a model's image: packages, runner, entry script and model, and the Dockerfile for them."""
