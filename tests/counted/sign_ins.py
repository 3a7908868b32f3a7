"""Sign-ins that failed, sprays, and old protocols, counted over raw records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from counted import reading
from counted.reading import Record, actor, address, operation, said, time

ASKED = {"50072", "50074", "50076", "50079"}  # for a second factor: no failure
INTERRUPTED = {"16000", "16001", "50058", "50097", "50125", "50127", "50129", "50140", "50143", "50199", "65001"}
BLOCKED = {"53000", "53001", "53002", "53003", "53004"}  # by conditional access: the password was right
MANY = 10


def sign_in_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Returns what the report has to say, a row for each finding."""
    attempts = [record for record in records if reading.record_type(record) in (9, 15)]
    failed = [record for record in attempts if _result(record) == "failed"]
    entered = [record for record in attempts if _result(record) == "in"]
    return [*_accounts(attempts, failed, entered), *_sprays(failed, entered), *_old_protocols(failed + entered)]


def _code(record: Record) -> str:
    value = str(record.get("ErrorNumber") or "").strip()
    return "" if value == "0" else value


def _result(record: Record) -> str:
    if operation(record) == "userloggedin":
        return "in"
    if reading.record_type(record) == 9:
        return {"success": "in", "failed": "failed"}.get(said(record, "ResultStatus"), "")
    if operation(record) != "userloginfailed":
        return ""
    return "asked" if _code(record) in ASKED else "interrupted" if _code(record) in INTERRUPTED else "failed"


def _codes(records: Iterable[Record]) -> str:
    counted = Counter(_code(record) or "no code" for record in records)
    return ", ".join(f"{code} {number}" for code, number in sorted(counted.items(), key=lambda one: (-one[1], one[0])))


def _after_failure(entries: Iterable[Record], failed: Iterable[Record]) -> list[Record]:
    """Returns sign-ins of accounts from addresses at which these had failed before."""
    first: dict[tuple[str, str], Any] = {}
    for record in failed:
        key = actor(record), address(record)
        first[key] = min(first.get(key, time(record)), time(record))
    return [one for one in entries if (actor(one), address(one)) in first and first[actor(one), address(one)] < time(one)]


def _finding(name: str, group: Sequence[Record], **more: Any) -> dict[str, Any]:
    known = {
        "finding": name,
        "account": actor(group[0]),
        "first": time(group[0]),
        "last": time(group[-1]),
        "failed": len(group),
        "codes": _codes(group),
        "mfa_asked": 0,
        "accounts": 1,
        "ips": ", ".join(sorted({address(one) for one in group})),
        "then_in": None,
        "event_ids": reading.ids(group),
        "excluded": "own service accounts" if actor(group[0]) in reading.own("service_account") else None,
    }
    return known | more


def _accounts(attempts: list[Record], failed: list[Record], entered: list[Record]) -> Iterable[dict[str, Any]]:
    asked = Counter(actor(record) for record in attempts if _result(record) == "asked")
    caught = reading.grouped(_after_failure(entered, failed), actor)
    for account, group in reading.grouped(failed, actor).items():
        then_in = time(caught[account][0]) if account in caught else None
        name = "failed, then in" if then_in else "failed"
        yield _finding(name, group, mfa_asked=asked[account], then_in=then_in)


def _sprays(failed: list[Record], entered: list[Record]) -> Iterable[dict[str, Any]]:
    def place(record: Record) -> tuple[str, str]:
        return address(record), reading.day(record)

    caught = reading.grouped(_after_failure(entered, failed), place)
    let_in = {key: {actor(one) for one in group} for key, group in reading.grouped(entered, place).items()}
    for key, group in reading.grouped([one for one in failed if _code(one) not in BLOCKED], place).items():
        accounts = {actor(one) for one in group}
        if len(accounts) >= MANY and len(accounts) > len(let_in.get(key, ())):
            then_in = time(caught[key][0]) if key in caught else None
            yield _finding("spray", group, account=None, accounts=len(accounts), then_in=then_in, excluded=None)


def _old_protocols(attempts: list[Record]) -> Iterable[dict[str, Any]]:
    old = [one for one in attempts if reading.given(one, "ExtendedProperties").get("useragent", "").upper() == "BAV2ROPC"]
    for (_account, result), group in reading.grouped(old, lambda one: (actor(one), _result(one))).items():
        yield _finding("old protocol", group, codes=None, failed=len(group) if result == "failed" else 0)
