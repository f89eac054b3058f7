"""The results of a shard as one file: JSON lines, or rows of Parquet that pandas reads as they are."""

import io
from collections.abc import Sequence

from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.tagging.writers.lines import PATH_SEPARATOR, json_text


def to_part(form: str, results: Sequence[Result], model: str, digest: str) -> bytes:
    """The bytes of a part: the same for the same results."""
    if form == "jsonl":
        return "".join(json_text(result, model, digest) + "\n" for result in results).encode()
    return _parquet(results, model, digest)


def _parquet(results: Sequence[Result], model: str, digest: str) -> bytes:
    """A row for every suggestion; an image without any has one row, without a facet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("image", "id", "facet", "tag", "path", "score", "error")
    columns: dict[str, list[object]] = {name: [] for name in names}

    def add(result: Result, *values: object) -> None:
        for name, value in zip(names, (result.input.name, result.input.id, *values), strict=True):
            columns[name].append(value)

    for result in results:
        rows = [(facet, tag) for facet, tags in result.tags.items() for tag in tags]
        for facet, tag in rows:
            add(result, facet, tag.tag, PATH_SEPARATOR.join(tag.path), tag.score, None)
        if not rows:
            add(result, None, None, None, None, result.error)
    types = {name: pa.float64() if name == "score" else pa.string() for name in names}
    arrays = {name: pa.array(values, types[name]) for name, values in columns.items()}
    rows_of_model = len(columns["image"])
    arrays |= {"model": pa.array([model] * rows_of_model), "digest": pa.array([digest] * rows_of_model)}
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays), buffer, compression="zstd")
    return buffer.getvalue()
