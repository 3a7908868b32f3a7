"""Columns that are made of a whole record: its identity, its outcome, what ASIM calls it, and the paths of its files. Pure."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.records.identity import is_usable
from ualpipe.schemas import read_csv, read_yaml
from ualpipe.sinks.sentinel.tables import Kind

Record = Mapping[str, Any]
Derive = Callable[[Record, EncodedEvent], Any]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # the words of FileSyncDownloadedFull
_LONGEST_NAME = 200  # characters; what is longer names no operation
_LARGEST = 1_000_000  # no type of record has such a number
_PARTIAL = frozenset({"partiallysucceeded", "partial", "partialsuccess"})


@dataclass(frozen=True, slots=True)
class Act:
    """What ASIM calls an operation.

    Attributes:
        kind: Whose table it goes to.
        event_type: One of the schema's words.
        event_sub_type: Its own word; empty for none.
        has_two_files: Whether it leads from a file to another.
    """

    kind: Kind
    event_type: str
    event_sub_type: str = ""
    has_two_files: bool = False


@functools.cache
def _acts() -> Mapping[tuple[str, str], Act]:
    """Returns the acts by record type and operation; ``*`` stands for any operation of a type."""
    return {
        (row["record_type"], row["operation"]): Act(
            cast("Kind", row["table"]),
            row["event_type"],
            row["event_sub_type"],
            bool(row["two_files"]),
        )
        for row in read_csv("sentinel/asim_operations.csv")
    }


@functools.cache
def _verbs() -> Mapping[str, str]:
    return {row["verb"]: row["event_type"] for row in read_csv("sentinel/asim_verbs.csv")}


@functools.cache
def _logon_errors() -> Mapping[str, str]:
    return {row["error"].lower(): row["details"] for row in read_csv("sentinel/asim_logon_errors.csv")}


@functools.cache
def _outcomes() -> tuple[Mapping[str, str], frozenset[str]]:
    """Returns what a status says, and the operations that are failures whatever it says: as the ``ecs`` transform has them."""
    words = read_yaml("ecs/words.yaml")["outcomes"]
    said = {str(word).lower(): "Success" for word in words["success"]} | {
        str(word).lower(): "Failure" for word in words["failure"]
    }
    return said, frozenset(name.lower() for name in words["failed_operations"])


def act_of(record: Record) -> Act:
    """Returns what ASIM calls the operation of a record. What is neither a logon nor about a file is an audit event."""
    record_type, operation = record.get("RecordType"), record.get("Operation")
    return _act(_short(record_type), _short(operation))


def _short(value: Any) -> str:
    """Returns text or a number as text, bounded: it is remembered."""
    return str(value)[:_LONGEST_NAME] if type(value) is str or (type(value) is int and abs(value) < _LARGEST) else ""


@functools.lru_cache(maxsize=4096)
def _act(record_type: str, operation: str) -> Act:
    known = _acts()
    number = _record_type_numbers().get(record_type, record_type)
    return known.get((number, operation)) or known.get((number, "*")) or Act("audit", _event_type(operation))


@functools.cache
def _record_type_numbers() -> Mapping[str, str]:
    return {row["name"]: row["id"] for row in read_csv("record_types.csv")}


def _event_type(operation: str) -> str:
    """Returns the word of ASIM for an operation: by the verb of a cmdlet or sentence, else by the last word of its name."""
    words = [word.lower() for word in _WORD.findall(operation)]
    ordered = words if re.search(r"[- ]", operation) else [*reversed(words)]
    return next((_verbs()[word] for word in ordered if word in _verbs()), "Other")


def record_id(_record: Record, event: EncodedEvent) -> str:
    """Returns what tells a row: the record's ``Id``, and what tells the content of another record under the same ``Id``.

    A record without a usable ``Id`` (a placeholder is none) has the hash of its bytes as received, so that dropping what has
    come twice keeps what only lacks an ``Id``.
    """
    if is_usable(event.id):
        return f"{event.id}~{event.conflict}" if event.conflict else event.id
    return "raw:" + hashlib.sha256(event.raw).hexdigest()


def result(record: Record, event: EncodedEvent) -> str:
    """Returns how an act went, in the words of ASIM. Where a document tells, that counts; ``NA`` where nothing tells."""
    status = record.get("ResultStatus")
    word = status.lower() if type(status) is str else str(status).lower() if type(status) is bool else ""
    said, failed = _outcomes()
    operation = record.get("Operation")
    if type(operation) is str and operation.lower() in failed:
        return "Failure"
    if word in _PARTIAL:
        return "Partial"
    if event.has_document and event.outcome in ("success", "failure"):
        return event.outcome.capitalize()
    if word or act_of(record).kind != "file":
        return said.get(word, "NA")
    return "Success"  # files: the record has no status, and states what was done


def severity(record: Record, event: EncodedEvent) -> str:
    """Returns ``Low`` for what failed, as Microsoft's parsers do."""
    return "Low" if result(record, event) == "Failure" else "Informational"


def logon_result_details(record: Record, event: EncodedEvent) -> str | None:
    """Returns why a logon failed, in the words of ASIM; None for one that went well."""
    if result(record, event) != "Failure":
        return None
    said = [record.get(name) for name in ("LogonError", "ErrorNumber")]
    words = [str(value).lower() for value in said if type(value) in (str, int)]
    return next((_logon_errors()[word] for word in words if word in _logon_errors()), "Other")


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    return value if type(value) is str else ""


def _of_source(name: str) -> Derive:
    """Returns what reads a field of the file that an act leads away from."""
    return lambda record, _event: (_text(record, name) or None) if act_of(record).has_two_files else None


def _target(of_two: str, of_one: str) -> Derive:
    """Returns what reads a field of the file that an act is about, or leads to."""
    return lambda record, _event: _text(record, of_two if act_of(record).has_two_files else of_one) or None


def target_path(record: Record, _event: EncodedEvent) -> str | None:
    """Returns the URL of the file that an act is about, or leads to."""
    name = _text(record, "DestinationFileName")
    if not act_of(record).has_two_files or not name:
        return _text(record, "ObjectId") or _text(record, "SourceFileName") or None
    parts = [_text(record, "SiteUrl"), _text(record, "DestinationRelativeUrl"), name]
    return "/".join(part.strip("/") for part in parts if part)


def derived() -> Mapping[str, Derive]:
    """Returns what is made of a whole record, by name."""
    return {
        "record_id": record_id,
        "result": result,
        "severity": severity,
        "logon_result_details": logon_result_details,
        "event_type": lambda record, _event: act_of(record).event_type,
        "event_sub_type": lambda record, _event: act_of(record).event_sub_type or None,
        "source_path": _of_source("ObjectId"),
        "source_path_type": lambda record, _event: "URL" if act_of(record).has_two_files else None,
        "source_name": _of_source("SourceFileName"),
        "source_extension": _of_source("SourceFileExtension"),
        "target_path": target_path,
        "target_name": _target("DestinationFileName", "SourceFileName"),
        "target_extension": _target("DestinationFileExtension", "SourceFileExtension"),
        "whole_record": lambda record, _event: record,
    }
