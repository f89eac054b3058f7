"""The schemas of docs/reference/schemas against the files that commands write."""

import csv
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from eufcc_cli.cli import app
from eufcc_cli.core.dataset.provenance import record
from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.decisions import Decision, DecisionsFile, now
from eufcc_cli.core.taxonomy.linked_data.concepts import add_uris
from eufcc_cli.core.taxonomy.names import Names, write_names
from eufcc_cli.core.training.state.history_file import COLUMNS

DOCS = Path(__file__).parents[1] / "docs" / "reference"


def schema(name: str) -> jsonschema.Draft202012Validator:
    content = json.loads((DOCS / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def valid(name: str, content: Any) -> None:
    schema(name).validate(content)


def inside(root: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["--root", str(root), *arguments])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_schema_is_described_on_the_page() -> None:
    text = (DOCS / "files.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\(schemas/([\w-]+)\.schema\.json\)", text))
    assert named == {path.name.removesuffix(".schema.json") for path in (DOCS / "schemas").iterdir()}


def test_a_run_is_as_described(trained: Path) -> None:
    folder = trained / "runs" / "small"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    valid("config", config)
    assert config["computation"] | {"hardware": ""} == {
        "device": "cpu", "hardware": "", "precision": "fp32", "processes": 1, "threads": 1,
    }  # fmt: skip
    assert set(config["digests"]["images"]) == {"train", "val"}
    assert config["digests"]["pretrained_weights"] is None  # from scratch
    history = rows(folder / "history.csv")
    assert tuple(history[0]) == COLUMNS
    for row in history:
        numbers = {name: json.loads(value) if value else None for name, value in row.items()}
        valid("history", numbers)
        assert numbers["validation_loss"] > 0
    with pytest.raises(jsonschema.ValidationError):
        valid("config", config | {"date": "yesterday"})
    with pytest.raises(jsonschema.ValidationError):
        valid("config", config | {"revision": "x"})


@pytest.mark.one_processor
def test_an_evaluation_and_suggestions_are_as_described(trained: Path) -> None:
    options = ("--split", "val", "--bootstrap", "5", "--compare", "paper", "--format", "json")
    content = json.loads(inside(trained, "evaluate", "small", "small+small", *options))
    valid("evaluation", content)
    assert len({result["model_digest"] for result in content["results"]}) == 2
    images = sorted((trained / "data" / "images").rglob("*.jpg"))[:2]
    lines = inside(trained, "tag", *map(str, images), "--model", "small", "--format", "jsonl").splitlines()
    assert len(lines) == 2
    for line in lines:
        valid("suggestion", json.loads(line))
    valid("suggestion", {"image": "broken.jpg", "error": "not an image"})
    with pytest.raises(jsonschema.ValidationError):
        valid("suggestion", {"image": "nothing.jpg"})


def test_the_files_of_a_collection_are_as_described(demo_root: Path) -> None:
    inside(demo_root, "download")
    root = Root(demo_root)
    valid("annotations", rows(root.table("train"))[0])
    database = sqlite3.connect(root.ledger)
    database.row_factory = sqlite3.Row
    for row in database.execute("SELECT * FROM images LIMIT 20"):
        valid("ledger", dict(row))
    database.close()
    record(root, {root.table("train"): {"source": "EUFCC-340K", "dataset_revision": "original"}})
    valid("provenance", json.loads((root.data / "provenance.json").read_text(encoding="utf-8")))
    path = demo_root / "a.decisions.jsonl"
    decision = Decision(
        time=now(), reviewer="me", image="a.jpg", facet="materials", tag="bronze", verdict="added"
    )
    DecisionsFile(path).append([decision])
    valid("decision", json.loads(path.read_text(encoding="utf-8")))


def test_labels_are_as_described(tmp_path: Path) -> None:
    path = tmp_path / "concepts.csv"
    add_uris(path, {"materials": {"bronze": "http://vocab.getty.edu/aat/300010957"}})
    valid("concepts", rows(path)[0])
    names = Names()
    names.add("materials", "bronze", "fr", "bronze (métal)")
    write_names(tmp_path / "names.csv", names)
    valid("names", rows(tmp_path / "names.csv")[0])
