"""Where images that can be run without a container have their files, as paths below `/`."""

from __future__ import annotations

from typing import Final

#: manifestgen's own images, see `manifestgen.context.dockerfile`.
OWN_ROOT: Final = "opt/manifestgen"
#: Azure ML's images.
AZURE_ML_ROOT: Final = "var/azureml-app"
#: The folders that are unpacked from an image.
FOLDERS: Final = (f"{OWN_ROOT}/app", f"{OWN_ROOT}/model", f"{OWN_ROOT}/runner", AZURE_ML_ROOT)
#: The lock of the packages.
LOCK: Final = f"{OWN_ROOT}/runner/requirements.lock"
