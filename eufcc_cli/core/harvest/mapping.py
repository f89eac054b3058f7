"""From a record's metadata to tags: concepts linked to AAT, placed in facets, named in a language."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eufcc_cli.core.harvest.aat import AAT_URI, Labels, Node, Placement, Roots, aat_id, language_order
from eufcc_cli.core.harvest.concept_cache import Concepts, Entity, aat_ids, entity_uri
from eufcc_cli.core.harvest.europeana import FIELDS
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, canonical, most_specific

_IS_URI = re.compile(r"https?://\S+|aat:\d+")
_SHALLOW_FIELD = "edmConcept"
# The separators of the published format, as characters that look the same in a tag's name.
_SEPARATORS = str.maketrans({"|": "｜", "$": "＄"})


@dataclass(frozen=True)
class FieldValue:
    """One value of a record: its field, the facets that the field may describe, its language."""

    field: str
    facets: tuple[str, ...]
    language: str
    value: str

    @property
    def is_concept(self) -> bool:
        return _IS_URI.fullmatch(self.value) is not None


def field_values(item: Mapping[str, Any], record: Mapping[str, Any] | None) -> Iterator[FieldValue]:
    """The values of a record: its proxies' fields, or (without it) the concepts of the search result."""
    if record is None:
        for uri in item["concepts"]:
            yield FieldValue(_SHALLOW_FIELD, FACETS, "def", uri.strip())
        return
    for name, facets in FIELDS.items():
        for language, value in record["values"].get(name, ()):
            yield FieldValue(name, facets, language, value.strip())


def europeana_concepts(uri: str, described: Mapping[str, Any]) -> list[str]:
    """The Europeana concepts to ask about a URI: none where it leads to AAT without asking.

    `described` holds the concepts that the record itself describes. A concept of another vocabulary may
    name its Europeana concept, or be named by one of the record.
    """
    if aat_id(uri) or aat_ids(_matches(uri, described)):
        return []
    named_by = (about for about, concept in described.items() if uri in concept["exactMatch"])
    candidates = (entity_uri(each) for each in (uri, *_matches(uri, described), *named_by))
    return list(dict.fromkeys(candidate for candidate in candidates if candidate))


def _matches(uri: str, described: Mapping[str, Any]) -> list[str]:
    return described[uri]["exactMatch"] if uri in described else []


def linked_aat_ids(uri: str, described: Mapping[str, Any], entities: Mapping[str, Entity]) -> tuple[str, ...]:
    """The AAT ids that a concept URI leads to; () where it leads to none."""
    if own := aat_id(uri):
        return (own,)
    if stated := aat_ids(_matches(uri, described)):
        return stated
    for candidate in europeana_concepts(uri, described):
        if found := entities.get(candidate, Entity()).aat_ids:
            return found
    return ()


def mentioned(
    records: Iterable[tuple[Mapping[str, Any], Mapping[str, Any] | None]], entities: Mapping[str, Entity]
) -> tuple[set[str], set[str]]:
    """The Europeana concepts and the AAT ids in records, given as `field_values` takes them."""
    uris: set[str] = set()
    ids: set[str] = set()
    for item, record in records:
        described = record["concepts"] if record else {}
        for value in field_values(item, record):
            if value.is_concept:
                uris.update(europeana_concepts(value.value, described))
                ids.update(linked_aat_ids(value.value, described, entities))
    return uris, ids


@dataclass(frozen=True, order=True)
class Unmapped:
    """A concept (or, with label matching, a literal) that became no tag, where it stands, and why."""

    field: str
    value: str
    label: str
    reason: str


