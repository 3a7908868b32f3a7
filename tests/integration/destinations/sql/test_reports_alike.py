"""Each report that ships gives the same rows over an archive and over a database that hold the same records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ualpipe.reports
from archives.databases import opened, opened_store, own_schema
from archives.scene import store_of, written
from fakes import TENANT, record
from servers.postgres import ExternalPostgres, Postgres
from ualpipe.pipeline.report.contract import Asked, ExportedMailbox, Own, Selection, Store
from ualpipe.simulator.records.generator import generate
from ualpipe.simulator.records.incidents import planted_incidents

START = datetime(2026, 10, 28, 6, tzinfo=UTC)
END = START + timedelta(days=9)
RECORDS = 6000
REPORTS = sorted(Path(ualpipe.reports.__file__).parent.glob("*.sql"))
OWN = [
    Own("domain", "contoso.com"),
    Own("service_account", "svc-backup@contoso.com"),
    Own("delegate", "kofi@contoso.com", "sana@contoso.com"),
]
EXPORT = [
    ExportedMailbox("kofi@contoso.com", ["kofi@contoso.com", "guid"], "user", is_audited=False, is_passed_over=True),
    ExportedMailbox("it's Ünal", ["ünal@contoso.com"], "shared"),
]
QUESTIONS = {
    "every column": "select * from events order by event_id",
    "history": "select event_id from history order by event_id",
    "changes": "select * from changes order by event_id, position",
    "parameters": "select * from parameters order by event_id, position",
    "items": "select * from items order by event_id, position",
    "targets": "select * from targets order by event_id, position",
    "what was asked": 'select since, until, now, timezone, day_begins, day_ends, workdays, "user" from asked',
    "what is one's own": "select * from own order by kind, value, other",
    "what was exported": "select * from mailboxes order by mailbox, spelling",
    "an order of texts": "select distinct lower(subject) as s, object from events order by s nulls last, object nulls last",
    "sums": "select workload, sum(count) as n, avg(count) as mean, count(distinct actor) as who, "
    "array_agg(event_id order by event_id) as event_ids from events group by workload order by workload",
    "local hours": "select cast(extract(hour from time at time zone asked.timezone) as bigint) as h, count(*) as n "
    "from events cross join asked group by 1 order by 1",
}
QUESTIONS |= {file.stem: file.read_text(encoding="utf-8") for file in REPORTS}

ASKED = {
    "all": Asked(Selection(), now=END, own=OWN, mailboxes=EXPORT),
    "a week of some": Asked(
        Selection(
            START + timedelta(days=1), START + timedelta(days=8), tenants=[TENANT], workloads=["exchange", "AzureActiveDirectory"]
        ),
        now=END,
        timezone="Europe/Berlin",
        own=OWN,
    ),
    "nothing": Asked(Selection(until=START - timedelta(days=400)), now=END),
}


def records() -> list[dict[str, Any]]:
    """Returns varied records over nine days and a turn of the month, with incidents among them, and odd ones."""
    ordinary = list(generate(RECORDS, start=START, rate=RECORDS / (END - START).total_seconds(), tenant_id=TENANT))
    planted = [
        found for incident in planted_incidents(start=START + timedelta(days=3), tenant_id=TENANT) for found in incident.records
    ]
    odd = [
        record(
            1, CreationTime="2026-11-01T00:30:00", UserId="Ünal@contoso.com", ObjectId="Straße / Ä", Operation="FileDownloaded"
        ),
        record(2, CreationTime="no time", UserId="zoë@contoso.com", ItemName="a\x00b"),
        record(3, CreationTime="0001-01-01T00:00:00", UserId="a_b@contoso.com"),
        record(4, CreationTime="2999-01-01T00:00:00", UserId="a-b@contoso.com"),
        record(5, UserId="x" * 300, ModifiedProperties=[{"Name": "it's", "OldValue": "\u0000", "NewValue": '["ß","\\\\"]'}]),
    ]
    weakened = record(
        6,
        RecordType=1,
        Workload="Exchange",
        Operation="Set-AdminAuditLogConfig",
        Parameters=[{"Name": "UnifiedAuditLogIngestionEnabled", "Value": "False"}],
    )
    minutes = [START + timedelta(days=2, seconds=15 * number) for number in range(120)]
    burst = [
        record(
            100 + number,
            CreationTime=at.strftime("%Y-%m-%dT%H:%M:%S"),
            Operation="FileDownloaded",
            ObjectId=f"https://contoso.example/{number}",
        )
        for number, at in enumerate(minutes)
    ]
    return [*ordinary, *planted, *odd, weakened, *burst]


@pytest.fixture(scope="module")
def stores(postgres: Postgres | ExternalPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    made = records()
    archive = store_of(tmp_path_factory.mktemp("archive"), made)
    with own_schema(postgres) as schema:
        with opened(postgres, schema) as sink:
            written(sink, made)
        with opened_store(postgres, schema) as database:
            yield archive, database
    archive.close()


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("question", QUESTIONS)
def test_both_stores_answer_alike(stores: tuple[Store, Store], question: str, asked: str) -> None:
    of_archive, of_database = (store.query(QUESTIONS[question], ASKED[asked]) for store in stores)
    assert list(of_database.columns) == list(of_archive.columns)
    assert [kept(row) for row in of_database.rows] == [kept(row) for row in of_archive.rows]


def kept(row: Any) -> list[Any]:
    """Returns a row with numbers as they are shown: neither of the stores promises the last places of a quotient."""
    return [pytest.approx(value) if type(value) is float else value for value in row]


def test_the_records_give_every_report_something_to_say(stores: tuple[Store, Store]) -> None:
    assert stores[1].query("select count(*) as n from events", ASKED["all"]).rows == [[len(records())]]
    empty = [file.stem for file in REPORTS if not stores[1].query(QUESTIONS[file.stem], ASKED["all"]).rows]
    assert not empty


@pytest.mark.parametrize("user", ["sana@contoso.com", "Ünal@contoso.com", "nobody@contoso.com"])
def test_both_stores_know_a_user_alike(stores: tuple[Store, Store], user: str) -> None:
    asked = Asked(Selection(user=user), now=END)
    of_archive, of_database = (store.query("select event_id from events order by event_id", asked) for store in stores)
    assert of_archive.rows == of_database.rows
