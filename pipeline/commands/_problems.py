"""What is wrong with a pipeline, and what to do about each: for ``ualpipe status``. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.credentials.status import CertificateStatus
from ualpipe.pipeline.errors import PipelineError, split_advice
from ualpipe.pipeline.journal.status import Status, StreamStatus
from ualpipe.pipeline.journal.types import StandingStill
from ualpipe.pipeline.observe.health import alike
from ualpipe.pipeline.wording import counted, rounded

TRANSIENT = timedelta(minutes=2)
"""What stands still for less has no part in the exit code: a service that throttles lets go within moments."""
STALE_S = 600.0
"""A listing that is older is stale: one that fails is tried again every five minutes (``retry.LISTING``), and says why."""
STALE_POLLS = 5
"""With a long ``poll_interval``, so many of them. How far a listing looks back has no part in it: it counts as of its begin."""
STALE_BETWEEN_RUNS_S = 26 * 3600.0
"""The same where the last run was one that ends by itself: a run a day, and two hours."""
FINE = "no dead letters, no gaps, no unmappable records"
MAX_NAMED = 3
"""Parts that are named of those with the same cause."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: ``standing_still``, ``not_running``, ``stale``, ``dead_letters``, ``gap``, ``unmappable``, ``beyond_limits``,
            ``set_back``, ``certificate``, ``idle_condition``, ``report``.
        parts: What it is wrong with, as far as it has a name: a sink, a source, a stream of a source.
        text: What is wrong, in a line.
        remedy: A command or step that mends it.
        short: The same in some words, for the last line.
        is_failure: Whether it makes the exit code 1.
    """

    kind: str
    parts: Sequence[str]
    text: str
    remedy: str
    short: str
    is_failure: bool = True


def find_problems(config: PipelineConfig, status: Status, stale: Sequence[StreamStatus], now: datetime) -> list[Problem]:
    """Returns what is wrong, the gravest first.

    Args:
        config: The pipeline.
        status: Its status.
        stale: Streams whose listing is stale (``stale_streams``).
        now: The present.
    """
    return [
        *_not_running(config, status, stale),
        *_standing_still(config, status, now),
        *_stale(config, status, stale, now),
        *_set_aside(config, status),
        *_others(config, status),
    ]


def natural(text: str) -> list[tuple[bool, int, str]]:
    """Returns what sorts names as people do: ``tenant2`` before ``tenant10``."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d{1,18})", text)]


def some(parts: Iterable[str]) -> str:
    """Returns names in their natural order; of many, the first and how many more there are."""
    found = sorted(set(parts), key=natural)
    shown = ", ".join(found[:MAX_NAMED])
    return shown if len(found) <= MAX_NAMED else f"{shown} and {len(found) - MAX_NAMED} more"


def age_s(stream: StreamStatus, now: datetime) -> float | None:
    """Returns how old the listing of a stream is; None where it has none."""
    return None if stream.listed_until is None else (now - datetime.fromisoformat(stream.listed_until)).total_seconds()


def stale_streams(
    config: PipelineConfig, status: Status, current: Collection[tuple[str, str]], now: datetime
) -> list[StreamStatus]:
    """Returns the streams whose listing is older than their poll interval explains, those that say why they stand still apart.

    A run that has just begun has not had the time to list yet.

    Args:
        config: The pipeline.
        status: Its status.
        current: Source and stream of what it lists; others may be of an earlier config.
        now: The present.
    """
    waits = {one.part for one in status.stalled(now - TRANSIENT)}
    run_s = (now - datetime.fromisoformat(status.run.since)).total_seconds() if status.run.since else float("inf")
    found = []
    for stream in status.streams:
        known = (stream.source, stream.stream) in current
        says_why = {f"source {stream.source}", f"source {stream.source} {stream.stream}"} & waits
        age = age_s(stream, now)
        if status.run.is_running is not False and age is not None:
            age = min(age, run_s)
        if known and not says_why and age is not None and age > limit_s(config, status, stream.source):
            found.append(stream)
    return found


