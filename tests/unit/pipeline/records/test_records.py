"""Cutting, decoding and finding again: nothing lost or changed whatever the layout of the bytes."""

import json
from itertools import accumulate, chain

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakes import body, record, records
from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records import cutting as records_module
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.cutting import chunks_of_array, chunks_of_lines, mended
from ualpipe.pipeline.records.decoding import BadRecord

TRICKY = ["},{", '"},{"Id":"', "\\", '\\"', "[", "]", ",", "\u2028", "\x7f", "𝄞", "Id"]
texts = st.text(max_size=6) | st.sampled_from(TRICKY)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
objects = st.dictionaries(texts, values, max_size=4) | st.fixed_dictionaries(
    {"Id": texts, "Nested": st.lists(values, max_size=2)}
)
blanks = st.text(" \t\r\n", max_size=3)


@st.composite
def written_arrays(draw):
    """A list of records, the text of each, and the array with a layout of its own."""
    found = draw(st.lists(objects | objects | scalars, max_size=8))
    comma, colon, around = (draw(blanks) for _part in range(3))
    ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 1]))
    layout = {"separators": (f"{comma},{around}", f"{colon}:{comma}"), "ensure_ascii": ascii_only, "indent": indent}
    written = [json.dumps(value, **layout) for value in found]
    text = f"{around}[{colon}{f'{around},{comma}'.join(written)}{comma}]{colon}"
    return found, [one.encode() for one in written], text.encode()


def placed(found: list) -> list:
    """Returns what stands in the place of each element."""
    kinds = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string"}
    return [one if isinstance(one, dict) else BadRecord(f"a JSON {kinds[type(one)]}, not an object") for one in found]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def mended_chunks(parts, *, chunk: int = 100):
    """Yields the chunks of an array as they are stored: one with a defect is mended before."""
    for one in chunks_of_array(parts, max_bytes=chunk):
        try:
            is_fine = one.framing == "pieces" or not any(isinstance(found, BadRecord) for found in one.records)
        except ContentUndecodable:
            is_fine = False
        if is_fine:
            yield one
            continue
        others, error = mended(one)
        yield from others
        if error is not None:
            raise error


def read(data: bytes, *, piece: int = 1000, chunk: int = 100) -> list:
    return [without_place(found) for one in mended_chunks(pieces(data, piece), chunk=chunk) for found in one.records]


def read_until_refused(parts: list[bytes], *, chunk: int = 100) -> tuple[list, ContentUndecodable]:
    found: list = []
    try:
        for one in mended_chunks(parts, chunk=chunk):
            found += map(without_place, one.records)
    except ContentUndecodable as exc:
        return found, exc
    pytest.fail("the body was taken as a whole")


def without_place(found):
    """Returns a record, or what stands for one without the position in the body."""
    return BadRecord(found.reason.rsplit(", at byte ", 1)[0]) if isinstance(found, BadRecord) else found


# --- arrays ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(written_arrays(), st.integers(1, 60), st.integers(1, 150))
@example(
    ([{"a": [{"a": 1}, {"a": 2}]}, {"a": 3}], [b'{"a":[{"a":1},{"a":2}]}', b'{"a":3}'], b'[{"a":[{"a":1},{"a":2}]},{"a":3}]'),
    3,
    1,
)
def test_any_layout_in_any_pieces_gives_the_same_records_and_each_ones_own_bytes(written, piece, chunk):
    found, texts_of_records, data = written
    chunks = list(mended_chunks(pieces(data, piece), chunk=chunk))
    assert [without_place(one) for part in chunks for one in part.records] == placed(found)
    raw = [one.raw(at) for one in chunks for at in range(len(one.records))]
    assert raw == texts_of_records


@settings(max_examples=60, deadline=None)
@given(written_arrays(), st.integers(1, 60), st.integers(1, 150), st.floats(0, 1, exclude_max=True))
def test_cut_off_body_gives_whole_records_from_its_begin_and_then_says_so(written, piece, chunk, where):
    found, _texts, data = written
    data = data.rstrip()
    cut = data[: int(len(data) * where)]
    good, _error = read_until_refused(pieces(cut, piece), chunk=chunk)
    assert good == placed(found)[: len(good)]


