"""Columns of text, searched and changed."""

import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from eufcc_cli.core.taxonomy.tables.text_columns import changed, containing

TEXTS = st.lists(st.text("ab;\n\"é\xa0\x85 '=", max_size=4), max_size=8)


@settings(max_examples=100)
@given(TEXTS, st.sets(st.sampled_from([";", "\n", '"', "ab", "é", "\xa0", "  "])), st.integers(0, 3))
def test_as_python_finds_them(texts: list[str], marks: set[str], start: int) -> None:
    expected = [any(mark in text for mark in marks) for text in texts]
    column = pd.Series(texts, dtype="str")
    assert containing(column, marks).tolist() == expected
    part = pa.array(texts, pa.large_string())[start:]
    assert containing(part, marks).tolist() == expected[start:], "a part of a column"
    assert changed(column, containing(column, marks), str.upper).tolist() == [
        text.upper() if there else text for text, there in zip(texts, expected, strict=True)
    ]
    assert column.tolist() == texts, "the column itself stays as it is"
