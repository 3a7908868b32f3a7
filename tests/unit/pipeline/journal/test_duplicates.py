"""Duplicates are counted by tenant and cause, however blobs come again."""

import json

from fakes import TENANT, record, records, store
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.status import LISTED_AGAIN, OTHER_BLOB, Duplicates


def counted(reader: SqliteJournalReader) -> dict[str, int]:
    found = reader.status([]).duplicates
    assert {each.tenant for each in found} <= {TENANT}
    return {each.cause: each.records for each in found}


def test_records_that_came_once_are_not_counted(journal, reader):
    store(journal, "a", records(1, 3))
    store(journal, "b", records(4, 3))
    assert reader.status([]).duplicates == []


def test_a_blob_under_another_id_is_told_from_records_in_other_blobs(journal, reader):
    store(journal, "a", records(1, 3))
    store(journal, "a, listed again", records(1, 3))
    store(journal, "a, once more", records(1, 3))
    store(journal, "overlaps", records(3, 3))
    assert counted(reader) == {LISTED_AGAIN: 6, OTHER_BLOB: 1}


def test_a_blob_of_known_records_only_is_not_the_same_blob(journal, reader):
    store(journal, "a", records(1, 4))
    store(journal, "part", records(2, 2))
    store(journal, "part, listed again", records(2, 2))
    assert counted(reader) == {LISTED_AGAIN: 2, OTHER_BLOB: 2}


def test_an_id_twice_in_one_blob_is_no_blob_listed_again(journal, reader):
    store(journal, "a", [record(1), record(1), record(2)])
    assert counted(reader) == {OTHER_BLOB: 1}


def test_records_without_an_id_are_duplicates_where_their_blob_is(journal, reader):
    for key in "ab":
        store(journal, key, [{"Operation": "x"}, {"Operation": "y"}])
    assert counted(reader) == {LISTED_AGAIN: 2}


def test_the_status_shows_them(journal, reader):
    for key in "ab":
        store(journal, key, records(1, 2))
    status = reader.status([])
    assert status.duplicates == [Duplicates(TENANT, LISTED_AGAIN, 2)]
    assert json.loads(json.dumps(status.as_dict()))["duplicates"] == [
        {"tenant": TENANT, "cause": "blob listed again", "records": 2}
    ]
    assert status.is_complete


def test_people_see_them_too(journal, tmp_path, capsys):
    for key in "ab":
        store(journal, key, records(1, 2))
    journal.close()
    config = tmp_path / "pipeline.yaml"
    config.write_text(
        "{version: 1, pipeline: contoso, state_dir: ., sources: {in: {type: files, paths: [in]}},"
        " sinks: {out: {type: file, path: out}}}"
    )
    main(["status", str(config)])
    assert f"duplicates of {TENANT}: 2 records, blob listed again" in capsys.readouterr().out.splitlines()
