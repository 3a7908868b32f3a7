"""What records hold becomes rows, and what a store holds is shown, whatever it is."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from archives.scene import events_of
from fakes import record
from fuzz.targets import reads
from ualpipe.pipeline.commands import _search_output as output
from ualpipe.pipeline.commands._search_conditions import read_conditions
from ualpipe.pipeline.commands.search import body_of
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.report.schedule import STATE_FILE, LastRun, read_runs
from ualpipe.sinks.table.columns import COLUMNS
from ualpipe.sinks.table.details import changes_of
from ualpipe.sinks.table.rows import columns_of
from ualpipe.sinks.table.rules import actions_of

TEXT = st.text(max_size=20) | st.sampled_from(
    ['["a"]', "[1, null]", '{"a": [1]}', "\0", "1003000000000001", "True", "NT AUTHORITY\\SYSTEM"]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(SCALARS, lambda of: st.lists(of, max_size=3) | st.dictionaries(TEXT, of, max_size=3), max_leaves=12)
FIELDS = st.sampled_from(
    [
        "ModifiedProperties",
        "Parameters",
        "ExtendedProperties",
        "OperationProperties",
        "Item",
        "AffectedItems",
        "Folders",
        "Folder",
        "Target",
        "Actor",
        "Members",
        "UserId",
        "UserKey",
        "UserType",
        "LogonType",
        "OperationCount",
        "ExternalAccess",
        "RecordType",
        "MailboxOwnerUPN",
        "SendAsUserSmtp",
        "SourceFileName",
        "DestinationFileName",
        "Operation",
        "ObjectId",
        "Workload",
        "ClientIP",
    ]
)
LISTED = st.fixed_dictionaries(
    {}, optional={"Name": TEXT, "Value": JSON, "OldValue": JSON, "NewValue": JSON, "ID": TEXT, "Type": JSON}
)
RECORDS = st.dictionaries(FIELDS, JSON | st.lists(LISTED, max_size=3), max_size=8)
KINDS: dict[str, Any] = {"text": str, "json": str, "long": int, "boolean": bool}


@reads("ualpipe.sinks.table.rows:columns_of")
@given(RECORDS)
def test_any_record_is_a_row_of_the_right_types(fields):
    found = columns_of(events_of([record(1, **fields)]))
    for column in COLUMNS:
        [value] = found[column.name]
        assert value is None or isinstance(value, KINDS.get(column.type, object))
        assert not isinstance(value, str) or ("\0" not in value and value.encode())
        assert column.type != "long" or value is None or -(2**63) <= value < 2**63
        assert column.type != "json" or value is None or orjson.loads(value) is not None


@reads("ualpipe.sinks.table.details:changes_of")
@given(st.lists(LISTED | JSON, max_size=4) | JSON)
def test_whatever_was_modified_is_a_list_of_changes(value):
    for change in changes_of({"ModifiedProperties": value}):
        assert change.keys() == {"name", "old", "new"}


@reads("ualpipe.sinks.table.rules:actions_of")
@given(TEXT | JSON.map(lambda found: orjson.dumps(found).decode()))
def test_any_text_is_a_list_of_actions(text):
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in actions_of(text))


@reads("ualpipe.pipeline.commands.search:body_of", "ualpipe.pipeline.commands._search_output:write")
@given(st.none() | TEXT | JSON.map(lambda found: orjson.dumps(found).decode()), st.sampled_from(output.FORMATS))
def test_whatever_a_store_holds_is_shown_on_lines_that_act_on_nothing(text, form):
    row = dict.fromkeys(output.COLUMNS, text) | {"time": None}
    assert isinstance(body_of(row), dict)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert output.write([row], form) == 1
    assert not {"\0", "\x1b"} & set(out.getvalue())


@reads("ualpipe.pipeline.commands._search_conditions:read_conditions")
@given(st.lists(TEXT | JSON.map(lambda found: orjson.dumps(found).decode()), max_size=3))
def test_any_text_is_a_condition_or_one_error(texts):
    try:
        assert isinstance(read_conditions(texts), dict)
    except ConfigError:
        return


@reads("ualpipe.pipeline.report.schedule:read_runs")
@given(st.binary(max_size=60) | st.fixed_dictionaries({"runs": JSON | st.dictionaries(TEXT, JSON, max_size=3)}).map(orjson.dumps))
def test_any_state_of_schedules_is_read(content):
    with TemporaryDirectory() as folder:
        Path(folder, STATE_FILE).write_bytes(content)
        assert all(isinstance(run, LastRun) for run in read_runs(Path(folder)).values())
