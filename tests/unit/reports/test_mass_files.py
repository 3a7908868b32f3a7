"""``mass-files``: many files at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from archives.acts import Asking, act, asking, sql_of, without
from archives.scene import Record
from ualpipe.pipeline.report.contract import Own

SITE, OTHER_SITE = "https://contoso.sharepoint.com/sites/ops", "https://contoso.sharepoint.com/sites/legal"
BACKUP_APP = "44444444-4444-4444-4444-444444444444"


def burst(
    name: str, at: str, operation: str, count: int, *, by: str, every_s: int = 5, files: int | None = None, **more: Any
) -> list[Record]:
    """Returns ``count`` acts on ``files`` files (else on so many), ``every_s`` seconds apart, called NAME and a number."""
    begin = datetime.strptime(f"2026-{at}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    found = []
    for number in range(count):
        file = f"{name}-{number % (files or count)}.docx"
        members = {
            "ObjectId": f"{SITE}/{file}",
            "SiteUrl": SITE,
            "SourceFileName": file,
            "ItemType": "File",
            "ClientIP": "198.51.100.7",
        }
        clock = f"{begin + timedelta(seconds=number * every_s):%m-%d %H:%M:%S}"
        found.append(act(f"{name} {number}", clock, operation, 6, by, **(members | more)))
    return found


def ids(name: str, count: int) -> list[str]:
    return [f"{name} {number}" for number in range(count)]


def renamed(record: Record, to: str) -> Record:
    return record | {"DestinationFileName": to, "DestinationRelativeUrl": "Documents"}


SLOW = burst("slow", "11-16 09:00", "FileDownloaded", 100, by="slow@contoso.com", every_s=600)
PAUSED = burst("paused", "11-16 09:00", "FileDownloaded", 60, by="paused@contoso.com") + burst(
    "paused later", "11-16 09:16", "FileDownloaded", 60, by="paused@contoso.com"
)
ENCRYPTED = [
    renamed(record, f"{record['SourceFileName']}.LOCKED")
    for record in burst("encrypted", "11-16 10:00", "FileRenamed", 50, by="emil@contoso.com")
]
TIDIED = [
    renamed(record, f"new-{record['SourceFileName']}")
    for record in burst("tidied", "11-16 11:00", "FileRenamed", 50, by="lena@contoso.com")
]
RECORDS: list[Record] = [
    # Downloads: just enough, of two sites and devices, with sizes of some; repeats of one file count once.
    *burst("taken", "11-16 09:00", "FileDownloaded", 60, by="Dana@Contoso.com", FileSizeBytes=1000, IsManagedDevice=True),
    *burst(
        "taken more",
        "11-16 09:06",
        "FileDownloaded",
        40,
        by="dana@contoso.com",
        SiteUrl=OTHER_SITE,
        IsManagedDevice=False,
        ClientIP="203.0.113.9",
    ),
    *burst(
        "taken again",
        "11-16 09:10",
        "FileDownloaded",
        3,
        by="dana@contoso.com",
        ObjectId=f"{SITE}/TAKEN-0.docx",
        FileSizeBytes=1200,
    ),
    # Near misses: one file less, one file often, files that are read or previewed, refused, slow without a
    # pause, with a pause.
    *burst("few", "11-16 09:00", "FileDownloaded", 110, by="few@contoso.com", files=99),
    *burst("one", "11-16 09:00", "FileDownloaded", 120, by="one@contoso.com", files=1),
    *burst("read", "11-16 09:00", "FileAccessed", 120, by="read@contoso.com"),
    *burst("refused", "11-16 09:00", "FileDownloaded", 120, by="refused@contoso.com", ResultStatus="Failed"),
    *burst("other type", "11-16 09:00", "FileDownloaded", 120, by="type@contoso.com", RecordType=2),
    *SLOW,
    *PAUSED,
    # Deletions by several operations make one burst, downloads between them another kind.
    *burst("deleted", "11-16 12:00", "FileRecycled", 30, by="kofi@contoso.com"),
    *burst("emptied", "11-16 12:05", "FileDeletedFirstStageRecycleBin", 20, by="kofi@contoso.com"),
    *burst("between", "11-16 12:02", "FileDownloaded", 10, by="kofi@contoso.com"),
    # Renaming: other endings, and names only.
    *ENCRYPTED,
    *TIDIED,
    # Sync clients: on a device that nobody manages it is told, on a managed one it is excluded.
    *burst("copied", "11-16 13:00", "FileSyncDownloadedFull", 100, by="noor@contoso.com", IsManagedDevice=False),
    *burst("new laptop", "11-16 14:00", "FileSyncDownloadedFull", 100, by="olga@contoso.com", IsManagedDevice=True),
    # Who is no person, or is named in the config.
    *burst("app", "11-16 15:00", "FileDownloaded", 100, by="app@sharepoint"),
    *burst("account", "11-16 16:00", "FileDownloaded", 100, by="backup@contoso.com"),
    *burst("backup", "11-16 17:00", "FileDownloaded", 100, by="mara@contoso.com", AppAccessContext={}, ApplicationId=BACKUP_APP),
]
OWN = [Own("service_account", "backup@contoso.com"), Own("app", BACKUP_APP)]

AT = {"sites": 1, "site": SITE, "managed": "unknown", "other_ending": 0, "ip": "198.51.100.7"}
EXPECTED = [
    {
        "actor": "dana@contoso.com",
        "kind": "download",
        "begun": "11-16 09:00",
        "ended": "11-16 09:10:10",
        "files": 100,
        "acts": 103,
        "busiest_hour": 103,
        "bytes": 60_200,
        "sites": 2,
        "site": OTHER_SITE,
        "managed": "partly",
        "other_ending": 0,
        "ip": "198.51.100.7, 203.0.113.9",
        "event_ids": [*ids("taken", 60), *ids("taken more", 40), *ids("taken again", 3)],
    },
    AT
    | {
        "actor": "noor@contoso.com",
        "kind": "sync",
        "begun": "11-16 13:00",
        "ended": "11-16 13:08:15",
        "files": 100,
        "acts": 100,
        "busiest_hour": 100,
        "managed": "no",
        "event_ids": ids("copied", 100),
    },
    AT
    | {
        "actor": "olga@contoso.com",
        "kind": "sync",
        "begun": "11-16 14:00",
        "ended": "11-16 14:08:15",
        "files": 100,
        "acts": 100,
        "busiest_hour": 100,
        "managed": "yes",
        "event_ids": ids("new laptop", 100),
        "excluded": "sync client on a managed device",
    },
    AT
    | {
        "actor": "app@sharepoint",
        "kind": "download",
        "begun": "11-16 15:00",
        "ended": "11-16 15:08:15",
        "files": 100,
        "acts": 100,
        "busiest_hour": 100,
        "event_ids": ids("app", 100),
        "excluded": "service or application",
    },
    AT
    | {
        "actor": "backup@contoso.com",
        "kind": "download",
        "begun": "11-16 16:00",
        "ended": "11-16 16:08:15",
        "files": 100,
        "acts": 100,
        "busiest_hour": 100,
        "event_ids": ids("account", 100),
        "excluded": "service account of the config",
    },
    AT
    | {
        "actor": "mara@contoso.com",
        "kind": "download",
        "begun": "11-16 17:00",
        "ended": "11-16 17:08:15",
        "files": 100,
        "acts": 100,
        "busiest_hour": 100,
        "event_ids": ids("backup", 100),
        "excluded": "application of the config",
    },
    AT
    | {
        "actor": "emil@contoso.com",
        "kind": "rename",
        "begun": "11-16 10:00",
        "ended": "11-16 10:04:05",
        "files": 50,
        "acts": 50,
        "busiest_hour": 50,
        "endings_before": "docx",
        "endings_after": "locked",
        "other_ending": 50,
        "event_ids": ids("encrypted", 50),
    },
    AT
    | {
        "actor": "lena@contoso.com",
        "kind": "rename",
        "begun": "11-16 11:00",
        "ended": "11-16 11:04:05",
        "files": 50,
        "acts": 50,
        "busiest_hour": 50,
        "endings_before": "docx",
        "endings_after": "docx",
        "event_ids": ids("tidied", 50),
    },
    AT
    | {
        "actor": "kofi@contoso.com",
        "kind": "delete",
        "begun": "11-16 12:00",
        "ended": "11-16 12:06:35",
        "files": 50,
        "acts": 50,
        "busiest_hour": 50,
        "event_ids": [*ids("deleted", 30), *ids("emptied", 20)],
    },
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("mass-files"), RECORDS) as found:
        yield found


def test_bursts_of_distinct_files_are_told(ask: Asking) -> None:
    assert ask(sql_of("mass-files"), own=OWN) == EXPECTED


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        ("e.record_type = 6 and coalesce", "coalesce"),
        ("coalesce(e.outcome, '') <> 'failure'", "true"),
        ("s.files >= b.least", "s.files > b.least"),
        ("s.files >= b.least", "s.files >= b.least - 1"),
        ("count(*) as files", "sum(acts_of_file) as files"),
        ("lower(coalesce(e.object, e.url, e.event_id)) as file", "coalesce(e.object, e.url, e.event_id) as file"),
        ("having max(b.within_hour) >= b.least", ""),
        ("having max(b.within_hour) >= b.least", "having max(b.within_hour) > b.least"),
        ("<= interval '10 minutes'", "<= interval '20 minutes'"),
        ("('FileDeletedFirstStageRecycleBin', 'delete', 50),", ""),
        ("max(file_size) as file_size", "min(file_size) as file_size"),
        ("when l.actor_kind in ('service', 'app')", "when l.actor_kind = 'service'"),
        ("o.kind = 'service_account' and o.value = l.actor", "o.kind = 'service_account' and o.value = l.kind"),
        ("o.kind = 'app' and o.value = l.first_app", "o.kind = 'app' and o.value = l.kind"),
        ("and l.managed > 0 and l.unmanaged = 0 then 'sync", "then 'sync"),
        ("then lower(split_part(c.new, '.', -1))", "then split_part(c.new, '.', -1)"),
        ("where old_ending <> new_ending", "where true"),
        ("l.kind = 'rename' and r.tenant = l.tenant and r.actor = l.actor and r.burst = l.burst", "false"),
    ],
)
def test_each_condition_decides_about_a_row(ask: Asking, condition: str, instead: str) -> None:
    sql = without(sql_of("mass-files"), condition, instead)
    sql = sql.replace(
        "max(file_size) as file_size\n    from bursts", "max(file_size) as file_size, count(*) as acts_of_file\n    from bursts"
    )
    assert ask(sql, own=OWN) != EXPECTED
