"""Doubtful annotations of a collection: written, opened for review, never scored by what learned them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from eufcc_cli.core.evaluation.cross_validation import cross_validated
from eufcc_cli.core.evaluation.suspects import Suspects, find_suspects, write_suspects
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.tagging.review.suggestions import read_suggestions
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID, names
from tests.conftest import Run


@pytest.fixture(scope="module")
def found(trained: Path) -> Suspects:
    return find_suspects(load_model("small", Root(trained), "cpu"), Root(trained), ["train", "test_id"])


def test_each_suspect_is_an_annotation_or_a_tag_that_is_not_there(found: Suspects, trained: Path) -> None:
    assert found.annotations > 0
    doubts = [one.doubt for one in found.found]
    assert doubts == sorted(doubts, reverse=True)
    tables = {split: read_table(Root(trained).table(split)).set_index(ID) for split in ("train", "test_id")}
    for one in found.found:
        cell = tables[one.split].loc[one.id, f"{one.facet}.hierarchy"]
        assert cell == one.record != ""
        assert (one.tag in names(cell)) is not one.missing
        assert one.score == pytest.approx(one.doubt if one.missing else 1 - one.doubt, abs=2e-6)
        assert Path(one.image).is_file()


@pytest.mark.one_processor
def test_training_images_are_scored_by_heads_that_have_not_seen_them(trained: Path) -> None:
    """Annotations that are pure chance cannot be known from outside the fold."""
    root = Root(trained)
    model = load_model("small", root, "cpu")
    frame = read_table(root.table("train"))
    rows, tables = cross_validated(model, root, frame)
    assert len(set(rows.tolist())) == len(rows)
    rng = np.random.default_rng(5)
    tags = model.vocabulary.facets["materials"].tags
    chance = frame.assign(**{"materials.hierarchy": rng.choice(tags[:4], len(frame))})
    _, by_chance = cross_validated(model, root, chance)
    truth = model.vocabulary.encode(chance)["materials"].dense(rows)[:, :4]
    p = by_chance["materials"][:, :4]
    assert abs(p[truth].mean() - p[~truth].mean()) < 0.1
    assert set(tables) <= set(model.vocabulary.facets)


@pytest.mark.one_processor
def test_the_list_opens_for_review_and_as_csv(found: Suspects, trained: Path, tmp_path: Path) -> None:
    model = load_model("small", Root(trained), "cpu")
    some = Suspects(found.found[:20], found.annotations, found.rare)
    assert some.found
    write_suspects(some, tmp_path / "s.jsonl", model)
    read = read_suggestions(tmp_path / "s.jsonl")
    assert read.suspects
    assert len(read.rows()) == len(some.found)
    write_suspects(some, tmp_path / "s.csv", model)
    rows = list(csv.DictReader((tmp_path / "s.csv").open(encoding="utf-8")))
    assert [row["tag"] for row in rows] == [one.tag for one in some.found]
    assert {row["suspect"] for row in rows} <= {"wrong", "missing"}


@pytest.mark.one_processor
def test_the_command_writes_list_and_page(trained: Path, tmp_path: Path, eufcc: Run) -> None:
    done = eufcc(
        "--root", trained, "evaluate", "small", "--split", "test_id", "--suspects", "s.jsonl",
        "--html", "page.html", "--bootstrap", 0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "are probably wrong" in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert {line["split"] for line in lines} <= {"test_id"}
    if lines:
        assert 'href="s.jsonl"' in (tmp_path / "page.html").read_text()
    wrong = eufcc("--root", trained, "evaluate", "small", trained / "runs/small", "--suspects", "s.jsonl")
    assert wrong.returncode == 1
    assert f"--suspects: is about one model, not small and {trained / 'runs/small'}" in wrong.stderr
