"""The public API: what a Python program imports, with paths as text, data frames and arrays."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import eufcc_cli
from eufcc_cli import (
    EufccError,
    Root,
    Tagger,
    TrainConfig,
    build_trees,
    evaluate,
    load_model,
    predict,
    print_trees,
    rank_metrics,
)
from tests.conftest import Run


def images_of(root: Path, count: int) -> list[str]:
    return [str(path) for path in sorted((root / "data" / "images").rglob("*.jpg"))[:count]]


def test_importing_loads_no_library() -> None:
    code = (
        "import sys, eufcc_cli\n"
        "from eufcc_cli import Root, EufccError\n"
        "print(*sorted(set(sys.modules) & {'torch', 'pandas', 'numpy', 'timm', 'rich', 'typer'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_types_name_what_the_package_holds() -> None:
    stub = Path(eufcc_cli.__file__).with_name("__init__.pyi")
    named = {
        alias.asname
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert named | {"__version__"} == set(eufcc_cli.__all__)
    assert all(hasattr(eufcc_cli, name) for name in eufcc_cli.__all__)
    assert (stub.parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="nothing"):
        eufcc_cli.nothing  # noqa: B018


def test_probabilities_are_those_that_tag_prints(trained: Path, eufcc: Run) -> None:
    images = images_of(trained, 3)
    scored = predict(load_model("small", str(trained)), images)
    assert list(scored) == images and len(scored) == 3 and not scored.errors
    done = eufcc("--root", trained, "tag", *images, "--model", "small", "--threshold", 0, "--top", 9)
    for line in map(json.loads, done.stdout.splitlines()):
        for facet, suggestions in line["tags"].items():
            for each in suggestions:
                assert scored[line["image"]][facet][each["tag"]] == pytest.approx(each["score"], rel=1e-4)
    first = scored[images[0]]["materials"]
    assert list(first.values()) == sorted(first.values(), reverse=True)


def test_frames_of_probabilities(trained: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    images = images_of(trained, 2)
    scored = predict("small", [*images, str(broken)], root=str(trained))
    assert list(scored.errors) == [str(broken)]
    with pytest.raises(EufccError, match=r"broken\.jpg"):
        scored[str(broken)]
    long, wide = scored.to_frame(), scored.to_frame(wide=True)
    assert list(long) == ["image", "facet", "tag", "score"]
    assert len(long) == wide.size == 2 * sum(map(len, scored.tags.values()))
    row = long.iloc[5]
    assert wide.loc[row["image"], (row["facet"], row["tag"])] == row["score"]
    assert len(predict("small", str(broken), root=trained).to_frame()) == 0


def test_a_folder_is_tagged_in_a_few_lines(trained: Path) -> None:
    tagger = Tagger("small", root=str(trained), top=2, facets="materials")
    results = list(tagger(trained / "data" / "images"))
    assert len(results) > 100
    for result in results[:5]:
        assert list(result.tags) == ["materials"] and len(result.tags["materials"]) <= 2
    with pytest.raises(EufccError, match="`top` 0"):
        Tagger("small", root=trained, top=0)
    with pytest.raises(EufccError, match="nowhere: no such model"):
        Tagger(["nowhere"], root=trained)


def test_trees_of_frames_and_files(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = drawn / "data" / "train.csv"
    df = pd.read_csv(path)  # empty cells are NaN there
    trees = build_trees(df)
    assert {facet: len(tree) for facet, tree in trees.items()} == {
        facet: len(tree) for facet, tree in build_trees(str(path)).items()
    }
    assert len(build_trees([df, str(drawn / "data" / "val.csv")])["materials"]) >= len(trees["materials"])
    print_trees(df)
    printed = capsys.readouterr().out
    print_trees(trees)
    assert capsys.readouterr().out == printed
    assert printed.startswith("objectTypes\n") and trees["materials"].render() in printed
    print_trees(df, facets=["materials"])
    assert capsys.readouterr().out == "materials\n" + trees["materials"].render() + "\n"
    with pytest.raises(EufccError, match=r"materials\.hierarchy"):
        build_trees(pd.DataFrame({"materials": ["bronze"]}))


def test_metrics_of_arrays_lists_and_tensors() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.normal(size=(5, 7)), rng.random((5, 7)) < 0.4
    truth[:, 0] = True
    arrays = rank_metrics(scores, truth, ks=[2])
    tensors = rank_metrics(torch.from_numpy(scores), torch.from_numpy(truth), ks=[2])
    lists = rank_metrics(scores.tolist(), truth.astype(int).tolist(), ks=[2])
    assert set(arrays) == {"r_precision", "acc@2", "avg_rp"}
    for name, values in arrays.items():
        assert isinstance(values, np.ndarray) and isinstance(tensors[name], torch.Tensor)
        assert values.tolist() == tensors[name].tolist() == lists[name].tolist()
    assert rank_metrics([[3, 2, 1]], [[0, 1, 0]])["avg_rp"].tolist() == [2]
    with pytest.raises(ValueError, match="scores come first"):
        rank_metrics(truth, scores)


def test_evaluation_is_that_of_the_command(trained: Path, eufcc: Run) -> None:
    found = evaluate("small", "val", root=str(trained), device="cpu")
    done = eufcc(
        "--root", trained, "evaluate", "small", "--split", "val", "--format", "json", "--device", "cpu"
    )
    assert found.to_dict() == json.loads(done.stdout)
    frame = found.to_frame()
    assert set(frame["scope"]) > {"overall", "macro", "materials"}
    assert found.overall["r_precision"][0] == found.to_dict()["results"][0]["overall"]["r_precision"]


def test_probabilities_in_a_file_are_predictions(trained: Path, tmp_path: Path) -> None:
    val = pd.read_csv(trained / "data" / "val.csv")["idInSource"].tolist()
    files = [path for path in images_of(trained, 1000) if Path(path).stem in val]
    path = tmp_path / "mine.parquet"
    predict("small", files, root=trained).to_frame().to_parquet(path)
    scores = evaluate(predictions=str(path), splits="val", root=trained).overall
    assert scores["model"].tolist() == ["mine"]
    own = evaluate("small", "val", root=trained).overall
    assert scores["r_precision"][0] == pytest.approx(own["r_precision"][0], abs=0.02)


def test_settings_by_name(tmp_path: Path) -> None:
    assert Root(str(tmp_path)) == Root(tmp_path)
    config = TrainConfig(method="asl", method_options={"gamma_neg": 3.0}, epochs=2)
    assert config.changed(gamma_neg=4.0).to_mapping()["gamma_neg"] == 4.0
    with pytest.raises(EufccError, match="`epochs` 0"):
        eufcc_cli.train(root=tmp_path, epochs=0)
