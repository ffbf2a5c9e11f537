"""The image configuration of azureml-core, with its entry script where the service looks for it.

azureml-core 1.61 packs each dependency of an image under its absolute path (`upload_dependency` in
`_model_management/_util.py`), the entry script among them; the driver that it generates opens the script beside itself.
Such an image is built, and its container ends at once. 1.57 to 1.60 pack it right.
"""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import Any

from azureml._model_management._util import upload_dependency
from azureml.core.image.container import ContainerImageConfig


class ScriptBesideDriver(ContainerImageConfig):  # type: ignore[misc] # the SDK has no types
    """A configuration whose one dependency is the entry script, packed under its bare name."""

    def build_create_payload(self, workspace: Any, name: str, model_ids: Any) -> Any:
        """The SDK's request body, with our own archive in place of the SDK's.

        The SDK's archive has been uploaded by then, and stays in the workspace's storage unused.
        """
        payload = super().build_create_payload(workspace, name, model_ids)
        payload["assets"] = [asset for asset in payload["assets"] if not asset.get("unpack")]
        script = Path(self.execution_script)
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / f"{script.stem}.tar.gz"
            with tarfile.open(archive, "w:gz") as tar:
                tar.add(script, arcname=script.name)
            url, asset_id = upload_dependency(workspace, str(archive))
        payload["assets"].append({"mimeType": "application/octet-stream", "id": asset_id, "url": url, "unpack": True})
        return payload
