"""JSON lines: one object per record, its values as text."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from eufcc_cli.core.dataset.museum.readers.export import Dialect, Export, text_frame, unique_names
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import atomic_open

LIST_SEPARATOR = " | "


def read_json_lines(path: Path) -> Export:
    """Read a .jsonl file; a list of texts becomes one cell, joined by ` | `. DataError names the line."""
    records: list[dict[str, str]] = []
    keys: dict[str, None] = {}
    lists: dict[str, None] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(
                        f"{path}, line {number}: not JSON: {error}", hint="one object on each line"
                    ) from error
                if not isinstance(record, dict):
                    raise DataError(f"{path}, line {number}: not an object", hint="one object on each line")
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
