import contextlib
import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from eufcc_cli.cli import app
from eufcc_cli.commands.common import ModelLoader
from eufcc_cli.core.errors import EufccError, ModelError
from eufcc_cli.core.evaluation.calibrate import calibrate
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.evaluation.scores.score_sources import open_sources
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.clip import towers
from eufcc_cli.core.model.clip.clip_network import ClipNetwork
from eufcc_cli.core.model.clip.prompts import PROMPTS, TextOptions
from eufcc_cli.core.model.clip.towers import build_clip, clip_preprocessing, clip_tokenizer, create_clip
from eufcc_cli.core.report.model_card import export_model
from eufcc_cli.core.tagging.tagger import calibration_of
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.run import train_run
from tests.two_ranks import run_two_ranks

pytestmark = pytest.mark.usefixtures("by_pytorch")
TINY = {
    "embed_dim": 32,
    "vision_cfg": {
        "timm_model_name": "test_convnext",
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 32,
    },
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder in open_clip's own layout: a ConvNeXt, a text tower of two layers, random weights."""
    folder = tmp_path_factory.mktemp("tiny-clip")
    preprocessing = {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.3, 0.2], "resize_mode": "squash"}
    content = {"model_cfg": TINY, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**TINY).state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def quick(tiny):
    return TrainConfig(
        method="clip-1-tag",
        backbone=f"local-dir:{tiny}",
        pretrained=False,
        optimizer="adamw",
        lr=1e-3,
        epochs=2,
        batch_size=16,
        ema=0.9,
        device="cpu",
    )


@pytest.fixture(scope="session")
def clip_root(drawn, quick, tmp_path_factory):
    """A copy of the drawn collection with a run of each fine-tuning."""
    folder = tmp_path_factory.mktemp("clip") / "root"
    shutil.copytree(drawn, folder)
    for method in ("clip-1-tag", "clip-all-tags", "clip-1-tag-prompt"):
        train_run(quick.changed(method=method), Root(folder), method)
    return folder


def network_of(texts, tiny, store=None):
    clip, architecture = create_clip(f"local-dir:{tiny}")
    return ClipNetwork(clip, clip_tokenizer(f"local-dir:{tiny}", architecture), texts, store).eval()


def weights(root, name):
    return load_file(root / "runs" / name / "model.safetensors")


def shorten(root, split, rows):
    """Leave so many rows of a split's table."""
    table = root / "data" / f"{split}.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[: 1 + rows]))


