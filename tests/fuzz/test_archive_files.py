"""What stands in an archive may have been put there by anybody who can write to its folder."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from fuzz.targets import reads
from ualpipe.pipeline.stages import StreamCoverage
from ualpipe.sinks.archive import layout
from ualpipe.sinks.archive.coverage import BadCoverage, parse_coverage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=9), lambda of: st.lists(of, max_size=3)
)
NAMES = ("format", "pipeline", "said_at", "streams", "source", "tenant", "stream", "begin", "until", "fetching", "gaps", "start")
OBJECTS = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=12)
FILES = st.builds(
    lambda file, streams: {"format": 1, "pipeline": "p", "said_at": "2026-11-20T12:00:00Z", **file, "streams": streams},
    OBJECTS,
    st.lists(OBJECTS | JSON, max_size=3),
)


@reads("ualpipe.sinks.archive.coverage:parse_coverage")
@given(st.binary(max_size=200) | FILES.map(lambda found: orjson.dumps(found, default=str)))
def test_any_file_is_coverage_or_one_error(content):
    try:
        pipeline, said_at, streams = parse_coverage(content, "name")
    except BadCoverage:
        return
    assert isinstance(pipeline, str)
    assert said_at.tzinfo is not None
    assert all(isinstance(one, StreamCoverage) for one in streams)


@reads("ualpipe.sinks.archive.layout:part_of")
@given(st.text(max_size=60) | st.from_regex(r"part-[0-9]{1,12}-[0-9]{1,12}\.parquet", fullmatch=True))
def test_any_file_name_is_a_part_or_none(name):
    part = layout.part_of(name)
    assert part is None or (part.first >= 0 and len(str(part.last)) <= 10)
