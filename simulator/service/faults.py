"""Fault scripts: rules, as data, that say which calls get another answer than the right one."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml

from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.json_schema.defects import schema_defects
from ualpipe.pipeline.marked_yaml import dotted
from ualpipe.pipeline.options import build, option, schema_of
from ualpipe.simulator.data import read_yaml
from ualpipe.simulator.service.errors import JSON_HEADERS, api_error
from ualpipe.simulator.service.http import Reply
from ualpipe.simulator.service.routes import Call

READY_MADE = "fault_scripts.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAnswer:
    """The answer that a call gets. Without status, code and body: the right one, delayed, slowed down, cut off or changed."""

    status: int | None = option("HTTP status.", default=None, minimum=100, maximum=599)
    code: str | None = option("Error code of the API (`AF429`): makes its body, and its usual status.", default=None)
    message: str | None = option("Message beside `code`.", default=None)
    body: str | None = option("Body as it stands; HTML where it begins with `<`.", default=None)
    headers: Mapping[str, str] = option("Further headers.", default={})
    delay_s: float | None = option("Wait before the first byte, in seconds.", default=None, minimum=0)
    bytes_per_s: float | None = option("Speed of the body.", default=None, exclusiveMinimum=0)
    cut_at_byte: int | None = option("The connection breaks after so many bytes of the body.", default=None, minimum=0)
    close: bool = option("The connection breaks without an answer.", default=False)
    foreign_host: str | None = option("Host that stands in contentUri and NextPageUri in place of the service's.", default=None)
    revoke_tokens: bool = option("All tokens issued so far are refused (401) from this call on.", default=False)

    @property
    def replaces(self) -> bool:
        """Whether the fault stands in place of the right answer."""
        return self.close or any(part is not None for part in (self.status, self.code, self.body))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """A fault, and the calls that get it. What is not named matches all calls; the first rule that fires wins."""

    operation: Literal["discovery", "token", "start", "stop", "subscriptions", "list", "fetch"] | None = option(
        "The operation.", default=None
    )
    method: Literal["GET", "POST"] | None = option("The HTTP method.", default=None)
    tenant: str | None = option("The tenant as written in the path.", default=None)
    content_type: str | None = option("The content type, with `*` and `?`.", default=None)
    content_id: str | None = option("The contentId of a fetch, with `*` and `?`.", default=None)
    page: Literal["first", "next"] | None = option("Listings that begin, or those that go on.", default=None)
    each: Literal["tenant", "content_type", "content_id"] | None = option(
        "Counts `skip` and `times` for each of these on its own.", default=None
    )
    skip: int = option("How many matching calls go well before.", default=0, minimum=0)
    times: int | None = option("How many calls get the fault; without it all further ones.", default=None, minimum=1)
    after_s: float = option("Since the script began, in seconds: calls before go well.", default=0.0, minimum=0)
    for_s: float | None = option("For how long, in seconds; without it until the end.", default=None, exclusiveMinimum=0)
    share: float = option("Part of the calls, after `skip`, that get the fault.", default=1.0, minimum=0, maximum=1)
    seed: int = option("Chooses which ones.", default=0)
    answer: FaultAnswer = option("What these calls get.")


class FaultScript:
    """A fault script that is being played. Thread-safe."""

    def __init__(self, rules: Iterable[FaultRule | Mapping[str, Any]], clock: Clock | None = None) -> None:
        """Begins to play rules.

        Args:
            rules: The rules, of which the first that fires wins.
            clock: The service's clock; rules may hold for a time.

        Raises:
            ValueError: A rule is wrong.
        """
        self.rules = tuple(rule if isinstance(rule, FaultRule) else parse_rule(rule) for rule in rules)
        self._clock = clock or SystemClock()
        self._began_at = self._clock.monotonic()
        self._matched: Counter[tuple[int, str]] = Counter()
        self._played: Counter[tuple[int, str]] = Counter()
        self._lock = threading.Lock()

    def fault_for(self, call: Call) -> FaultAnswer | None:
        """Returns the fault that a call gets, and counts it; None when it goes well."""
        elapsed_s = self._clock.monotonic() - self._began_at
        with self._lock:
            for number, rule in enumerate(self.rules):
                if _is_in_force(rule, elapsed_s) and _matches(rule, call) and self._fires(number, rule, call):
                    return rule.answer
        return None

    def played(self, rule: int | None = None) -> int:
        """Returns how many calls got a fault, from one rule (by its place) or from all."""
        with self._lock:
            return sum(count for (number, _), count in self._played.items() if rule in (None, number))

    def _fires(self, number: int, rule: FaultRule, call: Call) -> bool:
        key = (number, getattr(call, rule.each) if rule.each else "")
        ordinal = self._matched[key]
        self._matched[key] += 1
        if ordinal < rule.skip or (rule.times is not None and self._played[key] >= rule.times):
            return False
        # The choice hangs on seed, key and ordinal alone, so that a script plays alike however threads interleave.
        if rule.share < 1 and random.Random(f"{rule.seed}/{key[1]}/{ordinal}").random() >= rule.share:  # noqa: S311 - no secret
            return False
        self._played[key] += 1
        return True


def parse_rule(rule: Mapping[str, Any]) -> FaultRule:
    """Returns a rule from its written form.

    Raises:
        ValueError: A key or value is wrong; the message says which and why.
    """
    problems = [f"{dotted(where) or 'rule'}: {message}" for where, message in schema_defects(schema_of(FaultRule), rule, ())]
    if problems:
        raise ValueError(f"fault rule {dict(rule)!r}: {'; '.join(problems)}")
    parsed: FaultRule = build(FaultRule, rule, Path())
    return parsed


def load_rules(source: str) -> list[FaultRule]:
    """Reads a fault script.

    Args:
        source: A YAML file with a list of rules, or the name of a ready-made script (``throttled``).

    Raises:
        ValueError: There is no such script, or a rule is wrong.
        OSError: The file can't be read.
    """
    ready_made = read_yaml(READY_MADE)
    if source in ready_made:
        rules = ready_made[source]["rules"]
    elif Path(source).suffix in (".yaml", ".yml", ".json"):
        rules = yaml.safe_load(Path(source).read_text(encoding="utf-8"))
    else:
        raise ValueError(f"{source!r} is neither a YAML file nor one of {', '.join(ready_made)}")
    if not isinstance(rules, list):
        raise ValueError(f"{source}: a list of fault rules was expected")  # noqa: TRY004 - the file's content is wrong
    return [parse_rule(rule) for rule in rules]


def replacement(fault: FaultAnswer) -> Reply:
    """Returns the answer that stands in place of the right one."""
    if fault.code is not None:
        reply = api_error(fault.code, status=fault.status, message=fault.message)
    elif fault.body is not None:
        kind = "text/html" if fault.body.lstrip().startswith("<") else JSON_HEADERS["Content-Type"]
        reply = Reply(fault.status or 200, fault.body.encode(), {"Content-Type": kind})
    else:
        reply = Reply(fault.status or 500, b"", JSON_HEADERS)
    return reply


def spoil(reply: Reply, fault: FaultAnswer, host: str) -> Reply:
    """Returns an answer with headers, delay, speed, cut and foreign host as the fault has them.

    Args:
        reply: The right answer, or its replacement.
        fault: The fault.
        host: The service's own ``host:port``.
    """
    headers = {**reply.headers, **fault.headers}
    body = reply.body
    if fault.foreign_host and isinstance(body, bytes):
        body = body.replace(host.encode(), fault.foreign_host.encode())
        headers = {name: value.replace(host, fault.foreign_host) for name, value in headers.items()}
    return dataclasses.replace(
        reply,
        body=body,
        headers=headers,
        delay_s=fault.delay_s or 0.0,
        bytes_per_s=fault.bytes_per_s,
        cut_at_byte=fault.cut_at_byte,
        is_dropped=fault.close,
    )


def _is_in_force(rule: FaultRule, elapsed_s: float) -> bool:
    return rule.after_s <= elapsed_s and (rule.for_s is None or elapsed_s < rule.after_s + rule.for_s)


def _matches(rule: FaultRule, call: Call) -> bool:
    exact = all(getattr(rule, name) in (None, getattr(call, name)) for name in ("operation", "method", "tenant", "page"))
    return exact and _fits(rule.content_type, call.content_type) and _fits(rule.content_id, call.content_id)


def _fits(pattern: str | None, text: str) -> bool:
    return pattern is None or fnmatchcase(text, pattern)
