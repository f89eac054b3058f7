"""One shard, tagged: its images in, a file of results out, and a note that it is done."""

import hashlib
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from eufcc_cli.core.errors import DataError, EufccError, ImageError
from eufcc_cli.core.files import Root
from eufcc_cli.core.machine import cores
from eufcc_cli.core.model.clip.prompts import TextOptions
from eufcc_cli.core.model.inference.batching import STEADY
from eufcc_cli.core.model.inference.decoding.decoder_processes import DecoderProcesses, processes_for
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.tagging.display import Display
from eufcc_cli.core.tagging.inputs import Input, fail
from eufcc_cli.core.tagging.selection import Choice
from eufcc_cli.core.tagging.shards.parts import to_part
from eufcc_cli.core.tagging.shards.place import Place
from eufcc_cli.core.tagging.shards.plan import Plan, done_name, failed_name, inputs_name, tries_name
from eufcc_cli.core.tagging.shards.shard_inputs import from_bytes, open_line
from eufcc_cli.core.tagging.tagger import Tagger

CAREFUL_AFTER = 2
"""Tries of a shard that ended with their process; after them, images are decoded in separate processes."""
_MOST_REASONS = 20


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to work on a plan; it is sent to other machines."""

    output: str
    root: Path
    models: tuple[str, ...]
    choice: Choice
    display: Display = field(default_factory=Display)
    device: str = "auto"
    precision: str = "auto"
    weights: Path | None = None
    texts: TextOptions = field(default_factory=TextOptions)
    logit_adjustment: float = 0.0
    plugins: tuple[str, ...] = ()
    batch_size: int | None = None
    workers: int | None = None
    allow_private_hosts: bool = False
    max_unreadable: float = 0.1
    """The largest share of a shard's images that may fail for a while (not fetched) for it to be done."""

    def open_tagger(self) -> Tagger:
        """The models, loaded; raises ModelError where this machine does not have them."""
        from eufcc_cli.core.model.backbone.plugins import load_plugins
        from eufcc_cli.core.model.checkpoint import load_model
        from eufcc_cli.core.model.logit_adjustment import adjust_logits

        load_plugins(self.plugins)
        root = Root(self.root)
        models = [
            load_model(name, root, self.device, self.precision, weights=self.weights, texts=self.texts)
            for name in self.models
        ]
        if self.logit_adjustment:
            for model in models:
                adjust_logits(model, self.logit_adjustment)
        return Tagger(models, self.choice, root, self.display)


@dataclass(frozen=True)
class Done:
    """The result of a shard."""

    shard: int
    images: int
    failed: dict[str, int]
    """Images without suggestions, by reason."""
    sha256: str
    """Of the file of results."""
    seconds: float
    node: str
    problem: str | None = None
    """Why it is not done and has to be retried."""


def options_of(tagger: Tagger, job: Job) -> dict[str, Any]:
    """Everything that results depend on besides the images, as the plan records it."""
    shown = {"language": job.display.language, "names": job.display.names}
    return {**tagger.scoring, **asdict(job.choice), **shown, "logit_adjustment": job.logit_adjustment}


@contextmanager
def shard_errors(number: int) -> Iterator[None]:
    """Errors that name the shard and the machine that they come from."""
    try:
        yield
    except EufccError as error:
        node = socket.gethostname()
        raise EufccError(f"shard {number} on {node}: {error}", hint=error.hint) from error


