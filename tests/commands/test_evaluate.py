"""`eufcc evaluate` on a small collection with models of random weights: installed, and inside this process
where only its words matter (each process of its own has to import torch)."""

import csv
import json
import re
import shutil

import pytest
from typer.testing import CliRunner

from eufcc_cli.cli import app
from eufcc_cli.core.files import image_stem
from tests.core.evaluation.tiny import make_root, save_model


@pytest.fixture(scope="module")
def made(tmp_path_factory, processor):
    folder = tmp_path_factory.mktemp("collection")
    root = make_root(folder)
    save_model(root, "ml", "multilabel", 0)
    save_model(root, "s", "softmax", 1)
    return root


def inside(root, *arguments):
    """The command in this process, with its exit code, standard output and standard error."""
    return CliRunner().invoke(app, ["--root", str(root), "evaluate", *map(str, arguments)])


def test_calibrating_refuses_what_it_would_not_heed(made, tmp_path):
    for more in (["--split", "test_id"], ["--html", tmp_path / "page.html"], ["--weights-from", "val"]):
        done = inside(made, "ml", "--calibrate", *more)
        assert (done.exit_code, done.stdout) == (2, "")
        assert more[0] in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.one_processor
def test_the_table_of_the_paper_and_every_file_in_one_go(eufcc, made, tmp_path):
    files = {name: tmp_path / "out" / name for name in ("tags.csv", "providers.csv", "page.html")}
    done = eufcc(
        "--root", made.path, "evaluate", "ml", "s", "--ensemble",
        "--per-facet", "--per-depth", "--bootstrap", "20", "--compare", "paper",
        "--per-tag", files["tags.csv"], "--per-provider", files["providers.csv"],
        "--html", files["page.html"], "--save-predictions", tmp_path / "out" / "{model}.parquet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "test_id"
    assert lines[1].split() == ["Model", "Facet", "R-Prec", "Acc@1", "Acc@10", "AvgRP", "Pairs"]
    for expected in ("test_ood", "paired differences", "test_id, beside the paper", "Ens: ML+S+CLIP"):
        assert any(line.startswith(expected) for line in lines)
    assert any(line.startswith("ml+s ") for line in lines)
    assert "\x1b" not in done.stdout
    assert "R-Prec: if a record has 3 tags, how many of the model's first 3 are right" in done.stderr
    tags = list(csv.DictReader(files["tags.csv"].open(encoding="utf-8")))
    assert len(tags) == 2 * 3 * 13
    providers = list(csv.DictReader(files["providers.csv"].open(encoding="utf-8")))
    assert {row["model"] for row in providers} == {"ml", "s", "ml+s"}
    assert files["page.html"].read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "20 resamples of 4 providers" in files["page.html"].read_text(encoding="utf-8")
    saved = sorted(path.name for path in (tmp_path / "out").glob("*.parquet"))
    assert saved == ["ml+s.parquet", "ml.parquet", "s.parquet"]

    # What was saved scores the same, and an ensemble can be made of saved scores.
    twice = inside(
        made.path, "ml+s", "--predictions", tmp_path / "out" / "ml+s.parquet", "--split", "test_id"
    )
    one, other = (line.split() for line in twice.stdout.splitlines()[2:4])
    assert (one[0], other[0]) == ("ml+s", "ml+s.parquet") and one[1:] == other[1:]
    options = ["--format", "json", "--split", "test_id", "--k", "5"]
    (fresh,) = json.loads(inside(made.path, "ml+s", *options).stdout)["results"]
    saved = [tmp_path / "out" / f"{name}.parquet" for name in ("ml", "s")]
    files = ["--predictions", saved[0], "--predictions", saved[1]]
    again = inside(made.path, *files, "--ensemble", *options, "--split", "test_ood")
    kept = json.loads(again.stdout)["results"]
    assert [entry["model"] for entry in kept] == ["ml", "s", "ml+s"] * 2
    assert kept[2].pop("model_digest") != fresh.pop("model_digest")  # that of the files
    assert kept[2] == fresh
    assert set(fresh["overall"]) == {"r_precision", "acc@5", "avg_rp", "pairs"}


def test_predictions_of_any_system_need_no_image_and_no_model(eufcc, made, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(made.data, root / "data", ignore=shutil.ignore_patterns("images"))
    shutil.copytree(made.labels, root / "labels")
    rows = list(csv.DictReader((root / "data" / "test_id.csv").open(encoding="utf-8")))
    line = '{{"image": "x/{}.jpg", "tags": {{"materials": [{{"tag": "wood", "score": 0.9}}]}}}}'
    (tmp_path / "wood.jsonl").write_text("\n".join(line.format(row["idInSource"]) for row in rows[:20]))
    # Without --split, the tests that the file speaks of are meant.
    done = eufcc("--root", root, "evaluate", "--predictions", tmp_path / "wood.jsonl", "--format", "json")
    assert done.returncode == 3
    (entry,) = json.loads(done.stdout)["results"]
    assert done.stderr.splitlines() == [
        "warning: wood on test_id: 4 images without scores: test_id.20, test_id.21, test_id.22 and 1 more",
        f"Evaluated 1 model on {entry['images']} images of test_id; 4 images missing or unreadable",
    ]
    assert (entry["model"], entry["method"], entry["images_missing"]) == ("wood", "external", 4)
    annotated = [row["materials.hierarchy"] for row in rows[:20] if row["materials.hierarchy"]]
    assert entry["overall"]["pairs"] == len(annotated)
    assert entry["overall"]["acc@1"] == sum("wood" in text for text in annotated) / len(annotated)
    assert entry["facets_not_scored"] == ["objectTypes"]


def test_a_split_that_the_predictions_do_not_speak_of_is_refused(made, tmp_path):
    (tmp_path / "wood.jsonl").write_text(
        '{"image": "test_id.1.jpg", "tags": {"materials": [{"tag": "wood", "score": 0.9}]}}'
    )
    both = ["--split", "test_id", "--split", "test_ood"]
    done = inside(made.path, "ml", "--predictions", tmp_path / "wood.jsonl", *both)
    assert done.exit_code == 1
    assert "no prediction for any of the 12 images of test_ood" in done.stderr


def test_images_of_two_splits_are_named(made, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(made.path, root)
    table, train = root / "data" / "test_ood.csv", root / "data" / "train.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join([*rows, rows[-1], train.read_text().splitlines()[2]]) + "\n")
    told = inside(root, "ml", "--split", "test_ood").stderr
    assert "test_ood: 1 of its images is also in train, such as train.1: its figures are too good" in told
    assert "test_ood: 1 of its rows has an id of an earlier row" in told
    assert "its images" not in inside(root, "ml", "--split", "val").stderr


def test_figures_of_training_images_are_no_judgement(made):
    told = [inside(made.path, "ml", "--split", split).stderr for split in ("train", "val")]
    assert "ml on train: a model that was trained on these images is less good on others" in told[0]
    assert "ml on train: materials: " not in told[0]
    assert "ml on val: materials: " in told[1] and "less good" not in told[1]


def test_a_page_has_intervals_of_its_own_accord(made, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(made.path, root)
    page = tmp_path / "page.html"
    done = inside(root, "ml", "--split", "test_ood", "--html", page)
    assert done.exit_code == 0, done.stderr
    assert "1,000 resamples of 4 providers" in page.read_text(encoding="utf-8")
    table = root / "data" / "test_ood.csv"
    table.write_text(re.sub(r"museum \d", "the one museum", table.read_text()))
    assert inside(root, "ml", "--split", "test_ood", "--html", page).exit_code == 0
    assert "1,000 resamples of 12 images" in page.read_text(encoding="utf-8")


def test_missing_and_broken_images_are_told_and_end_with_3(made, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(made.path, root)
    place = root / "data" / "images"
    (place / f"{image_stem('test_ood.1')}.png").unlink()
    (place / f"{image_stem('test_ood.2')}.png").write_text("no image")
    done = inside(root, "ml", "--split", "test_ood", "--format", "csv")
    assert done.exit_code == 3, done.stderr
    assert "warning: test_ood: test_ood.2: " in done.stderr
    assert "warning: ml on test_ood: 1 image without scores: test_ood.1" in done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert (rows[0]["images_missing"], rows[0]["images_failed"]) == ("1", "1")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ([], "no RUN and no --predictions: nothing to evaluate", "name some of: ml, s"),
        (["nothing"], "nothing: no such model in", "there are: ml, s"),
        (["ml+nothing"], "nothing: no such model in", "there are: ml, s"),
        (["ml", "--split", "holdout"], "--split holdout: no table", "there are: test_id, "),
        (["ml", "--weights-from", "holdout"], "--weights-from holdout: no table", "there are"),
        (["ml", "--ensemble"], "--ensemble: needs at least two models", "name several runs"),
        (["ml", "--threshold", "1.5"], "--threshold 1.5: not between 0 and 1", "0.5"),
        (["ml", "--device", "abacus"], "--device abacus: no such device", "choose"),
        (["ml", "s", "--save-predictions", "p.parquet"], "one file for 2 models", "{model}"),
        (["ml", "--save-predictions", "p.xml"], "p.xml: unknown ending", "choose .parquet or .jsonl"),
        (["--predictions", "nothing.jsonl"], "nothing.jsonl: no such file", "JSON lines, CSV or Parquet"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_a_hint(made, arguments, message, hint):
    done = inside(made.path, *arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    error, advice = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert advice.startswith("hint: ")
    assert hint in advice


def test_a_run_without_its_files_or_a_split_without_images_is_refused(made, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(made.path, root)
    (root / "runs" / "s" / "config.json").unlink()
    done = inside(root, "s")
    assert done.exit_code == 1
    assert "config.json" in done.stderr.splitlines()[0]
    shutil.rmtree(root / "data" / "images")
    done = inside(root, "ml")
    assert done.exit_code == 1
    assert "none of its 24 images is in" in done.stderr
    assert "download --split test_id" in done.stderr
    (root / "data" / "test_id.csv").unlink()
    (root / "data" / "test_ood.csv").unlink()
    done = inside(root, "ml")
    assert "there is neither test_id.csv nor test_ood.csv" in done.stderr


def test_logit_adjustment_moves_scores_and_is_shown_by_frequency(made):
    save_model(made, "rare", "softmax", 1)
    path = made.run("rare") / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tag_images"] = {
        facet: {"images": 100, "tags": list(range(1, 1 + len(entry["tags"])))}
        for facet, entry in config["vocabulary"]["facets"].items()
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    asked = ["--split", "test_id", "--logit-adjustment", 1]
    done = inside(made.path, "rare", *asked)
    assert done.exit_code == 0, done.stderr
    assert "tail: fewer than 20 images" in done.stdout
    assert "tail: fewer" not in inside(made.path, "rare", *asked[:2]).stdout
    plain, adjusted = (
        json.loads(inside(made.path, "rare", *more, "--format", "json").stdout)["results"][0]["overall"]
        for more in (asked[:2], asked)
    )
    assert plain != adjusted
    done = inside(made.path, "ml", *asked)
    assert done.exit_code == 1 and done.stderr.startswith("error: --logit-adjustment: ml does not hold")