@settings(max_examples=60, deadline=None)
@given(written_arrays(), st.integers(1, 60), st.integers(1, 150), st.floats(0, 1, exclude_max=True))
def test_records_of_a_cut_off_body_are_either_read_or_among_the_bytes_of_the_error(written, piece, chunk, where):
    _found, texts_of_records, data = written
    cut = data.rstrip()[: int(len(data.rstrip()) * where)]
    good, error = read_until_refused(pieces(cut, piece), chunk=chunk)
    ends = list(accumulate(texts_of_records, lambda at, text: data.index(text, at) + len(text), initial=0))
    assert error.body.endswith(cut[ends[len(good)] :].lstrip(b" \t\r\n,["))


@pytest.mark.parametrize("tail", [b"x", b",", b',{"a":1}', b"\x00", b'[{"Id":"b"}'])
@pytest.mark.parametrize("chunk", [1, 30, 10_000])
def test_text_behind_the_array_is_refused_and_the_records_before_it_are_not(tail, chunk):
    good, _error = read_until_refused([body(records(1, 3)) + tail], chunk=chunk)
    assert good[:3] == records(1, 3)


@pytest.mark.parametrize(("tail", "more"), [(b"]", []), (b"[]", []), (b'[{"Id":"b"}]', [{"Id": "b"}])])
def test_arrays_in_a_row_are_read_as_one(tail, more):
    assert [one for one in read(body(records(1, 3)) + tail, chunk=30) if isinstance(one, dict)] == records(1, 3) + more


@pytest.mark.parametrize("data", [b"", b" ", b"null", b'{"a":1}', b"x", b"<html>", b'"["', b'{"Id":"a","CreationTime":'])
def test_what_is_no_array_is_refused_with_its_bytes(data):
    good, error = read_until_refused([data])
    assert not good
    assert error.body == data


@pytest.mark.parametrize(("data", "expected"), [(b"[", []), (b'[{"a":1}', [{"a": 1}]), (b'[{"a":1},', [{"a": 1}])])
def test_an_array_that_is_not_closed_ends_early(data, expected):
    good, error = read_until_refused([data])
    assert good == expected
    assert "ends early" in str(error)


@pytest.mark.parametrize("data", [b'[{"a":1},]', b'[,{"a":1}]', b'[{"a":1}{"a":2}]'])
def test_commas_too_many_or_too_few_cost_nothing(data):
    assert [one["a"] for one in read(data)] == [1, 2][: data.count(b"a")]


@pytest.mark.parametrize("data", [b"<html>" * 100, b'{"error": "' + b"x" * 1000 + b'"}'])
def test_a_long_body_that_is_no_array_is_refused_before_it_is_read_whole(data):
    good, error = read_until_refused(pieces(data, 50), chunk=20)
    assert not good
    assert data.startswith(error.body)
    assert "not a JSON array" in str(error)


@pytest.mark.parametrize("data", [b"[]", b"[ ]", b" [\n] ", b"\xef\xbb\xbf[]"])
def test_an_empty_array_has_no_records(data):
    assert read(data) == []


@pytest.mark.parametrize("chunk", [1, 10_000])
def test_byte_order_mark_is_no_part_of_the_array(chunk):
    assert read(b"\xef\xbb\xbf" + body(records(1, 3)), chunk=chunk) == records(1, 3)


@pytest.mark.parametrize("chunk", [1, 10_000])
def test_elements_that_are_no_objects_stay_in_their_place(chunk):
    found = read(b'[1, null, true, "x", ["y"], {"Id": "z"}]', chunk=chunk)
    assert [type(one) for one in found] == [BadRecord] * 5 + [dict]
    kinds = ["number", "null", "boolean", "string", "array"]
    assert [one.reason for one in found[:5]] == [f"a JSON {kind}, not an object" for kind in kinds]


@pytest.mark.parametrize("chunk", [1, 30, 10_000])
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("bad", [b"5", b"null", b'"},{"', b"[]", b'["x"]', b'{"Id": nonsense}', b"nonsense"])
def test_a_bad_element_in_any_place_costs_no_neighbour(bad, place, chunk):
    good = [json.dumps(one).encode() for one in records(1, 3)]
    written = [*good[:place], bad, *good[place:]]
    chunks = list(mended_chunks(pieces(b"[%s]" % b", ".join(written), 20), chunk=chunk))
    found = [one for part in chunks for one in part.records]
    assert [one for at, one in enumerate(found) if at != place] == records(1, 3)
    assert [part.raw(at) for part in chunks for at in range(len(part.records))] == written


