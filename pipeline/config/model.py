"""A checked config, as objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.events import Condition
from ualpipe.pipeline.options import Duration, Size, conditions_option, option
from ualpipe.pipeline.records.identity import OnConflict


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

    @property
    def kept_for(self) -> list[str]:
        """Sinks that records are kept for until they have them, those that are switched off for now included."""
        return [*self.sinks, *self.disabled_sinks]
