"""What it brings, and costs, that the C library keeps what tensors free (`keep_freed_memory`).

A network is trained, and large images are tagged by PyTorch, with it and without it: seconds, the peak of a
process of its own, and what that process has afterwards.

python -m tests.benchmarks.allocation             all cases
python -m tests.benchmarks.allocation --only tag  those whose name contains this
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = {
    "train convnext_mini, 64 px": ("train", "convnext_mini", 32),
    "train convnext_atto, 224 px": ("train", "convnext_atto", 16),
    "train convnext_tiny, 224 px": ("train", "convnext_tiny", 16),
    "tag images of 72 MB": ("tag", "convnext_atto", 16),
}


def _run(folder: str, what: str, backbone: str, batch: int, keeps: bool) -> None:
    from eufcc_cli.core.files import Root
    from eufcc_cli.core.machine import used_memory
    from eufcc_cli.core.model.checkpoint import load_model
    from eufcc_cli.core.model.inference import prediction
    from eufcc_cli.core.model.tagging_model import TaggingModel
    from eufcc_cli.core.training.configuration.config import TrainConfig
    from eufcc_cli.core.training.loop import trainer
    from eufcc_cli.core.training.run import train_run

    if not keeps:
        for module in (prediction, trainer):
            module.keep_freed_memory = lambda: None  # type: ignore[attr-defined]
    root = Root(Path(folder))
    if what == "train":
        config = TrainConfig(
            backbone=backbone, pretrained=False, optimizer="adamw", epochs=2, batch_size=batch, device="cpu"
        )
        trained = train_run(config, root, f"{backbone}-{keeps}", overwrite=True)
        first, last = (row["seconds"] for row in trained.position.history)
        seconds = last - first
    else:
        TaggingModel.has_engine = False  # type: ignore[assignment, method-assign]
        model = load_model("model", root, "cpu", "fp32")
        began = time.perf_counter()
        images = [(str(number), root.path / "large.tif") for number in range(48)]
        assert all(one.scores is not None for one in prediction.predict(model, images, batch_size=batch))
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak, "after": used_memory()}))


def main() -> None:
    import numpy as np
    import tifffile

    from eufcc_cli.core.demo import draw_collection
    from eufcc_cli.core.files import Root
    from eufcc_cli.core.training.configuration.config import TrainConfig
    from eufcc_cli.core.training.run import train_run
    from tests.benchmarks.memory import shorten

    print(f"{'':<28}{'':>10}{'seconds':>9}{'peak':>9}{'after':>9}")
    with tempfile.TemporaryDirectory() as folder:
        draw_collection(Root(Path(folder)), images=120, seed=7)
        for split, rows in (("train", 32), ("val", 16)):
            shorten(Root(Path(folder)).table(split), rows)
        pixels = np.random.default_rng(0).integers(0, 255, (4000, 6000, 3), dtype=np.uint8)
        tifffile.imwrite(Path(folder, "large.tif"), pixels)
        only = sys.argv[2] if sys.argv[1:2] == ["--only"] else ""
        for name, (what, backbone, batch) in ((name, case) for name, case in CASES.items() if only in name):
            if what == "tag":
                config = TrainConfig(backbone=backbone, pretrained=False, epochs=1, device="cpu")
                train_run(config, Root(Path(folder)), "model")
            for keeps in (True, False):
                case = json.dumps([folder, what, backbone, batch, keeps])
                command = [sys.executable, "-m", __spec__.name, "--case", case]
                found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                seconds, peak, after = (found[key] for key in ("seconds", "peak", "after"))
                how = "kept" if keeps else "given back"
                print(
                    f"{name:<28}{how:>10}{seconds:9.2f}{peak / 1e9:6.2f} GB{after / 1e9:6.2f} GB", flush=True
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        _run(*json.loads(sys.argv[2]))
    else:
        main()
