import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.evaluation.scores.score_store import ScoreStore
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.inference.prediction import predict
from tests.core.evaluation.tiny import make_root, save_model
from tests.two_ranks import meeting_point


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A root with a model that was converted for the processor: what takes most of the time."""
    root = make_root(tmp_path_factory.mktemp("made"))
    save_model(root, "ml")
    load_model("ml", root, "cpu").engine()
    return root.path


@pytest.fixture
def collection(tmp_path, made, processor):
    return Root(shutil.copytree(made, tmp_path / "root"))


def scorer(root, **options):
    return ModelScorer(load_model("ml", root, "cpu"), root, "ml", batch_size=7, **options)


def test_scores_are_those_of_the_model_image_by_image(collection):
    split = read_split(collection, "test_id")
    model = scorer(collection)
    scores = model.scores(split)
    assert scores.rows.tolist() == list(range(len(split)))
    for row, image_id in enumerate(split.ids):
        path = collection.images / f"{image_stem(image_id)}.png"
        (alone,) = predict(model.model, [("", path)])
        for facet, table in scores.facets.items():
            assert table[row] == pytest.approx(alone.scores[facet], abs=1e-4)


def test_a_second_evaluation_computes_nothing_again(collection, monkeypatch):
    split = read_split(collection, "test_id")
    first = scorer(collection).scores(split)
    seen = []

    def no_prediction(model, items, **_):
        seen.extend(items)
        yield from ()

    monkeypatch.setattr("eufcc_cli.core.evaluation.scores.scoring.predict", no_prediction)
    again = scorer(collection).scores(split)
    assert seen == []
    for facet, table in first.facets.items():
        assert (again.facets[facet] == table).all()


def test_kept_scores_belong_to_the_model_and_to_the_image(collection, monkeypatch):
    split = read_split(collection, "test_id")
    first = scorer(collection).scores(split)
    path = collection.images / f"{image_stem('test_id.3')}.png"
    path.write_bytes((collection.images / f"{image_stem('test_id.4')}.png").read_bytes())
    again = scorer(collection).scores(split)
    for facet, table in first.facets.items():
        assert (again.facets[facet][3] == table[4]).all()
        assert (np.delete(again.facets[facet], 3, 0) == np.delete(table, 3, 0)).all()
    save_model(collection, "ml", seed=9)
    other = scorer(collection).scores(split)
    assert all((other.facets[facet] != table).any() for facet, table in first.facets.items())
    assert len(list((collection.runs / ".scores").glob("*.sqlite"))) == 2


@pytest.mark.one_processor
def test_without_keeping_nothing_is_written(collection):
    scorer(collection, keep=False).scores(read_split(collection, "test_id"))
    assert not (collection.runs / ".scores").exists()


@pytest.mark.one_processor
def test_a_damaged_store_is_told_and_costs_only_time(collection, caplog):
    split = read_split(collection, "test_id")
    first = scorer(collection).scores(split)
    (store,) = (collection.runs / ".scores").glob("*.sqlite")
    for file in store.parent.iterdir():
        file.write_bytes(b"no database, " * 100)
    again = scorer(collection).scores(split)
    assert "scores are not stored" in caplog.text
    for facet, table in first.facets.items():
        assert (again.facets[facet] == table).all()


def test_a_row_of_another_length_is_not_taken_for_scores(tmp_path):
    store = ScoreStore(tmp_path / "x.sqlite", {"a": 2, "b": 1})
    store.put([(b"1", {"a": np.array([1, 2], np.float32), "b": np.array([3], np.float32)})])
    store.close()
    wider = ScoreStore(tmp_path / "x.sqlite", {"a": 2, "b": 2})
    assert list(wider.get([b"1", b"2"])) == [None, None]
    wider.close()
    store = ScoreStore(tmp_path / "x.sqlite", {"a": 2, "b": 1})
    (found,) = store.get([b"1"])
    assert found["a"].tolist() == [1, 2]
    assert found["b"].tolist() == [3]
    store.close()


@pytest.mark.one_processor
def test_missing_and_broken_images_are_reported_and_the_others_scored(collection):
    split = read_split(collection, "test_id")
    whole = scorer(collection, keep=False).scores(split)
    (collection.images / f"{image_stem('test_id.3')}.png").write_text("no image")
    (collection.images / f"{image_stem('test_id.5')}.png").unlink()
    scores = scorer(collection).scores(split)
    assert scores.missing == ("test_id.5",)
    assert list(scores.failed) == ["test_id.3"]
    assert "not an image" in scores.failed["test_id.3"]
    assert scores.rows.tolist() == [row for row in range(len(split)) if row not in (3, 5)]
    for facet, table in whole.facets.items():
        assert (scores.facets[facet] == np.delete(table, [3, 5], 0)).all()


@pytest.mark.one_processor
def test_a_split_whose_images_are_all_missing_or_broken_is_an_error(collection):
    split = read_split(collection, "test_ood")
    for image_id in split.ids:
        (collection.images / f"{image_stem(image_id)}.png").write_text("no image")
    with pytest.raises(DataError, match=r"none of its 12 images can be read, the first: .*not an image"):
        scorer(collection).scores(split)
    for image_id in split.ids:
        (collection.images / f"{image_stem(image_id)}.png").unlink()
    with pytest.raises(DataError, match="none of its 12 images is in") as caught:
        scorer(collection).scores(split)
    assert "download --split test_ood" in str(caught.value.hint)


@pytest.mark.one_processor
def test_two_processes_equal_one_to_the_last_digit(collection, quick_command):
    """The command as torchrun starts it, each process with a share of the batches, against one process."""
    (collection.images / f"{image_stem('test_id.3')}.png").write_text("no image")
    (collection.images / f"{image_stem('val.5')}.png").unlink()
    save_model(collection, "s", "softmax", 1)
    one = subprocess.Popen(**started(quick_command, collection))
    two = meeting_point() | {"WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(**started(quick_command, collection, RANK=rank, LOCAL_RANK=rank, **two))
        for rank in "01"
    ]
    expected, errors = one.communicate(timeout=250)
    assert one.returncode == 3, errors
    (found, errors), (nothing, more_errors) = (process.communicate(timeout=250) for process in ranks)
    assert found == expected, errors
    assert nothing == "", more_errors
    assert [process.returncode for process in ranks] == [3, 0]
    assert json.loads(found)["results"][0]["images_failed"] == 1


def started(words, root, **environment):
    """How to start an evaluation in a process of its own."""
    command = [*words, "--root", str(root.path), "evaluate", "ml", "s", "--ensemble"]
    command += ["--format", "json", "--all-metrics", "--weights-from", "val", "--batch-size", "5"]
    command += ["--bootstrap", "20", "--no-keep-scores", "--device", "cpu"]
    return {
        "args": command,
        "env": {name: os.environ[name] for name in ("PATH", "EUFCC_MACHINE")}
        | {"OMP_NUM_THREADS": "1"}
        | environment,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
