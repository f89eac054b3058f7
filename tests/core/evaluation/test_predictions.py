import json
import math
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.results import Measures, measure
from eufcc_cli.core.evaluation.scores.eval_split import TestSplit, read_split
from eufcc_cli.core.evaluation.scores.prediction_files import read_predictions
from eufcc_cli.core.evaluation.scores.saved_scores import save_predictions
from eufcc_cli.core.evaluation.scores.score_sources import open_sources
from eufcc_cli.core.files import Root, image_stem
from tests import oracles
from tests.core.evaluation.tiny import random_source


def line(image, **tags):
    listed = {f: [{"tag": t, "score": s} for t, s in scores.items()] for f, scores in tags.items()}
    return json.dumps({"image": image, "model": "other", "tags": listed})


@pytest.fixture
def split(root):
    return read_split(root, "test_id")


def read(root, tmp_path, *lines, splits=()):
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read_predictions(path, root)
    found.check(splits or [read_split(root, "test_id")])
    return found


def test_unlisted_tags_rank_below_all_listed_ones_tied_with_each_other(root, split, tmp_path):
    first = line("test_id.1.jpg", materials={"silver": 0.9, "wood": 0.0}, objectTypes={})
    found = read(root, tmp_path, first, line("test_id.2.jpg", materials={}))
    assert (found.name, found.method, list(found.vocabulary.facets)) == (
        "other", "external", ["objectTypes", "materials"],
    )  # fmt: skip
    scores = found.scores(split)
    assert scores.rows.tolist() == [1, 2]
    tags = found.vocabulary.facets["materials"]
    row = scores.facets["materials"][0]
    assert row[tags.index["silver"]] == math.log(0.9)
    order = [row[tags.index["silver"]], row[tags.index["wood"]], row[tags.index["bronze"]]]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == 3
    assert (np.delete(row, [tags.index["silver"], tags.index["wood"]]) == -np.inf).all()
    assert (scores.facets["objectTypes"] == -np.inf).all()
    assert len(scores.missing) == len(split) - 2


def test_probabilities_that_float32_cannot_tell_apart_keep_their_order(root, split, tmp_path):
    found = read(root, tmp_path, line("test_id.1", materials={"silver": 0.1, "wood": 0.1 + 1e-12}))
    row = found.scores(split).facets["materials"][0]
    tags = found.vocabulary.facets["materials"].index
    assert row[tags["wood"]] > row[tags["silver"]]


@pytest.mark.parametrize(
    "image_id", ["plain", "with.dot", "../up", "a/b", "Ünïcode ☃", "con", "x" * 250, "100%25", "back\\slash"]
)
def test_images_are_known_by_the_file_name_without_its_ending(root, tmp_path, image_id):
    frame = read_split(root, "test_id").frame
    frame.loc[3, "idInSource"] = image_id
    split = TestSplit("test_id", root.table("test_id"), frame)
    names = [f"somewhere/{image_stem(image_id)}.jpg", image_stem(image_id).as_posix()]
    if "/" not in image_id and "\\" not in image_id:
        names += [f"{image_id}.jpeg", f"a folder/{image_id}.png"]
    for name in names:
        found = read(root, tmp_path, line(name, materials={"wood": 0.5}), splits=[split])
        assert found.scores(split).rows.tolist() == [3], name


def test_an_image_of_another_name_is_known_by_its_id(root, split, tmp_path):
    lines = ['{"image": "IMG_7.jpg", "id": "test_id.3", "tags": {"materials": []}}']
    lines += ['{"id": "test_id.4", "tags": {"materials": []}}']
    assert read(root, tmp_path, *lines).scores(split).rows.tolist() == [3, 4]


