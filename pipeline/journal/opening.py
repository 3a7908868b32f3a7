"""Opens the journal of a pipeline. No other module knows which implementation that is."""

from __future__ import annotations

from collections.abc import Iterable

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.journal.contract import Journal
from ualpipe.pipeline.journal.reading import JournalChanges, JournalReader
from ualpipe.pipeline.stages import Finding


def open_journal(config: PipelineConfig, clock: Clock, longest_delay_s: float) -> Journal:
    """Opens or creates the journal, for a pipeline that runs.

    Args:
        config: A checked config.
        clock: Tells when something is noted.
        longest_delay_s: Longest time for which a work item is postponed, in seconds.

    Raises:
        JournalError: Another process has the journal, or it is damaged or of another version. Nothing is changed then.
    """
    from ualpipe.pipeline.journal.sqlite.file import JournalFile  # noqa: PLC0415 - the only way from here to there
    from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal  # noqa: PLC0415

    file = JournalFile(config.state_dir, clock, exclusive=True)
    try:
        return SqliteJournal(
            file,
            config_version=config.version,
            max_bytes=config.journal.max_size,
            sinks=config.kept_for,
            dead_letter_limits=config.journal.dead_letters,
            longest_delay_s=longest_delay_s,
        )
    except BaseException:
        file.close()
        raise


def look_at_state_dir(config: PipelineConfig) -> Iterable[Finding]:
    """Yields what would keep a run from using the state directory, or is unsafe about it. Nothing is changed."""
    from ualpipe.pipeline.journal.sqlite.state_dir.inspection import look_at  # noqa: PLC0415

    return look_at(config.state_dir, config.journal.max_size)


def open_reader(config: PipelineConfig, clock: Clock) -> JournalReader:
    """Opens an existing journal for reading, also beside a running pipeline.

    Raises:
        JournalError: There is no journal, or it is of another version.
    """
    from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader  # noqa: PLC0415

    return SqliteJournalReader(config.state_dir, clock)


def open_changes(config: PipelineConfig, clock: Clock) -> JournalChanges:
    """Opens an existing journal for operators' changes, also beside a running pipeline.

    Raises:
        JournalError: There is no journal, or it is of another version.
    """
    from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges  # noqa: PLC0415

    return SqliteJournalChanges(config.state_dir, clock, config.version)
