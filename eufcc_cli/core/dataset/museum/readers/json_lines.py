"""JSON lines, or one JSON document with a list of objects: one per record, its values as text."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from eufcc_cli.core.dataset.museum.readers.export import Dialect, Export, text_frame, unique_names
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import atomic_open

LIST_SEPARATOR = " | "


def read_json(path: Path) -> Export:
    """Read JSON lines, or a document that is a list of objects or has one, such as {"records": [...]}.

    A list of texts becomes one cell, joined by ` | `. DataError names the line, or the record of a document.
    """
    records: list[dict[str, str]] = []
    keys: dict[str, None] = {}
    lists: dict[str, None] = {}
    try:
        document = _of_document(path)
        for place, record in _of_lines(path) if document is None else document:
            if not isinstance(record, dict):
                raise DataError(f"{path}, {place}: not an object", hint="one object for each record")
            keys.update(dict.fromkeys(record))
            lists.update({key: None for key, value in record.items() if isinstance(value, list)})
            records.append({key: _text(value) for key, value in record.items()})
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text", hint="save it as UTF-8") from error
    if not records or not keys:
        raise DataError(f"{path}: no records in it", hint="export it again")
    names = unique_names(keys)
    cells = [[record.get(key, "") for record in records] for key in keys]
    of_list = tuple(name for name, key in zip(names, keys, strict=True) if key in lists)
    dialect = Dialect("jsonl", lists=of_list)
    separator = LIST_SEPARATOR.strip() if of_list else None
    return Export((path,), text_frame(names, cells), tuple(keys), dialect, separator=separator, first_line=1)


def _of_lines(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {number}: not JSON: {error}", hint="one object on each line"
                ) from error


def _of_document(path: Path) -> list[tuple[str, Any]] | None:
    """The records of a file that is one JSON document, with their places; None for JSON lines."""
    with path.open(encoding="utf-8-sig") as file:
        start = next((line.strip() for line in file if line.strip()), "")
        rest = any(line.strip() for line in file)
    if not start.startswith("[") and path.suffix.lower() != ".json":
        return None
    with suppress(ValueError, RecursionError):
        if isinstance(json.loads(start), dict) and rest:
            return None
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if start[:1] == "{" and start != "{":
            return None  # lines, of which the first is damaged
        raise DataError(f"{path}: not JSON: {error}", hint="export it again") from error
    if isinstance(content, dict):
        found = [value for value in content.values() if _are_records(value)]
        content = found[0] if len(found) == 1 else [content]
    if not isinstance(content, list):
        raise DataError(f"{path}: JSON without a list of records", hint="export it again")
    return [(f"record {number}", record) for number, record in enumerate(content, start=1)]


def _are_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def write_json_lines(frame: pd.DataFrame, header: tuple[str, ...], path: Path, dialect: Dialect) -> None:
    """Write each record as an object of texts, with lists for the columns in `dialect.lists`."""
    columns = [frame[name].tolist() for name in frame]
    is_list = [name in dialect.lists for name in frame]
    with atomic_open(path, "w") as file:
        for row in zip(*columns, strict=True):
            record = {
                key: cell.split(LIST_SEPARATOR) if listed and cell else cell
                for key, cell, listed in zip(header, row, is_list, strict=True)
            }
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, (str, int, float)) for each in value):
        return LIST_SEPARATOR.join(map(str, value))
    return json.dumps(value, ensure_ascii=False)