GOOD = line("test_id.1.jpg", materials={"wood": 0.5})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([GOOD, "{broken"], "line 2 is not JSON"),
        (["[" * 100_000], "line 1 is not JSON"),
        ([GOOD, "", '{"tags": {}}'], "line 3 names no image"),
        ([GOOD, "[1, 2]"], "line 2 names no image"),
        ([GOOD, '{"image": "test_id.2"}'], "line 2 has neither tags nor an error"),
        ([GOOD, line("x/test_id.1.png", materials={})], r"line 2: test_id\.1 is already in line 1"),
        ([line("test_id.1", materials={"unobtainium": 0.5})], "line 1: materials: the tag unobtainium"),
        ([line("test_id.1", colours={"red": 0.5})], "line 1: no label file for the facet colours"),
        ([line("test_id.1", materials={"wood": math.nan})], "line 1: materials: the score of wood is nan"),
        ([line("test_id.1", materials={"wood": 1.5})], "line 1: materials: the score of wood is 1.5, not a"),
        ([line("test_id.1", materials={"wood": -0.1})], "line 1: materials: the score of wood is -0.1"),
        ([line("test_id.1", materials={"wood": True})], "line 1: materials: the score of wood is True"),
        ([line("test_id.1", materials={"wood": "0.5"})], "line 1: materials: the score of wood is '0.5'"),
        (['{"image": "test_id.1", "tags": {"materials": {"wood": 1}}}'], "line 1: materials is not a list"),
        (['{"image": "test_id.1", "tags": {"materials": [["wood", 1]]}}'], "line 1: materials is not a list"),
        (
            ['{"image": "test_id.1", "tags": {"materials": [{"tag": "wood", "score": 1}, '
             '{"tag": "wood", "score": 0.5}]}}'],
            "line 1: materials: the tag wood is listed twice",
        ),
        ([""], "no tags in any line"),
    ],
)  # fmt: skip
def test_what_is_no_prediction_is_refused_by_its_line(root, tmp_path, lines, message):
    with pytest.raises(DataError, match=message) as caught:
        read(root, tmp_path, *lines)
    assert caught.value.hint


def test_error_lines_are_counted_as_failed(root, split, tmp_path):
    found = read(root, tmp_path, GOOD, '{"image": "test_id.2.jpg", "error": "not an image"}')
    scores = found.scores(split)
    assert scores.failed == {"test_id.2": "not an image"}
    assert "test_id.2" not in scores.missing
    with pytest.raises(DataError, match="no prediction for any of the 12 images of test_ood") as caught:
        found.scores(read_split(root, "test_ood"))
    assert "its first is test_id.1, that of test_ood is test_ood.0" in str(caught.value.hint)


