"""A trained model in the layout of the Hugging Face hub: config.json, model.safetensors, README.md."""

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import atomic_open, write_text
from eufcc_cli.core.model.model_files import CONFIG, WEIGHTS, read_config

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

_FIGURES = {"r_precision": "R-Precision", "acc@1": "Acc@1", "acc@10": "Acc@10", "avg_rp": "AvgRP"}


def export_model(run: Path, target: Path) -> None:
    """Copy a finished run to a folder in the hub's layout, with a model card.

    Raises ModelError if the run is not finished.
    """
    config = read_config(run)
    if not config.get("finished") or not (run / WEIGHTS).is_file():
        raise ModelError(f"{run}: not a finished run", hint="finish it with `eufcc train --resume`")
    for name in (WEIGHTS, CONFIG):
        with (run / name).open("rb") as source, atomic_open(target / name) as file:
            shutil.copyfileobj(source, file)
    write_text(target / "README.md", model_card(config))


def _metadata(config: dict[str, Any]) -> "ModelCardData":
    """The metadata that the hub reads: the task, and the figures on the validation split."""
    from huggingface_hub import EvalResult, ModelCardData

    overall = config["validation"]["overall"]
    results = [
        EvalResult(
            task_type="image-classification",
            task_name="hierarchical multi-label image tagging",
            dataset_type="imagefolder",
            dataset_name="validation split",
            dataset_split="validation",
            metric_type=figure,
            metric_name=name,
            metric_value=round(float(overall[figure]), 4),
        )
        for figure, name in _FIGURES.items()
        if math.isfinite(overall[figure])
    ]
    return ModelCardData(
        library_name="eufcc",
        pipeline_tag="image-classification",
        tags=["cultural-heritage", "glam", "multi-label", "hierarchical", "aat", "timm"],
        model_name=config["name"],
        eval_results=results,
    )


def model_card(config: dict[str, Any]) -> str:
    """The README of a model, from its config.json."""
    from eufcc_cli.core.report.html import template  # loads matplotlib

    measured = config["validation"]
    return template("model_card.md.j2").render(
        config=config,
        metadata=_metadata(config).to_yaml(),
        figures=_FIGURES,
        rows={"**overall**": measured["overall"], **measured["facets"]},
        tags=sum(len(facet["tags"]) for facet in config["vocabulary"]["facets"].values()),
        data=", ".join(
            f"{name} (SHA-256 {digest[:12]}…)" for name, digest in config["digests"]["tables"].items()
        ),
    )
