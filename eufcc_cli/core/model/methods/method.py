"""What a method is, and the one list of all methods."""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.settings import Declared, Setting, check_settings, setting, settings_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary


class Method(ABC):
    """One method on the head of one facet: its settings, and the index tensors that `prepare` makes.

    The tensors come from the vocabulary, so that a saved model does not hold them. None is learned.
    """

    name: ClassVar[str] = ""
    learns_rejections: ClassVar[bool] = False
    """Whether the loss can leave out unknown tags, and so learn from rejected tags only."""
    reads_texts: ClassVar[bool] = False
    """Whether the logits compare images with texts (CLIP), or come from a head of the method's own."""
    paper: ClassVar[str | None] = None
    """The row of the paper's table that a model of this method belongs beside."""
    outputs: int
    """How many logits a head has to give: one for each tag, and what the method needs besides."""

    @classmethod
    def for_facet(
        cls, vocabulary: "FacetVocabulary", tag_counts: "np.ndarray | None" = None, **settings: Any
    ) -> Self:
        """The method for one facet's tags.

        tag_counts int [n]: the training images with each tag, which some methods need to be trained, none
        to score. Raises ModelError for a setting that the method does not have, or a value it cannot use.
        """
        if not vocabulary.tags:
            raise ModelError(f"{cls.name}: a facet without tags cannot be learned")
        method = cls.with_settings(settings)
        method.prepare(vocabulary, tag_counts)
        return method

    @classmethod
    def with_settings(cls, settings: Mapping[str, Any]) -> Self:
        """The method with these settings, not yet prepared for any facet; raises ModelError as above."""
        known = settings_of(cls)
        if unknown := sorted(settings.keys() - known.keys()):
            has = ", ".join(known) or "none"
            raise ModelError(f"{cls.name}: no setting {unknown[0]}", hint=f"settings of this method: {has}")
        method = cls(**settings)
        check_settings(method)
        return method

    def settings(self) -> dict[str, Any]:
        """The values of all settings of the method."""
        return {name: getattr(self, name) for name in settings_of(self)}

    def prepare(self, vocabulary: "FacetVocabulary", tag_counts: "np.ndarray | None") -> None:
        """Make what the method needs to know of a facet's tags; sets `outputs`."""
        self.outputs = len(vocabulary)

    @abstractmethod
    def loss(self, logits: "Tensor", truth: "Tensor", known: "Tensor | None" = None) -> "Tensor":
        """The loss [B] of each image from its logits [B, outputs] and true tags bool [B, n].

        known bool [B, n]: the tags of which it is known whether they are true, where people decided about
        single tags; by default all of a row with a true tag. Only methods with `learns_rejections` are
        given it. Rows without a known tag have a loss and a gradient of exactly 0.
        """

    @abstractmethod
    def log_scores(self, logits: "Tensor") -> "Tensor":
        """Logarithms [B, n], float32, of the tags' scores in [0, 1], from logits [B, outputs].

        They rank tags whose scores themselves round to 0.
        """

    @abstractmethod
    def prior_bias(self, counts: "np.ndarray", images: int) -> "Tensor":
        """Biases [outputs] with which a head gives every tag its share of the training images.

        counts int [n]: the images with each tag; images: the images annotated in the facet.
        """

    def log_prior(self, counts: "np.ndarray", images: int) -> "Tensor":
        """Logarithms [outputs] of how frequent each output is in training: what logit adjustment subtracts.

        counts and images as above. A constant that is the same for all outputs of a softmax does not matter.
        """
        return self.prior_bias(counts, images)

    def to(self, device: "torch.device | str") -> Self:
        """Move the tensors of the method to a device."""
        for name, value in vars(self).items():
            if hasattr(value, "to"):
                setattr(self, name, value.to(device))
        return self


_METHODS: dict[str, type[Method]] = {}
METHODS: Mapping[str, type[Method]] = MappingProxyType(_METHODS)
"""All methods by name: those of the paper first, those of plugins last."""

_NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")
_Class = TypeVar("_Class", bound=Method)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(setting,))
def register_method(name: str) -> Callable[[type[_Class]], type[_Class]]:
    """Make a subclass of Method known by this name: `eufcc train --method NAME`.

    Its annotated class attributes with a default are its settings: options of `train`, checked as `setting`
    says, and saved with the model. Raises ModelError for a name or a setting that is taken.
    """

    def register(cls: type[_Class]) -> type[_Class]:
        if not _NAME.fullmatch(name):
            raise ModelError(f"method {name}: not a name", hint="use small letters, digits and dashes")
        taken = _METHODS.get(name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ModelError(f"method {name}: the name is taken by {taken.__module__}")
        _describe_plain_settings(cls, name)
        if "paper" not in vars(cls):  # another method than the one it builds on
            cls.paper = None
        made = dataclasses.dataclass(kw_only=True, eq=False)(cls)
        for key, own in settings_of(made).items():
            for other in _METHODS.values():
                there = settings_of(other).get(key)
                if there is not None and (there.type, there.default) != (own.type, own.default):
                    raise ModelError(f"method {name}: {other.name} has another setting {key}")
        made.name = name
        _METHODS[name] = made
        return made

    return register


def _describe_plain_settings(cls: type[Method], name: str) -> None:
    """`x: float = 0.1` is a setting without help."""
    for key in vars(cls).get("__annotations__", {}):
        if "ClassVar" in str(cls.__annotations__[key]):
            continue
        if key not in vars(cls):
            raise ModelError(f"method {name}: the setting {key} has no default")
        if not isinstance(vars(cls)[key], dataclasses.Field):
            setattr(cls, key, setting(vars(cls)[key], ""))


def find_method(name: str) -> type[Method]:
    """The method of that name, which an installed package may hold; raises ModelError where there is none."""
    from eufcc_cli.core.model.backbone.plugins import load_installed_method

    if name not in METHODS:
        load_installed_method(name)
    if name not in METHODS:
        raise ModelError(
            f"`method` {name}: no such method",
            hint=f"choose {', '.join(METHODS)}; or give the `plugin` that has it",
        )
    return METHODS[name]


def method_settings() -> dict[str, Declared]:
    """The settings of all methods, each with the methods that have it."""
    found: dict[str, Declared] = {}
    for method in METHODS.values():
        for name, own in settings_of(method).items():
            methods = (*(found[name].about.methods if name in found else ()), method.name)
            found[name] = dataclasses.replace(own, about=_owned(own.about, methods))
    return found


def _owned(about: Setting, methods: tuple[str, ...]) -> Setting:
    return dataclasses.replace(about, methods=methods, panel=about.panel or "Options of single methods")


def full_precision(logits: "Tensor") -> "Tensor":
    """Logits in float32, or in float64 where they are so already."""
    import torch

    return logits.to(torch.promote_types(logits.dtype, torch.float32))
