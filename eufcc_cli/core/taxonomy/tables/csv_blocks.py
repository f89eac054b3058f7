"""The lines of a CSV file from columns of text, without a Python object for each cell."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from eufcc_cli.core.taxonomy.tables.text_columns import containing, whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ROWS = 1 << 15  # of a block
_SPECIAL = (",", '"', "\r", "\n")


def csv_blocks(frame: "pd.DataFrame") -> Iterator[memoryview]:
    r"""Header and rows of a table of text, in blocks: quotes where a cell needs them, a missing one is empty.

    >>> import pandas as pd
    >>> b"".join(csv_blocks(pd.DataFrame({"id": ["1", "2"], "name": ["a", 'b "c", d']}, dtype="str")))
    b'id,name\n1,a\n2,"b ""c"", d"\n'
    """
    for (block,) in csv_parts(frame, [np.arange(len(frame))]):
        yield block


def csv_parts(frame: "pd.DataFrame", parts: Sequence[np.ndarray]) -> Iterator[list[memoryview]]:
    """As `csv_blocks` for several tables at once, of rows by their numbers in ascending order: their headers,
    then their next blocks."""
    import pyarrow as pa

    header = _letters(_lines([pa.array([str(name)], pa.large_string()) for name in frame]))
    yield [header] * len(parts)
    columns = [whole(pa.array(frame[name].array)) for name in frame]
    for start in range(0, len(frame), _ROWS):
        lines = _lines([column[start : start + _ROWS] for column in columns])
        ends = (np.searchsorted(rows, (start, start + _ROWS)) for rows in parts)
        yield [
            _letters(lines if end - first == len(lines) else lines.take(pa.array(rows[first:end] - start)))
            for rows, (first, end) in zip(parts, ends, strict=True)
        ]


def _letters(lines: "pa.Array") -> memoryview:
    """One behind the other, as they stand in the file."""
    _, offsets, letters = lines.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(letters or b"")[ends[0] : ends[-1]]


def _lines(columns: "list[pa.Array]") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    comma, line_end, nothing = (pa.scalar(each, pa.large_string()) for each in (",", "\n", ""))
    *cells, last = map(_quoted, columns)
    return pc.binary_join_element_wise(*cells, pc.binary_join_element_wise(last, line_end, nothing), comma)


def _quoted(column: "pa.Array") -> "pa.Array":
    """The cells as written to the file: quoted if they contain a comma, a quote or a line end."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = column.cast(pa.large_string()).fill_null("")
    special = containing(text, _SPECIAL)
    if not special.any():
        return text
    mask, mark, nothing = pa.array(special), *(pa.scalar(each, pa.large_string()) for each in ('"', ""))
    inside = pc.replace_substring(text.filter(mask), '"', '""')
    return pc.replace_with_mask(text, mask, pc.binary_join_element_wise(mark, inside, mark, nothing))
