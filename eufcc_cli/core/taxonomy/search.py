"""Search for a tag in the trees, ignoring case, accents and spaces; similar names are proposed."""

from collections.abc import Mapping
from dataclasses import dataclass

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.exports import other_parents
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.names import Names
from eufcc_cli.core.taxonomy.spelling import fold, near_misses


@dataclass(frozen=True)
class Place:
    """A tag in its tree: its path, its images with those of its descendants, the number of its children,
    and its other parents in annotations (None: at the top).
    """

    facet: str
    tag: str
    path: tuple[str, ...]
    images: int
    children: int
    other_parents: list[str | None]


def find(trees: Mapping[str, Hierarchy], text: str, names: Names = Names()) -> list[Place]:
    """Every place of a tag with this name, in any language; DataError, with similar names, if there is none.

    >>> tree = Hierarchy.from_annotations("materials", {"teixit | Teixit de pèl": 2})
    >>> [place.path for place in find({"materials": tree}, "TEIXIT DE PEL")]
    [('teixit', 'Teixit de pèl')]
    >>> find({"materials": tree}, "teixits")
    Traceback (most recent call last):
    eufcc_cli.core.errors.DataError: no tag is called 'teixits'
    """
    wanted = fold(text)
    places = [
        Place(
            facet=facet,
            tag=name,
            path=tree.path(name),
            images=tree.counts.images[name],
            children=len(tree.children(name)),
            other_parents=other_parents(tree, name),
        )
        for facet, tree in trees.items()
        for name in tree
        if wanted in map(fold, _texts(names, facet, name))
    ]
    if not places:
        known = (text for facet, tree in trees.items() for tag in tree for text in _texts(names, facet, tag))
        near = near_misses(text, {text.casefold(): text for text in reversed([*known])}.values())
        raise DataError(
            f"no tag is called {text!r}", hint=f"did you mean {', '.join(near)}?" if near else None
        )
    return places


def _texts(names: Names, facet: str, tag: str) -> list[str]:
    return [tag, *(text for _, text in names.every(facet, tag))]
