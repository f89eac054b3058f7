"""The sources of the data (data/provenance.json) and their attribution."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from eufcc_cli.core.errors import DataError, number_of
from eufcc_cli.core.files import Root, sha256, write_text

AAT_ATTRIBUTION = (
    "This collection contains information from the Art & Architecture Thesaurus (AAT)® which is made "
    "available under the ODC Attribution License (http://opendatacommons.org/licenses/by/1.0/). "
    "AAT: Getty Research Institute, http://vocab.getty.edu/aat/"
)
EUROPEANA_ATTRIBUTION = (
    "Descriptions: Europeana and its data providers, metadata under CC0 1.0 "
    "(https://creativecommons.org/publicdomain/zero/1.0/). Each image has rights of its own; CC BY and "
    "CC BY-SA ask for attribution."
)


def provenance_file(root: Root) -> Path:
    """The path of the file that records the source of every file of a collection."""
    return root.data / "provenance.json"


def read_provenance(root: Root) -> dict[str, dict[str, Any]]:
    """The facts recorded about each file, by its path below the root; {} if there are none yet."""
    path = provenance_file(root)
    if not path.is_file():
        return {}
    try:
        files = json.loads(path.read_bytes())["files"]
        if not all(isinstance(entry, dict) for entry in files.values()):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a record of provenance", hint="move it away: a new one is written"
        ) from error
    return files


def record(root: Root, entries: Mapping[Path, Mapping[str, Any]], removed: Iterable[Path] = ()) -> None:
    """Record the source, date, size and digests of files that were just written."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    files = read_provenance(root)
    for path in removed:
        files.pop(_key(root, path), None)
    for path, entry in entries.items():
        files[_key(root, path)] = {
            **entry,
            "written": now,
            "bytes": path.stat().st_size,
            "sha256": sha256(path),
        }
    content = {"files": dict(sorted(files.items()))}
    write_text(provenance_file(root), json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def wrote(root: Root, path: Path, **facts: object) -> bool:
    """Whether a file is unchanged since a command with these facts wrote it."""
    entry = read_provenance(root).get(_key(root, path), {})
    return bool(entry) and facts.items() <= entry.items() and entry.get("sha256") == sha256(path)


def _key(root: Root, path: Path) -> str:
    absolute = path.absolute()
    folder = root.path.absolute()
    return (absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute).as_posix()


def without_secrets(url: str) -> str:
    """A URL without the parts that may hold secrets: user, password, query, fragment.

    >>> without_secrets("https://me:word@mirror.example:8443/eufcc/data/val.csv?token=1#x")
    'https://mirror.example:8443/eufcc/data/val.csv'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def write_attribution(path: Path, sources: Iterable[str], providers: Mapping[str, tuple[int, str]]) -> None:
    """Write the attribution: the sources, then every provider with its number of images and their rights."""
    lines = ["# Attribution", "", *(f"- {source}" for source in sources)]
    if providers:
        lines += ["", "## Data providers", ""]
        for name in sorted(providers, key=str.casefold):
            images, rights = providers[name]
            of = f" ({rights})" if rights else ""
            lines.append(f"- {name or '(not named)'}: {number_of(images, 'image')}{of}")
    write_text(path, "\n".join(lines) + "\n")
