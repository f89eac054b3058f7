"""Search for terms of the vocabulary by their first letters, in any language, ignoring accents."""

from collections.abc import Mapping
from dataclasses import dataclass

from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.names import Names
from eufcc_cli.core.taxonomy.spelling import fold


@dataclass(frozen=True, slots=True)
class Found:
    """A matching term, with the name that matched if that is not the tag itself."""

    facet: str
    path: tuple[str, ...]
    name: str | None = None


class VocabularySearch:
    """An index of the tags of trees and all their names, fast enough for a search at each key press."""

    def __init__(self, trees: Mapping[str, Hierarchy], names: Names) -> None:
        self._trees = trees
        self._entries: list[tuple[str, tuple[str, ...], str, str, str]] = []
        for facet, tree in trees.items():
            for tag in tree:
                for name in dict.fromkeys([tag, *(name for _, name in names.every(facet, tag))]):
                    words = tuple(fold(word) for word in name.split())
                    self._entries.append((fold(name), words, facet, tag, name))

    def __call__(self, text: str, facet: str | None = None, most: int = 12) -> list[Found]:
        """The best matches: names that begin with the text, then words that do, then names that contain it.

        >>> tree = Hierarchy.from_annotations("materials", {"teixit | Teixit de pèl $ pell": 1})
        >>> search = VocabularySearch({"materials": tree}, Names())
        >>> [found.path for found in search("PEL")]
        [('pell',), ('teixit', 'Teixit de pèl')]
        """
        wanted = fold(text) if text.strip() else ""
        if not wanted:
            return []
        ranked: dict[tuple[str, str], tuple[int, int, str]] = {}
        for folded, words, of_facet, tag, name in self._entries:
            if (facet and of_facet != facet) or wanted not in folded:
                continue
            starts = folded.startswith(wanted)
            rank = 0 if folded == wanted else 1 if starts else 2 if _begins_word(words, wanted) else 3
            place = (rank, len(folded), name)
            if (of_facet, tag) not in ranked or place < ranked[of_facet, tag]:
                ranked[of_facet, tag] = place
        best = sorted(ranked.items(), key=lambda item: item[1])[:most]
        return [
            Found(of_facet, self._trees[of_facet].path(tag), None if name == tag else name)
            for (of_facet, tag), (_, _, name) in best
        ]


def _begins_word(words: tuple[str, ...], wanted: str) -> bool:
    return any("".join(words[i:]).startswith(wanted) for i in range(1, len(words)))
