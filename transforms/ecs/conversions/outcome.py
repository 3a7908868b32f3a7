"""Says how an audited operation went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ualpipe.transforms.memo import Memo

_HASHABLE: frozenset[type] = frozenset({str, bool, type(None)})


def make_outcome(words: Mapping[str, Sequence[str]]) -> Callable[[Mapping[str, Any]], str]:
    """Returns the function that tells ``success``, ``failure`` or ``unknown`` for an operation.

    The operation outweighs the status: most failed sign-ins carry ResultStatus ``Success``, which only means that the request
    was answered. An absent or unknown status is ``unknown``, never success.

    Args:
        words: ``success`` and ``failure``: what a status says, in any case; ``failed_operations``: operations that are a
            failure whatever the status says.
    """
    outcomes = {word.lower(): "success" for word in words["success"]} | {word.lower(): "failure" for word in words["failure"]}
    failed = frozenset(operation.lower() for operation in words["failed_operations"])

    def judge(operation: Any, status: Any) -> str:
        if as_word(operation) in failed:
            return "failure"
        return outcomes.get(as_word(status), "unknown")

    known = Memo(lambda pair: judge(*pair))

    def outcome(originals: Mapping[str, Any]) -> str:
        operation, status = originals.get("Operation"), originals.get("ResultStatus")
        if status is None:
            status = originals.get("IsSuccess")
        found: str = (
            known[operation, status] if type(operation) is str and type(status) in _HASHABLE else judge(operation, status)
        )
        return found

    return outcome


def make_status(words: Mapping[str, Sequence[str]]) -> Callable[[Any], str | None]:
    """Returns the function that reads ``success`` or ``failure`` of a status, for workloads that have one of their own.

    The function returns None for any other word: then the outcome of ``make_outcome`` counts. ``words`` are the same as there.
    """
    outcomes = {word.lower(): outcome for outcome in ("success", "failure") for word in words[outcome]}
    return lambda status: outcomes.get(as_word(status))


def as_word(value: Any) -> str:
    """Returns text, and booleans as text, in lower case without blanks around it; nothing for other values."""
    return str(value).strip().lower() if isinstance(value, str | bool) else ""
