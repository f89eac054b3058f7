"""Training on decisions: which images they reach, which are left alone, and that they are learned."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from eufcc_cli.core.dataset.splits.split_memory import list_of_tests
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.backbone.network import create_backbone
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.inference.prediction import predict
from eufcc_cli.core.taxonomy.decisions import Decision, DecisionsFile, read_decisions
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID
from eufcc_cli.core.taxonomy.vocabulary import training_vocabulary
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loading.data import load_split
from eufcc_cli.core.training.loading.decided_split import learn_decisions
from eufcc_cli.core.training.run import train_run
from eufcc_cli.core.training.training_plan import Plan
from tests.conftest import Run

pytestmark = pytest.mark.usefixtures("by_pytorch")


def decision(image: str, tag: str, verdict: str, **more: object) -> Decision:
    fields = {"time": "2026-11-26T10:00:00Z", "reviewer": "ann", "facet": "materials", "score": 0.8, **more}
    return Decision(image=image, tag=tag, verdict=verdict, **fields)


def ids(root: Path, split: str) -> list[str]:
    return read_table(Root(root).table(split))[ID].tolist()


def write(path: Path, decisions: list[Decision]) -> Path:
    DecisionsFile(path).append(decisions)
    return path


def test_each_decision_has_its_place(demo_root: Path, tmp_path: Path) -> None:
    root = Root(demo_root)
    train, val, test = (ids(demo_root, split) for split in ("train", "val", "test_id"))
    vocabulary = training_vocabulary(root, read_table(root.table("train")))
    split = load_split(root, "train", vocabulary)
    new = tmp_path / "scans" / "new.jpg"
    new.parent.mkdir()
    shutil.copy(split.files[0], new)
    materials = vocabulary.facets["materials"]
    tops = [i for i, parent in enumerate(materials.parents) if parent < 0]
    tags = [materials.tags[i] for i in tops]
    path = write(
        tmp_path / "d.jsonl",
        [
            decision("whatever.jpg", tags[0], "accepted", id=train[0]),
            decision(f"photos/{train[1]}.jpg", tags[0], "rejected"),
            decision(f"{test[0]}.jpg", tags[0], "accepted"),
            decision("copy.jpg", tags[0], "rejected", id=test[1], score=0.3),
            decision(f"{val[0]}.jpg", tags[0], "accepted"),
            decision(f"{train[2]}.jpg", "no such tag", "added"),
            decision(str(new), tags[1], "added"),
            decision(str(new), tags[0], "rejected"),
            decision("gone.jpg", tags[0], "accepted"),
        ],
    )
    with path.open("a") as file:
        file.write('{"torn')
    decided, learned = learn_decisions(split, read_decisions([path]), vocabulary, root)
    assert (learned.accepted, learned.rejected, learned.images, learned.new_images) == (2, 2, 3, 1)
    assert [one.id or one.image for one in learned.on_test] == [f"{test[0]}.jpg", test[1]]
    assert (learned.on_validation, learned.missing_images, learned.unknown_tags) == (1, 1, 1)
    assert len(decided) == len(split) + 1
    assert decided.files[-1] == new
    targets = decided.targets["materials"]
    row = split.frame[ID].tolist().index(train[0])
    assert targets.dense([row])[0, tops[0]]
    true, known = targets.dense([-1 % len(decided)])[0], targets.known([-1 % len(decided)])
    assert true[tops[1]] and not true[tops[0]]
    assert known is not None and known[0, tops[0]] and not known[0].all()
    assert not (set(decided.frame[ID]) & {*test, *val})
    again = decided.without([0])
    assert again.targets["materials"].known([len(again) - 1]).tolist() == known.tolist()
    later = Root(tmp_path / "later")  # whose export no longer has the test image
    later.data.mkdir(parents=True)
    list_of_tests(later).write_text("id,record,split\nnew_2,new,test_id\n")
    _, learned = learn_decisions(split, read_decisions([path]), vocabulary, later)
    assert learned.new_images == 0 and {one.image for one in learned.on_test} == {str(new)}


def test_what_was_decided_is_learned(demo_root: Path, tmp_path: Path, eufcc: Run) -> None:
    """Every training image is said to be of the first term, none of the second: the model then thinks so."""
    root = Root(demo_root)
    vocabulary = training_vocabulary(root, read_table(root.table("train")))
    tags = vocabulary.facets["materials"]
    tops = [i for i, parent in enumerate(tags.parents) if parent < 0]
    yes, no = (tags.tags[i] for i in tops[:2])
    test = ids(demo_root, "test_id")[:4]
    decisions = [decision("", yes, "accepted", id=i) for i in ids(demo_root, "train")]
    decisions += [decision("", no, "rejected", id=i) for i in ids(demo_root, "train")]
    decisions += [
        decision("", no, verdict, id=i)
        for i, verdict in zip(test, ["accepted"] * 3 + ["rejected"], strict=True)
    ]
    path = write(
        tmp_path / "d.jsonl", [Decision(**{**_fields(d), "image": f"{d.id}.jpg"}) for d in decisions]
    )
    done = eufcc(
        "--root", demo_root, "train", "--name", "decided", "--method", "multilabel", "--decisions", path,
        "--backbone", "test_convnext3", "--no-pretrained", "--image-size", 32, "--epochs", 3,
        "--batch-size", 16, "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of 4 decisions on test images, 75% of the suggestions above 0.7 were accepted" in done.stderr
    config = json.loads((demo_root / "runs" / "decided" / "config.json").read_text())
    assert config["decisions"]["on_test"] == 4
    assert list(config["decisions"]["files"]) == ["d.jsonl"]
    table = demo_root / "data" / "test_id.csv"
    told = eufcc(
        "--root",
        demo_root,
        "tag",
        "--table",
        table,
        "--format",
        "jsonl",
        "--threshold",
        0,
        "--model",
        "decided",
    )
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    for line in lines:
        scores = {tag["tag"]: tag["score"] for tag in line["tags"]["materials"]}
        assert scores[yes] > scores.get(no, 0)


@pytest.mark.parametrize("method", ["hsoftmax-nodes", "multilabel-coherent"])
def test_images_with_rejected_tags_alone(demo_root: Path, tmp_path: Path, method: str) -> None:
    """They teach a sigmoid and not a softmax, which trains all the same."""
    root = Root(demo_root)
    train = read_table(root.table("train"))
    vocabulary = training_vocabulary(root, train)
    split = load_split(root, "train", vocabulary)
    tag = vocabulary.facets["materials"].tags[0]
    new = [tmp_path / f"{i}.jpg" for i in range(3)]
    for file in new:
        shutil.copy(split.files[0], file)
    path = write(tmp_path / "d.jsonl", [decision(str(file), tag, "rejected") for file in new])
    config = TrainConfig(
        method=method, backbone="test_convnext3", pretrained=False, image_size=32, epochs=1, device="cpu"
    )
    plans: list[Plan] = []
    trained = train_run(config, root, "r", decisions=[path], on_plan=plans.append)
    annotated = int(split.annotated.sum())
    assert plans[0].images == annotated + (3 if method == "multilabel-coherent" else 0)
    assert np.isfinite(trained.position.history[0]["loss"])


def _fields(one: Decision) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__slots__}


def test_heads_on_features_learn_decisions_too(demo_root: Path, tmp_path: Path) -> None:
    """Every training image is said to be of the first term, new ones alone not to be of the second."""
    root = Root(demo_root)
    torch.manual_seed(0)
    weights = tmp_path / "mini.safetensors"
    save_file(create_backbone("test_convnext3").state_dict(), weights)
    split = load_split(root, "train", training_vocabulary(root, read_table(root.table("train"))))
    tags = split.targets["materials"]
    vocabulary = training_vocabulary(root, read_table(root.table("train"))).facets["materials"]
    yes, no = [tag for tag, parent in zip(vocabulary.tags, vocabulary.parents, strict=True) if parent < 0][:2]
    new = tmp_path / "new.jpg"
    shutil.copy(split.files[0], new)
    path = write(
        tmp_path / "d.jsonl",
        [
            *(decision(f"{i}.jpg", yes, "accepted", id=i) for i in ids(demo_root, "train")),
            decision(str(new), no, "rejected"),
        ],
    )
    config = TrainConfig(
        method="multilabel", tune="head", backbone="test_convnext3", weights=str(weights), image_size=32,
        device="cpu",
    )  # fmt: skip
    plans: list[Plan] = []
    trained = train_run(config, root, "h", decisions=[path], on_plan=plans.append)
    assert plans[0].images == len(split) + 1
    assert plans[0].facets["materials"] == (tags.size, len(split) + 1)
    model = load_model("h", root, "cpu", "fp32")
    (found,) = predict(model, [("x", new)])
    assert found.scores is not None
    scores = dict(zip(vocabulary.tags, found.scores["materials"], strict=True))
    assert scores[yes] == max(scores.values()) and np.exp(scores[yes]) > 0.9
    record = json.loads((trained.folder / "config.json").read_text())
    assert (record["decisions"]["accepted"], record["decisions"]["rejected"]) == (len(split), 1)
