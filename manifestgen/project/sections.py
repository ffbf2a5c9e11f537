"""The sections of the project file and their keys.

Validation, the JSON Schema, and the types in the rest of the package all follow from them. Paths are absolute once a
project is loaded.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from manifestgen.credentials.section import RegistrySection

#: The `image.builder` of an image that is built elsewhere.
NONE: Final = "none"
#: The host of a registry, with its port.
REGISTRY_HOST: Final = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$"

#: A name is part of file names.
ENVIRONMENT_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
#: A valid image name in a registry.
IMAGE_NAME: Final = r"^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$"
#: A valid name of an automatic deployment in IoT Hub.
DEPLOYMENT_ID: Final = r"^[a-z0-9\-:+%_#*?!(),=@;']{1,128}$"

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
    subscription_id: Annotated[Text | None, Meta(description="ID of the subscription.")] = None
    resource_group: Annotated[Text | None, Meta(description="Resource group of the workspace.")] = None
    name: Annotated[Text | None, Meta(description="Name of the workspace.")] = None


class Model(Section, frozen=True):
    """The model: a registered one, or a file to register."""

    # Never empty in a project that `load` has read.
    name: Annotated[
        Text,
        Meta(description="Name of the registered model; by default that of the file or folder, without its suffix."),
    ] = ""
    path: Annotated[
        Path | None, Meta(description="File or folder to register; without it, the registered model is used.")
    ] = None
    version: Annotated[
        Annotated[int, Meta(ge=1)] | Text | None,
        Meta(
            description="Version of the registered model, the latest by default; without a workspace, what to call the "
            "file's version, by default the first digits of its hash."
        ),
    ] = None
    tags: Annotated[Tags, Meta(description="Tags to register the model with.")] = field(default_factory=dict)
    description: Annotated[str, Meta(description="Description to register the model with.")] = ""

    @property
    def wanted(self) -> str | None:
        """The project's version, in the form of `cloud.RegisteredModel`."""
        return None if self.version is None else str(self.version)


class Image(Section, frozen=True):
    """The model image: how it is built, or the reference of one that is built elsewhere."""

    # Its values are those of `builders.BUILDERS` and NONE; `load` and the JSON Schema take them from there.
    builder: Annotated[str, Meta(description="Builder of the image.")] = "package"
    name: Annotated[
        Annotated[str, Meta(pattern=IMAGE_NAME, max_length=255)] | None,
        Meta(description="Name of the image in its registry.", examples=["tempanomalydetection"]),
    ] = None
    entry_script: Annotated[
        Path | None, Meta(description="Python file with init() and run(input_data).", examples=["score.py"])
    ] = None
    conda_file: Annotated[
        Path | None, Meta(description="Conda environment of the entry script.", examples=["myenv.yml"])
    ] = None
    requirements: Annotated[
        Path | None,
        Meta(
            description="With the builders acr and local: packages of the entry script, in place of conda_file.",
            examples=["requirements.txt", "pyproject.toml"],
        ),
    ] = None
    platforms: Annotated[
        Annotated[tuple[Text, ...], Meta(min_length=1)] | None,
        Meta(
            description="With the builders acr and local: what to build for; linux/amd64 by default.",
            examples=[["linux/amd64", "linux/arm64"]],
        ),
    ] = None
    base: Annotated[
        Text | None,
        Meta(
            description="With the builders acr and local: image to build on; by default python:VERSION-slim.",
            examples=["mcr.microsoft.com/mirror/docker/library/python:3.12-slim"],
        ),
    ] = None
    registry: Annotated[
        Annotated[str, Meta(pattern=REGISTRY_HOST)] | None,
        Meta(
            description="With the builders acr and local: host of the registry that gets the image.",
            examples=["acme.azurecr.io"],
        ),
    ] = None
    dockerfile: Annotated[
        Path | None,
        Meta(description="With the builders acr and local: a Dockerfile in place of the generated one."),
    ] = None
    dockerfiles: Annotated[
        Annotated[dict[str, Path], Meta(min_length=1)] | None,
        Meta(
            description="With the builders acr and local: a Dockerfile for each platform, in place of dockerfile and "
            "platforms.",
            examples=[{"linux/amd64": "Dockerfile.amd64", "linux/arm64": "Dockerfile.arm64v8"}],
        ),
    ] = None
    context: Annotated[
        Path | None,
        Meta(description="With a Dockerfile of your own: folder that it is built from; by default the Dockerfile's."),
    ] = None
    build_args: Annotated[
        dict[str, str] | None,
        Meta(
            description="With a Dockerfile of your own: build arguments. They stay in the image's history, so never "
            "a secret.",
            examples=[{"CONFIGURATION": "Release"}],
        ),
    ] = None
    agent_pool: Annotated[
        Text | None,
        Meta(description="With the builder acr: agent pool of a registry that ACR's shared agents cannot reach."),
    ] = None
    tags: Annotated[Tags, Meta(description="Tags of the image.")] = field(default_factory=dict)
    description: Annotated[str, Meta(description="Description of the image.")] = ""
    reference: Annotated[
        Text | None,
        Meta(description="Reference of the image, with builder none.", examples=["acme.azurecr.io/scorer:1.4.2"]),
    ] = None
    references: Annotated[
        Annotated[dict[str, Text], Meta(min_length=1)] | None,
        Meta(
            description="With builder none: an image for each platform, in place of reference; the platform of the "
            "rendering chooses.",
            examples=[{"linux/amd64": "acme.azurecr.io/camera:2.1-amd64"}],
        ),
    ] = None

    @property
    def builds(self) -> bool:
        """Whether the image is built by manifestgen, not elsewhere."""
        return self.builder != NONE

    @property
    def own(self) -> tuple[Path, ...]:
        """The user's own Dockerfiles; none for a generated one."""
        if self.dockerfiles is not None:
            return tuple(self.dockerfiles.values())
        return (self.dockerfile,) if self.dockerfile is not None else ()

    def reference_for(self, platform: str | None) -> str | None:
        """The reference of an image that is built elsewhere; None if none is for the platform."""
        return self.reference if self.references is None else self.references.get(platform or "")


