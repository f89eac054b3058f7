"""What `from eufcc_cli import …` gives: the core with paths as text, one thing or several, and plain results.

Wherever a root is asked for, its path will do; errors are `EufccError`, with a `hint`.
"""

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from eufcc_cli import console
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor

    from eufcc_cli.core.evaluation.comparison import Comparison
    from eufcc_cli.core.model.tagging_model import TaggingModel
    from eufcc_cli.core.tagging.tagger import Result
    from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
    from eufcc_cli.core.training.configuration.config import TrainConfig
    from eufcc_cli.core.training.run import Trained

Pathlike = str | os.PathLike[str]
Rooted = Root | Pathlike


def _root(root: Rooted) -> Root:
    return root if isinstance(root, Root) else Root(Path(root))


def _several(one_or_many: Any, *kinds: type) -> list[Any]:
    return [one_or_many] if isinstance(one_or_many, kinds) else list(one_or_many)


def load_model(
    model: str, root: Rooted = ".", device: str = "auto", precision: str = "auto"
) -> "TaggingModel":
    """Load a trained model by its run's name, its folder, `hf-hub:ORG/NAME`, or `clip:NAME` for a CLIP model
    as it is published. Raises ModelError where there is none, or its files are damaged.
    """
    from eufcc_cli.core.model.checkpoint import load_model

    return load_model(str(model), _root(root), device, precision)


@dataclass(frozen=True)
class Scored:
    """Probabilities of tags: `scored["photo.jpg"]["materials"]["bronze"]`."""

    tags: dict[str, tuple[str, ...]]
    """The tags of every facet, in the order of the columns of `probabilities`."""
    probabilities: dict[str, dict[str, "np.ndarray"]]
    """{image: {facet: float [tags]}}, in the order in which the images were given."""
    errors: dict[str, str] = field(default_factory=dict)
    """{image: reason} of those that could not be read."""

    def __repr__(self) -> str:
        tags = sum(map(len, self.tags.values()))
        return f"<Scored: {len(self):,} images, {tags:,} tags, {len(self.errors):,} errors>"

    def __len__(self) -> int:
        return len(self.probabilities)

    def __iter__(self) -> Iterator[str]:
        return iter(self.probabilities)

    def __getitem__(self, image: str) -> dict[str, dict[str, float]]:
        """{facet: {tag: probability}}, the most probable first; ImageError for an image without any."""
        from eufcc_cli.core.errors import ImageError

        if image in self.errors:
            raise ImageError(f"{image}: {self.errors[image]}")
        return {
            facet: {self.tags[facet][i]: float(values[i]) for i in (-values).argsort(kind="stable")}
            for facet, values in self.probabilities[image].items()
        }

    def to_frame(self, *, wide: bool = False) -> "pd.DataFrame":
        """A row for each image, facet and tag, with its score: what `eufcc evaluate --predictions` reads.

        wide: a row for each image instead, with columns (facet, tag).
        """
        import numpy as np
        import pandas as pd

        names = [(facet, tag) for facet, tags in self.tags.items() for tag in tags]
        rows = [
            np.concatenate([found[facet] for facet in self.tags]) for found in self.probabilities.values()
        ]
        table = pd.DataFrame(
            np.array(rows).reshape(-1, len(names)),
            index=pd.Index(self.probabilities, name="image"),
            columns=pd.MultiIndex.from_tuples(names, names=["facet", "tag"]),
        )
        if wide:
            return table
        long: pd.Series = table.stack(["facet", "tag"])  # type: ignore[assignment]
        return long.reset_index(name="score")


def predict(
    model: "TaggingModel | str",
    images: Pathlike | Iterable[Pathlike],
    *,
    root: Rooted = ".",
    batch_size: int | None = None,
    workers: int | None = None,
) -> Scored:
    """The probabilities of all tags of a model for images: files, folders with all that is in them, globs.

    They are those that `eufcc tag` prints: calibrated where the model is, and never larger for a tag than
    for its ancestors. An image that cannot be read is in `errors`, the others go on.
    """
    from eufcc_cli.core.model.inference.prediction import predict as score
    from eufcc_cli.core.tagging.inputs import listed
    from eufcc_cli.core.tagging.selection import Choice, Chooser
    from eufcc_cli.core.tagging.tagger import calibration_of

    loaded = load_model(model, root) if isinstance(model, str) else model
    chooser = Chooser(loaded.vocabulary, calibration_of(loaded), Choice())
    scored = Scored({facet: tags.tags for facet, tags in loaded.vocabulary.facets.items()}, {})
    places = listed(map(os.fspath, _several(images, str, os.PathLike)))
    items = ((item.name, item.source) for item in places)
    for prediction in score(loaded, items, batch_size=batch_size, workers=workers):
        if prediction.scores is None:
            scored.errors[prediction.key] = prediction.error or "cannot be read"
            continue
        scored.probabilities[prediction.key] = {
            facet: chooser.facets[facet].scores(values)[1] for facet, values in prediction.scores.items()
        }
    return scored


