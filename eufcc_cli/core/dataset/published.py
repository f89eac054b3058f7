"""EUFCC-340K as published: its revisions, URLs and digests, and a verified download.

Every file is pinned to a commit and verified by its git blob id before it takes its place.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from eufcc_cli.core.dataset import provenance
from eufcc_cli.core.dataset.pinned_files import PinnedFile, fetch_pinned, git_blob_id
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import SPLITS, Root
from eufcc_cli.core.locks import hold_lock
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, ID, PROVIDER

REPOSITORY = "https://raw.githubusercontent.com/cesc47/EUFCC-340K"
EUFCC_ATTRIBUTION = (
    "Annotations: EUFCC-340K, https://github.com/cesc47/EUFCC-340K (F. Net, M. Folia, P. Casals, "
    "A. D. Bagdanov, L. Gómez: EUFCC-340K: A faceted hierarchical dataset for metadata annotation in GLAM "
    "collections. Multimedia Tools and Applications, 2025, doi:10.1007/s11042-024-20561-9)"
)


@dataclass(frozen=True)
class Revision:
    """One state of the published repository: its commit, and the git blob id of each of its files."""

    commit: str
    files: dict[str, str]


_UNCHANGED = {
    "data/test_id.csv": "596d7e6eea7fda4a4ba5dea120bd421e9386b3e0",
    "data/test_ood.csv": "580c48d6b63f0d1f60e3be987f5106b3b002e1b8",
    "labels/objectTypes.txt": "0b9f9c9ec6feeaf78fae3b2924c36b4f268e2210",
    "labels/materials.txt": "bb33b8bfe3db91ac8424133ba8c4f08381a5c85d",
    "labels/classifications.txt": "3a2485da15b4775a5752bf0b034274d8b3678f41",
    "labels/subjects.txt": "87aa22f9eef6b7ab58419168d01d720d84a0c42a",
}
REVISIONS = {
    # 2026-03-22, "Corrected data leakage in github splits"
    "corrected": Revision(
        "56cc8cf77d3a1bb5ec7d6e3470a016bf17a79d6d",
        {
            "data/train.csv": "a58c02aeff97c57cd8b901ba57eca0320b6db18b",
            "data/val.csv": "25f16f141a312b0735b6299934b2497e576614fd",
            **_UNCHANGED,
        },
    ),
    # the splits behind the paper's table
    "original": Revision(
        "23ad95c3f62f9ffee2e5420145840d751cafbeb5",
        {
            "data/train.csv": "cdb734fc2a6f034e8cda98af760d8580975d3446",
            "data/val.csv": "b0202a68d023bd29b7d2dcc2cfbc6beefd6b3904",
            **_UNCHANGED,
        },
    ),
}


@dataclass(frozen=True)
class Fetched:
    """A file that is in place and verified; `new` if this call fetched it."""

    path: Path
    new: bool


def fetch_published(
    root: Root,
    revision: str = "corrected",
    splits: Collection[str] = SPLITS,
    *,
    labels: bool = True,
    base_url: str | None = None,
    force: bool = False,
    progress: Progress = SILENT,
) -> list[Fetched]:
    """Fetch annotation tables and label files, several at a time, and verify each before it takes its place.

    Files that are already right stay as they are; a file that is not a published one is replaced only with
    `force`. An interrupted download continues where it stopped. `base_url` is a mirror with the same paths
    (BASE/data/train.csv). Raises CollectError, naming the file; the old file is then still there.
    """
    if revision not in REVISIONS:
        raise CollectError(f"revision {revision} is not known", hint=f"one of {', '.join(REVISIONS)}")
    if unknown := [split for split in splits if split not in SPLITS]:
        raise CollectError(f"split {unknown[0]} is not published", hint=f"one of {', '.join(SPLITS)}")
    chosen = REVISIONS[revision]
    wanted = {root.table(split): f"data/{split}.csv" for split in SPLITS if split in splits}
    if labels:
        wanted |= {root.label_file(facet): f"labels/{facet}.txt" for facet in FACETS}
    base = (base_url or f"{REPOSITORY}/{chosen.commit}").rstrip("/")
    provenance.read_provenance(root)  # an unusable record is an error before anything is fetched
    with hold_lock(root.data / ".fetch.lock", f"{root.data}: another `eufcc fetch` is running here"):
        missing = [
            PinnedFile(path, f"{base}/{name}", chosen.files[name])
            for path, name in wanted.items()
            if not _in_place(path, chosen.files[name], force)
        ]
        if missing:
            facts = {"source": "EUFCC-340K", "dataset_revision": revision, "commit": chosen.commit}
            try:
                asyncio.run(fetch_pinned(missing, progress))
            finally:
                _record(root, [file for file in missing if file.done], facts)
            _attribute(root)
    return [Fetched(path, path in {file.path for file in missing}) for path in wanted]


def _record(root: Root, files: list[PinnedFile], facts: dict[str, str]) -> None:
    if files:
        known = {
            file.path: facts | {"url": provenance.without_secrets(file.url), "git_blob_id": file.blob_id}
            for file in files
        }
        provenance.record(root, known)


def _in_place(path: Path, blob: str, force: bool) -> bool:
    """Whether the right file is there; an error for any other file, which may be someone's work."""
    if not path.is_file():
        return False
    present = git_blob_id(path)
    published = any(present in revision.files.values() for revision in REVISIONS.values())
    if not published and not force:
        raise CollectError(
            f"{path}: exists, and is not a file of EUFCC-340K",
            hint="give `force` to replace it, or another `root`",
        )
    return present == blob


def _attribute(root: Root) -> None:
    """Write data/ATTRIBUTION.md for the root's tables."""
    images: dict[str, int] = {}
    for split in root.splits():
        counts = read_table(root.table(split), [ID, PROVIDER])[PROVIDER].value_counts()
        for provider, count in counts.items():
            images[str(provider)] = images.get(str(provider), 0) + int(count)
    provenance.write_attribution(
        root.data / "ATTRIBUTION.md",
        [EUFCC_ATTRIBUTION, provenance.EUROPEANA_ATTRIBUTION, provenance.AAT_ATTRIBUTION],
        {name: (count, "") for name, count in images.items()},
    )


def revision_of(root: Root) -> str:
    """The name of the published revision that the root's training table comes from, or `unknown`."""
    table = root.table("train")
    if not table.is_file():
        return "unknown"
    found = git_blob_id(table)
    for name, revision in REVISIONS.items():
        if found == revision.files["data/train.csv"]:
            return name
    return "unknown"
