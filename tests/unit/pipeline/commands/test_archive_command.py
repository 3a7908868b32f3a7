"""``archive erase`` on the command line: all of one tenant goes, whoever writes meanwhile."""

from __future__ import annotations

import io
import threading
from collections import Counter
from pathlib import Path

import pytest
import yaml

from archives.sinks import TENANT, counting_files, events, ids_in, sink, write
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.archive.upkeep.locks import changing

OTHER = "33333333-3333-3333-3333-333333333333"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write(tmp_path, events("a", "b"), events("c"), [*events("d", tenant=OTHER), *events("e", day="2026-11-21")])
    return tmp_path / "archive"


def erase(place: Path, *arguments: str) -> int:
    return main(["archive", "erase", str(place), *arguments])


def test_all_of_one_tenant_goes_and_nothing_else(archive, capsys):
    (counting_files(archive)[0].parent / ".part-0000000009-0000000009.parquet.new").write_bytes(b"half")
    assert erase(archive, "--tenant", TENANT.upper(), "--yes") == 0
    assert ids_in(archive) == Counter("d")
    assert not (archive / f"tenant={TENANT}").exists()
    said = capsys.readouterr().out
    assert "has 4 events in 3 files" in said
    assert "removed 4 files" in said


def test_a_config_names_its_archive(archive, tmp_path):
    sinks = {"kept": {"type": "archive", "path": "archive"}, "local": {"type": "file", "path": "x"}}
    files = {"sources": {"files": {"type": "files", "paths": ["in"]}}}
    config = {"version": 1, "pipeline": "contoso", "state_dir": "state", **files, "sinks": sinks}
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump(config))
    assert erase(path, "--tenant", TENANT, "--yes") == 0
    assert ids_in(archive) == Counter("d")
    path.write_text(yaml.safe_dump({**config, "sinks": {"local": sinks["local"]}}))
    assert erase(path, "--tenant", TENANT, "--yes") == 2


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, "d"), ("no\n", 1, "abcde"), ("\n", 1, "abcde")])
def test_on_a_terminal_it_asks(archive, monkeypatch, answer, code, left):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert erase(archive, "--tenant", TENANT) == code
    assert ids_in(archive) == Counter(left)


def test_where_nobody_can_be_asked_nothing_goes(archive, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert erase(archive, "--tenant", TENANT) == 2
    assert "--yes" in capsys.readouterr().err
    assert ids_in(archive) == Counter("abcde")


@pytest.mark.parametrize(
    ("tenant", "words"), [(TENANT[:-1], f"did you mean {TENANT}?"), ("x", "there are: "), ("\x1b[2J", "\\x1b[2J")]
)
def test_an_unknown_tenant_is_said(archive, capsys, tenant, words):
    assert erase(archive, "--tenant", tenant, "--yes") == 2
    assert words in capsys.readouterr().err.replace("\\\\", "\\")
    assert ids_in(archive) == Counter("abcde")


@pytest.mark.parametrize("place", [".", "nowhere"])
def test_a_place_without_an_archive_is_said(tmp_path, capsys, place):
    assert erase(tmp_path / place, "--tenant", "x", "--yes") == 2
    assert "archive" in capsys.readouterr().err


def test_damaged_files_go_too_and_files_of_others_stay_and_are_named(archive, capsys):
    damaged = counting_files(archive)[0]
    damaged.write_bytes(b"PAR1")
    (damaged.parent / "notes.txt").write_text("not ours")
    assert erase(archive, "--tenant", TENANT, "--yes") == 2
    said = capsys.readouterr()
    assert "1 of which can't be read" in said.out
    assert f"{damaged.parent} holds files that ualpipe did not write" in said.err
    assert not damaged.exists()


def test_beside_a_running_pipeline_it_waits_for_a_change_and_what_comes_again_is_written(archive, tmp_path):
    one = sink(tmp_path)
    one.open()
    one.write(Batch(events("a", "b", "c")))
    with changing(archive):
        codes: list[int] = []
        eraser = threading.Thread(target=lambda: codes.append(erase(archive, "--tenant", TENANT, "--yes")))
        eraser.start()
        eraser.join(0.3)
        assert eraser.is_alive()
        assert ids_in(archive) == Counter("abcde")
    eraser.join(10)
    assert codes == [0]
    one.write(Batch(events("a", "f")))
    one.close()
    assert ids_in(archive) == Counter("adf")
