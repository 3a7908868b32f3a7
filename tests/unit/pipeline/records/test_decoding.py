"""The bytes of each record of an array are found again, whatever stands in the records."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.records.decoding import split_array

KEYS = st.sampled_from(["Id", "CreationTime", 'a"b', "\\", "", "},{"])
TEXTS = st.sampled_from(["", '},{"Id":', '"},{"Id":1', "]", "\\"]) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda of: st.lists(of, max_size=3) | st.dictionaries(KEYS, of, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(KEYS, VALUES, max_size=4)
BLANKS = st.sampled_from([b"", b" ", b"\r\n\t"])


@given(records=st.lists(RECORDS | VALUES, max_size=5), blanks=st.tuples(*[BLANKS] * 4), same_key=st.booleans())
def test_each_element_is_found_as_it_stands(records: list[Any], blanks: tuple[bytes, ...], same_key: bool) -> None:
    if same_key:
        records = [{"Id": at, "list": [{"Id": 1}, {"Id": record}]} for at, record in enumerate(records)]
    elements = [orjson.dumps(record) for record in records]
    begin, before, behind, end = blanks
    body = begin + b"[" + (before + b"," + behind).join(elements) + end + b"]" + begin
    assert split_array(body) == elements
