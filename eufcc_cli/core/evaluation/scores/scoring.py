"""A trained model as a source of scores: saved scores first, the rest batch by batch on every process."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from eufcc_cli.core.download.image_locations import find_images, missing_hint
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.scores import processes
from eufcc_cli.core.evaluation.scores.eval_split import Scores, TestSplit
from eufcc_cli.core.evaluation.scores.score_store import ScoreStore
from eufcc_cli.core.files import Root
from eufcc_cli.core.machine import cores
from eufcc_cli.core.metrics.calibration import Calibration
from eufcc_cli.core.model.features import image_digests
from eufcc_cli.core.model.inference.batching import STEADY
from eufcc_cli.core.model.inference.decoding.decoder_processes import decoder_processes
from eufcc_cli.core.model.inference.prediction import Prediction, predict
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

_ROUND = 8  # batches of each process between two writes to the store


@dataclass
class ModelScorer:
    """Scores the images of a collection root with a model."""

    model: TaggingModel
    root: Root
    name: str
    batch_size: int = 64
    workers: int | None = None
    keep: bool = True
    """Save scores in ROOT/runs/.scores, and use those that are there."""

    @property
    def method(self) -> str:
        return self.model.method

    @property
    def vocabulary(self) -> Vocabulary:
        return self.model.vocabulary

    @property
    def calibration(self) -> Calibration | None:
        """Turns the model's scores into probabilities, if the model has one."""
        return Calibration.of(self.model.config)

    def scores(self, split: TestSplit, progress: Progress = SILENT) -> Scores:
        """Score a split's images that are on disk; complete on the first process, without rows elsewhere.

        Every batch holds the same images for any number of processes, so that together they compute the same
        scores as one.
        """
        files = find_images(self.root, split.ids)
        rows = np.array([row for row, image_id in enumerate(split.ids) if image_id in files], dtype=np.int64)
        paths = [files[split.ids[row]] for row in rows]
        if not paths:
            raise DataError(
                f"{split.table}: none of its {len(split):,} images is in {self.root.images}",
                hint=missing_hint(self.root, split.name, split.ids[0]),
            )
        rank, _ = processes.join()
        tables = {
            facet: np.empty((len(rows) if rank == 0 else 0, len(tags)), dtype=np.float32)
            for facet, tags in self.vocabulary.facets.items()
        }
        failed = self._fill(tables, paths, split.name, progress)
        if rank != 0:
            return Scores(np.empty(0, dtype=np.int64), tables)
        if len(failed) == len(paths):
            raise DataError(
                f"{split.table}: none of its {len(paths):,} images can be read, the first: {failed[0]}",
                hint="`eufcc download --verify` lists what is wrong with each",
            )
        reasons = {split.ids[rows[i]]: reason for i, reason in failed.items()}
        if failed:
            good = np.delete(np.arange(len(rows)), list(failed))
            rows, tables = rows[good], {facet: table[good] for facet, table in tables.items()}
        missing = tuple(image_id for image_id in split.ids if image_id not in files)
        return Scores(rows, tables, missing, reasons)

    def _fill(
        self, tables: dict[str, np.ndarray], paths: list[Path], name: str, progress: Progress
    ) -> dict[int, str]:
        """Write the scores of all images into the tables (on the first process); the reasons of failures."""
        rank, size = processes.join()
        store, digests = None, [b""] * len(paths)
        if self.keep and rank == 0:
            store = ScoreStore.of(self.root, self.model)
            digests = image_digests(paths, self.workers)
        with ExitStack() as stack:
            task = stack.enter_context(progress.task(f"scoring {name} with {self.name}", len(paths)))
            todo = list(range(len(paths)))
            if store is not None:
                todo = []
                for i, kept in enumerate(store.get(digests)):
                    if kept is None:
                        todo.append(i)
                    else:
                        _put(tables, i, kept)
                task.advance(len(paths) - len(todo))
            todo = processes.share(todo)
            batches = [todo[i : i + self.batch_size] for i in range(0, len(todo), self.batch_size)]
            apart = stack.enter_context(
                decoder_processes([self.model], self.workers or max(1, cores() // size), len(todo) // size)
            )
            mine = predict(
                self.model,
                ((str(i), paths[i]) for batch in batches[rank::size] for i in batch),
                batch_size=self.batch_size,
                workers=self.workers,
                processes=apart,
                smallest_batch=min(STEADY, self.batch_size),
            )
            stack.enter_context(closing(mine))
            failed: dict[int, str] = {}
            for _ in range(0, len(batches), _ROUND * size):
                done = list(islice(mine, _ROUND * self.batch_size))
                fresh = [prediction for part in processes.gather(done) for prediction in part]
                for prediction in fresh:
                    if prediction.scores is None:
                        failed[int(prediction.key)] = f"{prediction.path}: {prediction.error}"
                    else:
                        _put(tables, int(prediction.key), prediction.scores)
                if store is not None:
                    store.put(_with_digests(fresh, digests))
                task.advance(len(fresh) if rank == 0 else len(done))
        if store is not None:
            store.close()
        return failed


def _put(tables: dict[str, np.ndarray], row: int, scores: dict[str, np.ndarray]) -> None:
    for facet, table in tables.items():
        table[row] = scores[facet]


def _with_digests(
    fresh: list[Prediction], digests: list[bytes]
) -> Iterator[tuple[bytes, dict[str, np.ndarray]]]:
    for prediction in fresh:
        digest = digests[int(prediction.key)]
        if digest and prediction.scores is not None:
            yield digest, prediction.scores
