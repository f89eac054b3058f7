import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model import features
from eufcc_cli.core.model.features import FeatureStore
from eufcc_cli.core.model.inference.prediction import predict
from tests.core.model.feature_writer import VIEWS, WIDTH, image, open_store, seen
from tests.core.model.test_openvino_engine import tagging_model


def test_what_is_kept_comes_back_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_PART", 4)
    store = open_store(tmp_path / "a")
    for number in range(10):
        store.add(image(number), seen(number))
    assert image(9) in store and image(10) not in store  # the last two are not on disk yet
    np.testing.assert_allclose(store.get(image(9)), seen(9), rtol=1e-3, atol=1e-4)
    store.flush()
    again = open_store(tmp_path / "a")
    order = [7, 0, 9, 3, 0]
    table = again.table([image(number) for number in order])
    assert table.shape == (5, VIEWS, WIDTH)
    expected = np.stack([seen(number) for number in order]).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(table.take(np.arange(5)), expected)
    rows = np.concatenate(list(table.blocks(2)))
    assert sorted(rows) == [0, 1, 2, 3, 4]
    with pytest.raises(KeyError):
        again.table([image(10)])


def test_features_too_large_for_half_precision_are_cut_and_no_numbers_are_an_error(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a")
    store.add(image(0), np.full((VIEWS, WIDTH), 1e6, np.float32))
    assert np.isfinite(store.get(image(0))).all()
    with pytest.raises(ModelError, match="not finite"):
        store.add(image(1), np.full((VIEWS, WIDTH), np.nan, np.float32))


def test_a_damaged_part_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(tmp_path / "a")
    store.add(image(0), seen(0))
    store.flush()
    store.add(image(1), seen(1))
    store.flush()
    for path in (tmp_path / "a").glob("part-*.npy"):
        if np.load(path)["image"].tolist() == [image(0)]:
            path.write_bytes(path.read_bytes()[:-10])
            (tmp_path / "a" / "part-pickle.npy").write_bytes(b"\x80\x04N.")
    again = open_store(tmp_path / "a")
    assert image(0) not in again and image(1) in again
    assert caplog.text.count("left out") == 2


def test_two_stores_of_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, other = open_store(tmp_path / "a"), open_store(tmp_path / "a")
    for store, numbers in ((one, range(5)), (other, range(3, 9))):
        for number in numbers:
            store.add(image(number), seen(number))
        store.flush()
    one.refresh()
    table = one.table([image(number) for number in range(9)])
    expected = np.stack([seen(number) for number in range(9)])
    np.testing.assert_allclose(table.take(np.arange(9)), expected, rtol=1e-3, atol=1e-4)


def test_the_least_recently_used_go_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    size = 1000 * (32 + 2 * VIEWS * WIDTH)

    def fill(name: str, limit: float) -> FeatureStore:
        store = open_store(tmp_path / name, limit)
        for number in range(1000):
            store.add(image(number), seen(number))
        store.flush()
        return store

    for seconds, name in enumerate(("old", "used")):
        fill(name, 1.0)
        for part in (tmp_path / name).glob("*.npy"):
            os.utime(part, (seconds, seconds))
    open_store(tmp_path / "old")  # used again: it is now the younger one
    limit = 2.3 * size / 1e9
    fill("new", limit)
    assert not list((tmp_path / "used").glob("*.npy"))
    assert list((tmp_path / "old").glob("*.npy")) and list((tmp_path / "new").glob("*.npy"))
    # What does not fit at all is refused before it is computed, or not kept, and nothing is lost by it.
    with pytest.raises(ModelError, match="features_limit"):
        open_store(tmp_path / "huge", 1e-6).reserve(1000)
    store = fill("small", 1e-6)
    assert "no longer saved" in caplog.text
    assert image(0) not in store


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("part-*.npy"))


