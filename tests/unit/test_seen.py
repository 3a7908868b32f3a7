"""Seen Ids: exactly the answers of a plain set, whatever was merged, reopened or rolled back."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fakes import TENANT, FakeClock, record, store
from ualpipe.pipeline import _journal_schema, seen
from ualpipe.pipeline.journal import Journal
from ualpipe.pipeline.seen import DIGEST_BYTES, SeenIds, digest_of

SMALL = {"RECENT_LIMIT": 6, "RUN_LIMIT": 30, "MERGE_WIDTH": 3, "_FIRST_CAPACITY": 8}


def memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(_journal_schema.TABLES)
    return db


def digest(number: int) -> bytes:
    return digest_of({"Id": str(number)}, TENANT) or b""


@pytest.fixture
def _small(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(seen, name, value)


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


@given(st.text(min_size=1), st.text(min_size=1))
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
        for name, value in SMALL.items():
            self.patch.setattr(seen, name, value)
        self.db = memory()
        self.ids = SeenIds(self.db)
        self.known: set[bytes] = set()

    @rule(numbers=lists_of_ids)
    def add(self, numbers) -> None:
        digests = [None if number is None else digest(number) for number in numbers]
        expected = model_split(self.known, digests)
        assert self.ids.split(digests) == expected
        self.db.execute("BEGIN")
        self.ids.add(expected[1], 1.0)
        self.db.execute("COMMIT")
        self.known.update(expected[1])

    @rule(numbers=lists_of_ids)
    def roll_back(self, numbers) -> None:
        _duplicates, fresh = self.ids.split([None if number is None else digest(number) for number in numbers])
        self.db.execute("BEGIN")
        self.ids.add(fresh, 1.0)
        self.db.execute("ROLLBACK")
        self.ids.reload()

    @rule()
    def reopen(self) -> None:
        self.ids = SeenIds(self.db)

    @rule()
    def forget_nothing_that_is_young(self) -> None:
        self.ids.forget_before(1.0)

    @invariant()
    def all_answers_are_those_of_the_set(self) -> None:
        if hasattr(self, "known"):
            digests = [digest(number) for number in range(121)]
            assert self.ids.split(digests) == model_split(self.known, digests)

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()
            self.db.close()


TestSeenIsExactlyASet = SeenMachine.TestCase
TestSeenIsExactlyASet.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@pytest.mark.usefixtures("_small")
def test_merging_keeps_few_runs_and_every_id():
    db = memory()
    ids = SeenIds(db)
    for number in range(400):
        ids.add([digest(number)], float(number))
    assert ids.split([digest(number) for number in range(400)])[1] == []
    assert ids.split([digest(number) for number in range(400, 500)])[0] == []
    runs = db.execute("SELECT level, length(ids) FROM seen_run").fetchall()
    assert len(runs) < 30
    assert sum(size for _level, size in runs) == 400 * DIGEST_BYTES


@pytest.mark.usefixtures("_small")
def test_runs_are_sorted_so_that_they_can_be_searched():
    db = memory()
    ids = SeenIds(db)
    for number in range(100):
        ids.add([digest(number)], 1.0)
    for (run,) in db.execute("SELECT ids FROM seen_run WHERE level > 0"):
        digests = [run[at : at + DIGEST_BYTES] for at in range(0, len(run), DIGEST_BYTES)]
        assert digests == sorted(digests)


@pytest.mark.usefixtures("_small")
def test_only_runs_without_any_younger_id_are_forgotten():
    ids = SeenIds(memory())
    for number in range(50):
        ids.add([digest(number)], float(number))
    ids.forget_before(40.0)
    assert ids.split([digest(number) for number in range(40, 50)])[1] == []
    assert ids.split([digest(number) for number in range(5)])[0] == []


def test_filter_says_maybe_for_all_that_were_added_and_rarely_for_others():
    ids = SeenIds(memory())
    ids.add([digest(number) for number in range(20_000)], 1.0)
    assert len(ids._filter.maybe_added([digest(number) for number in range(20_000)])) == 20_000
    others = [digest(number) for number in range(20_000, 40_000)]
    assert len(ids._filter.maybe_added(others)) < 200


@settings(max_examples=15, deadline=None)
@given(st.lists(lists_of_ids, max_size=6), st.integers(0, 5))
def test_the_journal_remembers_across_reopening(tmp_path_factory, lists, reopen_at):
    folder = tmp_path_factory.mktemp("state")
    journal = Journal(folder, FakeClock())
    known: set[bytes] = set()
    for at, numbers in enumerate(lists):
        if at == reopen_at:
            journal.close()
            journal = Journal(folder, FakeClock())
        expected = model_split(known, [None if number is None else digest(number) for number in numbers])
        found = [{"Other": 1} if number is None else {"Id": str(number)} for number in numbers]
        assert stored(journal, str(at), found) == len(expected[0])
        known.update(expected[1])
    journal.close()


def stored(journal: Journal, key: str, found: list) -> int:
    return store(journal, key, found).duplicates
