"""The known terms of a root: from its label files and EUFCC-340K's glossary, with all their names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.matching.words import language_of
from eufcc_cli.core.taxonomy.names import LANGUAGES, Names, glossary, glossary_paths, names_of, read_names

TagPath = tuple[str, ...]
_SAMPLE = 2000  # the most frequent texts, enough to detect the language


@dataclass(frozen=True)
class Term:
    """A known term: its path from the top, and its names by language."""

    path: TagPath
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)


def root_terms(root: Root, facet: str, tags_in: str) -> Iterator[Term]:
    """The known terms of a facet in a root, in the order of precedence.

    Without a label file: the glossary's terms, with their names in the language `tags_in` as tags. With one:
    the file's tags, and, where at least half of them are names of the glossary in one language, the
    glossary's other terms in that language, each below the deepest of its broader terms that the file has.
    labels/names.csv and the glossary name them all in other languages.
    """
    names = read_names(root.names)
    known = glossary().get(facet, {})
    if not root.label_file(facet).is_file():
        for tag, path in glossary_paths(facet, tags_in).items():
            yield Term(path, _merged(names.facets.get(facet, {}).get(path[-1], {}), known[tag]))
        return
    tree = Hierarchy.read(root.label_file(facet), facet)
    names = names_of(root, {facet: tree})
    spoken = _language_of_labels(tree, facet, tags_in)
    paths = glossary_paths(facet, spoken) if spoken else {}
    published = {path[-1]: tag for tag, path in paths.items()}
    for tag in tree:
        of_tag = names.facets.get(facet, {}).get(tag, {})
        yield Term(tree.path(tag), _merged(of_tag, known[published[tag]] if tag in published else {}))
    for tag, path in paths.items():
        if path[-1] not in tree:
            # Below the deepest of its broader terms that the tree has, wherever that stands there.
            depth = next((d for d in range(len(path) - 1, 0, -1) if path[d - 1] in tree), 0)
            above = tree.path(path[depth - 1]) if depth else ()
            yield Term((*above, *path[depth:]), known[tag])


def glossary_terms(facet: str, tags_in: str) -> Iterator[Term]:
    """The glossary's terms of a facet, with their names in a language as tags."""
    known = glossary().get(facet, {})
    for tag, path in glossary_paths(facet, tags_in).items():
        yield Term(path, _merged(known[tag]))


def _language_of_labels(tree: Hierarchy, facet: str, preferred: str) -> str | None:
    """The language in which the glossary names at least half of a tree's tags; None if there is none."""
    shares = {
        language: sum(path[-1] in tree for path in glossary_paths(facet, language).values())
        for language in dict.fromkeys((preferred, "ca", *LANGUAGES))
    }
    best = max(shares, key=lambda language: shares[language])
    return best if 2 * shares[best] >= max(len(tree), 1) else None


def _merged(*names: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    merged: dict[str, list[str]] = {}
    for some in names:
        for language, texts in some.items():
            merged.setdefault(language, []).extend(texts)
    return merged


def detect_language(texts: Mapping[str, Mapping[str, int]]) -> str | None:
    """The language of facet columns, {facet: {text: records with it}}; None if it cannot be detected.

    >>> detect_language({"materials": {"Holz mit Resten von Vergoldung": 3, "bronze": 8}})
    'de'
    """
    names = {
        language: [
            name for facet in texts for tag in glossary().get(facet, {}).values() for name in tag[language]
        ]
        for language in LANGUAGES
    }
    together: dict[str, int] = {}
    for counts in texts.values():
        for text, count in counts.items():
            together[text] = together.get(text, 0) + count
    telling = sorted(together, key=lambda text: -together[text])[:_SAMPLE]
    return language_of({text: together[text] for text in telling}, names)


def add_names(names: Names, facet: str, terms: Iterable[Term], tags: Iterable[str]) -> None:
    """Add the names of tags of a facet in other languages, where the terms have some.

    Published tags are left out: their names are in the glossary.
    """
    wanted = set(tags)
    published = set(glossary_paths(facet).values())
    for term in terms:
        tag = term.path[-1]
        if tag in wanted and term.path not in published:
            for language, texts in term.names.items():
                for text in texts:
                    names.add(facet, tag, language, text)
