"""The files of a trained model: where they are, and what config.json says. Nothing here needs PyTorch."""

import hashlib
import json
import logging
import os
import shlex
from pathlib import Path
from typing import Any

from eufcc_cli.core.errors import ModelError, first_line
from eufcc_cli.core.files import Root, write_text
from eufcc_cli.core.model.backbone.hub import hub
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

log = logging.getLogger("eufcc")

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CLIP = "clip:"
"""What the name of a published CLIP model begins with, where a model's name is asked for."""
TAG_IMAGES = "tag_images"
"""In config.json: {facet: {images: those annotated in it, tags: [the images with each tag]}} of training."""
ADJUSTED = "logit_adjustment"

_FORMAT = 1


def save_config(folder: Path, config: dict[str, Any]) -> None:
    """Write config.json, whole or not at all."""
    text = json.dumps({"eufcc_format": _FORMAT, **config}, ensure_ascii=False, indent=1)
    write_text(folder / CONFIG, text + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's config.json; raises ModelError where it is not there or not eufcc's."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "a model's folder holds config.json and model.safetensors"
        raise ModelError(f"{path}: {error.strerror}", hint) from error
    except ValueError as error:
        hint = "train the model again, or restore the file"
        raise ModelError(f"{path}: not JSON: {error}", hint) from error
    if not isinstance(config, dict) or config.get("eufcc_format") != _FORMAT:
        raise ModelError(f"{path}: not the configuration of an eufcc model", hint="give a folder under runs/")
    return config


def find_model(spec: str, root: Root) -> Path:
    """The folder a model's name stands for: a run, a folder, a safetensors file, or `hf-hub:ORG/NAME`."""
    if spec.startswith("hf-hub:"):
        return _from_hub(spec.removeprefix("hf-hub:"))
    run = root.run(spec)
    for folder in (run, Path(spec)):
        if os.path.isdir(folder):  # noqa: PTH112  (pathlib's raises for names that cannot be)
            if folder == run and _is_without_an_epoch(folder):
                raise ModelError(
                    f"{folder}: no epoch of its training is finished",
                    hint=f"continue it: `eufcc train --resume --name {shlex.quote(spec)}`",
                )
            return folder
    if spec.endswith(".safetensors") and os.path.isfile(spec):  # noqa: PTH113
        if Path(spec).name != WEIGHTS:
            raise ModelError(
                f"{spec}: a model's weights are called {WEIGHTS}", hint="put its config.json beside it"
            )
        return Path(spec).parent
    runs = trained_runs(root)
    hint = f"there are: {', '.join(runs)}" if runs else "train one: `eufcc train --name NAME`"
    raise ModelError(f"{spec}: no such model in {root.runs}, and no such folder", hint=hint)


def _is_without_an_epoch(run: Path) -> bool:
    return (run / CONFIG).is_file() and not (run / WEIGHTS).is_file() and not _is_finished(run)


def trained_runs(root: Root) -> list[str]:
    """The names of the runs that have a model, if only of a first epoch."""
    return sorted(run.name for run in _with_model(root))


def _with_model(root: Root) -> list[Path]:
    runs = (path.parent for path in root.runs.glob(f"*/{CONFIG}"))
    return [run for run in runs if (run / WEIGHTS).is_file()]


def newest_run(root: Root) -> str | None:
    """The name of the run whose training ended last, None where there is no trained model."""
    finished = [run for run in _with_model(root) if _is_finished(run)]
    return max(finished, key=lambda run: (run / CONFIG).stat().st_mtime).name if finished else None


def _is_finished(run: Path) -> bool:
    try:
        return bool(read_config(run).get("finished", True))
    except ModelError as error:
        log.warning("%s", error)
        return False


def _from_hub(repository: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        with hub(f"hf-hub:{repository}"):
            hf_hub_download(repository, WEIGHTS)
            return Path(hf_hub_download(repository, CONFIG)).parent  # both lie in one snapshot's folder
    except (OSError, ValueError) as error:
        hint = "check the name (ORG/NAME) and the network, then try again"
        raise ModelError(f"hf-hub:{repository}: {first_line(error)}", hint) from error


def model_digest(
    method: str, vocabulary: Vocabulary, preprocessing: Preprocessing, config: dict[str, Any], weights: str
) -> str:
    """SHA-256 over all that decides a model's scores; weights: that of its tensors or their file."""
    content = [method, vocabulary.digest, preprocessing.to_json(), config.get("method_options", {})]
    if ADJUSTED in config:
        content.append(config[ADJUSTED])
    content.append(weights)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