def test_files_of_one_name_have_two_names(root, tmp_path):
    for name in ("a.jsonl", "a.txt", "b/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(GOOD)
    paths = [tmp_path / name for name in ("a.jsonl", "a.txt", "b/a.txt")]
    names = [source.name for source in open_sources(root, [], paths, str)]
    assert names[0] == "other" and len(set(names)) == 3


def test_a_root_without_label_files_has_no_vocabulary(root, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(GOOD)
    with pytest.raises(DataError, match="no label files"):
        read_predictions(path, Root(tmp_path))
    with pytest.raises(DataError, match="no such file"):
        read_predictions(tmp_path / "nothing.jsonl", root)


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_saved_scores_give_the_same_figures_when_read_back(root, tmp_path, ending):
    source = random_source(root, "mine", seed=3, decimals=3, without=["test_id.4"])
    source.method = "softmax"
    splits = [read_split(root, name) for name in ("test_id", "test_ood")]
    path = tmp_path / f"scores.{ending}"
    save_predictions(path, source, [(split, source.scores(split)) for split in splits])
    found = read_predictions(path, root)
    found.check(splits)
    assert found.name == "mine"
    assert found.vocabulary.digest == source.vocabulary.digest
    for split in splits:
        mine, read_back = source.scores(split), found.scores(split)
        assert read_back.rows.tolist() == mine.rows.tolist()
        for facet, table in mine.facets.items():
            if ending == "parquet":
                assert found.method == "softmax"
                assert table.dtype == read_back.facets[facet].dtype
                assert (table == read_back.facets[facet]).all()
            else:
                assert read_back.facets[facet] == pytest.approx(table, abs=1e-6)
        results = [measure(source, split, scores, Measures()).figures for scores in (mine, read_back)]
        assert results[0] == results[1]


def test_parquet_files_that_are_other_format_are_refused(root, split, tmp_path):
    source = random_source(root, "mine")
    path = tmp_path / "scores.parquet"
    save_predictions(path, source, [(split, source.scores(split))])
    table = pq.read_table(path)
    for message, wrong in {
        "no column image": table.drop_columns(["image"]),
        "no column materials:wood": table.drop_columns(["materials:wood"]),
        "metadata of eufcc": table.replace_schema_metadata({"eufcc": "{"}),
        "no scores, but": table.select(["image", "split"]).replace_schema_metadata({}),
    }.items():
        pq.write_table(wrong, path)
        with pytest.raises(DataError, match=message):
            read_predictions(path, root)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="no Parquet file"):
        read_predictions(path, root)
    for value in (math.nan, 0.5):
        source.tables["test_id"]["materials"][2, 0] = value
        save_predictions(path, source, [(split, source.scores(split))])
        with pytest.raises(DataError, match="line 3: a score of materials is no log-probability"):
            read_predictions(path, root)


def test_pandas_reads_saved_scores_with_tag_names_and_truth(root, split, tmp_path):
    source = random_source(root, "mine", seed=1)
    path = tmp_path / "scores.parquet"
    save_predictions(path, source, [(split, source.scores(split))])
    frame = pd.read_parquet(path)
    assert frame["image"].tolist() == split.ids and set(frame["split"]) == {"test_id"}
    for facet, tags in source.vocabulary.facets.items():
        targets = split.targets(source.vocabulary)[facet]
        for row, true in enumerate(frame[facet]):
            assert (true is None) == (not targets.annotated[row])
            if true is not None:
                assert {tags.index[tag] for tag in true} == set(targets.row(row).tolist())
        for number, tag in enumerate(tags.tags):
            assert (frame[f"{facet}:{tag}"].to_numpy() == source.scores(split).facets[facet][:, number]).all()
    # Written again by pandas, which drops what the file said about the model.
    frame.to_parquet(tmp_path / "again.parquet")
    pq.write_table(
        pq.read_table(tmp_path / "again.parquet").replace_schema_metadata({}), tmp_path / "again.parquet"
    )
    again = read_predictions(tmp_path / "again.parquet", root)
    assert (again.name, again.method) == ("again", "external")
    assert again.scores(split).facets["materials"].shape == source.scores(split).facets["materials"].shape


def long_form(lines):
    """The same predictions as JSON lines say, in rows as pandas writes them."""
    return pd.DataFrame(
        [
            {"image": content["image"], "facet": facet, "tag": each["tag"], "score": each["score"]}
            for content in map(json.loads, lines)
            for facet, listed in content["tags"].items()
            for each in listed
        ]
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("key", ["image", "id"])
def test_the_long_form_says_what_lines_say(root, split, tmp_path, ending, key):
    draw = np.random.default_rng(0)
    tags = random_source(root, "x").vocabulary.facets
    lines = [
        line(f"folder/{image_id}.jpg", **{
            facet: {known.tags[i]: draw.random() for i in draw.permutation(len(known))[: draw.integers(1, 4)]}
            for facet, known in tags.items()
        })
        for image_id in split.ids[2:]
    ]  # fmt: skip
    expected = read(root, tmp_path, *lines).scores(split)
    frame = long_form(lines).sample(frac=1, random_state=1)  # in any order
    if key == "id":
        frame["id"] = frame["image"].str.extract(r"folder/(.*)\.jpg")[0]
        frame["image"] = "of no account"
    frame["remark"] = "kept"
    path = tmp_path / f"mine.{ending}"
    getattr(frame, f"to_{ending}")(path, index=False)
    found = read_predictions(path, root)
    found.check([split])
    assert (found.name, found.method) == ("mine", "external")
    scores = found.scores(split)
    assert scores.rows.tolist() == expected.rows.tolist()
    assert scores.missing == expected.missing
    for facet in expected.facets:
        np.testing.assert_allclose(scores.facets[facet], expected.facets[facet], rtol=1e-12)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("id,facet,tag,score\na,materials,wood,0.5\na,materials,gold,0.5", "line 3: materials: the tag gold"),
        (
            "id,facet,tag,score\na,materials,wood,0.5\na,colours,red,0.5",
            "line 3: no label file for the facet col",
        ),
        ("id,facet,tag,score\na,materials,wood,1.5", "line 2: the score of wood is 1.5, not a probability"),
        ("id,facet,tag,score\na,materials,wood,nan", "line 2: the score of wood is nan"),
        ("id,facet,tag,score\na,materials,wood,", "line 2: the score of wood is nan"),
        ("id,facet,tag,score\na,materials,wood,high", "high"),
        (
            "id,facet,tag,score\na,materials,wood,1\na,materials,wood,0",
            "line 3: materials: the tag wood is listed",
        ),
        ("id,facet,tag\na,materials,wood", "no column score, but id, facet, tag"),
        ("name,facet,tag,score\na,materials,wood,1", "no column image"),
        ("id,facet,tag,score\n", "no rows"),
        ("id,facet,tag,score\n\xff,a,b,1", "UTF"),
    ],
)
def test_what_is_no_long_form_is_refused_by_its_line(root, tmp_path, rows, message):
    path = tmp_path / "mine.csv"
    path.write_bytes(rows.encode("latin-1"))
    with pytest.raises(DataError, match=message) as caught:
        read_predictions(path, root)
    assert caught.value.hint


