"""A timm backbone with one linear head per facet."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.models import register_model
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn

from eufcc_cli.core.errors import ModelError, did_you_mean, first_line
from eufcc_cli.core.model.backbone.all_stages import AllStages, below, width
from eufcc_cli.core.model.backbone.bundled_weights import is_bundled, load_bundled_weights
from eufcc_cli.core.model.backbone.hub import hub
from eufcc_cli.core.model.backbone.memory import NOT_IMAGINED, imagined


@register_model
def convnext_mini(pretrained: bool = False, **kwargs: Any) -> ConvNeXt:
    """A narrow ConvNeXt for small images and few cores, made to be trained from scratch.

    convnext_atto (Liu et al. 2022, Wightman's scaling) with fewer blocks, 3 x 3 depthwise kernels and a
    layer scale of 0.5, so that every block takes part from the first step.
    """
    if pretrained:
        raise ModelError(
            "convnext_mini has no published weights", hint="add `pretrained=False`, or `weights=FILE`"
        )
    settings: dict[str, Any] = {"depths": (1, 1, 3, 1), "kernel_sizes": 3, "ls_init_value": 0.5}
    model: Any = timm.create_model("convnext_atto", pretrained=False, **(settings | kwargs))
    model.pretrained_cfg.update(input_size=(3, 64, 64), crop_pct=1.0)
    return model


class Network(nn.Module):
    """Images to logits: [B, 3, H, W] -> {facet: [B, outputs of the facet]}."""

    def __init__(
        self, backbone: Any, outputs: Mapping[str, int], dropout: float = 0.0, *, all_stages: bool = False
    ) -> None:
        super().__init__()
        self.backbone = AllStages(backbone) if all_stages else backbone
        self.dropout = nn.Dropout(dropout)
        self.width = width(self.backbone)
        self.heads = nn.ModuleDict({facet: nn.Linear(self.width, n) for facet, n in outputs.items()})
        self.keeps_statistics = False

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.logits(self.dropout(self.features(images)))

    @property
    def trunk(self) -> Any:
        """The backbone as timm has it."""
        return self.backbone.trunk if isinstance(self.backbone, AllStages) else self.backbone

    def features(self, images: Tensor) -> Tensor:
        """Normalised images [B, 3, H, W] -> what the heads see of them, [B, D]."""
        return self.backbone(images)

    def logits(self, features: Tensor) -> dict[str, Tensor]:
        """Features [B, D] -> {facet: [B, outputs of the facet]}."""
        return {facet: head(features) for facet, head in self.heads.items()}

    def train(self, mode: bool = True) -> "Network":
        """Into the mode of training, except batch norm that is frozen: its statistics stay as they are.

        With `keeps_statistics` those of all batch norm do, though its weights are learned.
        """
        super().train(mode)
        for module in self.modules():
            learned = [parameter.requires_grad for parameter in module.parameters(recurse=False)]
            frozen = self.keeps_statistics or (learned and not any(learned))
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and frozen:
                module.eval()
        return self

    def no_weight_decay(self) -> set[str]:
        names = self.backbone.no_weight_decay() if hasattr(self.backbone, "no_weight_decay") else set()
        return {f"backbone.{name}" for name in names}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's layers from the stem to the heads, for layer-wise learning rates."""
        # The heads come after the backbone's last layer.
        return below("backbone", self.backbone.group_matcher(coarse=coarse))


def create_backbone(
    name: str,
    *,
    pretrained: bool = False,
    weights: Path | None = None,
    drop_path: float = 0.0,
    image_size: int | None = None,
) -> nn.Module:
    """A timm backbone without classifier, with weights from the hub, the installation, a file, or none.

    A backbone that is built for one size of image (a transformer) is built for `image_size`.
    Raises ModelError for an unknown name (naming near ones), a hub that cannot be reached, or a file
    whose tensors are not this backbone's.
    """
    build = partial(timm.create_model, num_classes=0)
    if drop_path:
        build = partial(build, drop_path_rate=drop_path)
    bundled = pretrained and weights is None and is_bundled(name)
    build = partial(build, name, pretrained=pretrained and weights is None and not bundled)
    try:
        downloaded = (pretrained and weights is None and not bundled) or name.startswith("hf-hub:")
        with hub(f"the published weights of {name}", downloaded):
            backbone = _build_for_size(build, image_size)
    except (ArithmeticError, AssertionError) as error:
        raise image_size_error(name, image_size, error) from error
    except RuntimeError as error:
        raise _no_backbone(name, error) from error
    except (OSError, ValueError) as error:  # what huggingface_hub raises where it cannot be reached
        raise ModelError(
            f"cannot load the published weights of {name}: {first_line(error)}",
            hint="run it again with a network, or give `weights=FILE` (safetensors) or `pretrained=False`",
        ) from error
    if weights is not None:
        load_backbone_weights(backbone, weights)
    elif bundled:
        load_bundled_weights(backbone)
    return backbone


def _build_for_size(build: Callable[..., nn.Module], image_size: int | None) -> nn.Module:
    if image_size is not None:
        try:
            return build(img_size=image_size)
        except TypeError as error:  # timm's only sign that a backbone takes images of any size
            if "img_size" not in str(error):
                raise
    return build()


def image_size_error(name: str, image_size: int | None, error: Exception) -> ModelError:
    """The error of a backbone that cannot be built for, or cannot compute, images of a size."""
    return ModelError(
        f"`image_size` {image_size}: {name} cannot work with it: {first_line(error)}",
        hint="give another size, or leave it to the backbone",
    )


def check_image_size(network: Network, name: str, image_size: int) -> None:
    """Raise ModelError where the network cannot compute an image of this size; no memory is taken for it."""
    network.eval()
    with contextlib.suppress(*NOT_IMAGINED), checked_image_size(name, image_size):
        imagined(network, torch.zeros(1).expand(1, 3, image_size, image_size))


@contextlib.contextmanager
def checked_image_size(name: str, image_size: int) -> Iterator[None]:
    """Turn what a network raises inside for images of a size into a ModelError about that size."""
    try:
        yield
    except NOT_IMAGINED:  # the first real step will show it
        raise
    except (ArithmeticError, AssertionError, RuntimeError, ValueError) as error:
        raise image_size_error(name, image_size, error) from error


def load_backbone_weights(backbone: nn.Module, path: Path) -> None:
    """Fill a backbone from a safetensors file, also one of a model that `train` saved.

    A classifier in the file is left out, all else must fit.
    """
    try:
        tensors = load_file(path)
    except Exception as error:  # SafetensorError derives directly from Exception
        raise ModelError(f"`weights` {path}: {first_line(error)}", hint="give a safetensors file") from error
    for prefix in ("backbone.trunk.", "backbone."):
        if saved := {
            name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)
        }:
            tensors = saved
            break
    filter_fn = getattr(__import__(type(backbone).__module__, fromlist=["_"]), "checkpoint_filter_fn", None)
    if filter_fn is not None:
        tensors = filter_fn(tensors, backbone)
    wanted = backbone.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    if missing:
        raise ModelError(
            f"`weights` {path}: no tensor {missing[0]} ({len(missing)} of {len(wanted)} missing)",
            hint="the weights belong to another backbone: give `backbone` its name",
        )
    for name, value in wanted.items():
        found = tensors[name].shape
        if found != value.shape:
            raise ModelError(
                f"`weights` {path}: {name} is {list(found)}, the backbone's {list(value.shape)}",
                hint="the weights belong to another backbone: give `backbone` its name",
            )
    backbone.load_state_dict({name: tensors[name] for name in wanted})