def test_elements_that_are_no_objects_have_their_bytes():
    (chunk,) = chunks_of_array([b'[1, null, "x" , [2], {"Id": "z"}]'])
    assert [chunk.raw(at) for at in range(5)] == [b"1", b"null", b'"x"', b"[2]", b'{"Id": "z"}']


@pytest.mark.parametrize("chunk", [1, 30, 10_000])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"\ud800"', "?"),
        (rb'"a\udfffb"', "a?b"),
        (rb'"\ud834\udd1e"', "𝄞"),
        (b'"line\nbreak\x01"', "line\nbreak\x01"),
        (b"NaN", None),
        (b"-Infinity", None),
    ],
)
def test_what_only_lenient_readers_take_costs_neither_the_record_nor_its_neighbours(text, value, chunk):
    data = b'[{"Id": "a", "v": 1}, {"Id": "b", "v": %s}, {"Id": "c", "v": 3}]' % text
    chunks = list(chunks_of_array([data], max_bytes=chunk))
    assert [one["v"] for part in chunks for one in part.records] == [1, value, 3]
    raw = [part.raw(at) for part in chunks for at in range(len(part.records))]
    assert raw[1] == b'{"Id": "b", "v": %s}' % text


@pytest.mark.parametrize("number", [b"1e999", b"-1e400", b"9" * 400, b"9" * 5000])
def test_a_number_that_no_double_holds_does_not_cost_the_neighbours(number):
    found = read(b'[{"Id": "a"}, {"Id": "b", "v": %s}, {"Id": "c"}]' % number, chunk=10_000)
    assert (found[0], found[2]) == ({"Id": "a"}, {"Id": "c"})


@pytest.mark.parametrize("depth", [300, 1000, 1020, 1100, 5000])
def test_a_deeply_nested_record_does_not_cost_the_neighbours(depth):
    found = read(b'[{"Id": "a"}, {"Id": "b", "v": %s%s}, {"Id": "c"}]' % (b"[" * depth, b"]" * depth), chunk=100_000)
    assert len(found) == 3
    assert (found[0], found[2]) == ({"Id": "a"}, {"Id": "c"})


@pytest.mark.parametrize("depth", [300, 1000, 1020])
def test_a_deeply_nested_record_has_its_bytes_and_so_have_the_neighbours(depth):
    deep = b'{"Id": "b", "v": %s%s}' % (b"[" * depth, b"]" * depth)
    chunk = Chunk(b'[{"Id": "a"}, %s, {"Id": "c"}]' % deep, "array")
    assert len(chunk.records) == 3
    assert [chunk.raw(at) for at in range(3)] == [b'{"Id": "a"}', deep, b'{"Id": "c"}']


def test_a_key_that_stands_twice_is_kept_in_the_bytes():
    chunk = Chunk(b'[{"Id": "a", "x": 1, "x": 2}]', "array")
    assert chunk.records == [{"Id": "a", "x": 2}]
    assert chunk.raw(0) == b'{"Id": "a", "x": 1, "x": 2}'


def test_a_record_larger_than_a_chunk_is_a_chunk_of_its_own():
    large = record(2, Parameters="x" * 5000)
    data = body([record(1), large, record(3)])
    chunks = list(chunks_of_array(pieces(data, 64), max_bytes=400))
    assert list(chain.from_iterable(one.records for one in chunks)) == [record(1), large, record(3)]
    assert max(len(one.body) for one in chunks) < 2 * 5000 + 1000


def test_a_record_without_an_end_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(records_module, "MAX_RECORD_BYTES", 10_000)
    endless = chain([b'[{"Id": "a"},{"Id": "'], (b"x" * 100 for _piece in range(10_000)))
    consumed = []
    with pytest.raises(ContentUndecodable, match="longer than"):
        list(chunks_of_array((consumed.append(part) or part for part in endless), max_bytes=100))
    assert sum(map(len, consumed)) < 50_000


def test_chunks_are_yielded_while_the_body_is_still_coming():
    parts = pieces(body(records(1, 200)), 500)
    consumed = []
    first = next(chunks_of_array((consumed.append(part) or part for part in parts), max_bytes=2000))
    assert first.records == records(1, len(first.records))
    assert len(consumed) <= 6


