"""The writers of suggestions, by the names of their formats."""

from collections.abc import Collection

from eufcc_cli.core.tagging.records import Catalogue
from eufcc_cli.core.tagging.tagger import Tagger
from eufcc_cli.core.tagging.writers.lines import Csv, Json, JsonLines
from eufcc_cli.core.tagging.writers.screen import Plain
from eufcc_cli.core.tagging.writers.table_columns import Additions
from eufcc_cli.core.tagging.writers.web_annotations import WebAnnotations
from eufcc_cli.core.tagging.writers.writer import Writer


def make_writer(
    form: str,
    tagger: Tagger,
    date: str,
    catalogue: Catalogue | None = None,
    *,
    language: str | None = None,
    columns: Collection[str] = (),
) -> Writer:
    """The writer of a form: those of `formats.SUGGESTIONS`, additions (to a catalogue).

    language: that of annotations' texts; columns: those of CSV that are not always there.
    """
    if form in ("table", "tree"):
        return Plain(form)
    if form == "csv":
        return Csv(columns)
    if form in ("webannotation", "crowdheritage"):
        kind = WebAnnotations
        if form == "crowdheritage":
            from eufcc_cli.core.tagging.writers.crowdheritage import CrowdHeritage  # which imports pandas

            kind = CrowdHeritage
        return kind(tagger.name, tagger.digest, date, tagger.uris, language, tagger.names)
    if form == "additions" and catalogue is not None:
        return Additions(catalogue.frame, list(tagger.chooser.facets), tagger.name)
    return (Json if form == "json" else JsonLines)(tagger.name, tagger.digest)