def limit_s(config: PipelineConfig, status: Status, source: str) -> float:
    """Returns from which age on a listing of a source is stale, in seconds."""
    if status.run.is_running is False and status.run.is_bounded:
        return STALE_BETWEEN_RUNS_S
    poll_s: float = config.sources[source].common.poll_interval
    return max(STALE_S, STALE_POLLS * poll_s)


def by_cause(found: Iterable[StandingStill], sources: Collection[str]) -> list[list[StandingStill]]:
    """Returns what stands still by its cause: an expired secret is one, however many tenants and streams it stops."""
    causes: dict[str, list[StandingStill]] = {}
    for one in found:
        names = [one.part.partition(" ")[2], *one.part.split()[-1:], source_of(one.part, sources) or ""]
        causes.setdefault(alike(one.reason, names), []).append(one)
    return list(causes.values())


def source_of(part: str, sources: Collection[str]) -> str | None:
    """Returns the source that a part is, or is a stream of (``source contoso Audit.Exchange``); None for a sink."""
    kind, _, rest = part.partition(" ")
    fitting = [name for name in sources if rest == name or rest.startswith(f"{name} ")]
    return max(fitting, key=len, default=rest.partition(" ")[0]) if kind == "source" else None


def _not_running(config: PipelineConfig, status: Status, stale: Sequence[StreamStatus]) -> Iterator[Problem]:
    waiting, backlog = sum(source.waiting for source in status.sources), max((sink.backlog for sink in status.sinks), default=0)
    what = [f"{counted(waiting, 'item')} to be fetched"] if waiting else []
    what += [f"{counted(backlog, 'record')} to be delivered"] if backlog else []
    is_begun = bool(status.run.version) and not status.run.is_bounded and not status.streams  # and has listed nothing
    if status.run.is_running is False and (what or stale or is_begun):
        wait = f", and {' and '.join(what)} wait" if what else ", and the last run listed nothing" if is_begun else ""
        yield Problem("not_running", [], f"no pipeline runs on this state directory{wait}", _run(config), "not running")


def _run(config: PipelineConfig) -> str:
    return f"ualpipe run {_path(config)}"


def _path(config: PipelineConfig) -> str:
    return shlex.quote(str(config.path))


def _standing_still(config: PipelineConfig, status: Status, now: datetime) -> Iterator[Problem]:
    lasting = {one.part for one in status.stalled(now - TRANSIENT)}
    for found in by_cause(status.standing_still, config.sources):
        named = {source_of(one.part, config.sources) or one.part for one in found}
        streams = sum(source_of(one.part, config.sources) is not None for one in found)
        names = some(one.part for one in found) if len(found) <= MAX_NAMED else _counted_names(named, streams)
        happened, advice = split_advice(PipelineError(found[0].reason))
        verb = "stands" if len(found) == 1 else "stand"
        since = min(one.since for one in found)
        yield Problem(
            "standing_still",
            [one.part for one in found],
            f"{names} {verb} still since {since}: {happened}",
            advice or f"ualpipe check {_path(config)} --live",
            f"at a standstill: {names if len(found) <= MAX_NAMED else some(named)}",
            is_failure=any(one.part in lasting for one in found),
        )


def _counted_names(named: Collection[str], streams: int) -> str:
    return f"{some(named)} ({counted(streams, 'stream')})" if streams else some(named)


def _stale(config: PipelineConfig, status: Status, stale: Sequence[StreamStatus], now: datetime) -> Iterator[Problem]:
    if not stale:
        return
    sources = {stream.source for stream in stale}
    oldest = max(age_s(stream, now) or 0.0 for stream in stale)
    names = _counted_names(sources, len(stale)) if len(stale) > 1 else f"{stale[0].source} {stale[0].stream}"
    remedy = f"ualpipe check {_path(config)} --live" if status.run.is_running else _run(config)
    text = f"{names} not listed for {rounded(oldest)}, longer than {_words_of_limits(config, status, sources)}"
    yield Problem("stale", [f"source {one.source} {one.stream}" for one in stale], text, remedy, f"stale: {some(sources)}")


