"""How often the tags of a tree occur in annotations."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from eufcc_cli.core.taxonomy.tables.annotations import paths


@dataclass
class Counts:
    """How often each tag of a tree occurs.

    images: rows that have the tag or a descendant in the tree, each once; named: rows whose annotation
    names the tag (an image's tags are all the names on its paths); ends: paths that end at the tag;
    parents: for each tag its parents in the annotations, in reading order (None: at the top; itself if a
    path repeats it), with the number of paths; repeated: paths that name a tag twice; unknown: names
    that the tree lacks, with their rows; annotated: rows with an annotation.
    """

    images: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    parents: dict[str, Counter[str | None]] = field(default_factory=dict)
    repeated: Counter[tuple[str, ...]] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    annotated: int = 0


def count(annotations: Mapping[str, int], place: Mapping[str, tuple[str, ...]]) -> Counts:
    """Count distinct annotations (with the rows of each) in a tree, `place` being each tag's path in it.

    Time grows with the distinct annotations, not with the rows.

    >>> place = {"metal": ("metal",), "bronze": ("metal", "bronze")}
    >>> counts = count({"metal | bronze": 3, "art | bronze": 1}, place)
    >>> counts.images["metal"], counts.named["metal"], counts.unknown["art"]
    (4, 3, 1)
    """
    counts = Counts()
    ways: Counter[tuple[str, ...]] = Counter()
    for annotation, rows in annotations.items():
        found = paths(annotation)
        for path in found:
            ways[path] += rows
        named = {name for path in found for name in path}
        counts.annotated += rows if named else 0
        for name in named:
            (counts.named if name in place else counts.unknown)[name] += rows
        for above in {above for name in named for above in place.get(name, ())}:
            counts.images[above] += rows
    for path, times in ways.items():
        if path[-1] in place:
            counts.ends[path[-1]] += times
        if len(set(path)) < len(path):
            counts.repeated[path] += times
        for parent, name in zip((None, *path), path, strict=False):
            counts.parents.setdefault(name, Counter())[parent] += times
    return counts
