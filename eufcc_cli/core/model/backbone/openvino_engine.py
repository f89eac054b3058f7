"""The features of images on a processor, by OpenVINO: several times as fast as PyTorch's eager mode.

PyTorch stays the reference: in float32 both agree to 1e-5 of the largest feature. One image is one request,
so that its features do not depend on those beside it, and as many requests run at once as the processor has
cores, which do not wait for each other after every layer as the threads of one batch do.
"""

import contextlib
import hashlib
import logging
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from eufcc_cli.core.errors import EufccError, first_line
from eufcc_cli.core.files import write_bytes
from eufcc_cli.core.model.preprocessing import Preprocessing

if TYPE_CHECKING:  # what is converted already is computed without PyTorch
    from torch import Tensor, nn

log = logging.getLogger("eufcc")

_KEPT = 8  # converted networks in a folder; the least recently used goes first
_OPENVINO_LOG = logging.getLogger("openvino")


def silent_openvino() -> Any:
    """OpenVINO without its telemetry: its import starts a process that reports to Google Analytics.

    Without the optional package openvino_telemetry it reports nothing.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class Engine:
    """A backbone, converted and compiled for this machine's processor; usable from one thread at a time."""

    def __init__(self, network: Any, preprocessing: Preprocessing, streams: int, precision: object) -> None:
        openvino = silent_openvino()

        hint = "bf16" if str(precision).endswith("bfloat16") else "f32"
        settings = {
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": streams,
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "THROUGHPUT",
        }
        compiled = openvino.Core().compile_model(_on_pixels(network, preprocessing), "CPU", settings)
        self._queue = openvino.AsyncInferQueue(compiled, streams)
        self._queue.set_callback(self._keep)
        self._mirror = preprocessing.mirror
        self._lock = threading.Lock()
        self._found: np.ndarray | None = None
        self._width = compiled.output(0).partial_shape[1].get_length()

    def features(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """B images, uint8 [crops, size, size, 3] each -> float32 [B, views, D], in TaggingModel's order."""
        pictures = [
            (i, view, picture)
            for i, cut in enumerate(crops)
            for view, picture in enumerate([*cut, *(cut[:, :, ::-1] if self._mirror else ())])
        ]
        views = len(pictures) // max(1, len(crops))
        with self._lock:
            self._found = np.empty((len(crops), views, self._width), np.float32)
            for i, view, picture in pictures:
                self._queue.start_async({0: np.ascontiguousarray(picture)[None]}, (i, view))
            self._queue.wait_all()
            found, self._found = self._found, None
        return found

    def _keep(self, request: Any, place: tuple[int, int]) -> None:
        assert self._found is not None
        self._found[place] = request.get_output_tensor(0).data[0]


def open_engine(
    backbone: "nn.Module",
    preprocessing: Preprocessing,
    streams: int,
    precision: object,
    folder: Path | None = None,
) -> Engine | None:
    """The engine of a backbone; None where OpenVINO cannot compute it, or not as PyTorch does.

    To convert takes seconds: a folder keeps what was converted, by the digest of weights and size. It may be
    deleted at any time.
    """
    path = None if folder is None else folder / f"{backbone_digest(backbone, preprocessing.size)}.xml"
    try:
        network = kept_network(path) if path is not None else None
        if network is None:
            network = _converted(backbone, preprocessing.size)
            if path is not None:
                keep_network(network, path)
        return Engine(network, preprocessing, streams, precision)
    except Exception as error:  # whatever a converter meets in a network that it does not know
        log.info("PyTorch computes this backbone: OpenVINO cannot (%s)", first_line(error))
        return None


def backbone_digest(backbone: "nn.Module", size: int) -> str:
    """SHA-256 over a backbone's tensors, its structure, and the size of its images."""
    digest = hashlib.sha256(f"{size}\n{backbone}".encode())
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()


def convert(network: "nn.Module", example: "Tensor") -> Any:
    """A network as OpenVINO has it, for inputs of the example's shape."""
    openvino = silent_openvino()
    import torch

    was_training = network.training
    network.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")  # of torch.jit, which the converter uses
            return openvino.convert_model(network, example_input=example, input=list(example.shape))
    finally:
        network.train(was_training)


def _converted(backbone: "nn.Module", size: int) -> Any:
    import torch

    return convert(backbone, torch.zeros(1, 3, size, size))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    level = _OPENVINO_LOG.level
    _OPENVINO_LOG.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _OPENVINO_LOG.setLevel(level)


def _on_pixels(network: Any, preprocessing: Preprocessing) -> Any:
    """The network with the normalisation of its images inside: from uint8 [1, size, size, 3]."""
    openvino = silent_openvino()
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(network)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(openvino.Type.f32).mean(
        [255 * value for value in preprocessing.mean]
    ).scale([255 * value for value in preprocessing.std])
    return steps.build()


def kept_network(path: Path) -> Any:
    """The converted network of that name, or None where there is none that is whole."""
    openvino = silent_openvino()

    weights = path.with_suffix(".bin")
    if not (path.is_file() and weights.is_file()):
        return None
    with contextlib.suppress(RuntimeError, OSError):
        network = openvino.Core().read_model(path.read_bytes(), weights.read_bytes())
        path.touch()
        return network
    return None


def keep_network(network: Any, path: Path) -> None:
    """Save a converted network; warns if that fails."""
    openvino = silent_openvino()

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / ".lock"):
            part = path.with_name(f"{path.stem}.part.xml")
            openvino.save_model(network, part, compress_to_fp16=False)
            # The weights first: a description without weights is not read.
            write_bytes(path.with_suffix(".bin"), part.with_suffix(".bin").read_bytes())
            write_bytes(path, part.read_bytes())
            for done in (part, part.with_suffix(".bin")):
                done.unlink()
            _remove_oldest(path.parent)
    except (OSError, EufccError) as error:
        log.warning("the converted network is not saved: %s", error)


def _remove_oldest(folder: Path) -> None:
    networks = sorted(folder.glob("*.xml"), key=lambda path: path.stat().st_mtime)
    for old in networks[:-_KEPT]:
        old.unlink(missing_ok=True)
        old.with_suffix(".bin").unlink(missing_ok=True)
        old.with_suffix(".json").unlink(missing_ok=True)
