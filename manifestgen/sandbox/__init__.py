"""A local Azure on loopback, for the unmodified SDKs: not Azure, but as strict where it matters to a deployment.

One HTTPS proxy ends TLS with a throwaway certificate authority and serves, by the services' real host names, what
azureml-core, azure-mgmt-containerregistry, azure-identity, azure-iot-hub and azure-keyvault-secrets ask for. Each
service is an aiohttp application in a module of its own, made by `create(world)`; `World` is all they share.

    run, daemon                around a command, or in the background of a session
    server                     proxy + services + admin API = one running sandbox
    proxy, certificates        how clients get there
    environment                the variables that lead them there
    admin, faults, traffic     what a test can switch on, and see
    world, refusal             what the services share: state and secrets, and the shapes of their errors
    entra                      Microsoft Entra ID
    arm, arm_…, accounts       Azure Resource Manager; the registries' accounts
    registry, registry_login, images    the registries' data plane
    aml, aml_…, blob           Azure Machine Learning and its storage
    key_vault                  Azure Key Vault: secrets
    hub, hub_…, query, query_terms    IoT Hub
    devices, edge_agent, edge_hub, verdict    simulated edge devices
"""
