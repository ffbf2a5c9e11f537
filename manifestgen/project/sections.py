"""The sections of the project file and their keys.

They are the only source of the validation, the JSON Schema, and the types that the rest of the package uses. Paths are
absolute once a project is loaded.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

#: The `image.builder` of an image that is built elsewhere.
NONE: Final = "none"

Text = Annotated[str, Meta(min_length=1)]
Tags = Annotated[
    dict[str, str],
    Meta(description="A mapping of strings to strings.", examples=[{"area": "anomaly", "type": "classification"}]),
]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: immutable, and unknown keys are rejected."""


class Workspace(Section, frozen=True):
    """The Azure ML workspace: config.json, or three ids; with neither, config.json is searched for."""

    config: Annotated[
        Path | None,
        Meta(description="The workspace's config.json, or the folder where the SDK's search for it starts."),
    ] = None
    subscription_id: Annotated[Text | None, Meta(description="Id of the subscription.")] = None
    resource_group: Annotated[Text | None, Meta(description="Resource group of the workspace.")] = None
    name: Annotated[Text | None, Meta(description="Name of the workspace.")] = None


class Model(Section, frozen=True):
    """The model: a registered one, or a file to register."""

    name: Annotated[Text, Meta(description="Name of the registered model.")]
    path: Annotated[
        Path | None, Meta(description="File or folder to register; without it, the registered model is used.")
    ] = None
    version: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Version of the registered model; the latest by default."),
    ] = None
    tags: Annotated[Tags, Meta(description="Tags to register the model with.")] = field(default_factory=dict)
    description: Annotated[str, Meta(description="Description to register the model with.")] = ""


class Image(Section, frozen=True):
    """The model image: how it is built, or the reference of one that is built elsewhere."""

    # Its values are those of `builders.BUILDERS` and NONE; `load` and the JSON Schema take them from there.
    builder: Annotated[str, Meta(description="Who builds the image.")] = "package"
    name: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$", max_length=255)]
        | None,
        Meta(description="Name of the image in its registry.", examples=["tempanomalydetection"]),
    ] = None
    entry_script: Annotated[
        Path | None, Meta(description="Python file with init() and run(input_data).", examples=["score.py"])
    ] = None
    conda_file: Annotated[
        Path | None, Meta(description="Conda environment of the entry script.", examples=["myenv.yml"])
    ] = None
    tags: Annotated[Tags, Meta(description="Tags of the image.")] = field(default_factory=dict)
    description: Annotated[str, Meta(description="Description of the image.")] = ""
    reference: Annotated[
        Text | None,
        Meta(description="The image, with builder none.", examples=["acme.azurecr.io/scorer:1.4.2"]),
    ] = None

    @property
    def builds(self) -> bool:
        """Whether the image is built by manifestgen, not elsewhere."""
        return self.builder != NONE


Source = Literal["admin", "token", "env", "file", "keyvault"]

SecretName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,127}$")]
_USERNAME = "User name; that of a token or a robot account is not a secret."
_USERNAME_SECRET = "Name of the secret that holds the user name, in place of username."  # noqa: S105 - a description


class VaultLogin(Section, frozen=True):
    """A registry's login in a key vault: the password, and the user name unless it is given here."""

    name: Annotated[
        SecretName, Meta(description="Name of the secret that holds the password.", examples=["hub-pull-pwd"])
    ]
    username: Annotated[Text | None, Meta(description=_USERNAME)] = None
    username_secret: Annotated[SecretName | None, Meta(description=_USERNAME_SECRET)] = None


class KeyVault(Section, frozen=True):
    """The key vault of the source keyvault, and which of its secrets are the registries' logins."""

    vault: Annotated[
        Annotated[
            str,
            Meta(
                pattern=r"^(https://)?[A-Za-z](-?[A-Za-z0-9]){2,23}"
                r"(\.vault\.[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)?/?$"
            ),
        ],
        Meta(
            description="Name of the vault, or its URI where it is in another cloud than the login.",
            examples=["contoso-edge", "https://contoso-edge.vault.azure.cn"],
        ),
    ]
    name: Annotated[
        SecretName | None,
        Meta(
            description="Name of the secret that holds the password, for the one registry that is not in secrets.",
            examples=["acme-pull-pwd"],
        ),
    ] = None
    username: Annotated[Text | None, Meta(description=_USERNAME)] = None
    username_secret: Annotated[SecretName | None, Meta(description=_USERNAME_SECRET, examples=["acme-pull-usr"])] = None
    secrets: Annotated[
        dict[Text, VaultLogin],
        Meta(
            description="Registry host, as images name it, to its own secrets, where several registries have this "
            "source.",
            examples=[{"docker.io": {"name": "hub-pull-pwd", "username": "contosobot"}}],
        ),
    ] = field(default_factory=dict)


