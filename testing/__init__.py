"""Conformance checks for stages: what the engine relies on, as functions that any test runner can call.

from ualpipe.testing import SINK_CHECKS, SinkCase

@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_pager_keeps_the_contract(check, receiver):
    check(SinkCase(make=lambda: PagerSink(config, env), received_ids=receiver.ids))
"""

from ualpipe.testing.options import check_options
from ualpipe.testing.sinks import SINK_CHECKS, SinkCase, make_events
from ualpipe.testing.sources import SOURCE_CHECKS, SourceCase
from ualpipe.testing.transforms import TRANSFORM_CHECKS, TransformCase

__all__ = [
    "SINK_CHECKS",
    "SOURCE_CHECKS",
    "TRANSFORM_CHECKS",
    "SinkCase",
    "SourceCase",
    "TransformCase",
    "check_options",
    "make_events",
]
