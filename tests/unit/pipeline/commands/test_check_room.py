"""``ualpipe check`` says where a state directory has less room than its journal may want."""

from __future__ import annotations

from pathlib import Path

import pytest

from ualpipe.pipeline.journal.sqlite.state_dir.inspection import room_finding

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("free", "taken", "level", "words"),
    [
        (31 * MIB, 0, "error", "only 31 MiB are free"),
        (32 * MIB, 0, "warning", "only 32 MiB are free"),
        (1023 * MIB, 9 * GIB + 512 * MIB, "warning", "only 1,023 MiB are free"),
        (9 * GIB, 0, "warning", "the journal may grow by 10,240 MiB (`journal.max_size`)"),
        (2 * GIB, 7 * GIB, "warning", "the journal may grow by 3,072 MiB (`journal.max_size`)"),
    ],
)
def test_little_room_is_said_with_what_it_means(free: int, taken: int, level: str, words: str) -> None:
    found = room_finding(Path("state"), free, taken, 10 * GIB)
    assert found is not None
    assert (found.level, found.message.endswith(words)) == (level, True)
    assert "make room" in found.action


@pytest.mark.parametrize(("free", "taken"), [(10 * GIB, 0), (2 * GIB, 8 * GIB), (2 * GIB, 20 * GIB)])
def test_nothing_is_said_where_the_journal_has_the_room_it_may_take(free: int, taken: int) -> None:
    assert room_finding(Path("state"), free, taken, 10 * GIB) is None