class Registry(Section, frozen=True):
    """What a device logs in to the registries of its images with."""

    credentials: Annotated[
        Source,
        Meta(
            description="Source of the credentials of every registry that is not in sources. admin: the admin user of "
            "an Azure container registry. token: a token of it that may only pull the manifest's repositories. env: "
            "the variables ACR_USERNAME_<NAME> and ACR_PASSWORD_<NAME>. file: a mounted file. keyvault: secrets of an "
            "Azure key vault."
        ),
    ] = "admin"
    sources: Annotated[
        dict[Text, Source],
        Meta(
            description="Registry host, as images name it, to its source. Docker Hub is docker.io. A registry that is "
            "named here gets a credential although it is one of the public ones.",
            examples=[{"acme.azurecr.io": "token", "docker.io": "env"}],
        ),
    ] = field(default_factory=dict)
    file: Annotated[
        Path | None,
        Meta(
            description="For the source file: a Docker config.json, or lines ACR_USERNAME_<NAME>=… and "
            "ACR_PASSWORD_<NAME>=…"
        ),
    ] = None
    keyvault: Annotated[KeyVault | None, Meta(description=KeyVault.__doc__)] = None
    token: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{5,50}$")] | None,
        Meta(
            description="For the source token: its name; left out, manifestgen- and the name of the module that runs "
            "the model image.",
            examples=["manifestgen-hall-3"],
        ),
    ] = None
    days: Annotated[
        Annotated[int, Meta(ge=1, le=3650)],
        Meta(description="Days after which a token's password expires, counted from when it is made."),
    ] = 90
    warn_days: Annotated[
        Annotated[int, Meta(ge=0, le=3650)],
        Meta(description="Warn when a password of a token or a key vault expires in fewer days than these."),
    ] = 14


class ManifestSection(Section, frozen=True):
    """What the deployment manifest is rendered from."""

    template: Annotated[
        Text,
        Meta(
            description="Name of a built-in template, or path of a .json.j2 file.",
            examples=["single-module", "anomaly-detection", "runtime-only", "deployment.json.j2"],
        ),
    ] = "single-module"
    module: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{1,127}$")],
        Meta(description="Name of the module that runs the model image."),
    ] = "machinelearningmodule"
    runtime: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")],
        Meta(description="Image tag of both edgeAgent and edgeHub."),
    ] = "1.6"
    values: Annotated[dict[str, Any], Meta(description="Values for the template.", examples=[{"ttl": 7200}])] = field(
        default_factory=dict
    )
    pin: Annotated[bool, Meta(description="Replace image tags by digests from the registries.")] = False
    output: Annotated[
        Path | None, Meta(description="File to write the manifest to; deployment.json beside this file by default.")
    ] = None


class HubSection(Section, frozen=True):
    """The IoT hub; overridden by --hub and by the variable IOTHUB_CONNECTION_STRING."""

    host: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?$")],
        Meta(description="Host name of the hub.", examples=["contoso.azure-devices.net"]),
    ]


class Target(Section, frozen=True):
    """Where the manifest goes: one device, or an automatic deployment to all devices that match a condition."""

    device: Annotated[Text | None, Meta(description="Id of one edge device.")] = None
    deployment: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z0-9\-:+%_#*?!(),=@;']{1,128}$")] | None,
        Meta(description="Id of the automatic deployment."),
    ] = None
    condition: Annotated[
        Text | None, Meta(description="Target condition of the deployment.", examples=["tags.site = 'lab'"])
    ] = None
    priority: Annotated[
        Annotated[int, Meta(ge=0, le=2147483647)] | None,
        Meta(description="Priority of the deployment; a device applies the highest of those that target it."),
    ] = None


class Check(Section, frozen=True):
    """How the manifest is checked."""

    ignore: Annotated[
        dict[str, Text],
        Meta(description="Rules to ignore: the rule's id to the reason.", examples=[{"floating-tag": "lab devices"}]),
    ] = field(default_factory=dict)


class ProjectFile(Section, frozen=True):
    """A manifestgen project: from a trained model to a running Azure IoT Edge module."""

    version: Annotated[Literal[1], Meta(description="Version of this file's format.")]
    workspace: Annotated[Workspace | None, Meta(description=Workspace.__doc__)] = None
    model: Annotated[Model | None, Meta(description=Model.__doc__)] = None
    image: Annotated[Image | None, Meta(description=Image.__doc__)] = None
    registry: Annotated[Registry | None, Meta(description=Registry.__doc__)] = None
    manifest: Annotated[ManifestSection | None, Meta(description=ManifestSection.__doc__)] = None
    hub: Annotated[HubSection | None, Meta(description=HubSection.__doc__)] = None
    target: Annotated[Target | None, Meta(description=Target.__doc__)] = None
    check: Annotated[Check | None, Meta(description=Check.__doc__)] = None