def _words_of_limits(config: PipelineConfig, status: Status, sources: Iterable[str]) -> str:
    return rounded(max(limit_s(config, status, source) for source in sources))


def _set_aside(config: PipelineConfig, status: Status) -> Iterator[Problem]:
    for code, count in status.dead_letters.items():
        remedy = f"ualpipe dead-letters list {_path(config)} --code {shlex.quote(code)}"
        letters = counted(count, "dead letter")
        yield Problem("dead_letters", [], f"{letters}: {code}", remedy, letters)
    for gap in status.gaps:
        text = f"gap: {gap.source} {gap.stream} from {gap.start} to {gap.end}: {gap.reason}"
        remedy = "the service has it no more; an export of an audit search can be read by a source of type `files`"
        yield Problem("gap", [f"source {gap.source} {gap.stream}"], text, remedy, counted(len(status.gaps), "gap"))
    if status.unmappable:
        records = counted(status.unmappable, "unmappable record")
        remedy = f"ualpipe status {_path(config)} says why; `unmappable: accept` if that is as it should be"
        yield Problem("unmappable", [], records, remedy, records, is_failure=not config.accepts_unmappable)


def _others(config: PipelineConfig, status: Status) -> Iterator[Problem]:
    for text in status.beyond_limits:
        yield Problem(
            "beyond_limits", [], text, f"ualpipe dead-letters list {_path(config)}", "dead letters beyond limits", False
        )
    if status.set_back:
        remedy = "nothing, if a backup was put back; else look after the disk"
        yield Problem("set_back", [], status.set_back, remedy, "the journal was set back", is_failure=False)
    for one in status.certificates:
        if one.is_urgent or one.problem:
            text = f"certificate of {one.credential}: {outlook(one)}"
            remedy = "make a new certificate, upload it to the app registration, then configure it"
            yield Problem("certificate", [one.credential], text, remedy, f"certificate of {one.credential}", is_failure=False)
    for idle in status.idle_conditions:
        text = f"{idle.place} {idle.verdict}: {counted(idle.events, 'event')} since {idle.since}"
        yield Problem("idle_condition", [idle.place], text, f"look at the condition in {_path(config)}", idle.place, False)


def outlook(certificate: CertificateStatus) -> str:
    """Returns how long a certificate lasts, in words."""
    if certificate.days is None:
        return certificate.problem
    if certificate.days < 0:
        return f"has expired ({certificate.expires})"
    return f"expires in {counted(certificate.days, 'day') if certificate.days else 'less than a day'} ({certificate.expires})"


def in_short(problems: Iterable[Problem]) -> str:
    """Returns the last line: what is wrong, in some words each; never that all is fine beside something that is not."""
    found = list(problems)
    failures = [one for one in found if one.is_failure or one.kind == "standing_still"]
    text = "; ".join(_merged(list(dict.fromkeys(one.short for one in failures or found))))
    if failures:
        return text
    return f"{FINE}; to look at: {text}" if text else FINE


def _merged(shorts: Sequence[str]) -> Iterator[str]:
    """Yields words, those that begin alike (``stale: a``, ``stale: b``) together."""
    heads: dict[str, list[str]] = {}
    for short in shorts:
        head, colon, rest = short.partition(": ")
        heads.setdefault(head, []).extend([rest] if colon else [])
    for head, rests in heads.items():
        yield f"{head}: {', '.join(rests[:MAX_NAMED])}{_more(rests)}" if rests else head


def _more(rests: Sequence[str]) -> str:
    return f" and {len(rests) - MAX_NAMED} more" if len(rests) > MAX_NAMED else ""


def as_dicts(problems: Iterable[Problem]) -> list[Mapping[str, object]]:
    """Returns problems as plain data, for JSON."""
    return [
        {"kind": one.kind, "parts": list(one.parts), "text": one.text, "remedy": one.remedy, "is_failure": one.is_failure}
        for one in problems
    ]