class Tagger:
    """Suggests tags for images, as `eufcc tag` does.

    models: a run's name or a loaded model, or several, which then score together. The other options are
    those of the command: at most `top` tags per facet, of at least `threshold`; as many as `coverage` asks
    for; only these `facets`; `only` and `exclude` name tags, with what is below them.
    """

    def __init__(
        self,
        models: "TaggingModel | str | Sequence[TaggingModel | str]",
        root: Rooted = ".",
        *,
        device: str = "auto",
        **choice: Any,
    ) -> None:
        from eufcc_cli.core.model.tagging_model import TaggingModel
        from eufcc_cli.core.tagging import tagger
        from eufcc_cli.core.tagging.selection import Choice

        for name in ("facets", "only", "exclude"):
            if name in choice:
                choice[name] = tuple(_several(choice[name], str))
        loaded = [
            load_model(model, root, device) if isinstance(model, str) else model
            for model in _several(models, str, TaggingModel)
        ]
        self._tagger = tagger.Tagger(loaded, Choice(**choice), _root(root))

    def __call__(self, images: Pathlike | Iterable[Pathlike]) -> "Iterator[Result]":
        """One result for each image, in order: `result.input.name`, `result.tags` ({facet: suggestions with
        `tag`, `path` and `score`}), or the reason in `result.error`.
        """
        from eufcc_cli.core.tagging.inputs import listed

        return self._tagger.tag(listed(map(os.fspath, _several(images, str, os.PathLike))))


def build_trees(
    tables: "pd.DataFrame | Pathlike | Iterable[pd.DataFrame | Pathlike]", facets: Iterable[str] = ()
) -> "dict[str, Hierarchy]":
    """The hierarchy of each facet from annotation tables: data frames, or CSV or Parquet files.

    Columns are those of EUFCC-340K (`materials.hierarchy`, …); `facets` chooses some of them.
    """
    import pandas as pd

    from eufcc_cli.core.taxonomy.hierarchy import build_trees
    from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
    from eufcc_cli.core.taxonomy.tables.annotations import FACET_COLUMNS, check_facets

    frames = []
    for table in _several(tables, str, os.PathLike, pd.DataFrame):
        frame = table if isinstance(table, pd.DataFrame) else read_table(Path(table))
        there = [column for column in FACET_COLUMNS if column in frame]
        if not there:
            raise DataError(
                f"a table without any of the columns {', '.join(FACET_COLUMNS)}",
                hint="give annotations in the format of EUFCC-340K: `general | specific $ other`",
            )
        frames.append(frame[there].fillna("").astype(str))
    trees = build_trees(frames, check_facets(_several(facets, str)))
    return {facet: tree for facet, tree in trees.items() if len(tree) or facets}


def print_trees(trees: Any, facets: Iterable[str] = ()) -> None:
    """Print hierarchies: those of `build_trees`, or of whatever tables it takes."""
    from eufcc_cli.core.taxonomy.hierarchy import Hierarchy

    if isinstance(trees, Hierarchy):
        trees = {trees.facet: trees}
    elif not isinstance(trees, Mapping):
        trees = build_trees(trees, facets)
    for number, (facet, tree) in enumerate(trees.items()):
        console.line(("\n" if number else "") + facet)
        console.line(tree.render())


