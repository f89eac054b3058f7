"""Opening a review: suggestions, decisions, and data of the root about the images."""

from pathlib import Path
from typing import TYPE_CHECKING

from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review.catalogued import add_catalogue, reviewed_trees
from eufcc_cli.core.tagging.review.review_state import Review
from eufcc_cli.core.tagging.review.server import ReviewServer
from eufcc_cli.core.tagging.review.suggestions import read_suggestions
from eufcc_cli.core.tagging.review.thumbnails import Pictures
from eufcc_cli.core.taxonomy.decisions import DecisionsFile, decisions_path
from eufcc_cli.core.taxonomy.names import names_of

if TYPE_CHECKING:
    import pandas as pd


def open_review(
    path: Path,
    root: Root,
    reviewer: str,
    decisions: Path | None = None,
    table: "pd.DataFrame | None" = None,
) -> tuple[Review, ReviewServer]:
    """The review of a suggestions file, and a server for it.

    decisions: the file to append to, by default the one beside the suggestions; table: the annotation
    table with the images' records, by default the root's tables. Raises DataError for files of another
    format.
    """
    suggestions = read_suggestions(path)
    add_catalogue(suggestions, root, table)
    trees = reviewed_trees(suggestions, root)
    review = Review(suggestions, trees, DecisionsFile(decisions or decisions_path(path)), reviewer)
    thumbnails = path.with_name(f".{path.stem}.thumbnails")
    return review, ReviewServer(review, names_of(root, trees), Pictures(thumbnails))
