"""Says how an audited operation went."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ualpipe.transforms.memo import Memo

_HASHABLE: frozenset[type] = frozenset({str, bool})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # the words of FileSyncDownloadedFull
_FAILED = frozenset({"denied", "blocked", "failed", "refused", "prevented", "declined"})  # what was tried did not come about
_NO_ERROR = frozenset({"", "0", "none", "null", "success", "false", "n/a", "no error"})


def make_outcome(words: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], str]:
    """Returns the function that tells ``success``, ``failure`` or ``unknown`` for an operation.

    The operation outweighs the status: most failed sign-ins carry ResultStatus ``Success``, which only means that the request
    was answered. A status that says nothing is ``unknown``. Some workloads never send one: there an operation in the past tense
    (``FileDownloaded``) states an accomplished fact, hence a success, unless a field tells of an error.

    Args:
        words: ``success`` and ``failure``: what a status says, in any case; ``failed_operations``: operations that are a
            failure whatever the status says; ``past_tense``: see ``_Facts``.
    """
    outcomes = _outcomes(words)
    failed = frozenset(operation.lower() for operation in words["failed_operations"])
    facts = _Facts(**words["past_tense"])

    def judge(operation: Any, status: Any) -> str:
        if as_word(operation) in failed:
            return "failure"
        return outcomes.get(as_word(status), "unknown")

    known = Memo(lambda pair: judge(*pair))
    stated = Memo(lambda pair: "success" if judge(pair[0], None) == "unknown" and facts.states(*pair) else judge(pair[0], None))

    def outcome(originals: Mapping[str, Any]) -> str:
        operation, status = originals.get("Operation"), originals.get("ResultStatus")
        if status is None and (status := originals.get("IsSuccess")) is None:
            return _without_status(operation, originals)
        found: str = (
            known[operation, status] if type(operation) is str and type(status) in _HASHABLE else judge(operation, status)
        )
        return found

    def _without_status(operation: Any, originals: Mapping[str, Any]) -> str:
        workload = originals.get("Workload")
        if type(operation) is not str or type(workload) is not str:
            return judge(operation, None)
        found: str = stated[operation, workload]
        return "unknown" if found == "success" and facts.has_error(originals) else found

    return outcome


class _Facts:
    """Tells operations that are accomplished facts.

    Args:
        workloads: Those whose records have no status.
        endings: How verbs in the past tense end.
        verbs: Verbs in the past tense that end otherwise.
        last: Words that are such verbs at the end of a name alone (``SharingSet``, not ``SetLabel``).
        others: Words that end so and are no verbs, and verbs that say that something did not come about.
        errors: Fields that tell of an error.
    """

    def __init__(
        self,
        *,
        workloads: Sequence[str],
        endings: Sequence[str],
        verbs: Sequence[str],
        last: Sequence[str],
        others: Sequence[str],
        errors: Sequence[str],
    ) -> None:
        self._workloads = frozenset(word.lower() for word in workloads)
        self._endings = tuple(endings)
        self._verbs, self._last, self._others = frozenset(verbs), frozenset(last), frozenset({*others, *last})
        self._errors = frozenset(errors)

    def states(self, operation: str, workload: str) -> bool:
        """Returns whether an operation of a workload states what has been done."""
        if workload.strip().lower() not in self._workloads:
            return False
        words = [word.lower() for word in _WORD.findall(operation)]
        is_past = any(map(self._is_past, words)) or (len(words) > 1 and words[-1] in self._last)
        return is_past and not _FAILED.intersection(words)

    def _is_past(self, word: str) -> bool:
        return word in self._verbs or (word.endswith(self._endings) and word not in self._others)

    def has_error(self, originals: Mapping[str, Any]) -> bool:
        """Returns whether a field of a record tells of an error."""
        return not originals.keys().isdisjoint(self._errors) and any(
            as_word(str(originals[name])) not in _NO_ERROR for name in self._errors.intersection(originals)
        )


def make_status(words: Mapping[str, Any]) -> Callable[[Any], str | None]:
    """Returns the function that reads ``success`` or ``failure`` of a status, for workloads that have one of their own.

    The function returns None for any other word: then the outcome of ``make_outcome`` counts. ``words`` are the same as there.
    """
    outcomes = _outcomes(words)
    return lambda status: outcomes.get(as_word(status))


def _outcomes(words: Mapping[str, Any]) -> dict[str, str]:
    return {word.lower(): outcome for outcome in ("success", "failure") for word in words[outcome]}


def as_word(value: Any) -> str:
    """Returns text, and booleans as text, in lower case; nothing for other values.

    Blanks around it, a dot at its end, and a detail behind a colon (``Failed: 0x80``) are left out.
    """
    return str(value).partition(":")[0].strip(" .\t\r\n").lower() if isinstance(value, str | bool) else ""
