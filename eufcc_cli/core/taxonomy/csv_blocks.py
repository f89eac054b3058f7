"""The lines of a CSV file from columns of text, without a Python object for each cell."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from eufcc_cli.core.taxonomy.text_columns import containing, whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ROWS = 1 << 15  # of a block
_SPECIAL = (",", '"', "\r", "\n")


def csv_blocks(frame: "pd.DataFrame", rows: np.ndarray | None = None) -> Iterator[memoryview]:
    r"""Header and rows (all, or those of some numbers) of a table of text, in blocks: quotes where a cell
    needs them, a missing one is empty.

    >>> import pandas as pd
    >>> b"".join(csv_blocks(pd.DataFrame({"id": ["1", "2"], "name": ["a", 'b "c", d']}, dtype="str")))
    b'id,name\n1,a\n2,"b ""c"", d"\n'
    """
    import pyarrow as pa

    yield _lines([pa.array([str(name)], pa.large_string()) for name in frame])
    columns = [whole(pa.array(frame[name].array)) for name in frame]
    for start in range(0, len(frame if rows is None else rows), _ROWS):
        if rows is None:
            yield _lines([column[start : start + _ROWS] for column in columns])
        else:
            block = pa.array(rows[start : start + _ROWS])
            yield _lines([column.take(block) for column in columns])


def _lines(columns: "list[pa.Array]") -> memoryview:
    import pyarrow as pa
    import pyarrow.compute as pc

    comma, line_end, nothing = (pa.scalar(each, pa.large_string()) for each in (",", "\n", ""))
    *cells, last = map(_quoted, columns)
    rows = pc.binary_join_element_wise(*cells, pc.binary_join_element_wise(last, line_end, nothing), comma)
    _, offsets, letters = rows.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[rows.offset : rows.offset + len(rows) + 1]
    return memoryview(letters)[ends[0] : ends[-1]]  # one behind the other, they are what the file holds


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
