"""Conformance checks for stages and journals: what the engine relies on, as functions that any test runner can call.

from ualpipe.testing import SINK_CHECKS, SinkCase

@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_pager_keeps_the_contract(check, receiver):
    check(SinkCase(make=lambda: PagerSink(config, env), received_ids=receiver.ids))
"""

from ualpipe.pipeline.process.transforming import encode
from ualpipe.testing.events import make_events, make_unencoded_events
from ualpipe.testing.journal import JOURNAL_CHECKS, JOURNAL_CRASH_CHECKS, JournalCase
from ualpipe.testing.options import check_options
from ualpipe.testing.sinks import SINK_CHECKS, SinkCase
from ualpipe.testing.sources import SOURCE_CHECKS, SourceCase
from ualpipe.testing.transforms import TRANSFORM_CHECKS, TransformCase

__all__ = [
    "JOURNAL_CHECKS",
    "JOURNAL_CRASH_CHECKS",
    "SINK_CHECKS",
    "SOURCE_CHECKS",
    "TRANSFORM_CHECKS",
    "JournalCase",
    "SinkCase",
    "SourceCase",
    "TransformCase",
    "check_options",
    "encode",
    "make_events",
    "make_unencoded_events",
]