@pytest.mark.parametrize("size", [300, 2000, 10_000])
def test_chunks_are_about_as_large_as_they_were_asked_for(size):
    chunks = list(chunks_of_array(pieces(body(records(1, 300)), 100), max_bytes=size))
    assert max(len(chunk.body) for chunk in chunks) <= size + 100 + 2
    assert len(chunks) <= 2 * len(body(records(1, 300))) // size + 1


@pytest.mark.parametrize("piece", [50, 500, 100_000])
@pytest.mark.parametrize("chunk", [300, 100_000])
def test_a_record_that_is_no_utf_8_stays_in_its_place_as_received_and_harms_no_other(piece, chunk):
    before, behind = records(1, 20), records(100, 20)
    bad = b'{"Id": "caf\xe9 \xff", "x": "\xe2\x82"}'
    data = body(before)[:-1] + b", " + bad + b", " + body(behind)[1:]
    chunks = list(chunks_of_array(pieces(data, piece), max_bytes=chunk))
    found = [(record, one.raw(index)) for one in chunks for index, record in enumerate(one.records)]
    assert [record for record, _raw in found if not isinstance(record, BadRecord)] == before + behind
    ((place, refused, raw),) = [(at, *pair) for at, pair in enumerate(found) if isinstance(pair[0], BadRecord)]
    assert (place, raw) == (20, bad)
    assert "not UTF-8" in refused.reason


def test_a_body_that_is_no_utf_8_outside_its_records_comes_with_the_error():
    good, error = read_until_refused([b'[{"Id": "a"}, \xff'], chunk=10_000)
    assert good == [{"Id": "a"}]
    assert "at byte 14" in str(error)
    assert error.body == b"\xff"


def test_a_character_cut_between_two_pieces_is_no_defect():
    data = json.dumps([{"Id": "ü𝄞" * 10, "n": [1, {"x": "ü"}]} for _record in range(20)], ensure_ascii=False).encode()
    for piece in range(1, 8):
        assert read(data, piece=piece, chunk=40) == json.loads(data)


def test_a_body_with_whitespace_behind_it_is_whole_however_much_it_is():
    assert read(body(records(1, 3)) + b"\n" * 5000, chunk=100) == records(1, 3)


# --- lines -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(objects, max_size=8), st.lists(st.sampled_from([b"", b" ", b"\r", b"\t \r"]), max_size=3), st.integers(1, 150))
def test_lines_give_the_same_records_and_each_ones_own_bytes_without_blank_ones(found, blank_lines, chunk):
    written = [json.dumps(one).encode() for one in found]
    lines = [part for one in written for part in (*blank_lines, b"  " + one + b"\r")]
    chunks = list(chunks_of_lines(lines, max_bytes=chunk))
    assert [one for part in chunks for one in part.records] == found
    assert [part.raw(at) for part in chunks for at in range(len(part.records))] == written


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"nonsense",
        b'{"Id": "a"} x',
        b'{"Id": "\xff"}',
        b"[]",
        b"5",
        b'{"v": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"v": 1e999}',
    ],
)
def test_a_bad_line_stays_in_its_place_with_its_bytes(line):
    (chunk,) = chunks_of_lines([b'{"Id": "1"}', line, b'{"Id": "3"}'])
    assert chunk.records[0] == {"Id": "1"}
    assert chunk.records[2] == {"Id": "3"}
    assert isinstance(chunk.records[1], BadRecord) or chunk.records[1] == {"v": None}
    assert [chunk.raw(at) for at in range(3)] == [b'{"Id": "1"}', line, b'{"Id": "3"}']


def test_a_line_with_characters_that_orjson_refuses_is_a_record():
    (chunk,) = chunks_of_lines([rb'{"Id": "\ud800"}', b'{"Id": "a\x02", "n": NaN}'])
    assert chunk.records == [{"Id": "?"}, {"Id": "a\x02", "n": None}]


def test_no_lines_give_no_chunk():
    assert list(chunks_of_lines([b"", b"  ", b"\r"])) == []


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 40), st.integers(1, 60))
def test_arbitrary_bytes_are_records_or_refused_and_nothing_else(data, piece, chunk):
    for prefix in (b"", b"[", b'[{"a":1},'):
        try:
            found = read(prefix + data, piece=piece, chunk=chunk)
        except ContentUndecodable:
            continue
        assert all(isinstance(one, dict | BadRecord) for one in found)
