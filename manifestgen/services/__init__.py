"""The services of a project, for any program: adapters are chosen, imported and connected on first use.

project = load(Path("my-model"))
with ProjectServices(project) as services:
    deploy(project, services)
"""

from manifestgen.services.hub import CONNECTION_STRING, hub_needs_login, log_in, open_distribution, open_hub
from manifestgen.services.project import ProjectServices

__all__ = ["CONNECTION_STRING", "ProjectServices", "hub_needs_login", "log_in", "open_distribution", "open_hub"]
