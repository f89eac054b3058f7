"""Training with `tune=head`: heads fitted to the features of a frozen backbone."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eufcc_cli.core.devices import precision_name, select_device
from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root, write_text
from eufcc_cli.core.locks import hold_lock
from eufcc_cli.core.machine import threads
from eufcc_cli.core.metrics.belief import Belief, beliefs_of
from eufcc_cli.core.metrics.calibration import Calibration, fit_calibration
from eufcc_cli.core.model.backbone.network import Network
from eufcc_cli.core.model.checkpoint import save_weights
from eufcc_cli.core.model.features import FeatureStore, image_digests
from eufcc_cli.core.model.inference.prediction import predict
from eufcc_cli.core.model.model_files import save_config
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.progress import Progress
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.heads.head import FittedHeads, fit_heads
from eufcc_cli.core.training.heads.head_scores import Part, measure_heads, score_heads
from eufcc_cli.core.training.loading.data import Split, check_unreadable
from eufcc_cli.core.training.model_provenance import Computation, provenance
from eufcc_cli.core.training.new_model import priors_of
from eufcc_cli.core.training.state.history_file import HISTORY, history_csv
from eufcc_cli.core.training.state.resumption import clear
from eufcc_cli.core.training.state.training_state import Position
from eufcc_cli.core.training.training_plan import Plan, plan_of_heads


@dataclass(frozen=True)
class LearnedHeads:
    """Heads that were fitted and put into the model's network, and the data they were chosen on."""

    fitted: FittedHeads
    validation: Part
    seconds: float
    unreadable: dict[str, str]