class Mapper:
    """Collects the concepts of all records, then names the tags: `add` records, then read `annotations`.

    Names are given at the end, since a literal may match a label of any record's concept, and a name that
    two concepts of a facet share has to distinguish them.
    """

    def __init__(
        self, concepts: Concepts, roots: Roots, language: str, *, match_labels: bool = False
    ) -> None:
        self._concepts = concepts
        self._roots = roots
        self._language = language
        self._match_labels = match_labels
        self._records: list[list[Placement | FieldValue]] = []
        self._europeana_uris: dict[str, set[str]] = {}
        self._placed: dict[tuple[str, tuple[str, ...]], Placement | str] = {}
        self.unmapped: Counter[Unmapped] = Counter()
        self.literals = 0
        self.foreign_names = 0
        self.uris: dict[str, dict[str, str]] = {}
        """The AAT concept of each tag, {facet: {name: URI}}; known when `annotations` has ended."""

    def add(self, item: Mapping[str, Any], record: Mapping[str, Any] | None) -> None:
        """Take in one record."""
        described = record["concepts"] if record else {}
        kept: list[Placement | FieldValue] = []
        missing: set[Unmapped] = set()
        for value in field_values(item, record):
            if not value.is_concept:
                self.literals += 1
                kept += [value] if self._match_labels else []
                continue
            placement = self._place(value, described)
            if isinstance(placement, Placement):
                kept.append(placement)
            else:
                label = _any_label(value.value, described, self._concepts.entities)
                missing.add(Unmapped(value.field, value.value, label, placement))
        self._records.append(kept)
        self.unmapped.update(missing)

    def _place(self, value: FieldValue, described: Mapping[str, Any]) -> Placement | str:
        found = linked_aat_ids(value.value, described, self._concepts.entities)
        for uri in europeana_concepts(value.value, described):
            for aat in self._concepts.entities.get(uri, Entity()).aat_ids:
                self._europeana_uris.setdefault(aat, set()).add(uri)
        if not found:
            asked = [self._concepts.entities.get(uri) for uri in europeana_concepts(value.value, described)]
            unknown = bool(asked) and all(entity is not None and not entity.found for entity in asked)
            return "Europeana does not know it" if unknown else "no exact match in AAT"
        reasons = []
        for aat in found:
            key = (aat, value.facets)
            if key not in self._placed:
                self._placed[key] = self._roots.place(aat, self._concepts.nodes, value.facets)
            placement = self._placed[key]
            if isinstance(placement, Placement):
                return placement
            reasons.append(placement)
        return reasons[0]

    def annotations(self) -> Iterator[dict[str, list[tuple[str, ...]]]]:
        """For each record added, in order: facet -> paths of names, the most specific ones."""
        placements = [each for record in self._records for each in record if isinstance(each, Placement)]
        labels = _LabelIndex(placements, self._labels) if self._match_labels else None
        resolved = [self._match(record, labels) for record in self._records]
        names = self._names(placement for record in resolved for placement in record)
        self.uris = {}
        for (facet, aat), name in names.items():
            self.uris.setdefault(facet, {})[name] = f"{AAT_URI}{aat}"
        for record in resolved:
            by_facet: dict[str, dict[tuple[str, ...], None]] = {}
            for placement in record:
                path = tuple(names[placement.facet, aat] for aat in placement.path)
                by_facet.setdefault(placement.facet, {})[path] = None
            yield {facet: most_specific(paths, path=tuple) for facet, paths in by_facet.items()}

    def _match(
        self, record: Sequence[Placement | FieldValue], labels: "_LabelIndex | None"
    ) -> list[Placement]:
        out = []
        missing: set[Unmapped] = set()
        for each in record:
            if isinstance(each, Placement):
                out.append(each)
            elif labels is not None:
                placement = labels.find(each)
                if isinstance(placement, Placement):
                    out.append(placement)
                else:
                    missing.add(Unmapped(each.field, each.value, "", placement))
        self.unmapped.update(missing)
        return out

    def _labels(self, aat: str) -> Labels:
        """The labels of an AAT concept by language: AAT's own first, then those of its Europeana concepts."""
        out = {
            language: list(texts) for language, texts in self._concepts.nodes.get(aat, Node()).labels.items()
        }
        for uri in sorted(self._europeana_uris.get(aat, ())):
            for language, text in self._concepts.entities[uri].labels.items():
                out.setdefault(language, []).append(text)
        return out

    def _names(self, placements: Iterable[Placement]) -> dict[tuple[str, str], str]:
        """A name for every AAT id in its facet; two ids of one facet never share one.

        Counts the names that are in another language than the one asked for.
        """
        self.foreign_names = 0
        used: dict[str, dict[str, str]] = {}
        for placement in placements:
            names = used.setdefault(placement.facet, {})
            for aat in placement.path:
                if aat not in names:
                    labels = self._labels(aat)
                    names[aat] = tag_name(labels, self._language) or f"AAT {aat}"
                    asked = self._language.lower()
                    self.foreign_names += not any(f"{code}-".startswith(f"{asked}-") for code in labels)
        out: dict[tuple[str, str], str] = {}
        for facet, names in used.items():
            times = Counter(names.values())
            out |= {
                (facet, aat): name if times[name] == 1 else f"{name} (AAT {aat})"
                for aat, name in names.items()
            }
        return out


def tag_name(labels: Labels, language: str) -> str:
    """The name of a tag in a language, else in its regional variants, English, any other; "" without labels.

    >>> tag_name({"en": ["bronze (metal)"], "es": ["bronce | metal"]}, "es")
    'bronce ｜ metal'
    >>> tag_name({"en": ["bronze (metal)"], "nl": ["brons"]}, "ca")
    'bronze (metal)'
    """
    for code in language_order(language, labels):
        for text in labels[code]:
            if name := canonical(text.translate(_SEPARATORS)):
                return name
    return ""


def _any_label(uri: str, described: Mapping[str, Any], entities: Mapping[str, Entity]) -> str:
    """A label for a human reader of the list of unmapped concepts, English first."""
    labels: Labels = described[uri]["labels"] if uri in described else {}
    if not labels and (entity := entity_uri(uri)) and entity in entities:
        labels = {language: [text] for language, text in entities[entity].labels.items()}
    return tag_name(labels, "en")


class _LabelIndex:
    """Exact label -> the placements it may mean, per facet and language."""

    def __init__(self, placements: Iterable[Placement], labels_of: Any) -> None:
        self._index: dict[tuple[str, str], dict[Placement, set[str]]] = {}
        seen: set[Placement] = set()
        for placement in placements:
            for end in range(1, len(placement.path) + 1):
                concept = Placement(placement.facet, placement.path[:end])
                if concept in seen:
                    continue
                seen.add(concept)
                for language, texts in labels_of(concept.path[-1]).items():
                    for text in texts:
                        key = (concept.facet, unicodedata.normalize("NFC", text))
                        self._index.setdefault(key, {}).setdefault(concept, set()).add(language)

    def find(self, literal: FieldValue) -> Placement | str:
        """The one concept that bears exactly this label; in the literal's language, where it names one."""
        text = unicodedata.normalize("NFC", literal.value)
        means = {
            placement
            for facet in literal.facets
            for placement, languages in self._index.get((facet, text), {}).items()
            if literal.language in ("def", "") or literal.language in languages
        }
        if len(means) == 1:
            return means.pop()
        return "its label is that of several concepts" if means else "no concept bears this label"
