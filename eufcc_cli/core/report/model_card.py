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

_CARD = """\
---
{metadata}
---

# {name}

A model that suggests tags in {facets} for images of cultural heritage objects, trained with
eufcc {eufcc} by the method `{method}` on the backbone `{backbone}` ({images:,} images).

## Use

```
eufcc tag image.jpg --model hf-hub:ORGANISATION/{name}
```

## Results

On the {pairs:,} pairs of image and facet of the validation split:

| | {columns} |
|---|{rule}|
{rows}

The mean over all pairs of an image and a facet that the image annotates. Expect less on
images of institutions that the model has not seen.

## What it cannot do

It suggests, a cataloguer decides. It knows only the tags of its vocabulary ({tags:,}), and takes on the
habits of the institutions whose annotations it learnt from. A facet without suggestions says nothing
about the object.

## Vocabulary and licences

The tags follow the Getty Art & Architecture Thesaurus (AAT), which the J. Paul Getty Trust publishes
under the Open Data Commons Attribution License (ODC-By) 1.0. Annotations collected through Europeana are
CC0; the images that were learnt from have licences of their own, named in their records. The licence of
these weights is for whoever publishes them to choose: add `license:` above.

Made with {versions}; training data {data}.
"""


def export_model(run: Path, target: Path) -> None:
    """Copy a finished run to a folder in the hub's layout, with a model card.

    Raises ModelError where the run is not finished.
    """
    config = read_config(run)
    if not config.get("finished") or not (run / WEIGHTS).is_file():
        raise ModelError(f"{run}: not a finished run", hint="finish it with `eufcc train --resume`")
    for name in (WEIGHTS, CONFIG):
        with (run / name).open("rb") as source, atomic_open(target / name) as file:
            shutil.copyfileobj(source, file)
    write_text(target / "README.md", model_card(config))


def _metadata(config: dict[str, Any]) -> "ModelCardData":
    """What the hub reads: the kind of model, and its figures on the validation split."""
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
    measured = config["validation"]
    tables = config["digests"]["tables"]
    rows = {"**overall**": measured["overall"], **measured["facets"]}
    return _CARD.format(
        metadata=_metadata(config).to_yaml(),
        name=config["name"],
        method=config["method"],
        backbone=config["backbone"],
        images=config["images"],
        eufcc=config["versions"]["eufcc"],
        facets=", ".join(config["vocabulary"]["facets"]),
        pairs=measured["overall"]["pairs"],
        columns=" | ".join(_FIGURES.values()),
        rule="|".join("---:" for _ in _FIGURES),
        rows="\n".join(
            f"| {facet} | " + " | ".join(f"{values[figure]:.3f}" for figure in _FIGURES) + " |"
            for facet, values in rows.items()
        ),
        tags=sum(len(facet["tags"]) for facet in config["vocabulary"]["facets"].values()),
        versions=", ".join(f"{name} {number}" for name, number in config["versions"].items() if number),
        data=", ".join(f"{name} (SHA-256 {digest[:12]}…)" for name, digest in tables.items()),
    )