def test_images_of_other_splits_are_left_out(root, split, tmp_path, caplog):
    def others():
        return set(read_split(root, "val").ids)

    found = read(root, tmp_path, GOOD, line("val.3.jpg", materials={"wood": 0.1}))
    found.check([split], others)
    assert found.scores(split).rows.tolist() == [1]
    caplog.clear()
    found.check([split], others)
    assert not caplog.records
    found = read(root, tmp_path, GOOD, line("stranger.jpg", materials={"wood": 0.1}))
    caplog.clear()
    found.check([split], others)
    assert "1 image left out, in no table of the root; the first is stranger in line 2" in caplog.text


def test_constant_predictions_score_what_chance_gives(root, split, tmp_path):
    lines = [line(f"{image_id}.jpg", materials={}, objectTypes={}) for image_id in split.ids]
    found = read(root, tmp_path, *lines)
    result = measure(found, split, found.scores(split), Measures())
    for facet in result.facets.values():
        n = len(facet.tags)
        for pair in range(len(facet.rows)):
            true = set(facet.true_tag[facet.true_pair == pair].tolist())
            expected = oracles.rank_metrics_by_loops([0.0] * n, true, (1, 10))
            assert {m: v[pair] for m, v in facet.values.items()} == pytest.approx(expected, abs=1e-12)


def test_the_real_annotations_against_the_published_label_files(shared_data, tmp_path):
    """What ranks nothing scores what chance gives on the 2,633 real rows; no image is needed."""
    root = Root(tmp_path)
    shutil.copytree(shared_data / "eufcc-340k" / "labels", root.labels)
    root.data.mkdir()
    shutil.copy(shared_data / "eufcc-340k" / "test_id.csv", root.data)
    split = read_split(root, "test_id")
    facets = ("objectTypes", "materials", "classifications", "subjects")
    found = read(
        root, tmp_path, *(line(i, **{facet: {} for facet in facets}) for i in split.ids), splits=[split]
    )
    result = measure(found, split, found.scores(split), Measures())
    assert {facet: len(unknown) for facet, unknown in result.unknown.items()} == {
        "objectTypes": 95, "materials": 17, "classifications": 2, "subjects": 1,
    }  # fmt: skip
    assert result.images == 2633
    for facet, tags in found.vocabulary.facets.items():
        figures = result.figures["facets"][facet]
        targets = split.targets(found.vocabulary)[facet]
        relevant = np.diff(targets.indptr)[targets.annotated]
        assert figures["avg_rp"] == (len(tags) + 1) / 2
        assert figures["r_precision"] == pytest.approx(relevant.mean() / len(tags))
        assert figures["images"] == len(relevant)
