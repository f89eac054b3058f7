"""Which photographs show which record: matched by file name, in any letter case and image format."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from eufcc_cli.core.download.image_files import ImageFiles, loose_spelling, spelling
from eufcc_cli.core.images.image_formats import FILE_ENDINGS

# What may follow the id in a file's name: a view's letter, number or word, with something between.
_VIEW = re.compile(
    r"(?:[ _-]*\((?:\d{1,3}|[a-z]|copy|kopie|copie|copia)\)|[ _-]+(?:\d{1,3}[a-z]?|[a-z]\d{0,2}|"
    r"recto|verso|front|back|side|top|bottom|"
    r"left|right|detail|det|view|obverse|reverse|av|rv|rs|vs|vorderseite|rueckseite|rückseite|seite|"
    r"détail|dos|profil|revers|avers|detalle|detall|anverso|anvers|reverso|voorkant|achterkant|"
    r"web|print|full|large|small|primary|copy|kopie|copie|copia|original))+",
    re.IGNORECASE,
)
_PREFERRED = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Photograph:
    """One image of a record: its id in the collection, and its file."""

    id: str
    record: str
    file: Path


@dataclass
class Found:
    """The photographs of records, and the files that match none; `doubles` are left out: they show a view
    again in another format."""

    photographs: list[Photograph] = field(default_factory=list)
    unused: list[Path] = field(default_factory=list)
    doubles: list[Path] = field(default_factory=list)
    lost: list[Photograph] = field(default_factory=list)
    """Those that the ledger has and that are no longer there."""


def find_photographs(
    ids: Sequence[str], files: ImageFiles, named: Mapping[str, Sequence[str]] | None = None
) -> Found:
    """Match image files with records.

    A file belongs to a record if the record's photo cell names it (`named`: {id: file names, paths or URLs}),
    or if its stem is the id: in any letter case, with other punctuation (`1913-5` for 1913.5), and with a
    view behind it (`1913.5_a`, `1913-5 (2)`). The nearest id counts. The first photograph of a record takes
    the record's id, the others the id with their view.

    >>> files = ImageFiles([Path("x/1913-5 (2).JPG"), Path("x/1913.5.jpg"), Path("1914.tif")])
    >>> [(p.id, p.file.name) for p in find_photographs(["1913.5"], files).photographs]
    [('1913.5', '1913.5.jpg'), ('1913.5 (2)', '1913-5 (2).JPG')]
    >>> files = ImageFiles([Path("7.jpg"), Path("8.0.jpg"), Path("8_a.jpg")])
    >>> [(p.id, p.file.name) for p in find_photographs(["7.0", "8.0"], files).photographs]
    [('7.0', '7.jpg'), ('8.0', '8.0.jpg'), ('8.0 (8_a)', '8_a.jpg')]
    """
    if not files.files:
        return Found()
    owners: dict[Path, list[str]] = defaultdict(list)
    for image_id, names in (named or {}).items():
        for file in dict.fromkeys(file for name in names for file in _of_name(name, files)):
            owners[file].append(image_id)  # one photograph may show several objects
    _own_by_stem(ids, files, owners)
    of_record: dict[str, list[Path]] = defaultdict(list)
    for file in files.files:
        for record in owners.get(file, ()):
            of_record[record].append(file)
    found = Found(unused=[file for file in files.files if file not in owners])
    taken = {spelling(record) for record in ids}
    for record in ids:
        views, doubles = _views(record, of_record.get(record, ()))
        found.doubles += doubles
        for number, (view, file) in enumerate(views):
            image_id = record if number == 0 else _free(f"{record}{view}", taken)
            found.photographs.append(Photograph(image_id, record, file))
    return found


def _of_name(name: str, files: ImageFiles) -> list[Path]:
    """The files that a photo cell may name: by path, else by name; never one outside the folders."""
    text = name.strip().split("?")[0].replace("\\", "/").rstrip("/")
    if "://" in text:
        text = unquote(text)
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    if not parts:
        return []
    last = parts[-1]
    stem = Path(last).stem if Path(last).suffix else last
    alike = files.with_stem(last) or files.with_stem(stem)
    same_name = [file for file in alike if spelling(file.name) == spelling(last)] or alike
    for depth in range(len(parts), 1, -1):  # the longest common path decides among files of one name
        ending = [spelling(part) for part in parts[-depth:-1]]
        here = [file for file in same_name if [spelling(p) for p in file.parts[-depth:-1]] == ending]
        if here:
            return here
    return same_name if len(same_name) == 1 or len({file.parent for file in same_name}) == 1 else []


def _stem(file: Path) -> str:
    """A file's name without its ending, also one that was added again: `1913.5.jpg.JPG`."""
    inner = Path(file.stem)
    return inner.stem if inner.suffix.lower() in FILE_ENDINGS else file.stem


