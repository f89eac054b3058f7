"""Loading the images of a split, from a cache or from the files; unreadable ones are found first."""

import shutil

import torch

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.machine import cores
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.progress import Progress
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loading.data import (
    FileImageLoader,
    ImageLoader,
    Split,
    check_files,
    check_unreadable,
)
from eufcc_cli.core.training.loading.image_cache import AUTO_LIMIT, build_cache, cache_bytes


def open_images(
    root: Root,
    split: Split,
    preprocessing: Preprocessing,
    config: TrainConfig,
    device: torch.device,
    progress: Progress,
) -> ImageLoader:
    """An image loader for a split: from a cache if the settings say so or if it is small.

    Every image is decoded once before training; raises ModelError where more than `config.max_unreadable` of
    them cannot be read.
    """
    wanted = cache_bytes(split, preprocessing)
    cached = config.cache
    if cached is None:
        free = shutil.disk_usage(root.data).free
        cached = config.augment != "strong" and wanted <= min(AUTO_LIMIT, free // 2)
    if cached and config.augment == "strong":
        raise ModelError(
            "`cache`: RandAugment needs the files", hint="choose `augment=light` or `cache=False`"
        )
    if cached:
        cache = build_cache(root, split, preprocessing, progress, config.workers or None)
        check_unreadable(split, cache.bad, config.max_unreadable)
        return cache
    bad = check_files(split, progress, config.workers or None)
    check_unreadable(split, bad, config.max_unreadable)
    return FileImageLoader(
        split.files,
        preprocessing,
        workers=min(cores(), 16) if config.workers is None else config.workers,
        randaugment_seed=config.seed if config.augment == "strong" and split.name == "train" else None,
        pin_memory=device.type == "cuda",
        bad=bad,
    )
