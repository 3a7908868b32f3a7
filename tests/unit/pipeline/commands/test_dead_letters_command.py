"""What ``ualpipe dead-letters`` shows of a failure that nobody foresaw."""

import json
import textwrap

import pytest

from fakes import open_journal, record, records, store
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.journal.types import DeadLetter, Settlement

pytestmark = pytest.mark.usefixtures("quiet_logs")

CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
sources: {archive: {type: files, paths: [in]}}
sinks: {local: {type: file, path: out/audit.ndjson}}
"""
TRACE = 'Traceback (most recent call last):\n  File "mapping.py", line 7, in apply\nKeyError: "Operation"\n'


@pytest.fixture
def pipeline(tmp_path):
    """A pipeline with two dead letters: one of an unexpected failure, and one that a transform refused."""
    (tmp_path / "pipeline.yaml").write_text(CONFIG)
    journal = open_journal(tmp_path / "state", SystemClock())
    (ref,) = store(journal, "a.json", records(0, 2)).batches
    texts = [json.dumps(record(at)).encode() for at in range(2)]
    unforeseen = DeadLetter("transform", "TransformFailed", "KeyError", texts[0], ref.id, 0, trace=TRACE)
    refused = DeadLetter("transform", "SchemaMismatch", "no number", texts[1], ref.id, 1)
    journal.settle("local", [Settlement(ref.id, dead=2)], [unforeseen, refused])
    journal.close()
    return str(tmp_path / "pipeline.yaml")


@pytest.fixture
def shown(pipeline, capsys):
    """Returns what an action prints."""

    def show(action: str, *arguments: str) -> str:
        assert main(["dead-letters", action, pipeline, *arguments]) == 0
        return capsys.readouterr().out

    return show


def test_the_traceback_is_shown_before_the_record(shown):
    out = shown("show", "1")
    assert f"{textwrap.indent(TRACE, '  ')}\n  {json.dumps(record(0))}\n" in out
    assert "code:        TransformFailed" in out


def test_a_letter_without_a_traceback_shows_none(shown):
    out = shown("show", "2")
    assert "Traceback" not in out
    assert f"bytes:       {len(json.dumps(record(1)))}\n  {json.dumps(record(1))}\n" in out


@pytest.mark.parametrize(("action", "arguments"), [("list", []), ("list", ["--json"]), ("export", [])])
def test_what_has_a_line_for_each_letter_has_no_traceback(shown, action, arguments):
    out = shown(action, *arguments)
    assert len(out.splitlines()) == 2
    assert "Traceback" not in out


def test_a_letter_that_was_discarded_shows_nothing_any_more(shown):
    shown("discard", "1")
    assert "Traceback" not in shown("show")