def _own_by_stem(ids: Sequence[str], files: ImageFiles, owners: dict[Path, list[str]]) -> None:
    by_case: dict[str, list[str]] = defaultdict(list)
    by_loose: dict[str, list[str]] = defaultdict(list)
    # Whole numbers as some programs write them: 1913.0 for 1913.
    decimals = all(record.endswith(".0") for record in ids)
    for record in ids:
        name = record.removesuffix(".0") if decimals else record
        by_case[spelling(name)].append(record)
        by_loose[loose_spelling(name)].append(record)
    exact = set(ids)
    for file in files.files:
        stem = _stem(file)
        if file in owners:
            continue
        if stem in exact:
            owners[file] = [stem]
            continue
        for of in (by_case.get(spelling(stem), []), by_loose.get(loose_spelling(stem), [])):
            if len(of) == 1:
                owners[file] = of
                break
        else:
            if (of_view := _with_view(stem, by_case, by_loose)) is not None:
                owners[file] = [of_view]


def _with_view(stem: str, by_case: Mapping[str, list[str]], by_loose: Mapping[str, list[str]]) -> str | None:
    """The record with the longest id that this stem starts with, followed by a view."""
    for cut in range(len(stem) - 1, 0, -1):
        if stem[cut] in " _-(" and _VIEW.fullmatch(stem[cut:]):
            rest = stem[:cut]
            for of in (by_case.get(spelling(rest), []), by_loose.get(loose_spelling(rest), [])):
                if len(of) == 1:
                    return of[0]
    return None


def _views(record: str, files: Iterable[Path]) -> tuple[list[tuple[str, Path]], list[Path]]:
    """A record's files in order with their views, and those that repeat a view."""
    kept: dict[tuple[str, str], tuple[str, Path]] = {}
    doubles = []
    for file in sorted(files, key=lambda file: (_natural(_stem(file)), _rank(file), str(file))):
        # The same stem in the same folder: the same picture in another format.
        key = (str(file.parent), spelling(_stem(file)))
        if key in kept:
            doubles.append(file)
        else:
            kept[key] = (_view(record, _stem(file)), file)
    ordered = sorted(kept.values(), key=lambda view: (bool(view[0]), _natural(view[0]), str(view[1])))
    return ordered, doubles


def _view(record: str, stem: str) -> str:
    """The part of a stem after the record's id: "" if it equals the id, the whole stem if it is unlike it."""
    for cut in range(1, len(stem) + 1):
        if loose_spelling(stem[:cut]) == loose_spelling(record):
            return stem[cut:]
    return f" ({stem})"


def _free(image_id: str, taken: set[str]) -> str:
    candidate, again = image_id, 2
    while spelling(candidate) in taken:
        candidate, again = f"{image_id}~{again}", again + 1
    taken.add(spelling(candidate))
    return candidate


def _natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts `a2` before `a10`."""
    return [
        (int(part), "") if part.isdigit() else (-1, part)
        for part in re.split(r"(\d+)", spelling(text))
        if part
    ]


def _rank(file: Path) -> int:
    ending = file.suffix.lower()
    return _PREFERRED.index(ending) if ending in _PREFERRED else len(_PREFERRED)
