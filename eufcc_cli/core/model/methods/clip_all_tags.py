"""clip-all-tags: all tags of an image are its caption."""

from collections.abc import Sequence
from typing import ClassVar

from eufcc_cli.core.model.methods.clip_one_tag import ClipMethod, Phrase, Prompted
from eufcc_cli.core.model.methods.method import register_method


@register_method("clip-all-tags")
class ClipAllTags(ClipMethod):
    """All tags of the image, facet by facet, general to specific, joined by commas, are the caption."""

    paper: ClassVar = "CLIP all tags"

    def caption(self, tags: Sequence[Phrase], draws: tuple[float, float], prompted: Prompted) -> str:
        return ", ".join(dict.fromkeys(phrase for _, phrase in tags))
