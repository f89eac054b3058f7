"""Defaults of settings that depend on other settings and on the machine."""

import dataclasses
from typing import Self

from eufcc_cli.core.machine import cuda_devices, has_mps
from eufcc_cli.core.model.backbone.backbone_choice import best_downloaded
from eufcc_cli.core.model.backbone.bundled_weights import BUNDLED
from eufcc_cli.core.model.methods import find_method

BACKBONE = "convnext_base.fb_in22k"
SMALL_BACKBONE = "convnext_mini"
TUNES = ("head", "full", "head-then-full")
CLIP_BACKBONE = "ViT-B-32/openai"
HEAD_VIEWS = "whole+center"
AUTO, HEAD_METHOD, FULL_METHOD = "auto", "hsoftmax-levels", "multilabel"
_FINE = (3e-4, 1e-5)  # learning rates from pretrained backbones, and from pretrained CLIP models
_PROCESSOR = 5e-4  # of all of a pretrained network, where there is time for few images
_HALFWAY = "0.5"  # from the fitted heads to the fine-tuned end; see docs/explanation/frozen-features.md
_FEW_IMAGES = 32  # in a batch: their mean and variance are no better than the published ones
_NEW_HEADS = 10.0  # their learning rate over that of a pretrained backbone


class UsualSettings:
    """The settings that defaults depend on, and these defaults."""

    method: str
    backbone: str | None
    tune: str | None
    pretrained: bool
    weights: str | None
    epochs: int | None
    time_budget: float | None
    batch_size: int | None
    optimizer: str
    lr: float | None
    head_lr: float | None
    interpolate: str | None
    views: str | None
    device: str

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU is there and meant to be used."""
        if self.device == "auto":
            return bool(cuda_devices()) or has_mps()
        return self.device != "cpu"

    def why(self) -> str:
        """Why the backbone of `resolved` is the one it is."""
        if self.backbone not in (None, "auto"):
            return "as asked"
        if find_method(self.method).reads_texts:
            return "the paper's"
        if self.on_gpu:
            return "the paper's, for a GPU"
        if self.weights is not None:
            return "the paper's, with your weights"
        if self.from_scratch:
            return "small enough to learn from scratch without a GPU"
        if (self.tune or self.usual_tune()) == "head":
            return f"no GPU here; {best_downloaded()[1]}"
        return "no GPU here; its weights come with the installation"

    @property
    def from_scratch(self) -> bool:
        return not self.pretrained and self.weights is None

    @property
    def keeps_statistics(self) -> bool:
        """Whether batch norm keeps its published statistics: fitted heads need them."""
        few = self.batch_size is not None and self.batch_size < _FEW_IMAGES
        return self.tune == "head-then-full" or (few and not self.from_scratch)

    def resolved(self) -> Self:
        """The same settings with every default that depends on another setting filled in."""
        clip = find_method(self.method).reads_texts
        optimizer = self.optimizer
        if optimizer == "auto":
            optimizer = "muon" if self.from_scratch else "adamw"
        tune = None if clip else self.tune or self.usual_tune()
        lr = self.lr or self.usual_rate(optimizer, tune)
        views = self.views or (None if clip else self.usual_views(tune))
        backbone = self.backbone if self.backbone != "auto" else None
        backbone = backbone or (CLIP_BACKBONE if clip else self.usual_backbone(tune))
        epochs = self.epochs or (None if self.time_budget or tune == "head" else 20)
        new_heads = tune == "full" and not self.from_scratch
        head_lr = self.head_lr or (_NEW_HEADS if new_heads and not clip else None)
        return dataclasses.replace(  # type: ignore[type-var]
            self,
            backbone=backbone,
            tune=tune,
            views=views,
            optimizer=optimizer,
            lr=lr,
            head_lr=head_lr,
            epochs=epochs,
            interpolate=self.interpolate or (_HALFWAY if tune == "head-then-full" else None),
            batch_size=self.batch_size or self.usual_batch(),
        )

    def usual_rate(self, optimizer: str, tune: str | None) -> float:
        if self.from_scratch:
            return 5e-3 if optimizer == "muon" else 2e-3
        return _PROCESSOR if tune == "full" and not self.on_gpu else _FINE[tune is None]

    def usual_batch(self) -> int:
        # A processor has time for few images, and they teach more in many steps.
        return 64 if self.on_gpu or self.from_scratch or find_method(self.method).reads_texts else 16

    def usual_views(self, tune: str | None) -> str:
        one = self.from_scratch or (tune == "full" and self.on_gpu)
        return "center" if one else HEAD_VIEWS

    def usual_tune(self) -> str:
        if self.interpolate is not None:
            return "head-then-full"
        timed = self.epochs is not None or self.time_budget is not None
        return "full" if self.on_gpu or self.from_scratch or timed else "head"

    def usual_backbone(self, tune: str | None) -> str:
        if self.on_gpu or self.weights is not None:
            return BACKBONE
        if self.from_scratch:
            return SMALL_BACKBONE
        return best_downloaded()[0] if tune == "head" else BUNDLED
