"""Which decisions a training learned from, and which it left out."""

from typing import TYPE_CHECKING

from eufcc_cli import console
from eufcc_cli.core.errors import number_of

if TYPE_CHECKING:
    from eufcc_cli.core.training.loading.decided_split import LearnedDecisions

_SURE = 0.7


def show_decisions(learned: "LearnedDecisions") -> None:
    """Explain on standard error what became of the decisions."""
    new = f", {learned.new_images:,} of them in no table" if learned.new_images else ""
    console.note(
        f"Decisions: {learned.accepted:,} true and {learned.rejected:,} rejected tags of "
        f"{number_of(learned.images, 'image')}{new}"
    )
    if learned.on_test:
        console.note(_on_test(learned))
    left_out = {
        "about validation images": learned.on_validation,
        "about images that are not on disk": learned.missing_images,
        "about tags that the vocabulary does not have": learned.unknown_tags,
    }
    for reason, count in left_out.items():
        if count:
            console.warn(f"{number_of(count, 'decision')} left out: {reason}")


def _on_test(learned: "LearnedDecisions") -> str:
    """Decisions about test images say how good the suggestions were, and nothing else."""
    count = number_of(len(learned.on_test), "decision")
    sure = [one for one in learned.on_test if one.score is not None and one.score >= _SURE]
    if not sure:
        return f"Not learned from: {count} on test images"
    accepted = sum(one.is_true for one in sure) / len(sure)
    return (
        f"Not learned from: of {count} on test images, {accepted:.0%} of the suggestions above "
        f"{_SURE} were accepted"
    )
