"""All settings of a training run, documented field by field, checked before any work starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.methods import METHODS, Method, find_method, method_settings
from eufcc_cli.core.model.views import VIEWS
from eufcc_cli.core.settings import Declared, check_settings, setting, settings_of, typed_settings
from eufcc_cli.core.training.configuration.usual_settings import (
    AUTO,
    BACKBONE,
    CLIP_BACKBONE,
    FULL_METHOD,
    HEAD_METHOD,
    HEAD_VIEWS,
    TUNES,
    UsualSettings,
)

_LEARNING, _IMAGES, _MACHINE = "Learning", "Images", "Machine"


@dataclass(frozen=True, kw_only=True)
class TrainConfig(UsualSettings):
    """The settings of `eufcc train`; raises ModelError for a value that cannot work.

    Every field is an option of the command, of the same name, type, default and help.

    >>> TrainConfig(epochs=0)
    Traceback (most recent call last):
    ...
    eufcc_cli.core.errors.ModelError: `epochs` 0: must be above 0
    """

    method: str = setting(
        AUTO,
        "What the heads learn.",
        choices=METHODS,
        default_text=f"{HEAD_METHOD} where heads are fitted to features, else {FULL_METHOD}, also with "
        "`decisions`",
    )
    backbone: str | None = setting(
        None,
        "auto, any timm model (also hf-hub:ORG/NAME), or convnext_mini for few cores and small images; for "
        "CLIP methods any open_clip model with the tag of its weights, or clip_mini.",
        default_text=f"auto: {BACKBONE} on a GPU, else the best that is downloaded; CLIP: {CLIP_BACKBONE}",
    )
    tune: str | None = setting(
        None,
        "head: learn the heads on features of the frozen backbone, which are computed once; full: all of the "
        "network; head-then-full: first the heads, then all.",
        choices=TUNES,
        vision_only=True,
        default_text="head without a GPU, full with one, from scratch, or with `epochs` or `time_budget`",
    )
    pretrained: bool = setting(True, "Start from the backbone's published weights.")
    weights: str | None = setting(
        None,
        "Backbone weights from this safetensors file, for example runs/NAME/model.safetensors.",
        metavar="FILE",
    )
    image_size: int | None = setting(
        None, "Side of the network's square input, in pixels.", above=0, default_text="the backbone's"
    )
    epochs: int | None = setting(
        None, "Passes over the training images.", above=0, default_text="20 without `time_budget`"
    )
    time_budget: float | None = setting(
        None, "Seconds after which training has ended, validation included.", above=0, metavar="SECONDS"
    )
    batch_size: int | None = setting(
        None,
        "Images per optimizer step, over all processes.",
        above=0,
        default_text="64; without a GPU 16 from pretrained backbones",
    )
    accumulate: int | None = setting(
        None, "Compute a batch in this many parts.", above=0, default_text="as few as fit into memory"
    )
    optimizer: str = setting(
        "auto",
        "muon uses AdamW for vectors and heads; auto: adamw for pretrained backbones, muon from scratch.",
        choices=("auto", "adamw", "muon"),
    )
    lr: float | None = setting(
        None,
        "Peak learning rate.",
        above=0,
        default_text="3e-4 pretrained, without a GPU 5e-4 with new heads, CLIP 1e-5; from scratch 5e-3 muon, "
        "2e-3 adamw",
    )
    head_lr: float | None = setting(
        None,
        "Learning rate of the heads, as a multiple of `lr`.",
        above=0,
        panel=_LEARNING,
        vision_only=True,
        default_text="10 for new heads on a pretrained backbone, else 1",
    )
    weight_decay: float = setting(0.05, "Weight decay of the matrices.", minimum=0, panel=_LEARNING)
    layer_decay: float = setting(
        1.0,
        "Learning rate of a layer over that of the layer above it.",
        above=0,
        maximum=1,
        panel=_LEARNING,
        vision_only=True,
    )
    warmup: float = setting(
        0.1, "Share of training in which the learning rate rises.", minimum=0, below=1, panel=_LEARNING
    )
    clip_grad: float = setting(1.0, "Largest gradient norm; 0: no limit.", minimum=0, panel=_LEARNING)
    ema: float = setting(
        0.0,
        "Decay of the moving average of the weights, which is then the model; 0: off.",
        minimum=0,
        below=1,
        panel=_LEARNING,
    )
    dropout: float = setting(
        0.0, "Dropout before the heads.", minimum=0, below=1, panel=_LEARNING, vision_only=True
    )
    drop_path: float = setting(
        0.0, "Stochastic depth.", minimum=0, below=1, panel=_LEARNING, vision_only=True
    )
    freeze: int = setting(
        0,
        "Stages of the backbone that are not trained, counted from the stem.",
        minimum=0,
        panel=_LEARNING,
        vision_only=True,
    )
    balanced: bool = setting(False, "Draw images of rare tags more often.", panel=_LEARNING)
    patience: int | None = setting(
        None, "Stop after this many epochs without a better validation.", above=0, panel=_LEARNING
    )
    all_stages: bool | None = setting(
        None,
        "Heads learn from mean and deviation of every stage's output, not only from the last features.",
        panel=_LEARNING,
        vision_only=True,
        default_text="with `tune=head`, if the backbone has stages",
    )
    interpolate: str | None = setting(
        None,
        "Interpolate the weights between the start, 0 (CLIP: the published model; else the pretrained "
        "backbone with fitted heads), and the fine-tuned end, 1; auto: the best value for providers that "
        "are held out of training for this.",
        metavar="auto|A",
        panel=_LEARNING,
        default_text="0.5 with head-then-full, else the end",
    )
    seed: int = setting(0, "Seed of weights, order and augmentation.", minimum=0, panel=_LEARNING)
    augment: str = setting(
        "light",
        "light: flips, crops, turns and colours; strong: RandAugment and erasing too.",
        choices=("none", "light", "strong"),
        panel=_IMAGES,
    )
    cache: bool | None = setting(
        None,
        "Decode all images once into data/cache.",
        default_text="if that takes at most 4 GB",
        panel=_IMAGES,
    )
    views: str | None = setting(
        None,
        "The network's input from an image: center (its middle; closer with whole), whole (all of it, on a "
        "grey square), mirror (their mirror images). Scores are averaged; the backbone learns the first.",
        choices=VIEWS,
        panel=_IMAGES,
        vision_only=True,
        default_text=f"{HEAD_VIEWS}; center from scratch, and with `tune=full` on a GPU",
    )
    features_limit: float = setting(
        20.0,
        "Largest size of data/features in GB; above it the least recently used features are removed.",
        above=0,
        panel=_IMAGES,
        vision_only=True,
    )
    max_unreadable: float = setting(
        0.01, "Stop before training above this share of unreadable images.", minimum=0, below=1, panel=_IMAGES
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps.", panel=_MACHINE)
    precision: str = setting(
        "auto",
        "auto: bf16 on a GPU that has it, else fp32.",
        choices=("auto", "fp32", "bf16", "fp16"),
        panel=_MACHINE,
    )
    compile: bool = setting(False, "Compile the network with torch.compile.", panel=_MACHINE)
    threads: int | None = setting(
        None,
        "Threads that compute on the processor.",
        above=0,
        default_text="OMP_NUM_THREADS, else one per free core, fewer for small networks",
        panel=_MACHINE,
    )
    workers: int | None = setting(
        None,
        "Processes that decode images.",
        minimum=0,
        default_text="one per core, at most 16",
        panel=_MACHINE,
    )
    save_every: float = setting(
        10.0, "Minutes between saves of a run that can be resumed.", above=0, panel=_MACHINE
    )
    method_options: Mapping[str, Any] = field(default_factory=dict)
    """The method's own settings, {name: value}; those left out are at their defaults."""

    def __post_init__(self) -> None:
        if self.method == AUTO:
            fitted = (self.tune or self.usual_tune()) != "full"
            object.__setattr__(self, "method", HEAD_METHOD if fitted else FULL_METHOD)
        method = find_method(self.method)
        check_settings(self)
        for name, declared in settings_of(self).items():
            if declared.about.vision_only and method.reads_texts and getattr(self, name) != declared.default:
                raise ModelError(
                    f"`{name}`: not an option of {self.method}", hint="it is an option of methods with heads"
                )
        object.__setattr__(self, "method_options", self.own_method().settings())
        batch_size = self.batch_size or self.usual_batch()
        if self.accumulate and batch_size % self.accumulate:
            raise ModelError(
                f"`accumulate` {self.accumulate}: does not divide `batch_size` {batch_size}",
                hint="choose a batch size that is a multiple",
            )
        for name in ("epochs", "time_budget") if self.tune == "head" else ():
            if getattr(self, name) is not None:
                hint = "leave it out, or give `tune=full`"
                raise ModelError(f"`{name}`: heads on features are fitted until they are done", hint)
        if self.tune in ("head", "head-then-full") and self.from_scratch:
            raise ModelError(
                f"`tune` {self.tune}: needs pretrained weights",
                hint="give `tune=full`, or leave out `pretrained=False`",
            )
        self._check_interpolation(method.reads_texts)

    def _check_interpolation(self, clip: bool) -> None:
        if self.interpolate is None:
            return
        try:
            fits = self.interpolate == "auto" or 0 <= float(self.interpolate) <= 1
        except ValueError:
            fits = False
        if not fits:
            raise ModelError(
                f"`interpolate` {self.interpolate}: neither auto nor a number from 0 to 1",
                hint="give `interpolate=auto`, or `interpolate=0.5`",
            )
        if self.from_scratch:
            raise ModelError(
                "`interpolate`: a training from scratch has no start that knows anything",
                hint="leave it out, or start from weights",
            )
        if not clip and self.tune in ("head", "full"):
            raise ModelError(f"`interpolate`: not with `tune` {self.tune}", hint="give `tune=head-then-full`")

    def own_method(self) -> Method:
        """The method with its settings, not yet prepared for any facet."""
        return find_method(self.method).with_settings(self.method_options)

    @classmethod
    def settings(cls) -> dict[str, Declared]:
        """All settings of `train`: these fields, and the settings of all methods."""
        own, methods = settings_of(cls), method_settings()
        for name in own.keys() & methods.keys():
            raise ModelError(f"method {methods[name].about.methods[0]}: the setting {name} is one of `train`")
        return own | methods

    def to_mapping(self) -> dict[str, Any]:
        """All settings that apply to this training, {name: value}, as `from_mapping` reads them."""
        own = {name: getattr(self, name) for name in settings_of(self)}
        return own | self.own_method().settings()

    def changed(self, **values: Any) -> "TrainConfig":
        """The same settings with some changed, the method's own among them.

        >>> TrainConfig(method="asl").changed(gamma_neg=3.0).method_options["gamma_neg"]
        3.0
        """
        own = {name: getattr(self, name) for name in settings_of(self)}
        options = self.method_options if values.get("method", self.method) == self.method else {}
        return TrainConfig.from_mapping({**own, **options, **values}, "settings")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], source: str) -> "TrainConfig":
        """Settings from a mapping (keys as in the command's options, dashes or underscores).

        Raises ModelError, naming `source`, for an unknown key or a value of the wrong type.
        """
        known, own, options = cls.settings(), {}, {}
        typed = typed_settings(values, known, source)
        method = typed.get("method", AUTO)
        if method == AUTO:
            method = cls(
                **{name: value for name, value in typed.items() if not known[name].about.methods}
            ).method
        taken = settings_of(find_method(method))
        for name, value in typed.items():
            if name in taken:
                options[name] = value
            elif not known[name].about.methods:
                own[name] = value
            elif value != known[name].default:
                raise ModelError(
                    f"`{name}`: not an option of {method}",
                    hint=f"it is an option of {', '.join(known[name].about.methods)}",
                )
        return cls(**own, method_options=options)
