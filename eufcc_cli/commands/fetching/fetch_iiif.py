"""IIIF manifests and collections among the exports of `eufcc fetch table`."""

from collections.abc import Sequence
from pathlib import Path

from eufcc_cli import console
from eufcc_cli.core.errors import number_of
from eufcc_cli.core.files import Root


def local_exports(
    root: Root, sources: Sequence[str], language: str | None, *, allow_private_hosts: bool
) -> tuple[list[Path], int]:
    """The files of exports, those of IIIF written first; and how many manifests cannot be used."""
    from eufcc_cli.core.download.prefetch import Fetcher
    from eufcc_cli.core.harvest.iiif.table import harvest_table
    from eufcc_cli.core.http.politeness import Politeness
    from eufcc_cli.core.tagging.inputs import is_url

    if not any(map(is_url, sources)):
        return [Path(source) for source in sources], 0
    paths, broken = [], 0
    with Fetcher(Politeness(allow_private_hosts=allow_private_hosts)) as fetcher:
        for source in sources:
            if not is_url(source):
                paths.append(Path(source))
                continue
            found = harvest_table(root, source, fetcher, language=language, progress=console.progress())
            console.note(f"{source}: {number_of(found.records, 'record')}, written to {found.path}")
            for one in found.broken:
                console.warn(f"{one.url}: {one.reason}")
            paths.append(found.path)
            broken += len(found.broken)
    return paths, broken
