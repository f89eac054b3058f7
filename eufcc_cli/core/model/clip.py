"""CLIP models of open_clip as networks that score tags: by how well a tag's texts fit an image.

open_clip is an optional part of eufcc (`pip install 'eufcc[clip]'`); it is imported when a model is built.
"""

import copy
import difflib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from eufcc_cli.core.errors import EufccError, ModelError
from eufcc_cli.core.files import write_bytes
from eufcc_cli.core.model.preprocessing import Preprocessing

log = logging.getLogger("eufcc")

Texts = Mapping[str, Sequence[Sequence[str]]]
"""For every facet the texts of every tag; all tags of a facet have the same number of texts."""
Tokenizer = Callable[[list[str]], Tensor]

LARGEST_SCALE = math.log(100)  # Radford et al. 2021, section 2.5
_BATCH = 256  # texts that are encoded at once
_REMEMBERED = 1 << 17  # tokenized texts, 300 bytes each
_MINI = Path(__file__).with_name("clip_mini.json")  # small towers, to be trained from scratch on few cores
_CROP_MODES = {"shortest": "center", "longest": "border", "squash": "squash"}


class ClipNetwork(nn.Module):
    """Both towers of a CLIP model. In evaluation it scores images against the texts of a vocabulary.

    Every different text is encoded once, when the first image comes; the embeddings are forgotten whenever
    the mode changes, since training changes them.
    """

    def __init__(
        self, clip: nn.Module, tokenizer: Tokenizer, texts: Texts, store: Path | None = None
    ) -> None:
        super().__init__()
        self.clip, self.tokenizer, self.texts, self.store = clip, tokenizer, texts, store
        self._embeddings: dict[str, Tensor] | None = None

    def forward(self, images: Tensor, tokens: Tensor | None = None, which: Tensor | None = None) -> Any:
        """Normalised images [B, 3, size, size] -> {facet: logits float32 [B, tags]}.

        With what `tokens` makes of a caption for each image: the features that training compares, of
        images and of captions, each float32 [B, D] of length 1, and the factor of their cosines.
        """
        features = F.normalize(self.clip.encode_image(images).float(), dim=-1)  # type: ignore[operator]
        if tokens is not None and which is not None:
            return features, self._encode(tokens).index_select(0, which), self.scale
        # 8 bits of a bf16 product would tie tags that the float32 cosine tells apart.
        with torch.autocast(features.device.type, enabled=False):
            factor = self.scale
            return {facet: factor * features @ table.T for facet, table in self.embeddings().items()}

    def tokens(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The different captions as tokens [U, length], and which of them each caption is [B]."""
        number = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
        which = torch.tensor([number[caption] for caption in captions])
        device = self.scale.device
        return self.tokenizer(list(number)).to(device), which.to(device)

    @property
    def scale(self) -> Tensor:
        """The learnt factor of the cosines, the inverse of a temperature."""
        logit_scale: Tensor = self.clip.logit_scale  # type: ignore[assignment]
        return logit_scale.exp()

    def _encode(self, tokens: Tensor) -> Tensor:
        return F.normalize(self.clip.encode_text(tokens).float(), dim=-1)  # type: ignore[operator]

    @torch.compiler.disable  # a tokenizer is no graph
    @torch.no_grad()
    def embeddings(self) -> dict[str, Tensor]:
        """For every facet the embedding of each tag [tags, D], of length 1: the mean over its texts."""
        if self._embeddings is None:
            self._embeddings = self._stored() or self._encoded()
        return self._embeddings

    def _encoded(self) -> dict[str, Tensor]:
        tokens, which = self.tokens([t for tags in self.texts.values() for texts in tags for t in texts])
        with torch.autocast(self.scale.device.type, enabled=False):
            encoded = torch.cat([self._encode(part) for part in tokens.split(_BATCH)])[which]
        sizes = [sum(map(len, tags)) for tags in self.texts.values()]
        tables = {}
        for (facet, tags), rows in zip(self.texts.items(), encoded.split(sizes), strict=True):
            tables[facet] = F.normalize(rows.unflatten(0, (len(tags), -1)).mean(1), dim=-1)
        if self.store is not None:
            tensors = {facet: table.cpu().contiguous() for facet, table in tables.items()}
            try:
                write_bytes(self.store, save(tensors))
            except EufccError as error:
                log.warning("the texts' embeddings are not kept: %s", error)
        return tables

    def _stored(self) -> dict[str, Tensor] | None:
        """The embeddings that an earlier call left in the store, where they are whole."""
        if self.store is None or not self.store.is_file():
            return None
        try:
            tables = load_file(self.store)
        except (OSError, SafetensorError):
            return None
        if {facet: len(table) for facet, table in tables.items()} != {
            f: len(t) for f, t in self.texts.items()
        }:
            return None
        return {facet: tables[facet].to(self.scale.device) for facet in self.texts}

    def train(self, mode: bool = True) -> "ClipNetwork":
        self._embeddings = None
        return super().train(mode)

    def no_weight_decay(self) -> set[str]:
        names: set[str] = self.clip.no_weight_decay()  # type: ignore[operator]
        return {f"clip.{name}" for name in names}


def create_clip(
    name: str, *, pretrained: bool = True, weights: Path | None = None, image_size: int | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """Build an open_clip model; returns it, and the configuration by which `build_clip` builds it again.

    name: ARCHITECTURE/TAG (ViT-B-32/openai), ARCHITECTURE with weights or without any, hf-hub:ORG/NAME, or
    local-dir:PATH with an open_clip_config.json. Raises ModelError for a name, a tag or weights that
    will not do.
    """
    open_clip = _open_clip()
    architecture, tag = split_name(name)
    try:
        with _own_log():
            config = open_clip.get_model_config(architecture)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name}: {_first_line(error)}", hint="check the name and the network") from error
    if config is None:
        near = difflib.get_close_matches(architecture, open_clip.list_models(), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "`open_clip.list_models()` names them all"
        raise ModelError(f"{name}: open_clip has no model {architecture}", hint=hint)
    config = copy.deepcopy(config)
    if pretrained and weights is None and tag is None and ":" not in architecture:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        choice = f"{architecture}/TAG with TAG one of {_some(tags)}; or " if tags else ""
        raise ModelError(f"{name}: no weights are named", hint=f"give {choice}--weights FILE")
    trained_with = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    if tag and not trained_with:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise ModelError(f"{name}: {architecture} has no weights {tag}", hint=f"there are {_some(tags)}")
    if trained_with.get("quick_gelu"):  # weights of an activation that the architecture's name does not say
        config["quick_gelu"] = True
    if image_size is not None:
        config["vision_cfg"]["image_size"] = image_size
    from_tag = tag if pretrained and weights is None else None
    try:
        with _own_log():
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
    except ImportError as error:
        raise ModelError(f"{name}: {_first_line(error)}", hint="install what it names") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name}: cannot be loaded: {_first_line(error)}",
            hint="try again with a network, or give --weights FILE (safetensors)",
        ) from error
    return _prepared(clip), config


def _load(open_clip: ModuleType, clip: nn.Module, weights: Path) -> None:
    if weights.suffix != ".safetensors":  # all else may hold a pickle
        raise ModelError(f"--weights {weights}: not a safetensors file", hint="convert it to safetensors")
    try:
        open_clip.load_checkpoint(clip, str(weights))
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"--weights {weights}: {_first_line(error)}", hint="give a safetensors file"
        ) from error
    except (RuntimeError, AssertionError, KeyError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise ModelError(
            f"--weights {weights}: {lines[min(1, len(lines) - 1)][:200]}",
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
            f"open_clip cannot build this CLIP model: {type(error).__name__}: {_first_line(error)}",
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
                return _remembering(open_clip.get_tokenizer(architecture))
            length = text.get("context_length", open_clip.CLIPTextCfg.context_length)
            options = text.get("tokenizer_kwargs", {})
            return _remembering(open_clip.SimpleTokenizer(context_length=length, **options))
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name}: no tokenizer: {_first_line(error)}", hint="install what it names"
        ) from error


def _remembering(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, which reads a caption that comes again from memory: a GPU would wait for it."""
    known = lru_cache(_REMEMBERED)(lambda text: tokenizer([text])[0].int())
    return lambda texts: torch.stack([known(text) for text in texts]).long()


def clip_preprocessing(clip: nn.Module) -> Preprocessing:
    """How a model that `create_clip` has built wants its images."""
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
    try:
        import open_clip
    except ImportError as error:
        raise ModelError(
            "CLIP models need open_clip, which is not installed", hint="pip install 'eufcc[clip]'"
        ) from error
    if _MINI.stem not in open_clip.list_models():
        open_clip.add_model_config(_MINI)
    return open_clip


@contextmanager
def _own_log() -> Iterator[None]:
    """Keep what open_clip logs to the root logger from setting that up to print everyone's messages."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