def test_killed_at_any_time_it_keeps_whole_parts_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    counts = []
    for delay in (0.0, 0.03, None):
        command = [sys.executable, "-m", "tests.core.model.feature_writer", folder]
        writers = [subprocess.Popen([*command, first], stdout=subprocess.PIPE) for first in ("0", "50")]
        for process in writers:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        if delay is None:  # until there is more than before
            before = _bytes_in(folder)
            while _bytes_in(folder) <= before and all(process.poll() is None for process in writers):
                time.sleep(0.01)
        else:
            time.sleep(delay)
        for process in writers:
            process.send_signal(signal.SIGKILL)
            process.wait()
        store = open_store(folder)
        kept = [number for number in range(100_000) if image(number) in store]
        for number in kept:
            np.testing.assert_array_equal(store.get(image(number)), seen(number).astype(np.float16))
        counts.append(len(kept))
    assert counts == sorted(counts) and counts[-1] > counts[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_every_step_of_writing_it_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "_PART", 3)

    def fill(folder: Path) -> FeatureStore:
        store = open_store(folder)
        for number in range(7):
            if image(number) not in store:
                store.add(image(number), seen(number))
        store.flush()
        return store

    def fill_until(step: int, folder: Path) -> int:
        """Die without a word before the so-many-th operation on files; the exit status."""
        child = os.fork()
        if child == 0:
            done = itertools.count(1)
            steps = {"open", "os.mkdir", "os.rename", "os.remove", "os.utime", "os.truncate", "mmap.__new__"}
            sys.addaudithook(lambda event, _: os._exit(9) if event in steps and next(done) == step else None)
            try:
                fill(folder)
                os._exit(0)
            finally:  # else it would go on with the tests
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    kept = set()
    for step in itertools.count(1):
        folder = tmp_path / str(step)
        killed = fill_until(step, folder) == 9
        store = open_store(folder)
        there = [number for number in range(7) if image(number) in store]
        kept.add(len(there))
        full = fill(folder)
        for number in range(7):
            np.testing.assert_array_equal(full.get(image(number)), seen(number).astype(np.float16))
        if not killed:
            break
    assert kept == {0, 3, 6, 7} and step > 10


def test_other_weights_views_or_precision_have_a_store_of_their_own(tmp_path: Path) -> None:
    root = Root(tmp_path)

    def store_of(model, precision: torch.dtype = torch.float32) -> Path:
        return FeatureStore.of(root, model.network, model.preprocessing, precision, limit=1.0).folder

    model = tagging_model("test_convnext3", 32, "center")
    folders = {
        store_of(model),
        store_of(model, torch.bfloat16),
        store_of(tagging_model("test_convnext3", 32, "whole")),
        store_of(tagging_model("test_convnext3", 40, "center")),
    }
    assert store_of(tagging_model("test_convnext3", 32, "center")) in folders
    with torch.no_grad():
        next(model.network.backbone.parameters()).view(-1)[0] += 1e-6
    folders.add(store_of(model))
    assert len(folders) == 5


def test_a_stored_image_is_not_read_by_the_network_again_and_a_changed_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tagging_model("test_convnext3", 32, "whole+mirror")
    random = np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(6)]
    for file in files:
        Image.fromarray(random.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(file)

    def scores() -> np.ndarray:
        found = predict(model, [(file.name, file) for file in files])
        return np.stack([one.scores["materials"] for one in found])

    plain = scores()
    model.store = FeatureStore.of(Root(tmp_path), model.network, model.preprocessing, torch.float32, limit=1)
    first = scores()
    np.testing.assert_allclose(first, plain, atol=1e-2)
    with monkeypatch.context() as patch:
        patch.setattr("eufcc_cli.core.model.inference.decoding.read_images.open_pixels", None)
        np.testing.assert_array_equal(scores(), first)
    Image.fromarray(random.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(files[2])
    changed = scores()
    assert (changed[2] != first[2]).any()
    np.testing.assert_array_equal(np.delete(changed, 2, 0), np.delete(first, 2, 0))
