"""A checked config, as objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Condition
from ualpipe.pipeline.options import Duration, Size, build, conditions_option, option
from ualpipe.pipeline.records.identity import OnConflict

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Every = Literal["daily", "weekly", "monthly"]
ReportFormat = Literal["html", "csv", "json", "ndjson", "table"]

_ACCOUNT = {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterOptions:
    """The ``journal.dead_letters`` section."""

    max_age: Duration | None = option(
        "Longest time that a dead letter may wait to be retried or discarded; null for no limit.", default="30d"
    )
    max_size: Size | None = option(
        "Space that dead letters may take in the journal, compressed; null for no limit.", default="256MiB"
    )
    on_limit: Literal["warn", "stop"] = option(
        "Beyond a limit, `warn` says so in the log, in `status` and by exit code 1; `stop` also pauses fetching until dead "
        "letters are sent again or discarded. They are never dropped.",
        default="warn",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalOptions:
    """The ``journal`` section."""

    keep: Duration = option("How long delivered records stay in the journal, for replay and proof.", default="7d")
    max_size: Size = option(
        "Size limit of the journal. When it is reached, fetching pauses until sinks have caught up; nothing is dropped.",
        default="10GiB",
    )
    dead_letters: DeadLetterOptions = option("Limits of dead letters.", default={})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Options that every source has; a source may give them other defaults."""

    enabled: bool = option("False leaves the source out without removing it.", default=True)
    poll_interval: Duration = option("Pause between two listings of a stream.", default="60s")
    requests_per_minute: int | None = option("Requests per minute at most; null for no limit.", default=None, minimum=1)
    concurrency: int = option("Work items fetched at the same time, at most.", default=8, minimum=1, maximum=64)
    on_conflict: OnConflict = option(
        "What becomes of a record with other content than the first that came under its Id: `keep` delivers it, tagged "
        "`id_conflict`; `dead_letter` sets it aside. A feed's record is delivered in any case where the first came from a file.",
        default="keep",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOptions:
    """Options that every sink has."""

    enabled: bool = option("False leaves the sink out; it continues where it stopped when enabled again.", default=True)
    when: Any = conditions_option(
        "Only events that fit these conditions (Sigma's notation) go to this sink.",
        examples=[{"event.category": "authentication"}],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegateOptions:
    """A delegate who is expected in a mailbox."""

    mailbox: str = option("Address of the mailbox.", minLength=1)
    delegate: str = option("Address of who may be in it.", minLength=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessHours:
    """When business is."""

    begins: int = option("Hour at which business begins, local time.", default=7, minimum=0, maximum=23)
    ends: int = option("Hour at which it ends.", default=19, minimum=1, maximum=24)
    days: list[Weekday] = option(
        "Days of the week with business.", default=["monday", "tuesday", "wednesday", "thursday", "friday"]
    )
    timezone: str = option(
        "Time zone of days and hours (IANA name), also of reports that are asked for without `--timezone`.",
        default="UTC",
        examples=["Europe/Berlin"],
    )

    def __post_init__(self) -> None:
        if self.begins >= self.ends:
            raise ConfigError(f"business_hours: begins ({self.begins}) has to be before ends ({self.ends})")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(f"business_hours.timezone: {self.timezone!r} is no time zone: write UTC or Europe/Berlin") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleOptions:
    """A report that a run writes by itself."""

    report: str = option("Name of the report; `ualpipe report --list` shows all.", minLength=1)
    every: Every = option("The period: the last day, week (from Monday) or month that has ended, in `business_hours.timezone`.")
    output: Path = option("Folder for the files, which are named REPORT-TENANT-PERIOD.")
    format: ReportFormat = option("Format of the files.", default="html")
    tenants: list[str] = option(
        "Ids of tenants, a file each; without any there is a file for each tenant of the store.", default=[]
    )
    user: str = option("Only what this user did.", default="")
    workloads: list[str] = option("Only these workloads.", default=[], examples=[["Exchange"]])
    sink: str = option("Which sink's store is asked; needed where several sinks have one.", default="")
    after: Duration = option(
        "How long after the end of its period a report is written: records become available late.", default="6h"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsOptions:
    """The ``reports`` section. Addresses, names and ids count without case."""

    domains: list[str] = option("Own domains.", default=[], examples=[["contoso.com"]], items=_ACCOUNT)
    service_accounts: list[str] = option("Accounts that no person uses.", default=[], items=_ACCOUNT)
    break_glass: list[str] = option("Accounts for emergencies.", default=[], items=_ACCOUNT)
    admins: list[str] = option("Administrators, by address.", default=[], items=_ACCOUNT)
    vips: list[str] = option("Persons whose mailboxes are looked at first.", default=[], items=_ACCOUNT)
    partner_tenants: list[str] = option("Ids of tenants whose staff are own partners.", default=[], items=_ACCOUNT)
    apps: list[str] = option("Ids of own applications.", default=[], items=_ACCOUNT)
    delegates: list[DelegateOptions] = option(
        "Delegates that are expected: reports count them, and show them as expected.",
        default=[],
        examples=[[{"mailbox": "ceo@contoso.com", "delegate": "assistant@contoso.com"}]],
    )
    business_hours: BusinessHours = option("When business is.", default={})
    folder: Path | None = option("Folder of own reports: pairs NAME.sql and NAME.yaml.", default=None)
    schedule: list[ScheduleOptions] = option("Reports that `ualpipe run` writes by itself.", default=[])


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One configured stage.

    Attributes:
        name: Key in the config; for transforms the type with its position.
        type: Entry point name.
        cls: The stage class.
        options: Instance of the class's ``Config``.
        common: ``SourceOptions`` or ``SinkOptions``; None for transforms.
        when: The compiled condition of a sink; None when it takes all.
    """

    name: str
    type: str
    cls: Any
    options: Any
    common: Any = None
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """A checked config.

    Attributes:
        version: Hash of the content without secrets, 12 hex digits: stands beside dead letters.
        secrets: Texts that must never be printed: those of secret options, and what the environment and files put elsewhere.
        workers: Processes that transform records; 1 where the pipeline's own process does it.
        memory_limit: Bytes that they may take together; None for what the control group or the machine allows.
        disabled_sinks: Sinks with ``enabled: false``: their backlog is kept.
        accepts_unmappable: Whether records of which no usable document could be made leave exit codes as they are.
        weakened: Settings that protect less than they could, a line each, as warnings are.
        warnings: What should be written in another way, a line each: ``file:line:col  path: …``.
        reports: What reports need to know.
    """

    path: Path
    pipeline: str
    state_dir: Path
    credentials: dict[str, Credential]
    sources: dict[str, StageSpec]
    transforms: list[StageSpec]
    sinks: dict[str, StageSpec]
    journal: JournalOptions
    version: str
    secrets: frozenset[str] = field(repr=False)
    weakened: Sequence[str] = ()
    disabled_sinks: frozenset[str] = frozenset()
    workers: int = 1
    accepts_unmappable: bool = False
    memory_limit: int | None = None
    warnings: Sequence[str] = ()
    reports: ReportsOptions = field(default_factory=lambda: build(ReportsOptions, {}, Path()))

    @property
    def kept_for(self) -> list[str]:
        """Sinks that records are kept for until they have them, those that are switched off for now included."""
        return [*self.sinks, *self.disabled_sinks]