def here(*arguments):
    """Run `eufcc` within this process: (exit code, standard output, standard error)."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def history(root, name):
    with (root / "runs" / name / "history.csv").open() as file:
        return list(csv.DictReader(file))


# -- the network ---------------------------------------------------------------------------------------


def test_scores_are_those_of_open_clips_own_classifier(tiny):
    texts = {
        "materials": [["gold"], ["silver"], ["a\u00e7o"]],
        "subjects": [["a sea", "sea"], ["a man", "man"]],
    }
    network = network_of(texts, tiny)
    model = open_clip.create_model(f"local-dir:{tiny}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tiny}")
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        logits = network(images)
        features = model.encode_image(images, normalize=True)
    for facet, names, templates in (
        ("materials", ["gold", "silver", "a\u00e7o"], ["{}"]),
        ("subjects", ["sea", "man"], ["a {}", "{}"]),
    ):
        classes = open_clip.build_zero_shot_classifier(model, tokenizer, names, templates)
        torch.testing.assert_close(logits[facet], model.logit_scale.exp() * features @ classes)


def test_every_different_text_is_encoded_once(tiny):
    network = network_of({"materials": [["paper"], ["gold"]], "objectTypes": [["paper"], ["ring"]]}, tiny)
    encoded = []
    tokenizer = network.tokenizer
    network.tokenizer = lambda texts: encoded.extend(texts) or tokenizer(texts)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(2, 3, 32, 32))
    assert sorted(encoded) == ["gold", "paper", "ring"]
    network.train()
    network.eval()  # the weights may have changed
    with torch.no_grad():
        network(torch.randn(2, 3, 32, 32))
    assert len(encoded) == 6


def test_embeddings_are_kept_from_one_model_to_the_next_unless_damaged(tiny, tmp_path):
    texts, store, images = (
        {"materials": [["paper"], ["gold"]]},
        tmp_path / "texts.safetensors",
        torch.randn(2, 3, 32, 32),
    )
    with torch.no_grad():
        expected = network_of(texts, tiny, store)(images)["materials"]
        again = network_of(texts, tiny, store)
        again.tokenizer = None  # not needed any more
        assert torch.equal(again(images)["materials"], expected)
        store.write_bytes(store.read_bytes()[:-10])
        assert torch.equal(network_of(texts, tiny, store)(images)["materials"], expected)
        assert torch.equal(network_of(texts, tiny, tmp_path / "file" / "x")(images)["materials"], expected)
        (tmp_path / "blocked").write_text("")
        assert torch.equal(network_of(texts, tiny, tmp_path / "blocked" / "x")(images)["materials"], expected)


def test_bf16_images_are_compared_in_float32(tiny):
    network = network_of({"materials": [[f"material {i}"] for i in range(50)]}, tiny)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.randn(3, 3, 32, 32))["materials"]
    assert logits.dtype == torch.float32
    assert all(len(row.unique()) == 50 for row in logits)


def test_a_model_is_built_again_from_its_configuration(tiny):
    clip, architecture = create_clip(f"local-dir:{tiny}", image_size=48)
    again = build_clip(json.loads(json.dumps(architecture)))
    again.load_state_dict(clip.state_dict())
    images = torch.randn(2, 3, 48, 48)
    assert torch.equal(again.eval().encode_image(images), clip.eval().encode_image(images))
    assert clip_preprocessing(clip).size == 48


@pytest.mark.parametrize(
    "change",
    [
        {"vision_cfg": {"timm_model_name": "no_such_net"}},
        {"text_cfg": {"depth": 3}},
        {"text_cfg": None},
        {"embed_dim": "many"},
        {"surprise": 1},
    ],
)
def test_a_damaged_configuration_is_refused(change):
    with pytest.raises(ModelError, match="cannot build"):
        build_clip({**TINY, **change})


def test_preprocessing_is_that_of_open_clip(tiny):
    clip, _ = create_clip(f"local-dir:{tiny}")
    preprocessing = clip_preprocessing(clip)
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8))
    image = coarse.resize((70, 50), Image.Resampling.BICUBIC)  # of noise, resizing libraries differ more
    square = torch.from_numpy(preprocessing.square(np.asarray(image.convert("RGBA"))).copy()).permute(
        2, 0, 1
    )[None]
    ours = preprocessing.normalise(preprocessing.middle(square))[0]
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tiny}")
    torch.testing.assert_close(ours, transform(image), atol=0.05, rtol=0)


def test_weights_trained_with_quick_gelu_get_it(monkeypatch):
    built = []

    def no_download(architecture, tag, *, force_quick_gelu, **options):
        built.append((architecture, tag, force_quick_gelu))
        raise OSError("no network")

    monkeypatch.setattr(open_clip, "create_model", no_download)
    monkeypatch.setattr(towers, "hub", lambda *_: contextlib.nullcontext())
    for name in ("ViT-B-32/openai", "ViT-B-32/laion2b_s34b_b79k"):
        with pytest.raises(ModelError, match="no network"):
            create_clip(name)
    assert built == [("ViT-B-32", "openai", True), ("ViT-B-32", "laion2b_s34b_b79k", False)]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("ViT-B-23/openai", "no model ViT-B-23", "ViT-B-32"),
        ("ViT-B-32/opanai", "no weights opanai", "openai"),
        ("ViT-B-32", "no weights are named", "openai"),
        ("local-dir:/nowhere", "/nowhere", ""),
        ("clip_mini", "no weights are named", "`weights=FILE`"),
    ],
)
def test_a_model_that_is_not_there_is_named(name, message, hint):
    with pytest.raises(ModelError, match=message) as caught:
        create_clip(name)
    assert hint in str(caught.value.hint)


def test_weights_that_do_not_fit_are_refused(tiny, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"visual.trunk.stem.0.weight": torch.zeros(1)}, other)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"x" * 100)
    pickled = tmp_path / "model.pt"
    torch.save({}, pickled)
    for file, message in (
        (other, "other.safetensors: Missing key"),
        (damaged, "damaged.safetensors"),
        (pickled, "model.pt: not a safetensors file"),
        (tmp_path / "none.safetensors", "none.safetensors"),
    ):
        with pytest.raises(ModelError, match=message):
            create_clip("clip_mini", weights=file)
    assert create_clip(f"local-dir:{tiny}", weights=tiny / "open_clip_model.safetensors")


# -- training ------------------------------------------------------------------------------------------


def test_a_run_is_a_model_like_any_other(clip_root):
    for method in ("clip-1-tag", "clip-all-tags", "clip-1-tag-prompt"):
        config = json.loads((clip_root / "runs" / method / "config.json").read_text())
        assert config["finished"] and set(config["calibration"]["facets"]) == set(
            config["vocabulary"]["facets"]
        )
        assert config["versions"]["open_clip_torch"] == open_clip.__version__
        prompts = config["method_options"]["prompts"]
        with_prompt = method == "clip-1-tag-prompt"
        assert prompts["materials"] == (list(PROMPTS["materials"]) if with_prompt else ["{tag}"])
        first, last = history(clip_root, method)
        assert float(last["loss"]) < float(first["loss"])
        model = load_model(method, Root(clip_root))
        images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
        for facet, scores in model.log_scores(images).items():
            assert scores.shape == (3, len(model.vocabulary.facets[facet]))
            torch.testing.assert_close(scores.exp().sum(1), torch.ones(3))


def test_a_moved_model_needs_nothing_but_its_two_files(clip_root, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(clip_root / "runs" / "clip-1-tag" / name, tmp_path / name)
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    elsewhere = load_model(str(tmp_path), Root(tmp_path)).log_scores(images)
    for facet, scores in load_model("clip-1-tag", Root(clip_root)).log_scores(images).items():
        assert torch.equal(scores, elsewhere[facet])


def test_an_exported_model_scores_the_same(clip_root, tmp_path):
    export_model(clip_root / "runs" / "clip-1-tag-prompt", tmp_path / "exported")
    assert "clip-1-tag-prompt" in (tmp_path / "exported" / "README.md").read_text()
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    exported = load_model(str(tmp_path / "exported"), Root(tmp_path)).log_scores(images)
    for facet, scores in load_model("clip-1-tag-prompt", Root(clip_root)).log_scores(images).items():
        assert torch.equal(scores, exported[facet])


def test_thirty_two_images_are_learnt_by_heart(quick, tmp_path):
    colours = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "white": (245, 245, 245)}
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for i in range(32):
        name = list(colours)[i % 4]
        pixels = np.clip(rng.normal(colours[name], 8, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"image{i}.png")
        rows.append(f"image{i},colour | {name}")
    rows.append("image32,")  # without a tag it has no caption
    shutil.copy(tmp_path / "images" / "image0.png", tmp_path / "images" / "image32.png")
    for split in ("train", "val"):
        text = "idInSource,materials.hierarchy\n" + "\n".join(rows) + "\n"
        (tmp_path / "data" / f"{split}.csv").write_text(text)
    config = replace(quick, epochs=40, augment="none", cache=False, workers=0)

    class Learnt(Exception):
        pass

    def stop(row):
        if row["r_precision"] == 1.0:
            raise Learnt

    with pytest.raises(Learnt):
        train_run(config, Root(tmp_path), "colours", on_epoch=stop)


def test_interrupted_within_an_epoch_it_ends_as_if_nothing_had_happened(quick, clip_root, demo_root):
    config = replace(quick, save_every=1e-9)

    class Stop(Exception):
        pass

    def stop(row):
        raise Stop

    with pytest.raises(Stop):
        train_run(config, Root(demo_root), "clip-1-tag", on_epoch=stop)
    train_run(config, Root(demo_root), "clip-1-tag", resume=True)
    whole, resumed = weights(clip_root, "clip-1-tag"), weights(demo_root, "clip-1-tag")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_parts_of_a_batch_change_nothing(quick, clip_root, demo_root):
    train_run(replace(quick, accumulate=4), Root(demo_root), "parts")
    whole, parts = history(clip_root, "clip-1-tag"), history(demo_root, "parts")
    for first, second in zip(whole, parts, strict=True):
        assert float(second["loss"]) == pytest.approx(float(first["loss"]), rel=1e-4)


def test_locked_towers_stay_as_they_were(quick, tiny, demo_root):
    before = load_file(tiny / "open_clip_model.safetensors")
    for tower, options in (
        ("visual.trunk", {"lock_image": True}),
        ("transformer", {"lock_text": True, "grad_checkpointing": True}),
    ):
        config = quick.changed(pretrained=True, epochs=1, **options)
        train_run(config, Root(demo_root), "locked", overwrite=True)
        after = weights(demo_root, "locked")
        same = {name: torch.equal(tensor, after[f"clip.{name}"]) for name, tensor in before.items()}
        assert all(kept for name, kept in same.items() if name.startswith(tower))
        assert not all(same.values())


def test_weights_lie_between_the_published_and_the_fine_tuned_ones(quick, tiny, demo_root):
    file = tiny / "open_clip_model.safetensors"
    config = quick.changed(weights=str(file), epochs=1)
    train_run(config, Root(demo_root), "end")
    train_run(config.changed(interpolate="0.25"), Root(demo_root), "between")
    start, end, found = load_file(file), weights(demo_root, "end"), weights(demo_root, "between")
    assert any(not torch.equal(start[name], end[f"clip.{name}"]) for name in start)
    for name, tensor in start.items():
        expected = 0.75 * tensor.double() + 0.25 * end[f"clip.{name}"].double()
        torch.testing.assert_close(found[f"clip.{name}"].double(), expected, atol=1e-5, rtol=1e-4)


def test_equal_captions_repel_each_other_only_if_asked(quick, demo_root):
    config = replace(quick, epochs=1)
    losses = []
    for equal in (True, False):
        train_run(config.changed(equal_captions=equal), Root(demo_root), f"equal-{equal}")
        losses.append(float(history(demo_root, f"equal-{equal}")[0]["loss"]))
    assert losses[0] != losses[1]


def test_two_processes_learn_in_parts_what_one_learns_at_once(quick, demo_root, quick_command):
    """Of the last batch, of one image, one of them has no share."""
    shorten(demo_root, "train", 33)
    options = ["--method", "clip-1-tag", "--backbone", quick.backbone, "--no-pretrained", "--lr", "1e-3"]
    options += ["--optimizer", "adamw", "--epochs", "2", "--batch-size", "16", "--device", "cpu"]
    for done in run_two_ranks(quick_command, "--root", demo_root, "train", *options, "--accumulate", "2"):
        assert done.returncode == 0, done.stderr
    plans = []
    train_run(replace(quick, ema=0.0), Root(demo_root), "one", on_plan=plans.append)
    assert plans[0].images % 16 == 1
    for one, two in zip(history(demo_root, "one"), history(demo_root, "clip-1-tag"), strict=True):
        assert float(two["loss"]) == pytest.approx(float(one["loss"]), rel=1e-3)


def test_a_batch_without_any_readable_image_is_passed_over(quick, demo_root):
    for split in ("train", "val"):
        shorten(demo_root, split, 12)
    first = (demo_root / "data" / "train.csv").read_text().splitlines()[1].split(",")[0]
    next(demo_root.glob(f"data/images/*/{first}.jpg")).write_bytes(b"")
    path = next(demo_root.glob(f"data/images/*/{first}.jpg"))
    trained = train_run(replace(quick, batch_size=1, epochs=1, max_unreadable=0.5), Root(demo_root), "run")
    assert list(trained.unreadable) == [str(path)]
    rows = (demo_root / "runs" / "run" / "history.csv").read_text().splitlines()
    assert len(rows) == 2 and "nan" not in rows[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze": 1}, "`freeze`"),
        ({"method": "softmax", "lock_image": True}, "`lock_image`"),
        ({"prompts": "x.toml"}, "`prompts`"),
        ({"lock_image": True, "lock_text": True}, "nothing is left"),
    ],
)
def test_settings_of_other_methods_are_refused(options, message):
    with pytest.raises(ModelError, match=message):
        TrainConfig.from_mapping({"method": "clip-1-tag", **options}, "settings")


# -- the commands --------------------------------------------------------------------------------------


def test_zero_shot_scores_a_root_without_any_run(tiny, demo_root):
    prompts = demo_root / "prompts.toml"
    prompts.write_text('materials = ["made of {tag}", "{tag}"]\n')
    spec = f"clip:local-dir:{tiny}"
    code, out, err = here("--root", demo_root, "evaluate", spec, "--split", "test_id", "--prompts", prompts,
                 "--text", "parent", "--precision", "fp32", "--format", "json")  # fmt: skip
    assert code == 0, err
    (result,) = json.loads(out)["results"]
    assert result["method"] == "clip-zero-shot"
    assert 0 < result["overall"]["r_precision"] < 1
    assert len(list((demo_root / "runs" / ".texts").iterdir())) == 1

    model = load_model(spec, Root(demo_root), texts=TextOptions(prompts, "parent"), precision="fp32")
    assert model.network.texts["materials"][0][0].startswith("made of ")
    assert model.network.store.is_file()  # the command has encoded these very texts
    plain = load_model(spec, Root(demo_root), precision="fp32")
    assert plain.digest != model.digest and not plain.network.store.exists()


def test_a_tag_that_no_image_had_is_scored(tiny, clip_root):
    image = next((clip_root / "data" / "images").rglob("*.jpg"))
    code, out, err = here("--root", clip_root, "tag", image, "--model", "clip-1-tag", "--threshold", "0",
                 "--top", "99", "--add-tag", "flying saucer", "--add-tag", "materials:moon rock")  # fmt: skip
    assert code == 0, err
    tags = json.loads(out.splitlines()[0])["tags"]
    found = {facet: {entry["tag"]: entry for entry in entries} for facet, entries in tags.items()}
    assert all("flying saucer" in entries for entries in found.values())
    assert {facet for facet, entries in found.items() if "moon rock" in entries} == {"materials"}
    assert found["materials"]["moon rock"]["path"] == ["moon rock"]
    assert 0 < found["materials"]["moon rock"]["score"] < 1


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("clip:ViT-Q-99/openai", {}, "no model ViT-Q-99"),
        ("clip-1-tag", {"prompts": Path("none.toml")}, "none.toml"),
        ("clip-1-tag", {"names": "none.csv"}, "none.csv"),
        ("clip-1-tag", {"phrase": "poem"}, "`text` poem"),
    ],
)
def test_texts_that_will_not_do_are_refused(clip_root, spec, options, message):
    with pytest.raises(EufccError, match=message) as caught:
        load_model(spec, Root(clip_root), texts=TextOptions(**options))
    assert caught.value.hint


def test_options_that_no_model_takes_are_refused(clip_root):
    for texts, weights, message in (
        (TextOptions(added=("drone",)), None, "--add-tag"),
        (TextOptions(), Path("x.safetensors"), "--weights"),
    ):
        load = ModelLoader(Root(clip_root), "cpu", "fp32", weights, texts, methods=["softmax"])
        with pytest.raises(EufccError, match=message):
            load.check_all_used()
    (clip_root / "bad.toml").write_text('materials = "made of it"\n')
    code, _, err = here("--root", clip_root, "evaluate", "clip-1-tag", "--prompts", clip_root / "bad.toml")
    assert code == 1
    assert "has no {tag}" in err and "hint:" in err and "Traceback" not in err


def test_clip_and_convnext_vote_together(clip_root, tiny):
    config = TrainConfig(backbone="test_convnext3", pretrained=False, image_size=32, epochs=1, device="cpu")
    train_run(config, Root(clip_root), "ml")
    members = f"ml+clip-1-tag+clip:local-dir:{tiny}"
    code, out, err = here("--root", clip_root, "evaluate", members, "--split", "test_id",
                 "--weights-from", "val", "--format", "json")  # fmt: skip
    assert code == 0, err
    (result,) = json.loads(out)["results"]
    assert result["method"] == "multilabel+clip-1-tag+clip-zero-shot"
    assert result["overall"]["pairs"] > 0


def test_names_and_tags_are_both_scored(tiny, demo_root, tmp_path):
    spec, catalan = f"clip:local-dir:{tiny}", Root(tmp_path / "catalan")

    def sources(root, names=None, **options):
        load = ModelLoader(root, "cpu", "fp32", None, TextOptions(names=names))
        return open_sources(root, [spec], [], load, **options)

    both = sources(catalan)  # no labels: the tags of EUFCC-340K
    assert [source.name for source in both] == [spec, f"{spec}, tags"]
    number = both[0].vocabulary.facets["materials"].index["fusta"]
    texts = [source.model.network.texts["materials"][number] for source in both]
    assert texts == [("an image of an object made of wood",), ("an image of an object made of fusta",)]
    assert both[0].model.network.clip is both[1].model.network.clip
    assert both[0].model.digest != both[1].model.digest
    assert [source.name for source in sources(catalan, "de", wordings=["en", "tags"])] == [
        spec, f"{spec}, en", f"{spec}, tags"
    ]  # fmt: skip
    assert [source.name for source in sources(catalan, wordings=())] == [spec]
    assert [source.name for source in sources(Root(demo_root))] == [spec]  # its tags are English words


def test_a_published_model_is_calibrated_in_a_root(tiny, demo_root):
    root, spec = Root(demo_root), f"clip:local-dir:{tiny}"

    def load(**texts):
        return load_model(spec, root, "cpu", "fp32", texts=TextOptions(**texts))

    assert "calibration" not in load().config
    calibrate(ModelScorer(load(), root, spec), read_split(root, "val"), root)
    calibration = calibration_of(load())
    assert calibration is not None
    assert set(calibration.facets) == set(load().vocabulary.facets)
    assert calibration_of(load(phrase="parent")) is None  # other texts, other scores
    assert calibration_of(load_model(spec, Root(demo_root / "data"), "cpu", "fp32")) is None
