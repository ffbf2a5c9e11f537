"""A local stand-in for Azure on loopback, for unmodified SDKs. It is as strict as Azure where a deployment can fail.

An HTTPS proxy terminates TLS with a throwaway certificate authority. Behind it, the services have their real host names
and support the requests of azureml-core, azure-mgmt-containerregistry, azure-identity, azure-iot-hub and
azure-keyvault-secrets. Each service is an aiohttp application in its own module or package, created by
`create(world)`; `World` is all they share.

    run, daemon               run the sandbox around a command, or in the background of a session
    server                    one running sandbox: proxy + services + admin API
    proxy, certificates       how clients connect
    environment               the variables that point a client at the sandbox
    admin, control            the admin API
    faults, traffic           what a test can switch on, and inspect
    world, error_response     what the services share: state and secrets, and the format of their errors
    entra                     Microsoft Entra ID
    arm/, accounts            Azure Resource Manager; the registries' accounts
    registry/                 the registries' data plane
    aml/, arm.models          Azure Machine Learning, the first and the second version of its API
    blob, blob_containers     its storage
    key_vault                 Azure Key Vault: secrets
    hub/                      IoT Hub
    device/                   simulated edge devices
"""
