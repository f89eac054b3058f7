"""clip-1-tag: one tag of an image is its caption; and what all CLIP methods share."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.methods.method import register_method
from eufcc_cli.core.model.methods.softmax import Softmax
from eufcc_cli.core.settings import setting

CLIP_PANEL = "CLIP methods"

Phrase = tuple[str, str]
"""A true tag of an image: its facet, and the phrase it is called by."""
Prompted = Callable[[str, str], tuple[str, ...]]
"""(facet, phrase) -> the phrase in each prompt of its facet."""


@dataclass(kw_only=True, eq=False)
class ClipMethod(Softmax):
    """Fine-tuning on captions made of an image's tags; scores are a softmax over the facet's texts."""

    reads_texts: ClassVar = True
    prompted: ClassVar[bool] = False
    """Whether captions, and the texts that are scored, stand in prompts."""
    text: str = setting(
        "name",
        "The words for a tag: its name, its path, or its name and its parent's: name (parent).",
        choices=("name", "path", "parent"),
        panel=CLIP_PANEL,
    )
    names: str | None = setting(
        None,
        "Names of tags in texts: tags (themselves), a language, or a CSV file with columns tag,name.",
        panel=CLIP_PANEL,
        metavar="LANGUAGE|FILE",
        default_text="English, if there are English names",
    )
    equal_captions: bool = setting(
        True,
        "Images of a batch with equal captions are positives of each other, not negatives.",
        panel=CLIP_PANEL,
    )
    lock_image: bool = setting(False, "Do not train the image tower.", panel=CLIP_PANEL)
    lock_text: bool = setting(False, "Do not train the text tower.", panel=CLIP_PANEL)
    grad_checkpointing: bool = setting(
        False,
        "Recompute activations in the backward pass: less memory, a third slower.",
        panel=CLIP_PANEL,
    )

    def __post_init__(self) -> None:
        if self.lock_image and self.lock_text:
            raise ModelError("`lock_image` and `lock_text`: nothing is left to learn", hint="lock one tower")

    @abstractmethod
    def caption(self, tags: Sequence[Phrase], draws: tuple[float, float], prompted: Prompted) -> str:
        """The caption of an image with these tags, facet by facet, general to specific.

        draws: two numbers in [0, 1) that choose what is left to chance.
        """


@register_method("clip-1-tag")
class ClipOneTag(ClipMethod):
    """One true tag, drawn over all facets, is the caption."""

    paper: ClassVar = "CLIP 1 tag"

    def caption(self, tags: Sequence[Phrase], draws: tuple[float, float], prompted: Prompted) -> str:
        return tags[int(draws[0] * len(tags))][1]
