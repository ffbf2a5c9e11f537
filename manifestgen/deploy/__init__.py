"""A whole deployment: image, render, check, preflight, plan, apply, wait; or, in a dry run, what each would do."""

from manifestgen.deploy.options import Deployment, Observer, Options
from manifestgen.deploy.steps import deploy

__all__ = ["Deployment", "Observer", "Options", "deploy"]
