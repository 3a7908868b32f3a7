"""What Python prints by itself goes through the redactor, in one line unless details were asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap

import pytest

from ualpipe.pipeline.observe import hooks, log
from ualpipe.pipeline.redaction import hide

SECRET = "Kq8Q~planted.Vn0pXw_LmBc2sDy7GhJ5"

WAYS = {
    "main thread": "raise ValueError(repr(SECRET + chr(10)))",
    "another thread": "t = threading.Thread(target=int, args=(SECRET,)); t.start(); t.join()",
    "warning": "warnings.warn(f'odd: {SECRET}')",
    "destructor": "class A:\n    def __del__(self): raise ValueError(SECRET)\nA()",
    "log line that can't be formatted": "logging.getLogger('x').warning('%d', SECRET)",
    "log line with an exception": "try:\n    int(SECRET)\nexcept ValueError:\n    logging.getLogger('x').exception('failed')",
}


def printed(code: str, level: str) -> str:
    head = f"""
        import logging, threading, warnings
        from ualpipe.pipeline.observe import hooks, log
        from ualpipe.pipeline.redaction import hide
        SECRET = {SECRET!r}
        hide(SECRET + chr(10))
        hooks.install()
        log.set_up({level!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(head) + code], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("level", ["info", "debug"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_python_prints_holds_a_secret(way: str, level: str) -> None:
    text = printed(WAYS[way], level)
    assert text.strip()
    assert not any(SECRET[start : start + 9] in text for start in range(len(SECRET) - 8))
    if level == "info":
        assert "Traceback" not in text
        assert len(text.splitlines()) == 1


@pytest.mark.parametrize("way", ["main thread", "another thread", "log line with an exception"])
def test_who_debugs_gets_a_traceback_without_the_secret(way: str) -> None:
    assert "Traceback" in printed(WAYS[way], "debug")


def test_an_error_in_one_line_says_where_it_came_from() -> None:
    hide(SECRET)
    try:
        int(SECRET)
    except ValueError as exc:
        told = hooks.in_short(exc)
    assert told.startswith("ValueError: invalid literal for int() with base 10: '***' (test_hooks.py:")
    assert hooks.in_short(KeyError("x")) == "KeyError: 'x'"


def test_a_line_that_cannot_be_written_says_so_without_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log.set_up("info")
        logging.getLogger("ualpipe.x").warning("%d", SECRET)
        assert capsys.readouterr().err == "a line of ualpipe.x can't be written\n"
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
