"""How suggestions are shown: under which names, and with flags from a list of contentious terms."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from eufcc_cli.core.files import Root
from eufcc_cli.core.model.clip.prompts import text_names
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.taxonomy.matching.flagged_terms import Flag, FlaggedTerms
from eufcc_cli.core.taxonomy.names import Names
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

Suggestions = dict[str, list[Suggestion]]
"""By facet, best first."""


@dataclass(frozen=True)
class Display:
    """Names and flags to show; the tags themselves do not change."""

    language: str | None = None
    """Show tags by their names in this language, from the root and the glossary."""
    names: str | None = None
    """Without `language`, the names of tags: `tags`, a language, or a CSV file (see `text_names`)."""
    flagged: FlaggedTerms | None = None

    def of(self, vocabulary: Vocabulary, names: Names, root: Root) -> Callable[[Suggestions], Suggestions]:
        """A function that adds names and flags to suggestions; DataError for names that cannot be used."""
        shown = self._shown(vocabulary, names, root)
        flagged = self.flagged

        @cache
        def flags(facet: str, tag: str) -> tuple[Flag, ...]:
            return tuple(flagged.of_tag(names, facet, tag)) if flagged is not None else ()

        def displayed(found: Suggestions) -> Suggestions:
            if shown is not None:
                found = {
                    facet: [
                        tag._replace(names=tuple(shown(facet, name) for name in tag.path)) for tag in tags
                    ]
                    for facet, tags in found.items()
                }
            if flagged is not None:
                found = {
                    facet: [tag._replace(flags=flags(facet, tag.tag)) for tag in tags]
                    for facet, tags in found.items()
                }
            return found

        return displayed

    def _shown(self, vocabulary: Vocabulary, names: Names, root: Root) -> Callable[[str, str], str] | None:
        """The name to show for a tag of a facet; None to show the tags themselves."""
        if self.language is not None:
            language = self.language
            names.warn_without(language)
            return lambda facet, tag: names.of(facet, tag, language) or tag
        called = text_names(self.names, vocabulary, root) if self.names is not None else {}
        return (lambda facet, tag: called.get(facet, {}).get(tag, tag)) if called else None
