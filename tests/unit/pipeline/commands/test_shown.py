"""What comes from elsewhere is shown, never acted upon: names, keys, reasons, records, in every command that shows them."""

import io
import json
from datetime import datetime, timedelta, timezone

import pytest
from rich.console import Console

from fakes import enter, open_journal, record, records, store
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands import _live_view
from ualpipe.pipeline.commands._live_rows import Row
from ualpipe.pipeline.commands._tables import Printer, shown
from ualpipe.pipeline.journal.types import DeadLetter, Settlement
from ualpipe.pipeline.observe.health import PartHealth, State
from ualpipe.pipeline.stages import Gap
from ualpipe.pipeline.wording import visible, visible_json, without_acting

pytestmark = pytest.mark.usefixtures("quiet_logs")

ACTING = (
    "\x1b[2J\x1b]8;;https://x.example\x07\x9b31m\x7f\x00\u202e\u2066\u2028\u2029\u200b\ufeff\U000e0041\r\nsink siem: all is fine"
)
HOSTILE = f"[/red][link=https://x.example]{ACTING}[bold]"
CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
sources: {archive: {type: files, paths: [%s]}}
sinks: {local: {type: file, path: %s}}
"""


@pytest.fixture
def pipeline(tmp_path):
    """A pipeline in whose journal everything that may come from elsewhere is hostile."""
    paths = [json.dumps(text) for text in ("in", "out/audit.ndjson")]
    (tmp_path / "pipeline.yaml").write_text(CONFIG % tuple(paths))
    journal = open_journal(tmp_path / "state", SystemClock())
    (ref,) = store(journal, f"item {HOSTILE}", records(0, 2), tenant=HOSTILE).batches
    item = enter(journal, "other", stream=f"stream {HOSTILE}", tenant=HOSTILE)
    journal.postpone(item, f"failed: {HOSTILE}", SystemClock().now().timestamp() + 3600)
    now = SystemClock().now()
    journal.note_gap("archive", HOSTILE, Gap(now, now, f"expired: {HOSTILE}"))
    journal.note_standing_still({f"sink {HOSTILE}": HOSTILE})
    body = json.dumps(record(0, UserId=HOSTILE), ensure_ascii=False).encode()
    trace = f"Traceback (most recent call last):\n  {HOSTILE}\n"
    dead = [DeadLetter("sink", "SinkRejected", HOSTILE, body, ref.id, 0, "local", HOSTILE, trace=trace)]
    journal.settle("local", [Settlement(ref.id, delivered=1, dead=1)], dead)
    journal.close()
    return str(tmp_path / "pipeline.yaml")


def is_clean(text):
    return all(visible(line) == line for line in text.split("\n"))


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["status", "--json"],
        ["check"],
        ["check", "--live"],
        ["dead-letters", "list"],
        ["dead-letters", "list", "--json"],
        ["dead-letters", "show"],
        ["dead-letters", "retry", "--all", "--dry-run"],
        ["replay", "--sink", "local", "--dry-run"],
        ["reconcile", "--dry-run"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("is_terminal", [False, True])
def test_no_command_lets_anything_act_on_the_terminal(pipeline, capsys, monkeypatch, command, is_terminal):
    if is_terminal:
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")
    words, options = [word for word in command if word[0] != "-"], command
    at = 2 if words[0] == "dead-letters" else 1
    main([*options[:at], pipeline, *options[at:]])
    said = capsys.readouterr()
    assert said.out or said.err
    assert is_clean(said.out)
    assert is_clean(said.err)
    assert not any(line.startswith("sink siem") for line in f"{said.out}\n{said.err}".split("\n")), "no line is forged"


def test_status_shows_markup_of_others_as_it_is(pipeline, capsys):
    assert main(["status", pipeline]) == 1
    out = capsys.readouterr().out
    assert "[/red][link=https://x.example]\\x1b[2J" in out
    assert "last error of source stream [/red]" in out


@pytest.mark.parametrize("command", [["explain"], ["explain", "--json"], ["explain", "--field", "user.id"]], ids=" ".join)
def test_explain_shows_what_a_record_holds(tmp_path, capsys, command):
    path = tmp_path / "record.json"
    odd = record(0, UserId=HOSTILE, Operation=HOSTILE, **{HOSTILE: {HOSTILE: HOSTILE}})
    path.write_text(json.dumps(odd, ensure_ascii=False))
    main([command[0], str(path), *command[1:]])
    out = capsys.readouterr().out
    assert is_clean(out)
    if "--json" in command:
        assert json.loads(out)


def test_documents_of_map_keep_their_values_in_escapes(monkeypatch, capsysbinary):
    body = json.dumps(record(0, UserId=f"zoë {ACTING}"), ensure_ascii=False).encode() + b"\n{\x1b \x9b\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    main(["map"])
    said = capsysbinary.readouterr()
    assert is_clean(said.out.decode())
    assert is_clean(said.err.decode())
    assert json.loads(said.out.splitlines()[0])["o365"]["audit"]["UserId"] == f"zoë {ACTING}"


def test_errors_of_a_config_are_shown_with_what_is_wrong_in_them(tmp_path, capsys):
    (tmp_path / "pipeline.yaml").write_text(CONFIG % ('"in"', '"out"') + 'oth\u202eer: "\\e[2J"\n')
    assert main(["check", str(tmp_path / "pipeline.yaml")]) == 2
    err = capsys.readouterr().err
    assert is_clean(err)
    assert "right-to-left override" in err


def test_live_view_shows_reasons_as_they_are():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=400, color_system=None, legacy_windows=False)
    row = Row(HOSTILE, {"rate": "1"}, PartHealth(State.DENIED, HOSTILE), (1, 1))
    console.print(_live_view._table([row], 400))
    assert is_clean(out.getvalue())
    assert "[/red]" in out.getvalue()


def test_live_view_says_the_time_in_utc():
    moment = datetime(2026, 11, 20, 8, 15, 30, tzinfo=timezone(timedelta(hours=2)))
    assert str(_live_view._utc_time(moment)) == "2026-11-20T06:15:30Z"


def test_printer_cleans_lines_and_cells(capsys):
    out = Printer(is_terminal=False)
    out.title(HOSTILE)
    out.table(("name", "value"), [(HOSTILE, shown(HOSTILE)), ("b", shown({HOSTILE: HOSTILE}))])
    assert is_clean(capsys.readouterr().out)


@pytest.mark.parametrize(
    "code", [*range(32), 0x7F, 0x80, 0x9B, 0xAD, 0x200B, 0x200F, 0x2028, 0x202E, 0x2069, 0xFEFF, 0xD800, 0xE0041]
)
def test_each_acting_character_becomes_visible_and_stays_the_same_in_json(code):
    sign = chr(code)
    assert visible(f"a{sign}b").isprintable()
    assert visible(f"a{sign}b") != without_acting(f"a{sign}b") == "a b"
    assert json.loads(visible_json(json.dumps(sign, ensure_ascii=False))) == sign


def test_words_of_any_language_stay_as_they_are():
    text = "zoë 日本語 عربى עברית ไทย 😀 100 % [x]"
    assert visible(text) == text == without_acting(text) == visible_json(text)
    assert visible("a\n\tb", keeps_lines=True) == "a\n\tb"
