"""Which models are in images: from the lock file of the project that built them, else from the labels of the image."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from manifestgen.cloud import Twin
from manifestgen.cloud.distribution import Distribution, Platform
from manifestgen.context.labels import MODEL_NAME, MODEL_SHA256, MODEL_VERSION
from manifestgen.errors import ManifestgenError
from manifestgen.images.logins import login_for
from manifestgen.manifest.credentials import RegistryCredential
from manifestgen.manifest.image import is_from_parent, registry_host
from manifestgen.manifest.manifest import Manifest
from manifestgen.project.lock import Lock, LockedModel

# Microsoft's own registry has no image with a model.
_WITHOUT_MODELS = "mcr.microsoft.com"
_WORKERS = 16


def models_of(
    images: Collection[str],
    locks: Iterable[Lock],
    agent: Callable[[], Twin | None],
    distribution: Callable[[], Distribution],
) -> dict[str, LockedModel]:
    """The models in a device's images, by image.

    Images in the lock file are not looked up; without an image to look up, the hub is not asked either. A registry that
    cannot be asked is passed over.

    Args:
        images: as the device's desired properties name them.
        locks: of the project's modules.
        agent: reads the twin of the device's `$edgeAgent`, for platform and registry credentials.
        distribution: opens the registries.
    """
    known = {image: model for lock in locks for image, model in _locked(lock).items()}
    found = {image: known[image] for image in images if image in known}
    missing = [image for image in dict.fromkeys(images) if image not in known and _may_have_one(image)]
    twin = agent() if missing else None
    platform = Platform.reported(twin.reported) if twin is not None else None
    if twin is None or platform is None:
        return found
    credentials, registries = Manifest.of_twins({"$edgeAgent": twin.desired}).credentials(), distribution()
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="models") as pool:
        labels = pool.map(lambda image: _labels(image, credentials, registries, platform), missing)
        found |= {image: model for image, one in zip(missing, labels, strict=True) if (model := _labelled(one))}
    return found


def _locked(lock: Lock) -> dict[str, LockedModel]:
    """The model of the lock file's image, by its tag and by its digest."""
    if lock.model is None or not lock.model.version:
        return {}
    pinned = (lock.pinned, f"{lock.image}@{lock.digest}") if lock.pinned is not None else ()
    return dict.fromkeys((lock.image, *pinned), lock.model)


def _may_have_one(image: str) -> bool:
    return not is_from_parent(image) and registry_host(image) != _WITHOUT_MODELS


def _labels(
    image: str, credentials: Mapping[str, RegistryCredential], distribution: Distribution, platform: Platform
) -> Mapping[str, Any]:
    try:
        return distribution.contents(image, login_for(credentials, image), platform).labels
    except ManifestgenError:
        return {}


def _labelled(labels: Mapping[str, Any]) -> LockedModel | None:
    name, version, sha256 = (labels.get(label) for label in (MODEL_NAME, MODEL_VERSION, MODEL_SHA256))
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    return LockedModel(name=name, version=version, sha256=sha256 if isinstance(sha256, str) else None)