#: A valid module name for Docker and IoT Hub; for edgeAgent and edgeHub see `modules`.
MODULE_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{1,127}$"
ModuleName = Annotated[str, Meta(pattern=MODULE_NAME)]
#: A module's value of an environment variable.
Scalar = str | int | float | bool
Routes = Annotated[dict[str, Text | tuple[Text, ...]], Meta(description="Ends of routes, by input or output.")]


class ModuleSection(Section, frozen=True):
    """A module: its image, the model in it, and how the device runs it."""

    model: Annotated[Model | None, Meta(description=Model.__doc__)] = None
    image: Annotated[Image | None, Meta(description=Image.__doc__)] = None
    env: Annotated[
        dict[str, Scalar],
        Meta(description="Environment variables.", examples=[{"LOG_LEVEL": "info", "THRESHOLD": 0.8}]),
    ] = field(default_factory=dict)
    create_options: Annotated[
        dict[str, Any],
        Meta(description="createOptions, as a mapping.", examples=[{"HostConfig": {"Memory": 268435456}}]),
    ] = field(default_factory=dict)
    twin: Annotated[
        dict[str, Any] | None,
        Meta(description="Desired properties of the module's twin.", examples=[{"interval": 5}]),
    ] = None
    version: Annotated[Text, Meta(description="Version of the module, for people.")] = "1.0"
    status: Annotated[Literal["running", "stopped"], Meta(description="Whether the module runs.")] = "running"
    restart_policy: Annotated[
        Literal["always", "on-unhealthy", "on-failure", "never"],
        Meta(description="When the module is started again after it has ended."),
    ] = "always"
    pull_policy: Annotated[
        Literal["on-create", "never"],
        Meta(description="Whether the device pulls the image."),
    ] = "on-create"
    startup_order: Annotated[
        Annotated[int, Meta(ge=0, le=4294967295)] | None,
        Meta(description="The modules of a lower number are started first; the highest by default."),
    ] = None
    inputs: Annotated[
        Routes | None,
        Meta(
            description="Routes into the module: for each input, where its messages come from: MODULE/OUTPUT, "
            "MODULE/*, devices (downstream devices), or a text FROM ….",
            examples=[{"amlInput": "camera/frames"}],
        ),
    ] = None
    outputs: Annotated[
        Routes | None,
        Meta(
            description="Routes out of the module: for each output, or *, where its messages go: $upstream or "
            "MODULE/INPUT.",
            examples=[{"amlOutput": "$upstream"}],
        ),
    ] = None


class Module(ModuleSection, frozen=True):
    """A module of a project.

    Attributes:
        inputs, outputs: None for the routes that a template gives a module by default.
    """

    name: str = "machinelearningmodule"

    @property
    def builds(self) -> bool:
        """Whether manifestgen builds its image."""
        return self.image is not None and self.image.builds


