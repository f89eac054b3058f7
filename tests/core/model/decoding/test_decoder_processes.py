"""Decoding in processes: the same pixels, and one bad image or one ended process is one error."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from eufcc_cli.core.errors import CollectError, ImageError
from eufcc_cli.core.model.converted_model import Processor
from eufcc_cli.core.model.inference.decoding import decoder_processes
from eufcc_cli.core.model.inference.decoding.decoder_processes import DecoderProcesses, processes_for
from eufcc_cli.core.model.inference.decoding.read_images import Order, Seen, Source, decode_images
from eufcc_cli.core.model.inference.prediction import predict_batches
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary
from tests.conftest import Run
from tests.core.model.decoding import deadly
from tests.processes import all_end

pytestmark = pytest.mark.one_processor

SMALL, LARGE = Preprocessing(24), Preprocessing(32, second_crop="squash")
REPOSITORY = Path(__file__).parents[4]


class Mean:
    """A model whose only score is the mean of an image's pixels."""

    name, digest, folder, store, precision = "mean", "", None, None, "float32"
    device = Processor()
    vocabulary = Vocabulary({"materials": FacetVocabulary(("metal",), (-1,))})

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing

    def engine(self) -> "Mean":
        return self

    def features(self, pictures: list[np.ndarray]) -> np.ndarray:
        return np.stack([picture.mean(dtype=np.float32).reshape(1, 1) for picture in pictures])

    def scores_of_arrays(self, features: np.ndarray) -> dict[str, np.ndarray]:
        return {"materials": features[:, 0]}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:03d}.png" for number in range(90)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path)
    paths[5].write_bytes(b"no image")
    return paths


@pytest.fixture(scope="module")
def processes() -> Iterator[DecoderProcesses]:
    before = set(psutil.Process().children())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        with DecoderProcesses(2, [SMALL, LARGE]) as made:
            yield made
    assert not [child for child in psutil.Process().children() if child not in before and decodes(child)]


def decodes(process: psutil.Process) -> bool:
    """Whether a process is one that decodes, and has not ended."""
    with suppress(psutil.Error):
        return "spawn_main" in " ".join(process.cmdline())
    return False


def scores(sources: list[Source], processes: DecoderProcesses | None) -> list[object]:
    """What two models say of each image, in order, or why they do not."""
    found: list[object] = []
    models = [Mean(SMALL), Mean(LARGE)]
    items = list(enumerate(sources))
    for batch in predict_batches(models, items, batch_size=16, processes=processes, workers=2):  # type: ignore[arg-type]
        rows = zip(*(table["materials"].tolist() for table in batch.tables), strict=True)
        found += [error or next(rows) for error in batch.errors]
        assert [key for key, _ in batch.items] == list(range(len(found) - len(batch.items), len(found)))
    return found


def test_they_give_what_threads_give(files: list[Path], processes: DecoderProcesses) -> None:
    def fails() -> bytes:
        raise ImageError("cannot fetch: HTTP 404")

    sources: list[Source] = [*files, files[7].read_bytes, fails, files[0].with_name("none.png")]
    expected = scores(sources, None)
    assert expected[5] == "not an image: cannot identify image file"
    assert expected[-3] == expected[7]
    assert [value for value in expected if isinstance(value, str)][1:] == [
        "cannot fetch: HTTP 404", "cannot read: No such file or directory"
    ]  # fmt: skip
    assert scores(sources, processes) == expected


