"""clip-1-tag-prompt: one tag of an image, in a prompt of its facet, is its caption."""

from collections.abc import Sequence
from typing import ClassVar

from eufcc_cli.core.model.methods.clip_one_tag import CLIP_PANEL, ClipMethod, Phrase, Prompted
from eufcc_cli.core.model.methods.method import register_method
from eufcc_cli.core.settings import setting


@register_method("clip-1-tag-prompt")
class ClipOneTagPrompt(ClipMethod):
    """One true tag, drawn over all facets, in a prompt of its facet, is the caption."""

    paper: ClassVar = "CLIP 1 tag prompt"
    prompted: ClassVar = True
    prompts: str | None = setting(
        None,
        'Prompts: a TOML file with lines like materials = "an image of an object made of {tag}", or lists '
        "of such.",
        panel=CLIP_PANEL,
        metavar="FILE",
    )

    def caption(self, tags: Sequence[Phrase], draws: tuple[float, float], prompted: Prompted) -> str:
        texts = prompted(*tags[int(draws[0] * len(tags))])
        return texts[int(draws[1] * len(texts))]
