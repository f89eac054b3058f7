"""A catalogue with a model's additions: the unchanged table, and additional columns."""

from operator import attrgetter
from typing import TYPE_CHECKING

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.tagging.writers.lines import PATH_SEPARATOR, csv_rows
from eufcc_cli.core.tagging.writers.writer import Writer
from eufcc_cli.core.taxonomy.tables.annotations import most_specific

if TYPE_CHECKING:
    import pandas as pd

TAG_SEPARATOR = " $ "


class Additions(Writer):
    """One row for each row of a table, its columns unchanged, with the additions beside them.

    FACET.suggested holds the added paths as the published format writes them, FACET.suggested.score the
    probability of each, in the same order; FACET.contradicted the catalogued paths that the model finds
    improbable, each with the likely tag; suggested.model the model, suggested.error the reason of a failure.
    """

    def __init__(self, frame: "pd.DataFrame", facets: list[str], model: str) -> None:
        self._facets = facets
        self._model = model
        added = [
            f"{facet}.{name}" for facet in facets for name in ("suggested", "suggested.score", "contradicted")
        ]
        added += ["suggested.model", "suggested.error"]
        if there := next((column for column in added if column in frame), None):
            raise EufccError(
                f"`accept`: the table has a column {there!r} already",
                hint="give the table without additions, or rename that column",
            )
        self._rows = frame.to_numpy()
        self.head = csv_rows([[*frame.columns, *added]])

    def text(self, result: Result) -> str:
        row = list(self._rows[result.input.row])
        for facet in self._facets:
            tags = most_specific(result.tags.get(facet, []), attrgetter("path"))
            row.append(TAG_SEPARATOR.join(PATH_SEPARATOR.join(tag.path) for tag in tags))
            row.append(TAG_SEPARATOR.join(f"{tag.score:g}" for tag in tags))
            row.append(
                TAG_SEPARATOR.join(
                    f"{PATH_SEPARATOR.join(found.path)} ({found.score:.2g}; "
                    f"{found.instead.tag} {found.instead.score:.2g})"
                    for found in result.contradictions.get(facet, [])
                )
            )
        added = any(result.tags.values())
        return csv_rows([[*row, self._model if added else "", result.error or ""]])