def freeze_stages(backbone: nn.Module, stages: int) -> None:
    """Stop the training of the stem and the first `stages` stages of a backbone."""
    if not stages:
        return
    blocks = getattr(backbone, "stages", None)
    if blocks is None or stages > len(blocks):
        count = "no" if blocks is None else len(blocks)
        raise ModelError(f"`freeze` {stages}: the backbone has {count} stages", hint="freeze fewer")
    for module in (getattr(backbone, "stem", None), *blocks[:stages]):
        if module is not None:
            module.requires_grad_(False)


def initialise_by_fan_in(backbone: nn.Module) -> None:
    """Fan-in initialisation of every matrix: from scratch, timm's fixed 0.02 learns several times slower."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.weight[0].numel() ** -0.5)


def initialise(network: Network) -> None:
    """Weights to learn from scratch with."""
    initialise_by_fan_in(network.backbone)
    for head in network.heads.values():
        nn.init.trunc_normal_(head.get_parameter("weight"), std=0.01)


def _no_backbone(name: str, error: Exception) -> ModelError:
    known, all_of_them = timm.list_models(), "`timm.list_models()` names them all"
    hint = did_you_mean(name.split(".")[0], known, all_of_them, cutoff=0.5)
    return ModelError(f"`backbone` {name}: {first_line(error)}", hint=hint)


def count_parameters(network: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
