"""`eufcc evaluate --suspects`: annotations that are probably wrong or missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eufcc_cli import console
from eufcc_cli.commands.common import propose
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root

if TYPE_CHECKING:
    from eufcc_cli.core.evaluation.scores.eval_split import Source
    from eufcc_cli.core.evaluation.suspects import Suspects


def find_and_write(
    path: Path,
    sources: "Sequence[Source]",
    root: Root,
    splits: Sequence[str] | None,
    batch_size: int,
    workers: int | None,
) -> "tuple[Path, Suspects]":
    """Write the list; returns it with its file. Raises EufccError where not one trained model is given."""
    from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
    from eufcc_cli.core.evaluation.suspects import find_suspects, write_suspects
    from eufcc_cli.core.model.backbone.network import Network

    source = sources[0]
    if len(sources) > 1:
        named = " and ".join(one.name for one in sources[:2])
        raise EufccError(f"`suspects`: is about one model, not {named}", hint="name one RUN only")
    if not isinstance(source, ModelScorer) or not isinstance(source.model.network, Network):
        raise EufccError(f"`suspects`: {source.name} is not a trained vision model", hint="name a run")
    progress = console.progress(True)
    names = list(splits or root.splits())
    suspects = find_suspects(source.model, root, names, progress, batch_size=batch_size, workers=workers)
    write_suspects(suspects, path, source.model)
    wrong = sum(not one.missing for one in suspects.found)
    console.note(
        f"wrote {path}: of {suspects.annotations:,} annotations {wrong:,} are probably wrong, "
        f"{len(suspects.found) - wrong:,} tags are probably missing"
    )
    if suspects.rare:
        console.note(f"{suspects.rare:,} tags of fewer than five images were left out")
    if suspects.found and path.suffix.lower() != ".csv":
        propose(root.path, "tag", "--review", str(path))
    return path, suspects
