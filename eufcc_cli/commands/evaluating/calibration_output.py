"""Output of `evaluate --calibrate`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eufcc_cli import console
from eufcc_cli.core.files import Root
from eufcc_cli.core.progress import Progress

if TYPE_CHECKING:
    from eufcc_cli.core.evaluation.scores.eval_split import Source

_NEEDED = "tags suggested for a coverage of 90 %"


def fit_probabilities(sources: "Sequence[Source]", root: Root, progress: Progress) -> None:
    """Fit probabilities and coverage on val, save them with the models, and print what coverage costs."""
    from eufcc_cli.core.evaluation.calibrate import calibrate
    from eufcc_cli.core.evaluation.scores.eval_split import read_split

    split = read_split(root, "val")
    for source in sources:
        needed = calibrate(source, split, root, progress)
        if needed:
            console.table(
                ("facet", _NEEDED),
                [(facet, f"{count:.1f}") for facet, count in needed.items()],
                title=f"{source.name}: calibrated on val",
                numeric=(_NEEDED,),
            )
