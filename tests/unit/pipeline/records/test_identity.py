"""The identity of a record: placeholders name nothing, and a content is the same however it is spelled."""

import hashlib
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import TENANT, record
from ualpipe.pipeline.records.decoding import decode
from ualpipe.pipeline.records.identity import (
    CONTENT_BYTES,
    DIGEST_BYTES,
    IDENTITY_BYTES,
    LONGEST_ID,
    UNKNOWN,
    canonical,
    digest_of,
    digest_of_other,
    identity_of,
    is_from_feed,
    is_same,
    is_usable,
    suffix_of,
)

FILE = ""  # the tenant of a source that vouches for none
GUID = "8f2e1a90-1111-4222-8333-b94d27b9934d"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('aé"\\\n.0,e16@'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abé"', max_size=3), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text('abcé"', max_size=3), values, max_size=5)


def content(found: dict, tenant: str = FILE) -> bytes:
    return identity_of(found, tenant)[DIGEST_BYTES:]


def shuffled(value):
    """Returns a value with the keys of all objects the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(one) for key, one in reversed(value.items())}
    return [shuffled(one) for one in value] if isinstance(value, list) else value


# --- Ids -------------------------------------------------------------------------------------------------------------

PLACEHOLDERS = [
    *("", " ", "\t\n", "\u00a0\u2003", "-", "--", "\u2014", "_", "?", "...", "N/A", "n/a", "NA", " n.a. ", "\uff2e\uff0f\uff21"),
    *("null", "NULL", "(null)", "None", "nil", "undefined", "unknown", "<unknown>", "[empty]", '""', "{}", "not available"),
    *("0", "00", "0x0"[:1], "0000000000", "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}"),
    *("00000000000000000000000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
    *("11111111-1111-1111-1111-111111111111", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
]
NO_TEXT = [None, 7, 0, 1.5, True, ["a"], {"a": 1}]


@pytest.mark.parametrize("own", [*PLACEHOLDERS, *NO_TEXT, "x" * (LONGEST_ID + 1)])
def test_a_placeholder_is_no_identity_and_such_records_are_known_by_their_content(own):
    one, other = ({"Id": own, "Operation": name, "OrganizationId": TENANT} for name in ("Send", "Delete"))
    assert not is_usable(own)
    assert digest_of(one, TENANT) is None
    assert identity_of(one, TENANT) == identity_of(shuffled(one), TENANT)
    assert identity_of(one, TENANT)[:DIGEST_BYTES] != identity_of(other, TENANT)[:DIGEST_BYTES]


@pytest.mark.parametrize(
    "own", [GUID, GUID.upper(), "a", "1", "xy" * (LONGEST_ID // 2), "00000000-0000-0000-0000-000000000001", "na-1", "AS/1"]
)
def test_what_names_a_record_is_used(own):
    assert is_usable(own)
    assert digest_of({"Id": own}, TENANT) == digest_of({"Id": own, "Operation": "x"}, TENANT)


@pytest.mark.parametrize("own", [GUID, "N/A"])
def test_tenants_are_kept_apart(own):
    assert identity_of({"Id": own}, "a")[:DIGEST_BYTES] != identity_of({"Id": own}, "b")[:DIGEST_BYTES]


# --- content ---------------------------------------------------------------------------------------------------------

ONE = b'{"Id":"a","Size":100,"Name":"A/\xc3\xa9\\n","More":{"x":[1,{"b":true,"a":null}],"y":"10.0,"}}'
SPELLINGS = {
    "order of keys": b'{"More":{"y":"10.0,","x":[1,{"a":null,"b":true}]},"Name":"A/\xc3\xa9\\n","Size":100,"Id":"a"}',
    "blanks": b' { "Id" : "a",\n "Size":100 , "Name":"A/\xc3\xa9\\n","More":{"x":[ 1,{"b":true,"a":null} ],"y":"10.0,"}}\r\n',
    "escapes": ONE.replace(b"Id", b"\\u0049d").replace(b"A/\xc3\xa9\\n", b"\\u0041\\/\\u00e9\\u000a"),
    "fraction": ONE.replace(b"100", b"100.0").replace(b"[1,", b"[1.000,"),
    "exponent": ONE.replace(b"100", b"1e2").replace(b"[1,", b"[10E-1,"),
    "annotations of Graph": ONE.replace(b'"Size"', b'"@odata.type":"#x.y","Size"').replace(b'"b":', b'"@odata.id":"z","b":'),
    "a key twice": ONE.replace(b'"Size":100', b'"Size":7,"Size":100'),
}
OTHERS = {
    "another value": ONE.replace(b"100", b"101"),
    "text for a number": ONE.replace(b"100", b'"100"'),
    "another case": ONE.replace(b"A/", b"a/"),
    "another order in a list": ONE.replace(b'[1,{"b":true,"a":null}]', b'[{"b":true,"a":null},1]'),
    "one field more": ONE.replace(b'"Size"', b'"More2":null,"Size"'),
    "one field less": ONE.replace(b'"Size":100,', b""),
    "text with a point": ONE.replace(b'"10.0,"', b'"10,"'),
    "truth for a number": ONE.replace(b"[1,", b"[true,"),
    "null for nothing": ONE.replace(b',"a":null', b""),
    "another decomposition": ONE.replace(b"\xc3\xa9", b"e\xcc\x81"),
    "a field that looks like an annotation": ONE.replace(b'"Size"', b'"odata.type":1,"Size"'),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_the_content_does_not_depend_on_the_spelling(spelling):
    assert content(decode(spelling)) == content(decode(ONE))


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_other_content_is_told_apart(other):
    assert not is_same(content(decode(other)), content(decode(ONE)))


@pytest.mark.parametrize("name", ["order of keys", "blanks", "escapes", "a key twice"])
def test_a_feed_and_a_file_have_the_same_content_and_it_shows_who_brought_it(name):
    feed, file = content(decode(SPELLINGS[name]), TENANT), content(decode(ONE), FILE)
    assert is_same(feed, file)
    assert suffix_of(feed) == suffix_of(file)
    assert (is_from_feed(feed), is_from_feed(file)) == (True, False)


def test_a_record_of_a_feed_is_that_of_a_graph_export_with_annotations():
    assert is_same(content(decode(SPELLINGS["annotations of Graph"]), FILE), content(decode(ONE), TENANT))


def test_numbers_of_any_size_have_a_content():
    for one, same in (
        (b"1e16", b"10000000000000000"),
        (b"1.8e19", b"18000000000000000000"),
        (b"1e300", b"1" + b"0" * 300),
        (b"-0.0", b"0"),
    ):
        assert content(decode(b'{"n":%b}' % one)) == content(decode(b'{"n":%b}' % same)), one
    assert content(decode(b'{"n":1e16}')) != content(decode(b'{"n":1e17}'))


def test_a_record_nested_deeper_than_orjson_writes_has_a_content_too():
    def nested(leaf: str, depth: int = 900) -> dict:
        return decode(b'{"Id":"a","x":' + b'{"b":[' * (depth // 2) + leaf.encode() + b'],"a":1.0}' * (depth // 2) + b"}")

    for tenant in (FILE, TENANT):
        assert content(nested("1"), tenant) == content(shuffled_deep(nested("1")), tenant)
        assert not is_same(content(nested("1"), tenant), content(nested("2"), tenant))
    assert is_same(content(nested("1"), FILE), content(nested("1"), TENANT))


def shuffled_deep(value):
    """Does as ``shuffled`` without recursion: reversing the keys of each object in place."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            items = list(one.items())
            one.clear()
            one.update(reversed(items))
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else []
    return value


@pytest.mark.parametrize("odd", ["\ud800", 1 << 70, float("nan")])
def test_what_json_can_not_hold_has_a_content_all_the_same(odd):
    assert content({"Id": "a", "x": odd}) != content({"Id": "a", "x": "other"})
    assert content({"Id": "a", "x": odd}, TENANT) == content({"x": odd, "Id": "a"}, TENANT)


@given(objects)
def test_the_content_is_that_of_sorted_json_whatever_way_leads_there(found):
    """The way taken for odd records gives the text of the fast one, but for numbers and annotations."""
    plain = orjson.loads(orjson.dumps(found))
    assert content(plain) == content(shuffled(plain))
    assert content(plain) == content(json.loads(json.dumps(plain, indent=1)))
    text = canonical(plain)
    assert canonical(orjson.loads(text)) == text
    marked = {**plain, "@odata.type": "x"}
    assert canonical(marked) == text


@given(objects, objects)
def test_different_records_have_different_contents(one, other):
    alike = orjson.loads(canonical(one)) == orjson.loads(canonical(other))  # True is 1 in Python, not in JSON
    assert content(one) != content(other) or alike


def test_an_identity_has_a_fixed_size_and_its_parts_are_those_that_journals_hold():
    """They are compared with stored ones for weeks: another way to make them would let each record through once more."""
    found = identity_of(record(1), TENANT)
    assert (len(found), CONTENT_BYTES) == (IDENTITY_BYTES, 16)
    assert found[:DIGEST_BYTES] == digest_of(record(1), TENANT)
    text = orjson.dumps(record(1), option=orjson.OPT_SORT_KEYS)
    assert found[DIGEST_BYTES:] == hashlib.sha256(text).digest()[:15] + b"\x01"
    assert suffix_of(found[DIGEST_BYTES:]) == hashlib.sha256(text).hexdigest()[:30]
    assert digest_of_other(found) == hashlib.blake2b(found[:31], digest_size=16, person=b"other content").digest()


def test_what_nobody_knows_counts_as_the_same_and_as_of_a_feed():
    assert is_same(UNKNOWN, content(ONE_DECODED))
    assert is_same(content(ONE_DECODED), UNKNOWN)
    assert is_from_feed(UNKNOWN)


ONE_DECODED = decode(ONE)
