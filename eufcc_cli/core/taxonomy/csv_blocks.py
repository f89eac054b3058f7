"""The lines of a CSV file from columns of text, without a Python object for each cell."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ROWS = 1 << 16  # of a block
_SPECIAL = (b",", b'"', b"\r", b"\n")
_IS_SPECIAL = np.isin(np.arange(256), list(b"".join(_SPECIAL)))


def csv_blocks(frame: "pd.DataFrame") -> Iterator[bytes]:
    r"""Header and rows of a table of text, in blocks: quotes where a cell needs them, a missing one is empty.

    >>> import pandas as pd
    >>> b"".join(csv_blocks(pd.DataFrame({"id": ["1", "2"], "name": ["a", 'b "c", d']}, dtype="str")))
    b'id,name\n1,a\n2,"b ""c"", d"\n'
    """
    import pyarrow as pa

    yield _lines([pa.array([str(name)], pa.large_string()) for name in frame])
    columns = [pa.array(frame[name].array) for name in frame]
    for start in range(0, len(frame), _ROWS):
        yield _lines([column[start : start + _ROWS] for column in columns])


def _lines(columns: "list[pa.Array | pa.ChunkedArray]") -> bytes:
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = [_quoted(column) for column in columns]
    rows = pc.binary_join_element_wise(*cells, pa.scalar(",", pa.large_string()))
    whole = pa.LargeListArray.from_arrays([0, len(rows)], rows)
    return pc.binary_join(whole, pa.scalar("\n", pa.large_string()))[0].as_buffer().to_pybytes() + b"\n"


def _quoted(column: "pa.Array | pa.ChunkedArray") -> "pa.Array":
    """The cells as written to the file: quoted if they contain a comma, a quote or a line end."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    text = text.cast(pa.large_string()).fill_null("")
    _, offsets, letters = text.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    if letters is None or ends[0] == ends[-1]:
        return text
    written = letters[ends[0] : ends[-1]].to_pybytes()
    if not any(mark in written for mark in _SPECIAL):
        return text
    marks = np.flatnonzero(_IS_SPECIAL[np.frombuffer(written, dtype=np.uint8)])
    special = np.zeros(len(text), dtype=bool)
    special[np.searchsorted(ends, marks + ends[0], side="right") - 1] = True
    mask, mark, nothing = pa.array(special), *(pa.scalar(each, pa.large_string()) for each in ('"', ""))
    inside = pc.replace_substring(text.filter(mask), '"', '""')
    return pc.replace_with_mask(text, mask, pc.binary_join_element_wise(mark, inside, mark, nothing))
