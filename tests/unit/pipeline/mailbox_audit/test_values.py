"""Values of cells in each shape that cmdlets, JSON and spreadsheets give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.mailbox_audit.actions import LOGONS, catalogue
from ualpipe.pipeline.mailbox_audit.exports import values
from ualpipe.pipeline.mailbox_audit.exports.values import Names


@pytest.mark.parametrize(
    ("value", "expected", "is_noted"),
    [
        (True, True, False),
        ("True", True, False),
        (" false ", False, False),
        ("$true", True, False),
        ("1", True, False),
        ("Wahr", True, True),
        ("FALSCH", False, True),
        ("Vrai", True, True),
        ("Verdadero", True, True),
        ("Falso", False, True),
        ("yanl\N{LATIN SMALL LETTER DOTLESS I}ş", False, True),
        ("假", False, True),
        ("", None, False),
        (None, None, False),
        ("maybe", None, True),
        ({"value": "True"}, True, False),
        ([True], None, True),
    ],
)
def test_booleans(value, expected, is_noted):
    told = values.truth(value)
    assert (told.value, bool(told.note)) == (expected, is_noted)


@pytest.mark.parametrize(
    ("value", "expected", "is_cut"),
    [
        ("Update,MoveToDeletedItems", {"Update", "MoveToDeletedItems"}, False),
        ("update; MOVE", {"Update", "Move"}, False),
        ("{Update, Move}", {"Update", "Move"}, False),
        ("{Update, Move…}", {"Update", "Move"}, True),
        ("{Update, Move...}", {"Update", "Move"}, True),
        ("{Update, MoveToDel…", {"Update"}, True),
        ("{Update, Move,…", {"Update", "Move"}, True),
        ("{}", set(), False),
        ("", set(), False),
        ("None", set(), False),
        (["Update", "Move"], {"Update", "Move"}, False),
        (["Update, Move"], {"Update", "Move"}, False),
        ([{"Value": "Update", "value": 1}, {"value": "Move"}], {"Update", "Move"}, False),
        ({"value": ["Update"], "Count": 1}, {"Update"}, False),
        ([], set(), False),
        (1 + 4 + 1024, {"Update", "Move", "Create"}, False),
        ("5", {"Update", "Move"}, False),
        ([1, 4], {"Update", "Move"}, False),
        (4096 + 1, {"Update"}, True),
        ("AttachmentAccess", {"AttachmentAccess"}, False),
    ],
)
def test_lists_of_actions(value, expected, is_cut):
    assert values.actions(value).value == Names(frozenset(expected), is_cut)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "Microsoft.Exchange.Data.MultiValuedProperty`1[Microsoft.Exchange.Data.Directory.MailboxAuditOperations]",
        "System.Collections.ArrayList",
        "System.Object[]",
        "System.String[]",
        ["System.Collections.ArrayList"],
        "Update & Move",
        "8192",
        -1,
        1.5,
        True,
        [["Update"]],
        {"Length": 4},
    ],
)
def test_what_is_no_list_of_actions_is_not_exported(value):
    told = values.actions(value)
    assert told.value is None or told.value == Names(frozenset())
    if value is not None and not isinstance(value, dict):
        assert told.note


def test_the_kinds_of_log_on_that_follow_the_default():
    assert values.default_set("Admin, Delegate").value == Names(frozenset({"admin", "delegate"}))
    assert values.default_set("").value == Names(frozenset())
    assert values.default_set(7).value is None
    assert values.default_set("Admin,Everybody").value is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("90.00:00:00", 90),
        ("00:00:00", 0),
        ("2160:00:00", 90),
        ("180.12:00:00.0000000", 180.5),
        ("P90D", 90),
        ("PT0S", 0),
        ("P1DT12H", 1.5),
        ("90", 90),
        ("90 days", 90),
        (90, 90),
        ({"Ticks": 77_760_000_000_000, "Days": 90}, 90),
        ({"Days": 90}, 90),
        ({"value": "90.00:00:00"}, 90),
        ("", None),
        ("soon", None),
        (None, None),
        (True, None),
        ("P", None),
    ],
)
def test_lengths_of_time(value, expected):
    assert values.days(value).value == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("UserMailbox", "user"),
        ("sharedmailbox", "shared"),
        (1099511627776, "group"),
        ("16", "resource"),
        ("DiscoveryMailbox", "other"),
        ("SomethingNewMailbox", "other"),
        ("", "unknown"),
        (None, "unknown"),
        ("MailUser", "unknown"),
    ],
)
def test_kinds_of_mailbox(value, expected):
    assert values.mailbox_kind(value) == expected


def test_ids_and_addresses():
    assert values.guid("{4D000000-0000-0000-0000-000000000001}") == "4d000000-0000-0000-0000-000000000001"
    assert values.guid("00000000-0000-0000-0000-000000000000") == ""
    assert values.guid({"Guid": "4d000000-0000-0000-0000-000000000001"}) == "4d000000-0000-0000-0000-000000000001"
    assert list(values.addresses("SMTP:Alice@contoso.com,smtp:al@contoso.com,x500:/o=x")) == [
        "alice@contoso.com",
        "al@contoso.com",
    ]
    assert list(values.addresses(["SMTP:Alice@contoso.com", 7, None])) == ["alice@contoso.com"]


NAMES = st.lists(st.sampled_from(sorted(catalogue().by_lower.values())), unique=True)


@given(NAMES, st.sampled_from([",", ", ", "; ", " ", "|"]), st.sampled_from(["", "{}"]))
def test_a_list_is_the_same_however_it_is_joined(names, separator, braces):
    text = f"{braces[:1]}{separator.join(names)}{braces[1:]}"
    assert values.actions(text).value == Names(frozenset(names)) == values.actions(list(names)).value


@given(NAMES.filter(bool), st.integers(1, 200))
def test_a_list_that_is_cut_anywhere_names_nothing_that_was_not_in_it(names, at):
    text = "{" + ", ".join(names)
    told = values.actions(text[: 1 + at % len(text)] + "…")
    assert told.value.is_cut
    assert told.value.names <= set(names)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["value", "Name", "Days", "Ticks", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_no_value_breaks_a_reader(value):
    for read in (values.truth, values.actions, values.default_set, values.days):
        assert isinstance(read(value), values.Told)
    assert isinstance(values.guid(value), str)
    assert isinstance(values.text(value), str)
    assert values.mailbox_kind(value) in ("user", "shared", "group", "resource", "public folder", "other", "unknown")
    assert all("@" in one for one in values.addresses(value))


def test_the_catalogue_is_consistent():
    known = catalogue()
    for logon in LOGONS:
        assert known.default[logon] <= known.settable[logon]
        assert known.group[logon] <= known.settable[logon]
    assert sorted(known.numbers.values()) == [1 << bit for bit in range(12)]
