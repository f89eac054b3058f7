"""Where a model comes from: settings, data, machine, versions, revisions of code and dataset."""

import contextlib
import hashlib
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from eufcc_cli import __version__
from eufcc_cli.core.dataset.published import revision_of
from eufcc_cli.core.download.ledger import LedgerReader
from eufcc_cli.core.files import Root, sha256
from eufcc_cli.core.model.backbone.plugins import plugin_of
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.model_files import TAG_IMAGES
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.taxonomy.linked_data.concepts import known_uris
from eufcc_cli.core.taxonomy.tables.annotations import ID
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loading.data import Split


@dataclass(frozen=True)
class Computation:
    """How a training was computed: all that determines its last bits, and its time."""

    device: str
    hardware: str
    precision: str
    processes: int
    threads: int
    """Threads of each process that compute on the processor."""

    @classmethod
    def on(cls, device: torch.device, *, precision: str, threads: int, processes: int = 1) -> "Computation":
        """Where a device computes: the GPU's name, or the processor's kind."""
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
        return cls(device.type, name, precision, processes, threads)


def provenance(
    config: TrainConfig,
    name: str,
    model: TaggingModel,
    root: Root,
    splits: Sequence[Split],
    computation: Computation,
    command: str | None,
) -> dict[str, Any]:
    """The content of config.json: all that scoring needs, and where the model comes from.

    `training` holds the settings as given, so that defaults follow when a run is repeated with one of them
    changed; `derived` holds the defaults that followed here. splits: training first, then validation.
    """
    given, resolved = config.to_mapping(), config.resolved().to_mapping()
    own = dict(model.config)
    return {
        "name": name,
        "method": config.method,
        "backbone": resolved["backbone"],
        "tune": resolved["tune"],
        "digests": {
            "tables": {f"{split.name}.csv": sha256(root.table(split.name)) for split in splits},
            "images": {split.name: images_digest(root, split) for split in splits},
            "pretrained_weights": own.pop("pretrained_weights", None),
        },
        **own,
        "preprocessing": model.preprocessing.to_json(),
        "vocabulary": model.vocabulary.to_json(),
        "uris": known_uris(root.concepts, model.vocabulary),
        "training": given,
        "derived": {key: value for key, value in resolved.items() if value != given[key]},
        "images": len(splits[0]),
        TAG_IMAGES: {
            facet: {"images": int(targets.annotated.sum()), "tags": targets.counts().tolist()}
            for facet, targets in splits[0].targets.items()
        },
        "plugins": plugins_of(model),
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": command,
        "computation": asdict(computation),
        "versions": versions(),
        "code_revision": code_revision(),
        "dataset_revision": revision_of(root),
    }


def images_digest(root: Root, split: Split) -> str:
    """SHA-256 over the ids of a split's images and their contents: the same images, the same digest.

    Contents are those that the ledger has verified, as long as a file's size is still what it was; other
    files are read.
    """
    with LedgerReader(root.ledger) as ledger:
        verified = {row[0]: row[1:] for row in ledger.select("id", "sha256", "bytes")}
    lines = []
    for image_id, file in zip(split.frame[ID], split.files, strict=True):
        content, size = verified.get(image_id, (None, None))
        with contextlib.suppress(OSError):  # a file that cannot be read teaches nothing
            if not content or file.stat().st_size != size:
                content = sha256(file)
            lines.append(f"{content}  {image_id}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over the tensors that a network starts with, without its new heads."""
    digest = hashlib.sha256()
    for name, tensor in sorted(getattr(network, "trunk", network).state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def plugins_of(model: TaggingModel) -> list[str]:
    """The modules outside eufcc and timm that hold the model's method and its backbone."""
    parts = (METHODS[model.method], type(getattr(model.network, "trunk", model.network)))
    builders = [part.__module__ for part in parts]
    if timm.is_model(name := str(model.config.get("backbone", ""))):
        builders.append(timm.model_entrypoint(name).__module__)
    return sorted({plugin for module in builders if (plugin := plugin_of(module))})


_MATTER = (
    "torch", "timm", "open_clip_torch", "numpy", "pillow", "accelerate", "safetensors", "openvino"
)  # fmt: skip


def versions() -> dict[str, str | None]:
    """The versions a model was made with; `cuda` is None if torch was built without it."""
    return {
        "eufcc": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _MATTER},
        "cuda": torch.version.cuda,
        "system": platform.platform(),
    }


def code_revision() -> str | None:
    """The commit of this code, if it runs from a git checkout."""
    checkout = Path(__file__).parents[3]
    if not (checkout / ".git").exists():  # installed, perhaps inside another repository
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=5, check=True)
        return found.stdout.strip()
    return None