def rank_metrics(scores: Any, truth: Any, ks: Sequence[int] = (1, 10)) -> "dict[str, np.ndarray | Tensor]":
    """R-Precision, Acc@k and average ranking position of each image, float64 [B].

    scores [B, n], any numbers of which the higher rank first; truth [B, n], true tags: NumPy arrays, nested
    lists, or torch tensors, which give tensors. Every row needs a true tag. Ties count by their expected
    value over the random order of the tied tags. Raises ValueError for a truth that is neither 0 nor 1.

    >>> rank_metrics([[0.9, 0.5, 0.5, 0.1]], [[1, 1, 0, 0]])["r_precision"].tolist()
    [0.75]
    """
    import numpy as np
    import torch

    from eufcc_cli.core.metrics.ranking import rank_metrics

    given = isinstance(scores, torch.Tensor)
    table = scores if given else torch.from_numpy(np.ascontiguousarray(scores))
    if not table.is_floating_point():
        table = table.double()
    true = truth if isinstance(truth, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(truth))
    if bool(((true != 0) & (true != 1)).any()):
        raise ValueError("truth holds other values than 0 and 1: scores come first, then truth")
    found = rank_metrics(table, true.to(table.device, torch.bool), ks)
    return dict(found) if given else {name: value.numpy() for name, value in found.items()}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured."""

    comparison: "Comparison"

    def __repr__(self) -> str:
        return repr(self.overall)

    def to_dict(self) -> dict[str, Any]:
        """As `eufcc evaluate --format json` prints it."""
        from eufcc_cli.core.report.comparison_files import to_json

        return cast(dict[str, Any], json.loads(to_json(self.comparison)))

    def to_frame(self) -> "pd.DataFrame":
        """As `eufcc evaluate --format csv` prints it: a row for each model, split and scope."""
        import pandas as pd

        from eufcc_cli.core.report.comparison_files import to_csv

        return pd.read_csv(io.StringIO(to_csv(self.comparison)))

    @cached_property
    def overall(self) -> "pd.DataFrame":
        """The overall figures, a row for each model and split."""
        frame = self.to_frame()
        chosen = (frame["scope"] == "overall") & frame["kind"].isin(["run", "seeds"])
        return frame[chosen].drop(columns="scope").reset_index(drop=True)


def evaluate(
    models: "str | Sequence[str]" = (),
    splits: "str | Sequence[str]" = (),
    *,
    root: Rooted = ".",
    predictions: Pathlike | Sequence[Pathlike] = (),
    ks: Sequence[int] = (1, 10),
    bootstrap: int = 0,
    against: str | None = None,
    device: str = "auto",
    batch_size: int = 64,
) -> Evaluation:
    """Measure models (`A+B` is an ensemble) and predictions files on splits (default: the test splits).

    bootstrap: resamples of providers for 95 % intervals and for paired differences, which are to the first
    model or to the one `against`.
    """
    from eufcc_cli.core.evaluation.bootstrap import Bootstrap
    from eufcc_cli.core.evaluation.comparison import compare
    from eufcc_cli.core.evaluation.results import Measures
    from eufcc_cli.core.evaluation.scores.eval_split import names_of_tests, read_split
    from eufcc_cli.core.evaluation.scores.score_sources import open_sources, splits_of

    place = _root(root)
    sources = open_sources(
        place,
        _several(models, str),
        [Path(path) for path in _several(predictions, str, os.PathLike)],
        lambda name: load_model(name, place, device),
        batch_size=batch_size,
    )
    asked = _several(splits, str)
    read = [read_split(place, name) for name in asked or names_of_tests(place)]
    found = compare(
        sources,
        read if asked else splits_of(sources, read),
        place,
        measures=Measures(ks=tuple(sorted(set(ks)))),
        bootstrap=Bootstrap(bootstrap) if bootstrap else None,
        against=against,
    )
    assert found is not None  # only torchrun's other processes have no results
    return Evaluation(found)


def train(
    name: str | None = None, *, root: Rooted = ".", config: "TrainConfig | None" = None, **settings: Any
) -> "Trained":
    """Train a model and leave it in ROOT/runs/NAME (default: the method's name).

    Settings are those of TrainConfig and of the methods: `train(method="asl", gamma_neg=3.0, epochs=5)`.
    """
    from eufcc_cli.core.training.configuration.config import TrainConfig
    from eufcc_cli.core.training.run import train_run

    own = {key: settings.pop(key) for key in ("resume", "overwrite") if key in settings}
    chosen = config.changed(**settings) if config else TrainConfig.from_mapping(settings, "settings")
    return train_run(chosen, _root(root), name or chosen.method, **own)