class ManifestSection(Section, frozen=True):
    """How the deployment manifest is rendered."""

    template: Annotated[
        Text,
        Meta(
            description="Name of a built-in template, or path of a .json.j2 file.",
            examples=["single-module", "anomaly-detection", "runtime-only", "deployment.json.j2"],
        ),
    ] = "single-module"
    module: Annotated[
        ModuleName | None,
        Meta(
            description="Name of the project's module; by default that of its image, or of the project's folder. "
            "With modules, their keys are their names."
        ),
    ] = None
    runtime: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")],
        Meta(description="Image tag of both edgeAgent and edgeHub."),
    ] = "1.6"
    values: Annotated[dict[str, Any], Meta(description="Values for the template.", examples=[{"ttl": 7200}])] = field(
        default_factory=dict
    )
    platform_values: Annotated[
        dict[str, dict[str, Any]],
        Meta(
            description="Values for one platform, which override values: the platform to a mapping.",
            examples=[{"linux/arm64": {"create_options": {"HostConfig": {"Memory": 134217728}}}}],
        ),
    ] = field(default_factory=dict)
    pin: Annotated[bool, Meta(description="Replace image tags by digests from the registries.")] = False
    output: Annotated[
        Path | None,
        Meta(
            description="File to write the manifest to; by default deployment.json, for NAME.yaml deployment.NAME.json."
        ),
    ] = None


class HubSection(Section, frozen=True):
    """The IoT hub; --hub overrides it. The variable IOTHUB_CONNECTION_STRING must be for the same hub."""

    host: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?$")],
        Meta(description="Host name of the hub.", examples=["contoso.azure-devices.net"]),
    ]


class Target(Section, frozen=True):
    """Where the manifest goes: one device, or an automatic deployment to all devices that match a condition."""

    device: Annotated[Text | None, Meta(description="ID of one edge device.")] = None
    platform: Annotated[
        Text | None,
        Meta(
            description="Platform of the device or devices, for templates and images that differ by platform.",
            examples=["linux/arm64"],
        ),
    ] = None
    deployment: Annotated[
        Annotated[str, Meta(pattern=DEPLOYMENT_ID)] | None,
        Meta(description="ID of the automatic deployment."),
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
    placeholder: Annotated[
        Text | None,
        Meta(
            description="Regular expression for placeholders of a style that is not known by default.",
            examples=[r"\?\?\w+\?\?"],
        ),
    ] = None
    literal: Annotated[
        Text | None,
        Meta(
            description="Regular expression for text that only looks like a placeholder; it must match all of it.",
            examples=[r"\{\{(name|date)\}\}"],
        ),
    ] = None


class Sections(Section, frozen=True, kw_only=True):
    """The sections that a project file may have, and that each of its environments may change."""

    workspace: Annotated[Workspace | None, Meta(description=Workspace.__doc__)] = None
    model: Annotated[Model | None, Meta(description=Model.__doc__)] = None
    image: Annotated[Image | None, Meta(description=Image.__doc__)] = None
    modules: Annotated[
        Annotated[dict[ModuleName, ModuleSection], Meta(min_length=1)] | None,
        Meta(
            description="Several modules by their names, in place of model, image and manifest.module.",
            examples=[{"camera": {"image": {"builder": "none", "reference": "acme.azurecr.io/camera:2.1"}}}],
        ),
    ] = None
    registry: Annotated[RegistrySection | None, Meta(description=RegistrySection.__doc__)] = None
    manifest: Annotated[ManifestSection | None, Meta(description=ManifestSection.__doc__)] = None
    hub: Annotated[HubSection | None, Meta(description=HubSection.__doc__)] = None
    target: Annotated[Target | None, Meta(description=Target.__doc__)] = None
    check: Annotated[Check | None, Meta(description=Check.__doc__)] = None


class Environment(Sections, frozen=True, kw_only=True):
    """The overrides of an environment: keys of any section; mappings merge, other values replace, null removes."""


# The first keys of a project file.
_FIRST: Final = ("version", "requires")
#: Default of `target.priority`.
DEFAULT_PRIORITY: Final = 10


def in_order(keys: Iterable[str]) -> list[str]:
    """The keys of a section in the order of its text; its type has inherited keys first."""
    return sorted(keys, key=lambda key: key not in _FIRST)


class ProjectFile(Sections, frozen=True, kw_only=True):
    """A manifestgen project: from a trained model to a running Azure IoT Edge module."""

    version: Annotated[Literal[1], Meta(description="Version of this file's format.")]
    requires: Annotated[
        Text | None,
        Meta(description="Versions of manifestgen that this project is for.", examples=[">=0.3", ">=0.3, <1"]),
    ] = None
    environments: Annotated[
        dict[Annotated[str, Meta(pattern=ENVIRONMENT_NAME)], Environment | None] | None,
        Meta(
            description="What differs in each environment, by its name; -e NAME merges it over the rest of the file.",
            examples=[
                {"dev": {"hub": {"host": "contoso-dev.azure-devices.net"}}, "prod": {"target": {"device": "p1"}}}
            ],
        ),
    ] = None