class Shards:
    """A process's hold on a plan: the model, loaded once, and the shards that it tags; a context manager."""

    def __init__(self, job: Job, plan: Plan, tagger: Tagger | None = None, images: int = 0) -> None:
        """images: how many it will tag in all its shards, if that is known.

        Raises EufccError if this machine's models would not give the scores that the plan is for.
        """
        self.job = job
        self.plan = plan
        self.place = Place(job.output)
        self.tagger = tagger or job.open_tagger()
        here = json.loads(json.dumps(options_of(self.tagger, job)))
        if here != plan.options:
            other = next(key for key in plan.options if here.get(key) != plan.options[key])
            raise EufccError(
                f"{socket.gethostname()}: its {other} is not the plan's: it would give other results",
                hint="give every machine the same models, processor precision and version of eufcc",
            )

        self._images = images
        self._processes: DecoderProcesses | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _processes_for(self, images: int, *, careful: bool) -> DecoderProcesses | None:
        """The processes that decode, if all images are worth them, or from the first shard on that is."""
        models = self.tagger.models
        number = processes_for(models[0].device, self.job.workers, max(images, self._images))
        if self._processes is None and (number or careful):
            number = number or self.job.workers or cores()
            made = DecoderProcesses(number, [model.preprocessing for model in models])
            self._processes = self._stack.enter_context(made)
        return self._processes

    def tag(self, number: int, progress: Progress = SILENT) -> Done:
        """Tag the images of a shard. The same plan and number give the same file, byte for byte."""
        with shard_errors(number):
            return self._tag(number, progress)

    def _tag(self, number: int, progress: Progress) -> Done:
        began = time.monotonic()
        content = self.place.read(inputs_name(number))
        listed = f"{self.place.address}/{inputs_name(number)}"
        if content is None:
            raise DataError(
                f"{listed}: not there, though the plan has it",
                hint="choose another `output`: this one is not whole",
            )
        lines = from_bytes(content, listed)
        if len(lines) != (planned := self.plan.images_in(number)):
            raise DataError(
                f"{listed}: {len(lines):,} images, and the plan has {planned:,}",
                hint="choose another `output`: this one is not whole",
            )
        tries = int(self.place.read(tries_name(number)) or 0)
        self.place.write(tries_name(number), b"%d" % (tries + 1))
        waited: set[int] = set()  # images that could not be fetched: a retry may succeed
        results = []
        with _fetcher(self.job) as fetch, progress.task(f"shard {number}", len(lines)) as bar:
            inputs = [open_line(line, fetch) for line in lines]
            inputs = [_noting(item, partial(waited.add, row)) for row, item in enumerate(inputs)]
            tagged = self.tagger.batches(
                inputs,
                batch_size=self.job.batch_size,
                workers=self.job.workers,
                processes=self._processes_for(len(lines), careful=tries >= CAREFUL_AFTER),
                smallest_batch=STEADY,
            )
            with closing(tagged):
                for some in tagged:
                    results += some
                    bar.advance(len(some))
        part = to_part(self.plan.form, results, self.tagger.name, self.tagger.digest)
        reasons = Counter(result.error.split(":")[0] for result in results if result.error)
        problem = None
        if len(waited) > self.job.max_unreadable * len(lines):
            problem = f"{len(waited):,} of {len(lines):,} images could not be fetched"
        done = Done(
            number,
            len(lines),
            dict(reasons.most_common(_MOST_REASONS)),
            hashlib.sha256(part).hexdigest(),
            round(time.monotonic() - began, 3),
            socket.gethostname(),
            problem,
        )
        note = json.dumps(asdict(done), sort_keys=True, ensure_ascii=False).encode() + b"\n"
        if problem is None:
            self.place.write(self.plan.part_name(number), part)
            self.place.delete(failed_name(number))
        else:
            self.place.write(failed_name(number), note)
        self.place.delete(tries_name(number))
        if problem is None:
            self.place.write(done_name(number), note)  # last: a shard that is done is not tagged again
        return done


def _fetcher(job: Job) -> Any:
    from eufcc_cli.core.download.prefetch import Fetcher
    from eufcc_cli.core.http.politeness import Politeness

    return Fetcher(Politeness(allow_private_hosts=job.allow_private_hosts))


def _noting(item: Input, failed: Callable[[], None]) -> Input:
    """An input that reports when it cannot be fetched."""
    source = item.source
    if isinstance(source, Path) or (isinstance(source, partial) and source.func is fail):
        return item

    def noted() -> Path | bytes:
        try:
            return source()
        except ImageError:
            failed()
            raise

    return replace(item, source=noted)
