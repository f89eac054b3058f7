"""Where a model comes from: settings, data, versions, the revision of the code."""

import contextlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm

from eufcc_cli import __version__
from eufcc_cli.core.files import Root, sha256
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.model_files import TAG_IMAGES
from eufcc_cli.core.model.plugins import plugin_of
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.taxonomy.concepts import known_uris
from eufcc_cli.core.training.config import TrainConfig
from eufcc_cli.core.training.data import Split


def provenance(
    config: TrainConfig, name: str, model: TaggingModel, root: Root, split: Split
) -> dict[str, Any]:
    """What config.json says: all that scoring needs, and where the model comes from.

    `training` holds the settings as given, so that whoever repeats the run with one of them changed has
    the others follow; `derived` holds what followed here.
    """
    given, resolved = config.to_mapping(), config.resolved().to_mapping()
    return {
        "name": name,
        "method": config.method,
        "backbone": resolved["backbone"],
        "tune": resolved["tune"],
        **model.config,
        "preprocessing": model.preprocessing.to_json(),
        "vocabulary": model.vocabulary.to_json(),
        "uris": known_uris(root.concepts, model.vocabulary),
        "training": given,
        "derived": {key: value for key, value in resolved.items() if value != given[key]},
        "data": {f"{name}.csv": sha256(root.table(name)) for name in ("train", "val")},
        "images": len(split),
        TAG_IMAGES: {
            facet: {"images": int(targets.annotated.sum()), "tags": targets.counts().tolist()}
            for facet, targets in split.targets.items()
        },
        "plugins": plugins_of(model),
        "versions": versions(config.method),
        "revision": git_revision(),
    }


def plugins_of(model: TaggingModel) -> list[str]:
    """The modules outside eufcc and timm that hold the model's method and its backbone."""
    parts = (METHODS[model.method], type(getattr(model.network, "backbone", model.network)))
    builders = [part.__module__ for part in parts]
    if timm.is_model(name := str(model.config.get("backbone", ""))):
        builders.append(timm.model_entrypoint(name).__module__)
    return sorted({plugin for module in builders if (plugin := plugin_of(module))})


def versions(method: str) -> dict[str, str]:
    """What a model was made with."""
    packages = ("torch", "timm", "pillow", *(("open_clip_torch",) if METHODS[method].reads_texts else ()))
    return {
        "eufcc": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def git_revision() -> str | None:
    """The commit of the code that trains, where it runs from a git checkout."""
    checkout = Path(__file__).parents[3]
    if not (checkout / ".git").exists():  # installed somewhere, perhaps below somebody else's repository
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=5, check=True)
        return found.stdout.strip()
    return None
