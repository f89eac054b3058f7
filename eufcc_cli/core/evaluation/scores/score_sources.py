"""The sources of scores: runs, models, ensembles written A+B, and predictions files, each opened once."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from eufcc_cli.core.errors import EufccError, HubError
from eufcc_cli.core.evaluation.scores.ensembles import Ensemble
from eufcc_cli.core.evaluation.scores.eval_split import Source, TestSplit
from eufcc_cli.core.evaluation.scores.prediction_files import parts_of, read_predictions
from eufcc_cli.core.evaluation.scores.predictions import Predictions
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root, sha256
from eufcc_cli.core.model.clip.clip_network import ClipNetwork
from eufcc_cli.core.model.clip.prompts import TAGS
from eufcc_cli.core.model.model_files import trained_runs
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.model.zero_shot import ZERO_SHOT, with_names


def open_sources(
    root: Root,
    runs: Sequence[str],
    predictions: Sequence[Path],
    load_model: Callable[[str], TaggingModel],
    *,
    ensemble: bool = False,
    batch_size: int = 64,
    workers: int | None = None,
    keep: bool = True,
    on_unreachable: Callable[[str, HubError], None] | None = None,
    wordings: Sequence[str] | None = None,
) -> list[Source]:
    """All sources in the given order; `ensemble` adds the ensemble of all single ones.

    Each single CLIP model is scored again with the tag names of each of `wordings` (see `text_names`). None:
    a published one that reads English names is scored again with the tags themselves.

    Raises EufccError without a source, or with only one member for an ensemble; HubError if a model cannot
    be downloaded. With `on_unreachable` only if none can: it is called for each, and the others remain.
    """
    if not runs and not predictions:
        there = trained_runs(root)
        hint = f"name some of: {', '.join(there)}" if there else "train one: `eufcc train`"
        raise EufccError("no RUN and no `predictions`: nothing to evaluate", hint=hint)
    loaded: dict[str, Source] = {}

    def load(name: str) -> Source:
        if name not in loaded:
            loaded[name] = ModelScorer(load_model(name), root, name, batch_size, workers, keep)
        return loaded[name]

    sources: list[Source] = []
    last: HubError | None = None
    for name in runs:
        members = [name] if name and (root.run(name).is_dir() or Path(name).exists()) else name.split("+")
        if "" in members:
            raise EufccError(f"{name!r} lacks the name of a model", hint="name runs; A+B is an ensemble")
        try:
            found = [load(member) for member in members]
        except HubError as error:
            if on_unreachable is None or len(runs) + len(predictions) == 1:
                raise
            on_unreachable(name, error)
            last = error
            continue
        sources.append(found[0] if len(found) == 1 else Ensemble(found))
        if len(found) == 1 and isinstance(found[0], ModelScorer):
            sources += _worded(found[0], wordings)
    for path in predictions:
        read = read_predictions(path, root)
        # Several predictions of one model, or predictions and the model itself: named after the files.
        taken = {source.name for source in sources}
        names = (name for name in (read.name, path.stem, path.name, str(path)) if name not in taken)
        sources.append(replace(read, name=next(names, read.name)))
    if not sources and last is not None:
        raise last
    if ensemble:
        single = [source for source in sources if not isinstance(source, Ensemble)]
        if len(single) < 2:
            raise EufccError("`ensemble`: needs at least two models", hint="name several runs")
        sources.append(Ensemble(single))
    return sources


def _worded(scorer: ModelScorer, wordings: Sequence[str] | None) -> Iterator[Source]:
    """A CLIP model with other names for its tags."""
    model = scorer.model
    if wordings is None:
        reads_names = model.method == ZERO_SHOT and any(model.config["method_options"]["names"].values())
        wordings = [TAGS] if reads_names else []
    if isinstance(model.network, ClipNetwork):
        for names in wordings:
            made = with_names(model, names, scorer.root)
            yield replace(scorer, model=made, name=f"{scorer.name}, {names}")


def splits_of(sources: Sequence[Source], splits: list[TestSplit]) -> list[TestSplit]:
    """If only predictions files are scored, the splits with images in some file; else all splits."""
    files = [source for source in sources if isinstance(source, Predictions)]
    if len(files) < len([source for source in sources if not isinstance(source, Ensemble)]):
        return splits
    return [split for split in splits if any(file.covers(split) for file in files)] or splits


def digest_of(source: Source) -> str:
    """SHA-256 of all that determines a source's scores: a model, a file's content, an ensemble's members."""
    if isinstance(source, ModelScorer):
        return source.model.digest
    if isinstance(source, Predictions):
        if source.path.is_file():
            return sha256(source.path)
        content = "\n".join(map(sha256, parts_of(source.path)))
    elif isinstance(source, Ensemble):
        content = json.dumps([source.weights, *(digest_of(member) for member in source.members)])
    else:
        content = source.name
    return hashlib.sha256(content.encode()).hexdigest()