def test_an_image_that_ends_its_process_is_one_error(
    files: list[Path], processes: DecoderProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = tmp_path / "killer.png"
    killer.write_bytes(files[0].read_bytes() + b"deadly")
    monkeypatch.setattr(decoder_processes, "decode_into", deadly.decode_into)
    sources: list[Source] = [*files[:70], killer, *files[70:]]
    expected = scores(list(files), None)
    assert scores(sources, processes) == [*expected[:70], "it crashes the decoder", *expected[70:]]
    with pytest.raises(CollectError, match="with every image"):
        scores([killer] * 40, processes)
    assert scores(list(files), processes) == expected


def test_without_shared_memory_pixels_come_through_pipes(
    files: list[Path], processes: DecoderProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrays(decoded: list[Seen | str]) -> list[object]:
        return [
            one if isinstance(one, str) else {p: seen.tolist() for p, seen in one.items()} for one in decoded
        ]

    orders = [Order(str(file), (SMALL, LARGE)) for file in files[:8]]
    expected = arrays(decode_images(orders))
    assert arrays(processes.decode(orders)) == expected
    wide = [*orders, *orders]  # more than a slot holds
    assert arrays(processes.decode(wide)) == expected * 2
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(folder)._replace(free=0))
    with DecoderProcesses(1, [SMALL, LARGE]) as piped:
        assert arrays(piped.decode(orders)) == expected


def test_they_are_for_accelerators_many_cores_and_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = Processor(), Processor("cuda")
    monkeypatch.setenv("EUFCC_MACHINE", "cores=4")
    assert [processes_for(device) for device in (cpu, gpu)] == [0, 4]
    assert [processes_for(gpu, images=images) for images in (10, 10_000)] == [0, 4]
    assert [processes_for(cpu, workers) for workers in (1, 8)] == [0, 8]
    assert [processes_for(cpu, 4, images) for images in (200, 10_000)] == [0, 4]
    assert processes_for(cpu, 1, 10_000) == 0
    monkeypatch.setenv("EUFCC_MACHINE", "cores=16")
    assert processes_for(cpu) == 16


@pytest.fixture(scope="module")
def many(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    photos = sorted((trained / "data" / "images").rglob("*.jpg"))
    for number in range(600):
        (folder / f"{number:03d}.jpg").hardlink_to(photos[number % len(photos)])
    return folder


def test_the_command_writes_the_same_bytes(trained: Path, many: Path, eufcc: Run, tmp_path: Path) -> None:
    (many / "300.jpg").unlink(missing_ok=True)
    (many / "300.jpg").write_bytes(b"no image")
    digests = []
    for cores in (2, 5):
        output = tmp_path / f"{cores}.jsonl"
        done = eufcc(
            "--root", trained, "tag", many, "--model", "small", "-o", output, "--device", "cpu",
            env=on_cores(cores),
        )  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert "1 image could not be tagged" in done.stderr
        digests.append(hashlib.sha256(output.read_bytes()).hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_it_leaves_no_process(
    trained: Path, many: Path, quick_command: list[str], tmp_path: Path, how: signal.Signals
) -> None:
    output = tmp_path / "tags.jsonl"
    environment = os.environ | on_cores(5) | {"OMP_NUM_THREADS": "1", "MARK": str(tmp_path)}
    with socket.create_server(("127.0.0.1", 0)) as silent:  # so that it has not ended before it is stopped
        last = f"http://127.0.0.1:{silent.getsockname()[1]}/last.jpg"
        command = [*quick_command, "--root", str(trained), "tag", str(many), last, "--allow-private-hosts"]
        command += ["--model", "small", "--device", "cpu", "--batch-size", "4", "-o", str(output)]
        run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        while not (output.exists() and output.read_bytes()):
            assert run.poll() is None, run.stderr and run.stderr.read()
            time.sleep(0.01)
        started = spawned(str(tmp_path))
        run.send_signal(how)
        errors = run.communicate(timeout=200)[1]
    assert started
    assert all_end(started)
    if how is signal.SIGINT:
        assert run.returncode == 130
        assert "Traceback" not in errors


def spawned(mark: str) -> list[psutil.Process]:
    """The processes that decode for a command with this mark in its environment."""
    running = psutil.process_iter(["environ"])
    return [one for one in running if (one.info["environ"] or {}).get("MARK") == mark and decodes(one)]


def on_cores(number: int) -> dict[str, str]:
    return {"EUFCC_MACHINE": f"{os.environ['EUFCC_MACHINE']},cores={number}"}
