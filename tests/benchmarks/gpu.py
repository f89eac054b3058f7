"""What a GPU, or this processor, makes of it: one table in under five minutes.

Images a second of decoding alone, of bare timm inference on tensors, and of tagging from JPEG files; of
training in a bare timm loop and in ours, with and without compilation; and training as model FLOP/s over
the largest matrix product's. On a processor the network is smaller, and bf16 is used only where it has
matrix units for it.
"""

import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from eufcc_cli.core.devices import select_precision
from eufcc_cli.core.files import Root
from eufcc_cli.core.machine import cores
from eufcc_cli.core.model.inference.decoding.decoder_processes import DecoderProcesses
from eufcc_cli.core.model.inference.decoding.read_images import Order
from eufcc_cli.core.model.preprocessing import Preprocessing
from tests.benchmarks import tag, training
from tests.benchmarks.peer import Peer

_SIZE = 224


def main() -> None:
    cuda = torch.cuda.is_available()
    device = "cuda" if cuda else "cpu"
    backbone, batch, images = ("convnext_base", 256, 12_800) if cuda else ("convnext_atto", 16, 256)
    where = torch.cuda.get_device_name() if cuda else "processor"
    print(f"{backbone}, {_SIZE} px, batch {batch}, {where}")
    with tempfile.TemporaryDirectory() as folder:
        root = Root(Path(folder))
        pictures = tag.make_pictures(root.path / "pictures", images)
        files = sorted(pictures.iterdir())
        _print("decoding JPEG files alone, threads", tag.decoding(_SIZE, files[:2048]))
        _print("decoding JPEG files alone, processes", _processes(files[:2048]))
        if cuda:
            _print("decoding and resizing on the GPU (nvJPEG)", _nvjpeg(files[:2048]))
        else:
            print("  decoding on the GPU (nvJPEG): no GPU here")
        bare = Peer(tag.bare, backbone, _SIZE, batch, max(4, images // batch // 4), device, False)
        floor = bare()
        bare.end()
        _print("inference, bare timm on tensors", floor)
        tagged = tag.tagging(root, tag.make_run(root, backbone, _SIZE), pictures, batch, device, False)
        _print("tag, from JPEG files", tagged, tagged / floor)
        _train(backbone, device, 128 if cuda else 8, 20 if cuda else 3, root.path)


def _train(backbone: str, device: str, batch: int, steps: int, folder: Path) -> None:
    precision = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(
        select_precision("auto", torch.device(device)), "fp32"
    )
    flops = _flops_of_training(backbone)
    most = _largest_product(device, precision)
    print(f"training at {precision}, batch {batch}; largest matrix product {most / 1e12:.2f} TFLOP/s")
    floor = 0.0
    for compiled in (False, True) if device == "cuda" else (False,):
        settings = (backbone, _SIZE, batch, steps, device, precision, compiled)
        peer = Peer(training.bare, *settings)
        ours = training.ours(*settings, "multilabel", "light", folder)
        times = [(peer(), ours()) for _ in range(3)][1:]  # the first warms up, and compiles
        peer.end()
        bare, own = (batch * steps / min(column) for column in zip(*times, strict=True))
        floor = floor or bare
        label = " compiled" if compiled else ""
        _print(f"training, bare timm loop{label}", bare, bare / floor, bare * flops / most)
        _print(f"training, ours{label}", own, own / bare, own * flops / most)


def _flops_of_training(backbone: str) -> float:
    """Floating point operations for one image: forward and twice as much backward."""
    model = timm.create_model(backbone, num_classes=1203)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, _SIZE, _SIZE))
    return 3.0 * counter.get_total_flops()


def _largest_product(device: str, precision: str) -> float:
    """Measured FLOP/s of a large matrix product in the precision of the training."""
    size = 8192 if device == "cuda" else 1024
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        matrix @ matrix
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


def _processes(files: list[Path]) -> float:
    """Images a second of reading and resizing alone, in as many processes as there are cores."""
    squares = Preprocessing(_SIZE)
    with DecoderProcesses(cores(), [squares]) as processes, ThreadPoolExecutor(processes.threads) as pool:
        orders = [Order(str(file), (squares,)) for file in files]
        some = [
            orders[start : start + processes.together] for start in range(0, len(files), processes.together)
        ]
        deque(pool.map(processes.decode, some[: processes.threads]), maxlen=0)  # which starts them
        began = time.perf_counter()
        deque(pool.map(processes.decode, some), maxlen=0)
        return len(files) / (time.perf_counter() - began)


def _nvjpeg(files: list[Path]) -> float:
    """Images a second of reading, decoding by nvJPEG and resizing by PyTorch, to squares on the GPU."""
    from torchvision.io import decode_jpeg, read_file
    from torchvision.transforms.functional import InterpolationMode, center_crop, resize

    def run(some: list[Path]) -> None:
        for start in range(0, len(some), 64):
            encoded = [read_file(str(file)) for file in some[start : start + 64]]
            for image in decode_jpeg(encoded, device="cuda"):
                center_crop(resize(image, [_SIZE], InterpolationMode.BICUBIC, antialias=True), [_SIZE])
        torch.cuda.synchronize()

    run(files[:64])
    began = time.perf_counter()
    run(files)
    return len(files) / (time.perf_counter() - began)


def _print(what: str, rate: float, share: float | None = None, flops: float | None = None) -> None:
    shown = "" if share is None else f"{share:7.2f} of the bare one"
    shown += "" if flops is None else f", {flops:.2f} of the largest product"
    print(f"  {what:<46}{rate:>10.1f} images/s{shown}", flush=True)


if __name__ == "__main__":
    main()
