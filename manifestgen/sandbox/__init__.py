"""A local Azure on loopback, for the unmodified SDKs: not Azure, but as strict where it matters to a deployment.

One HTTPS proxy ends TLS with a throwaway certificate authority and serves, by the services' real host names, what
azureml-core, azure-mgmt-containerregistry, azure-identity and azure-iot-hub ask for. Each service is an aiohttp
application in a module of its own, made by `create(world)`; `World` is all they share.
"""
