"""Seen Ids: exactly the answers of a plain set, whatever was merged, reopened or rolled back."""

import hashlib
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fakes import TENANT, FakeClock, open_journal, record, store
from ualpipe.pipeline.journal.sqlite import schema as _journal_schema
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.seen import ids as seen
from ualpipe.pipeline.journal.sqlite.seen import segments as _seen_segments
from ualpipe.pipeline.journal.sqlite.seen.ids import SeenIds
from ualpipe.pipeline.journal.sqlite.seen.runs import split
from ualpipe.pipeline.records import identity
from ualpipe.pipeline.records.identity import DIGEST_BYTES, IDENTITY_BYTES, digest_of, identity_of, is_usable

usable = st.text(min_size=1).filter(is_usable)
SMALL = {"SMALLEST_FILTER": 16, "LARGEST_FILTER": 64, "MERGE_WIDTH": 3}


def memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(_journal_schema.TABLES)
    return db


def digest(number: int) -> bytes:
    return identity_of({"Id": f"record-{number}"}, TENANT)


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Makes runs and segments so small that a hundred Ids fill, merge and drop many of them."""
    patch.setattr(seen, "RECENT_LIMIT", 6)
    for name, value in SMALL.items():
        patch.setattr(_seen_segments, name, value)


@pytest.fixture
def _small(monkeypatch):
    make_small(monkeypatch)


def known_of(ids: SeenIds, numbers) -> set[int]:
    numbers = list(numbers)
    return {numbers[at] for at in ids.sort([digest(number) for number in numbers]).duplicates}


# --- identity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [{}, {"Id": None}, {"Id": ""}, {"Id": 7}, {"Id": ["a"]}, {"Id": {"a": 1}}, {"id": "a"}])
def test_a_record_without_a_usable_id_has_no_identity(found):
    assert digest_of(found, TENANT) is None


def test_identity_has_a_fixed_size_and_ignores_case():
    assert len(digest_of(record(1), TENANT)) == DIGEST_BYTES
    assert digest_of({"Id": "AB-c"}, TENANT) == digest_of({"Id": "ab-C"}, TENANT)


def test_identity_is_that_of_the_records_tenant_and_only_else_of_the_sources():
    assert digest_of({"Id": "a", "OrganizationId": TENANT.upper()}, "x") == digest_of({"Id": "a"}, TENANT)
    assert digest_of({"Id": "a", "OrganizationId": "x"}, TENANT) != digest_of({"Id": "a"}, TENANT)
    for odd in (None, "", 7, []):
        assert digest_of({"Id": "a", "OrganizationId": odd}, TENANT) == digest_of({"Id": "a"}, TENANT)


def test_tenant_and_id_are_kept_apart():
    assert digest_of({"Id": "bc", "OrganizationId": "a"}, "") != digest_of({"Id": "c", "OrganizationId": "ab"}, "")


def test_identities_are_those_that_journals_hold():
    """They are compared with stored ones for weeks: another way to make them would let each record through once more."""
    found = digest_of({"Id": "AB-c", "OrganizationId": "Contoso"}, "x")
    assert found == hashlib.blake2b(b"contoso\0ab-c", digest_size=DIGEST_BYTES).digest()
    assert digest_of({"Id": "AB-c"}, "T") == hashlib.blake2b(b"T\0ab-c", digest_size=DIGEST_BYTES).digest()


@given(st.lists(st.tuples(usable, st.none() | st.text()), min_size=1), st.text())
def test_identities_are_made_the_same_way_whatever_came_before(found, tenant):
    for own, organization in found:
        scope = organization.lower() if organization else tenant
        expected = hashlib.blake2b(f"{scope}\0{own.lower()}".encode("utf-8", "replace"), digest_size=DIGEST_BYTES).digest()
        assert digest_of({"Id": own, "OrganizationId": organization}, tenant) == expected


def test_a_broken_text_has_an_identity_too():
    assert digest_of({"Id": "a\ud800"}, TENANT) == digest_of({"Id": "A?"}, TENANT)


def test_many_tenants_do_not_pile_up_in_memory(monkeypatch):
    monkeypatch.setattr(identity, "_SCOPE_LIMIT", 3)
    monkeypatch.setattr(identity, "_scopes", {})
    for number in range(10):
        digest_of({"Id": "a", "OrganizationId": str(number)}, TENANT)
    assert len(identity._scopes) <= 3


@given(usable, usable)
def test_different_ids_have_different_identities(one, other):
    assert (digest_of({"Id": one}, TENANT) == digest_of({"Id": other}, TENANT)) == (one.lower() == other.lower())


# --- a plain set is the model ----------------------------------------------------------------------------------------


def model_split(known: set[bytes], digests: list) -> tuple[list[int], list[bytes]]:
    here: set[bytes] = set()
    duplicates, fresh = [], []
    for at, one in enumerate(digests):
        if one is None:
            continue
        if one in known or one in here:
            duplicates.append(at)
        else:
            here.add(one)
            fresh.append(one)
    return duplicates, fresh


lists_of_ids = st.lists(st.none() | st.integers(0, 120), max_size=25)


class SeenMachine(RuleBasedStateMachine):
    """Adds, reopens, rolls back and forgets, beside a plain set."""

    @initialize()
    def start(self) -> None:
        self.patch = pytest.MonkeyPatch()
        make_small(self.patch)
        self.db = memory()
        self.ids = SeenIds(self.db)
        self.known: dict[int, float] = {}
        self.now = 0.0

    @rule(numbers=lists_of_ids)
    def add(self, numbers) -> None:
        digests = [None if number is None else digest(number) for number in numbers]
        expected = model_split({digest(number) for number in self.known}, digests)
        found = self.ids.sort(digests)
        assert (found.duplicates, found.fresh, found.others) == (*expected, {})
        self.now += 1
        self.db.execute("BEGIN")
        self.ids.add(expected[1], self.now)
        self.db.execute("COMMIT")
        self.known = {number: self.now for number in numbers if number is not None} | self.known

    @rule(lists=st.lists(lists_of_ids, max_size=6), forgotten=st.none() | st.integers(0, 20))
    def roll_back(self, lists, forgotten) -> None:
        self.db.execute("BEGIN")
        if forgotten is not None:
            self.ids.forget_before(self.now - forgotten)
        for numbers in lists:
            self.ids.add(self.ids.sort([None if number is None else digest(number) for number in numbers]).fresh, self.now)
        self.db.execute("ROLLBACK")
        self.ids.reload()

    @rule()
    def reopen(self) -> None:
        self.ids = SeenIds(self.db)

    @rule(age=st.integers(0, 20), is_kept=st.booleans())
    def forget(self, age, is_kept) -> None:
        """Young Ids stay known, others may; what is rolled back was not forgotten, though nobody says so."""
        self.db.execute("BEGIN")
        self.ids.forget_before(self.now - age)
        self.db.execute("COMMIT" if is_kept else "ROLLBACK")
        found = known_of(self.ids, self.known)
        must = {number for number, at in self.known.items() if at >= self.now - age} if is_kept else set(self.known)
        assert must <= found
        self.known = {number: at for number, at in self.known.items() if number in found}

    @invariant()
    def all_answers_are_those_of_the_set(self) -> None:
        if hasattr(self, "known"):
            assert known_of(self.ids, range(121)) == set(self.known)

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()
            self.db.close()


TestSeenIsExactlyASet = SeenMachine.TestCase
TestSeenIsExactlyASet.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


# --- runs, segments, forgetting --------------------------------------------------------------------------------------


def add_each(ids: SeenIds, numbers) -> None:
    for number in numbers:
        ids.add([digest(number)], float(number))


def rest(ids: SeenIds) -> None:
    """Lets all merges come to their end."""
    for _step in range(2000):
        ids.add([], 0.0)


@pytest.mark.usefixtures("_small")
def test_merging_keeps_few_runs_and_every_id():
    db = memory()
    ids = SeenIds(db)
    add_each(ids, range(400))
    assert known_of(ids, range(500)) == set(range(400))
    rest(ids)
    assert known_of(ids, range(500)) == set(range(400))
    runs = db.execute("SELECT count(*) FROM seen_sorted").fetchone()[0]
    segments = db.execute("SELECT count(*) FROM seen_segment").fetchone()[0]
    assert segments >= 5
    assert runs < segments + SMALL["MERGE_WIDTH"]
    stored = db.execute("SELECT sum(length(ids)) FROM seen_chunk").fetchone()[0]
    recent = db.execute("SELECT coalesce(sum(length(ids)), 0) FROM seen_run").fetchone()[0]
    assert stored + recent == 400 * IDENTITY_BYTES


@pytest.mark.usefixtures("_small")
def test_only_segments_without_any_younger_id_are_forgotten_and_their_room_is_given_back():
    db = memory()
    ids = SeenIds(db)
    add_each(ids, range(200))
    filters = db.execute("SELECT sum(filter_bytes) FROM seen_segment").fetchone()[0]
    ids.forget_before(150.0)
    assert known_of(ids, range(150, 200)) == set(range(150, 200))
    left = known_of(ids, range(150))
    assert not left & set(range(80))
    assert db.execute("SELECT sum(filter_bytes) FROM seen_segment").fetchone()[0] < filters / 2
    rest(ids)
    stored = db.execute("SELECT sum(length(ids)) FROM seen_chunk").fetchone()[0]
    recent = db.execute("SELECT coalesce(sum(length(ids)), 0) FROM seen_run").fetchone()[0]
    assert stored + recent == (50 + len(left)) * IDENTITY_BYTES
    assert db.execute(
        "SELECT count(*) FROM seen_filter f LEFT JOIN seen_segment s ON s.id = f.segment WHERE s.id IS NULL"
    ).fetchone() == (0,)


@pytest.mark.usefixtures("_small")
def test_only_runs_that_are_younger_than_the_stored_filter_are_read_when_a_journal_is_opened():
    db = memory()
    ids = SeenIds(db)
    add_each(ids, range(300))
    read: list[str] = []
    db.set_trace_callback(read.append)
    assert known_of(SeenIds(db), [301]) == set()
    younger = db.execute("SELECT count(*) FROM seen_sorted WHERE level = 1 AND into_run IS NULL").fetchone()[0]
    everything = db.execute("SELECT count(*) FROM seen_sorted").fetchone()[0]
    assert len([statement for statement in read if "FROM seen_chunk" in statement]) == younger < everything / 2


def test_what_is_rolled_back_was_not_seen():
    db = memory()
    ids = SeenIds(db)
    ids.add([digest(1)], 1.0)
    db.execute("BEGIN")
    ids.add([digest(2)], 2.0)
    assert known_of(ids, range(4)) == {1, 2}
    db.execute("ROLLBACK")
    ids.reload()
    assert known_of(ids, range(4)) == {1}


@pytest.mark.usefixtures("_small")
def test_a_segment_that_took_the_place_of_a_forgotten_one_is_not_taken_for_it_when_that_is_rolled_back():
    db = memory()
    ids = SeenIds(db)
    ids.add([digest(number) for number in range(7)], 1.0)
    db.execute("BEGIN")
    ids.forget_before(2.0)
    ids.add([digest(number) for number in range(100, 107)], 2.0)
    db.execute("ROLLBACK")
    ids.reload()
    assert known_of(ids, [*range(7), *range(100, 107)]) == set(range(7))


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("width", [1, 5, 40])
def test_runs_of_earlier_releases_are_taken_over(width):
    db = memory()
    old = [sorted(digest(number) for number in range(start, start + width)) for start in range(0, 120, width)]
    for level, run in enumerate(old):
        db.execute(
            "INSERT INTO seen_run(level, newest, ids) VALUES (?, ?, ?)",
            (level % 3, 5.0, b"".join(one[:DIGEST_BYTES] for one in run)),
        )
    numbers = len(old) * width
    ids = SeenIds(db)
    assert known_of(ids, range(numbers + 20)) == set(range(numbers))
    assert db.execute("SELECT count(*) FROM seen_run WHERE level > 0").fetchone() == (0,)
    add_each(ids, range(numbers, numbers + 50))
    assert known_of(SeenIds(db), range(numbers + 70)) == set(range(numbers + 50))
    ids.forget_before(5.0)
    assert known_of(ids, range(numbers)) == set(range(numbers))


def test_many_ids_at_once_are_merged_as_they_come(monkeypatch):
    monkeypatch.setattr(seen, "RECENT_LIMIT", 500)
    db = memory()
    ids = SeenIds(db)
    digests = [digest(number) for number in range(40_000)]
    for start in range(0, 30_000, 1500):
        ids.add(digests[start : start + 1500], 1.0)
    assert db.execute("SELECT count(*) FROM seen_sorted").fetchone()[0] < 20 * 2
    found = ids.sort(digests[::50])
    assert (found.duplicates, found.fresh) == (list(range(600)), digests[30_000::50])
    for (found,) in db.execute("SELECT ids FROM seen_chunk"):
        assert split(found) == sorted(split(found))


@settings(max_examples=15, deadline=None)
@given(st.lists(lists_of_ids, max_size=6), st.integers(0, 5))
def test_the_journal_remembers_across_reopening(tmp_path_factory, lists, reopen_at):
    folder = tmp_path_factory.mktemp("state")
    journal = open_journal(folder, FakeClock())
    known: set[bytes] = set()
    for at, numbers in enumerate(lists):
        if at == reopen_at:
            journal.close()
            journal = open_journal(folder, FakeClock())
        expected = model_split(known, [None if number is None else digest(number) for number in numbers])
        found = [7 if number is None else {"Id": f"record-{number}"} for number in numbers]
        assert stored(journal, str(at), found) == len(expected[0])
        known.update(expected[1])
    journal.close()


def stored(journal: SqliteJournal, key: str, found: list) -> int:
    return store(journal, key, found).duplicates