def learn_heads(
    model: TaggingModel,
    config: TrainConfig,
    root: Root,
    split: Split,
    validation: Split,
    priors: dict[str, torch.Tensor],
    progress: Progress,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> LearnedHeads:
    """Fit a model's heads to a split's features, and put them into its network.

    Raises ModelError where more images than `max_unreadable` cannot be read.
    """
    began = time.monotonic()
    network = model.network
    assert isinstance(network, Network)
    network.eval()
    model.engines = root.runs / ".engines"
    model.store = FeatureStore.of(
        root, network, model.preprocessing, model.precision, limit=config.features_limit
    )
    unreadable: dict[str, str] = {}
    parts = []
    for part in (split, validation):
        digests, bad = collect_features(model, part.files, part.name, progress, config.workers)
        check_unreadable(part, bad, config.max_unreadable)
        unreadable |= {str(part.files[row]): reason for row, reason in bad.items()}
        there = part.without(bad)
        kept = [digest for row, digest in enumerate(digests) if row not in bad]
        parts.append(Part(model.store.table(kept), there.targets))

    def on_strength(row: dict[str, Any]) -> None:
        row["seconds"] = round(time.monotonic() - began, 2)
        if on_epoch is not None:
            on_epoch(row)

    cpu = {facet: method.to("cpu") for facet, method in model.methods.items()}
    fitted = fit_heads(parts[0], parts[1], cpu, priors, seed=config.seed, on_strength=on_strength)
    with torch.no_grad():
        for facet, head in network.heads.items():
            head.get_parameter("weight").zero_()
            head.get_parameter("bias").copy_(priors[facet])
            if facet in fitted.heads:
                weight, bias = fitted.heads[facet]
                head.get_parameter("weight").copy_(weight)
                head.get_parameter("bias").copy_(bias)
    for method in model.methods.values():
        method.to(model.device)
    return LearnedHeads(fitted, parts[1], time.monotonic() - began, unreadable)


def collect_features(
    model: TaggingModel, files: list[Path], name: str, progress: Progress, workers: int | None
) -> tuple[list[bytes], dict[int, str]]:
    """Compute the features that the model's store lacks; returns all digests, and {row: reason} of failures.

    Processes that need features of the same backbone take turns: none is computed twice.
    """
    store = model.store
    assert store is not None
    digests = image_digests(files, workers or None)
    with hold_lock(store.folder / ".lock", f"{store.folder}: another process computes features", wait=True):
        store.refresh()
        rows = {digest: row for row, digest in enumerate(digests) if not digest or digest not in store}
        unread = [row for row, digest in enumerate(digests) if not digest]
        todo = sorted({*rows.values(), *unread})
        store.reserve(len(todo))
        bad: dict[int, str] = {}
        with progress.task(f"features of {name}", len(files)) as task:
            task.advance(len(files) - len(todo))
            for found in predict(model, ((str(row), files[row]) for row in todo), workers=workers or None):
                if found.error is not None:
                    bad[int(found.key)] = found.error
                task.advance()
    reasons = {digests[row]: reason for row, reason in bad.items() if digests[row]}
    for row, digest in enumerate(digests):
        if row not in bad and digest not in store:
            bad[row] = reasons.get(digest, "changed while it was read")
    if len(bad) == len(files):
        raise ModelError(f"none of the images of {name} can be read, the first: {bad[0]}")
    return digests, bad


def measure(
    learned: LearnedHeads, model: TaggingModel, counts: dict[str, np.ndarray]
) -> tuple[dict[str, Any], Calibration, list[Belief]]:
    """The rank metrics on the validation split, the calibration fitted to it, and how reliable tags are."""
    part, methods = learned.validation, {facet: method.to("cpu") for facet, method in model.methods.items()}
    network = model.network
    assert isinstance(network, Network)
    heads = {
        facet: (head.get_parameter("weight").detach().cpu(), head.get_parameter("bias").detach().cpu())
        for facet, head in network.heads.items()
    }
    figures = measure_heads(heads, part, methods)
    scored = list(score_heads(heads, part.features, methods))
    rows = np.concatenate([rows for rows, _ in scored])
    scores = {facet: torch.cat([table[facet] for _, table in scored]).numpy() for facet in heads}
    truth = {facet: part.targets[facet].dense(rows) for facet in heads}
    calibration = fit_calibration(scores, truth, model.vocabulary, precision_name(model.precision))
    beliefs = beliefs_of(scores, truth, counts, model.vocabulary, calibration)
    for method in model.methods.values():
        method.to(model.device)
    return figures, calibration, beliefs


def train_heads(
    model: TaggingModel,
    given: TrainConfig,
    config: TrainConfig,
    root: Root,
    folder: Path,
    split: Split,
    validation: Split,
    counts: dict[str, np.ndarray],
    progress: Progress,
    on_plan: Callable[[Plan], None] | None,
    on_epoch: Callable[[dict[str, float]], None] | None,
    command: str | None,
) -> tuple[Position, dict[str, Any], dict[str, str], list[Belief]]:
    """Train and save a model of `tune=head`, whose backbone stays as it is.

    Returns what `Trained` holds: position, figures on the validation split, unreadable images, beliefs.
    """
    device, precision = select_device(config.device), precision_name(model.precision)
    model.network.to(device).to(memory_format=torch.channels_last)
    with hold_lock(folder / ".lock", f"{folder} is being trained"):
        clear(folder)
        how = Computation.on(device, precision=precision, threads=threads(config.threads))
        record = provenance(given, model.name, model, root, (split, validation), how, command)
        save_config(folder, {**record, "finished": False})
        if on_plan is not None:
            on_plan(plan_of_heads(model, config, given.why(), split, validation, device))
        priors = priors_of(model, split, counts)
        learned = learn_heads(model, config, root, split, validation, priors, progress, on_epoch)
        validated, calibration, beliefs = measure(learned, model, counts)
        save_weights(folder, model.network)
        history = learned.fitted.history
        write_text(folder / HISTORY, history_csv(history))
        best = max(history, key=lambda row: row["r_precision"])
        results = {"strength": learned.fitted.strength, "validation": validated}
        results["calibration"] = calibration.to_json()
        save_config(folder, {**record, **results, "finished": True})
    reached = {"best": best["r_precision"], "best_epoch": best["epoch"]}
    position = Position(epoch=len(history), history=history, **reached)
    return position, validated, learned.unreadable, beliefs
