"""Model cards against the Hugging Face hub's own library, and the rules that its service documents."""

import re
from typing import Any

from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from eufcc_cli.core.report.model_card import model_card

FIGURES = {"r_precision": 0.76, "acc@1": 0.83, "acc@10": 0.99, "avg_rp": 4.8}
CONFIG: dict[str, Any] = {
    "name": "bronzes: a *test*",
    "method": "multilabel",
    "backbone": "convnext_tiny",
    "images": 1200,
    "versions": {"eufcc": "0.1.0", "torch": "2.9"},
    "vocabulary": {"facets": {"materials": {"tags": ["bronze", "wood"]}}},
    "validation": {"overall": {**FIGURES, "pairs": 700}, "facets": {"materials": FIGURES}},
    "digests": {"tables": {"train.csv": "ab" * 32}},
}


def test_the_hubs_library_reads_the_card() -> None:
    card = ModelCard(model_card(CONFIG), ignore_metadata_errors=False)
    data = card.data.to_dict()
    assert (data["pipeline_tag"], data["library_name"]) == ("image-classification", "eufcc")
    assert card.data.model_name == CONFIG["name"]
    name, results = model_index_to_eval_results(data["model-index"])
    assert name == CONFIG["name"]
    assert {result.metric_type: result.metric_value for result in results} == FIGURES
    assert "| **overall** | 0.760 | 0.830 | 0.990 | 4.800 |" in card.text
    again = ModelCard(str(card), ignore_metadata_errors=False)
    assert again.data.to_dict() == data


def test_by_the_hubs_rules() -> None:
    """https://huggingface.co/docs/hub/model-cards: what the metadata may hold."""
    data = ModelCard(model_card(CONFIG)).data.to_dict()
    assert all(isinstance(tag, str) and tag for tag in data["tags"])
    assert re.fullmatch(r"[a-z0-9._-]+", data["library_name"])
    (model,) = data["model-index"]
    for result in model["results"]:
        assert result["task"]["type"] == data["pipeline_tag"]
        assert result["dataset"]["type"] and result["dataset"]["name"]
        for metric in result["metrics"]:
            assert metric["type"] and isinstance(metric["value"], float)
