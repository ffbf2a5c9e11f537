"""Images in the sandbox's registries that its devices can run: a score.py in manifestgen's own layout."""

from __future__ import annotations

import json
from pathlib import Path

from manifestgen.context.dockerfile import ENVIRONMENT
from manifestgen.project.app import runner_files
from manifestgen.sandbox.acr_tasks import layer
from manifestgen.sandbox.acr_tasks.source import Content, Entry
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import World

ECHO = "import json\ndef init(): pass\ndef run(data): return {'got': json.loads(data)}\n"


def put_module_image(world: World, host: str, repository: str, tag: str, score: str = ECHO) -> str:
    """Put an image into a registry, and return its reference. It needs no packages but the runner's."""
    folder = world.blobs / "made"
    folder.mkdir(parents=True, exist_ok=True)
    script, lock = folder / "score.py", folder / "requirements.lock"
    script.write_text(score)
    lock.write_text("paho-mqtt==2.2.0\n")
    root = "opt/manifestgen"
    paths: dict[str, Path] = {f"{root}/app/score.py": script, f"{root}/runner/requirements.lock": lock}
    paths |= {f"{root}/runner/{name}": path for name, path in runner_files().items()}
    files = {name: Entry("folder") for name in ("opt", root, f"{root}/app", f"{root}/runner")}
    files |= {name: Entry("file", 0o644, content=Content(path, 0, path.stat().st_size)) for name, path in paths.items()}
    files[f"{root}/runner/manifestgen_runner"] = Entry("folder")
    made = layer.write(files, folder)
    made.path.replace(images.content_path(world, made.digest))
    images.link_blob(world, host, repository, made.digest)
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {
            "Env": [f"{name}={value}" for name, value in {**ENVIRONMENT, "RUNNER_MODEL_NAME": "echo"}.items()],
            "Entrypoint": ["python", "-m", "manifestgen_runner"],
        },
        "rootfs": {"type": "layers", "diff_ids": [made.diff_id]},
    }
    data = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": images.OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            **images.put_blob(world, host, repository, data),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": made.digest,
                "size": made.size,
            }
        ],
    }
    text = json.dumps(manifest).encode()
    images.put_manifest(world, host, repository, tag, images.OCI_MANIFEST, text)
    return f"{host}/{repository}:{tag}"
