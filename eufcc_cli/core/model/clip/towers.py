"""The two towers of a CLIP model, built by open_clip: by name with weights, or again by configuration.

open_clip is imported when a model is built.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from eufcc_cli.core.errors import ModelError, did_you_mean, first_line, first_of
from eufcc_cli.core.model.backbone.hub import hub
from eufcc_cli.core.model.backbone.network import initialise_by_fan_in
from eufcc_cli.core.model.preprocessing import Preprocessing

Tokenizer = Callable[[list[str]], Tensor]

_REMEMBERED = 1 << 17  # tokenized texts, 300 bytes each
_MINI = Path(__file__).with_name("clip_mini.json")  # small towers, to be trained from scratch on few cores
_CROP_MODES = {"shortest": "center", "longest": "border", "squash": "squash"}


def create_clip(
    name: str, *, pretrained: bool = True, weights: Path | None = None, image_size: int | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """Build an open_clip model; returns it, and the configuration by which `build_clip` builds it again.

    name: ARCHITECTURE/TAG (ViT-B-32/openai), ARCHITECTURE with weights or without any, hf-hub:ORG/NAME, or
    local-dir:PATH with an open_clip_config.json. Raises ModelError for a name, a tag or weights that
    cannot be used.
    """
    open_clip = _open_clip()
    architecture, tag = split_name(name)
    try:
        with _own_log(), hub(name, ":" in name and not name.startswith("local-dir:")):
            config = open_clip.get_model_config(architecture)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name}: {first_line(error)}", hint="check the name and the network") from error
    if config is None:
        hint = did_you_mean(architecture, open_clip.list_models(), "`open_clip.list_models()` names them all")
        raise ModelError(f"{name}: open_clip has no model {architecture}", hint=hint)
    config = copy.deepcopy(config)
    if pretrained and weights is None and tag is None and ":" not in architecture:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        choice = f"{architecture}/TAG with TAG one of {first_of(tags)}; or " if tags else ""
        raise ModelError(f"{name}: no weights are named", hint=f"give {choice}`weights=FILE`")
    trained_with = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    if tag and not trained_with:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise ModelError(f"{name}: {architecture} has no weights {tag}", hint=f"there are {first_of(tags)}")
    if trained_with.get(
        "quick_gelu"
    ):  # trained with an activation that the architecture's name does not show
        config["quick_gelu"] = True
    if image_size is not None:
        config["vision_cfg"]["image_size"] = image_size
    from_tag = tag if pretrained and weights is None else None
    downloaded = from_tag is not None or (":" in name and not name.startswith("local-dir:"))
    try:
        with _own_log(), hub(f"the published weights of {name}", downloaded):
            clip = open_clip.create_model(
                architecture,
                from_tag,
                load_weights=pretrained and weights is None,
                force_quick_gelu=config.get("quick_gelu", False),
                force_image_size=image_size,
                pretrained_text=False,
                require_pretrained=pretrained and weights is None,
            )
            if weights is not None:
                _load(open_clip, clip, weights)
            elif not pretrained and hasattr(clip.visual, "trunk"):  # a timm model
                initialise_by_fan_in(clip.visual)
    except ImportError as error:
        hint = "pip install 'eufcc[multilingual]'"
        raise ModelError(f"{name}: {first_line(error)}", hint=hint) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name}: cannot be loaded: {first_line(error)}",
            hint="run it again with a network, or give `weights=FILE` (safetensors)",
        ) from error
    return _prepared(clip), config


def _load(open_clip: ModuleType, clip: nn.Module, weights: Path) -> None:
    if weights.suffix != ".safetensors":  # other formats may hold a pickle
        raise ModelError(f"`weights` {weights}: not a safetensors file", hint="convert it to safetensors")
    try:
        open_clip.load_checkpoint(clip, str(weights))
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"`weights` {weights}: {first_line(error)}", hint="give a safetensors file"
        ) from error
    except (RuntimeError, AssertionError, KeyError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise ModelError(
            f"`weights` {weights}: {lines[min(1, len(lines) - 1)][:200]}",
            hint="the weights belong to another model: give its open_clip name",
        ) from error


def build_clip(config: dict[str, Any]) -> nn.Module:
    """Build the model of a configuration that `create_clip` returned, with random weights.

    Raises ModelError where it is not such a configuration.
    """
    open_clip = _open_clip()
    try:
        config = copy.deepcopy(config)
        config["vision_cfg"]["timm_model_pretrained"] = False
        config["text_cfg"]["hf_model_pretrained"] = False
        custom = config.pop("custom_text", False) or config["text_cfg"].get("hf_model_name")
        two_towers = open_clip.CustomTextCLIP if custom else open_clip.CLIP
        kind = open_clip.CoCa if "multimodal_cfg" in config else two_towers
        with _own_log():
            clip = kind(**config)
            if hasattr(clip.visual, "set_input_size"):
                clip.visual.set_input_size(clip.visual.image_size)
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, OSError, ImportError) as error:
        raise ModelError(
            f"open_clip cannot build this CLIP model: {type(error).__name__}: {first_line(error)}",
            hint="the configuration is damaged, or made for another version of open_clip",
        ) from error
    return _prepared(clip)


def _prepared(clip: nn.Module) -> nn.Module:
    # What takes no part in comparing images and captions must not wait for a gradient.
    if getattr(clip, "logit_bias", None) is not None:
        clip.logit_bias.requires_grad_(False)
    if hasattr(clip, "text_decoder"):
        clip.text_decoder.requires_grad_(False)
    return clip


def clip_tokenizer(name: str, config: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a model. Raises ModelError where it needs a package or a file that is not there."""
    open_clip = _open_clip()
    text = config["text_cfg"]
    architecture, _ = split_name(name)
    try:
        with _own_log():
            if text.get("hf_tokenizer_name") or "siglip" in architecture.lower():
                with hub(f"the tokenizer of {name}"):
                    return _remembering(open_clip.get_tokenizer(architecture))
            length = text.get("context_length", open_clip.CLIPTextCfg.context_length)
            options = text.get("tokenizer_kwargs", {})
            return _remembering(open_clip.SimpleTokenizer(context_length=length, **options))
    except (ImportError, OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        needs = "pip install 'eufcc[multilingual]'" if isinstance(error, ImportError) else None
        raise ModelError(
            f"{name}: no tokenizer: {first_line(error)}", hint=needs or "check the model's folder or name"
        ) from error


def _remembering(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, with a cache of captions, which a GPU would wait for otherwise."""
    known = lru_cache(_REMEMBERED)(lambda text: tokenizer([text])[0].int())
    return lambda texts: torch.stack([known(text) for text in texts]).long()


def clip_preprocessing(clip: nn.Module) -> Preprocessing:
    """The preprocessing of a model that `create_clip` built."""
    wanted = _open_clip().get_model_preprocess_cfg(clip)
    size = wanted["size"]
    return Preprocessing(
        size=size if isinstance(size, int) else max(size),
        crop_mode=_CROP_MODES[wanted["resize_mode"]],
        interpolation="bilinear" if wanted["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(wanted["mean"]),
        std=tuple(wanted["std"]),
    )


def split_name(name: str) -> tuple[str, str | None]:
    """A model's architecture and the tag of its weights.

    >>> split_name("ViT-B-32/openai"), split_name("ViT-B-32"), split_name("hf-hub:timm/ViT-B-16-SigLIP")
    (('ViT-B-32', 'openai'), ('ViT-B-32', None), ('hf-hub:timm/ViT-B-16-SigLIP', None))
    """
    if ":" in name or "/" not in name:
        return name, None
    architecture, tag = name.rsplit("/", 1)
    return architecture, tag


def _open_clip() -> ModuleType:
    import open_clip  # takes seconds

    if _MINI.stem not in open_clip.list_models():
        open_clip.add_model_config(_MINI)
    return open_clip


@contextmanager
def _own_log() -> Iterator[None]:
    """Keep open_clip's messages from configuring the root logger, which would then print all messages."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
