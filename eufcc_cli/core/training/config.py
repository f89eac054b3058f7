"""All settings of a training run, documented field by field, checked before any work starts."""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.clip import CLIP_METHODS

VISION_METHODS = (
    "multilabel",
    "softmax",
    "softmax-wce",
    "hsoftmax-levels",
    "hsoftmax-nodes",
    "asl",
    "multilabel-coherent",
)

BACKBONE = "convnext_base.fb_in22k"
CLIP_BACKBONE = "ViT-B-32/openai"

_CHOICES: dict[str, tuple[str, ...]] = {
    "method": VISION_METHODS + CLIP_METHODS,
    "optimizer": ("auto", "adamw", "muon"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "augment": ("none", "light", "strong"),
    "text": ("name", "path", "parent"),
}
_POSITIVE = (
    "image_size", "epochs", "time_budget", "batch_size", "accumulate", "lr", "patience", "save_every",
)  # fmt: skip
_NOT_NEGATIVE = (
    "weight_decay", "warmup", "clip_grad", "dropout", "drop_path", "freeze", "workers", "gamma_neg",
    "gamma_pos", "ema", "seed",
)  # fmt: skip
_METHODS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("dropout", "drop_path", "freeze", "layer_decay"), VISION_METHODS),
    "stop": ("hsoftmax-nodes",),
    **dict.fromkeys(("gamma_pos", "gamma_neg", "asl_clip"), ("asl",)),
    **dict.fromkeys(
        ("text", "names", "equal_captions", "lock_image", "lock_text", "checkpointing"), CLIP_METHODS
    ),
    "prompts": ("clip-1-tag-prompt",),
}
"""The methods of the options that not all methods take."""
_FINE = (1e-4, 1e-5)  # learning rates from pretrained backbones, and from pretrained CLIP models
_SHARES = ("warmup", "dropout", "drop_path", "max_bad", "asl_clip", "ema")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What `eufcc train` needs to know; raises ModelError for a value that cannot work.

    >>> TrainConfig(epochs=0)
    Traceback (most recent call last):
    ...
    eufcc_cli.core.errors.ModelError: --epochs 0: must be above 0
    """

    method: str = "multilabel"
    """How the heads' outputs are normalised, trained and turned into scores (METHODS of methods.py)."""
    backbone: str | None = None
    """A timm model name, `hf-hub:` name, or `convnext_mini`; for CLIP methods an open_clip name with the tag
    of its weights, `local-dir:` or `hf-hub:` name, or `clip_mini`. None: BACKBONE or CLIP_BACKBONE."""
    pretrained: bool = True
    """Start from the backbone's published weights (needs the hub, or `weights`)."""
    weights: str | None = None
    """A safetensors file of backbone weights, instead of the hub."""
    image_size: int | None = None
    """Side of the square the network sees, in pixels; the backbone's own size where None."""
    epochs: int | None = None
    """Passes over the training images; 20 where neither this nor a time budget is given."""
    time_budget: float | None = None
    """Seconds of training after which the schedule ends, validation included."""
    batch_size: int = 64
    """Images per optimizer step, over all processes."""
    accumulate: int = 1
    """Parts in which each process computes its share of a batch, to fit its memory."""
    optimizer: str = "auto"
    """adamw; muon (AdamW for vectors and heads); auto: adamw if pretrained, else muon."""
    lr: float | None = None
    """Peak learning rate; pretrained 1e-4 (CLIP: 1e-5), from scratch 2e-3 with AdamW and 5e-3 with Muon."""
    weight_decay: float = 0.05
    """Decoupled weight decay of the matrices."""
    layer_decay: float = 1.0
    """Factor by which the learning rate falls from each layer to the one below it."""
    warmup: float = 0.1
    """Share of the schedule during which the learning rate rises; a cosine follows."""
    clip_grad: float = 1.0
    """Largest gradient norm; 0 clips nothing."""
    ema: float = 0.0
    """Decay of the exponential moving average of the weights, which is then what is kept; 0 is off."""
    dropout: float = 0.0
    """Dropout before the heads."""
    drop_path: float = 0.0
    """Stochastic depth of the backbone."""
    freeze: int = 0
    """Stages of the backbone, from the stem on, that are not trained."""
    augment: str = "light"
    """none; light: flips, crops, turns and colours, on the device; strong: RandAugment and erasing too."""
    balanced: bool = False
    """Draw images of rare tags more often (weights 1/sqrt of the rarest tag's count)."""
    precision: str = "auto"
    """auto: bf16 on a GPU that has it, else fp32."""
    compile: bool = False
    """Compile the network with torch.compile."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    workers: int | None = None
    """Processes that decode images; None: one per core, up to 16."""
    cache: bool | None = None
    """Decode every image once into a packed file under data/cache; None: if that takes at most 4 GB."""
    max_bad: float = 0.01
    """Share of unreadable images above which training refuses to start."""
    patience: int | None = None
    """Epochs without a better validation R-Precision after which training stops."""
    save_every: float = 10.0
    """Minutes between saves of the training state within an epoch."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    stop: bool = False
    """hsoftmax-nodes: one more output per inner node, true where an annotation ends there."""
    gamma_pos: float = 0.0
    """asl: focusing of the positive terms."""
    gamma_neg: float = 2.0
    """asl: focusing of the negative terms."""
    asl_clip: float = 0.05
    """asl: probability shift of the negative terms."""
    text: str = "name"
    """CLIP: what a tag is called: its name, its path, or its name with its parent's (parent)."""
    prompts: str | None = None
    """clip-1-tag-prompt: a TOML file with each facet's prompts."""
    names: str | None = None
    """CLIP: a CSV file with the tags' display names."""
    equal_captions: bool = True
    """CLIP: images of a batch with equal captions are positives of each other, not negatives."""
    lock_image: bool = False
    """CLIP: do not train the image tower."""
    lock_text: bool = False
    """CLIP: do not train the text tower."""
    checkpointing: bool = False
    """CLIP: compute activations again in the backward pass instead of keeping them."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name, choices[0])
            if value not in choices:
                raise ModelError(
                    f"--{_option(name)} {value}: no such choice", hint="choose " + ", ".join(choices)
                )
        for name in _POSITIVE:
            self._check(name, lambda value: value > 0, "must be above 0")
        for name in _NOT_NEGATIVE:
            self._check(name, lambda value: value >= 0, "must not be negative")
        for name in _SHARES:
            self._check(name, lambda value: 0 <= value < 1, "must lie in [0, 1)")
        self._check("layer_decay", lambda value: 0 < value <= 1, "must lie in (0, 1]")
        for field in dataclasses.fields(self):
            methods = _METHODS_OF.get(field.name, (self.method,))
            if self.method not in methods and getattr(self, field.name) != field.default:
                raise ModelError(
                    f"--{_option(field.name)}: not an option of {self.method}",
                    hint=f"it is one of {', '.join(methods)}",
                )
        if self.lock_image and self.lock_text:
            raise ModelError("--lock-image and --lock-text: nothing is left to learn", hint="lock one tower")
        if self.batch_size % self.accumulate:
            raise ModelError(
                f"--accumulate {self.accumulate}: does not divide --batch-size {self.batch_size}",
                hint="choose a batch size that is a multiple",
            )

    def _check(self, name: str, holds: Any, rule: str) -> None:
        value = getattr(self, name)
        if value is not None and not holds(value):
            raise ModelError(f"--{_option(name)} {value}: {rule}")

    @property
    def from_scratch(self) -> bool:
        return not self.pretrained and self.weights is None

    def resolved(self) -> "TrainConfig":
        """The same settings with every default that depends on another setting filled in."""
        clip = self.method in CLIP_METHODS
        optimizer = self.optimizer
        if optimizer == "auto":
            optimizer = "muon" if self.from_scratch else "adamw"
        lr = self.lr or ((5e-3 if optimizer == "muon" else 2e-3) if self.from_scratch else _FINE[clip])
        backbone = self.backbone or (CLIP_BACKBONE if clip else BACKBONE)
        epochs = self.epochs or (None if self.time_budget else 20)
        return dataclasses.replace(self, backbone=backbone, optimizer=optimizer, lr=lr, epochs=epochs)

    @classmethod
    def from_mapping(cls, values: dict[str, Any], source: str) -> "TrainConfig":
        """Settings from a mapping (keys as in the command's options, dashes or underscores).

        Raises ModelError, naming `source`, for an unknown key or a value of the wrong type.
        """
        types = {
            field.name: getattr(field.type, "__name__", str(field.type)) for field in dataclasses.fields(cls)
        }
        settings: dict[str, Any] = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in types:
                raise ModelError(
                    f"{source}: unknown setting {key}", hint="known: " + ", ".join(sorted(types))
                )
            settings[name] = _typed(value, types[name], f"{source}: {key}")
        return cls(**settings)


def _option(name: str) -> str:
    return name.replace("_", "-")


def _typed(value: Any, annotation: str, where: str) -> Any:
    allowed = [part.strip() for part in annotation.split("|")]
    if value is None and "None" in allowed:
        return None
    kind = type(value).__name__
    if kind in allowed:
        return value
    if kind == "int" and "float" in allowed:
        return float(value)
    raise ModelError(f"{where} = {value!r}: must be {annotation}", hint="see `eufcc train --help`")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, or those of a finished run (its config.json or folder)."""
    import json

    if path.is_dir():
        path = path / "config.json"
    try:
        if path.suffix == ".json":
            settings = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(settings, dict):
                settings = settings.get("training", settings)
            if not isinstance(settings, dict):
                raise ModelError(f"--config {path}: holds no settings", hint="give a run's config.json")
            return settings
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"--config {path}: {error.strerror}", hint="give a TOML file or a run's config.json"
        ) from error
    except ValueError as error:
        raise ModelError(
            f"--config {path}: {error}", hint="write options as `name = value`, as in --help"
        ) from error
