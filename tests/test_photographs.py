"""The main job on real photographs: the shared clothing collection, as it is."""

import json
import shutil
from pathlib import Path

from tests.conftest import Run


def test_train_evaluate_and_tag_run_on_real_photographs_as_they_are(
    eufcc: Run, shared_data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "clothing"
    shutil.copytree(shared_data / "clothing", root)
    train = root / "data" / "train.csv"
    train.write_text(
        "".join(train.read_text(encoding="utf-8").splitlines(keepends=True)[:241]), encoding="utf-8"
    )
    small = ("--backbone", "convnext_mini", "--no-pretrained", "--image-size", 32, "--device", "cpu")
    done = eufcc("--root", root, "train", "--name", "garments", "--epochs", 1, *small, timeout=300)
    assert done.returncode == 0, done.stderr
    config = json.loads((root / "runs" / "garments" / "config.json").read_text())
    assert list(config["vocabulary"]["facets"]) == ["objectTypes"]  # no other is annotated

    done = eufcc("--root", root, "evaluate", "garments", "--split", "test_id", "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["results"]
    assert row["images"] == row["images_in_split"] > 100

    photograph = sorted((root / "images").glob("*.jpg"))[0]
    done = eufcc("--root", root, "tag", photograph, "--top", 1)
    assert done.returncode == 0, done.stderr
    (best,) = json.loads(done.stdout)["tags"]["objectTypes"]
    assert best["path"][0] == "indumentària"
