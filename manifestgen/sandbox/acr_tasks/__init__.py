"""ACR Tasks: builds by a container registry, over ARM, and what carries out their Dockerfiles."""
