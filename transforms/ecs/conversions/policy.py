"""Reads what data loss prevention found: the rule that counts, its severity, whether the act was stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SEVERITIES = {"informational": 1, "none": 1, "low": 2, "medium": 3, "high": 4}
_BLOCKING = "block"  # BlockAccess, BlockAccessInternal, Block …
_UNDONE = "dlpruleundo"


def severity(text: str) -> int | None:
    """Returns 1 (informational), 2 (low), 3 (medium) or 4 (high); None for another word. The scale is ours."""
    return _SEVERITIES.get(text.strip().lower())


def _rules(details: Any) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yields each policy with each of its rules, in delivered order."""
    for policy in details if isinstance(details, list) else [details]:
        if isinstance(policy, dict):
            rules = policy.get("Rules")
            for rule in rules if isinstance(rules, list) else [rules]:
                if isinstance(rule, dict):
                    yield policy, rule


def _severity_of(rule: Mapping[str, Any]) -> int:
    word = rule.get("Severity")
    return (severity(word) or 0) if isinstance(word, str) else 0


def most_severe_rule(details: Any) -> dict[str, str] | None:
    """Returns ``id``, ``name`` and ``ruleset`` (the policy) of the most severe matched rule, the first of equals.

    ECS has one rule an event; all of them stay below ``o365.audit.PolicyDetails``.
    """
    found = max(_rules(details), key=lambda pair: _severity_of(pair[1]), default=None)
    if found is None:
        return None
    policy, rule = found
    parts = {"id": rule.get("RuleId"), "name": rule.get("RuleName"), "ruleset": policy.get("PolicyName")}
    return {key: value for key, value in parts.items() if isinstance(value, str) and value} or None


def highest_severity(details: Any) -> int | None:
    """Returns the highest severity of the matched rules (``severity``'s scale)."""
    return max((_severity_of(rule) for _policy, rule in _rules(details)), default=0) or None


def policy_outcome(originals: Mapping[str, Any]) -> str | None:
    """Returns ``failure`` where a rule stopped the act, ``success`` where the act went through.

    Undone matches and those that the user overrode or reported as false go through. Where no rule stopped the act and the record
    has a status of its own, which is rare, the function returns None: the status says more.
    """
    if not _goes_through(originals) and any(_blocks(rule) for _policy, rule in _rules(originals.get("PolicyDetails"))):
        return "failure"
    return None if "ResultStatus" in originals else "success"


def _goes_through(originals: Mapping[str, Any]) -> bool:
    operation = originals.get("Operation")
    is_undone = isinstance(operation, str) and operation.lower() == _UNDONE
    return is_undone or "ExceptionInfo" in originals or "ExceptionInfo_text" in originals


def _blocks(rule: Mapping[str, Any]) -> bool:
    return not rule.get("OverriddenActions") and any(word.lower().startswith(_BLOCKING) for word in _texts(rule.get("Actions")))


def _texts(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
