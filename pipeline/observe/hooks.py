"""What Python itself prints of errors and warnings nobody catches: in a line, with secrets blanked, as everything else.

A traceback shows the values that an error speaks of; only who asks for one (``--log-level debug``) gets it, blanked as well.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import TextIO

from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.wording import shorten

PLACES_SHOWN = 3
"""Innermost places of the code that stand in place of a traceback."""


def install() -> None:
    """Takes over what Python prints by itself: from now on in this process."""
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warning
    logging.raiseExceptions = False  # logging would print a line that it can't write, arguments and all


def in_short(exc: BaseException) -> str:
    """Returns an error in one line: its type, its text, and where in the code it came from; secrets are blanked."""
    places = traceback.extract_tb(exc.__traceback__)[-PLACES_SHOWN:]
    where = " < ".join(f"{place.filename.rpartition('/')[2]}:{place.lineno} {place.name}" for place in reversed(places))
    return f"{type(exc).__name__}: {shorten(str(exc))}" + (f" ({where})" if where else "")


def unexpected(exc: BaseException) -> str:
    """Returns what a person is told of an error that is a bug; with its traceback where details are asked for."""
    if is_debugging():
        return blanked("".join(traceback.format_exception(exc)))
    return f"failed unexpectedly: {in_short(exc)}; --log-level debug shows more, where a command has it"


def is_debugging() -> bool:
    """Returns whether details were asked for."""
    return logging.getLogger().getEffectiveLevel() <= logging.DEBUG


def _uncaught(_kind: type[BaseException], exc: BaseException, _trace: TracebackType | None) -> None:
    print(unexpected(exc), file=sys.stderr)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else "unknown"
        print(f"thread {name}: {unexpected(args.exc_value)}", file=sys.stderr)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        print(f"{args.err_msg or 'ignored'}: {unexpected(args.exc_value)}", file=sys.stderr)


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    text = warnings.formatwarning(str(message), category, filename, lineno, "" if line is None else line)
    print(blanked(text.rstrip()), file=file or sys.stderr)
