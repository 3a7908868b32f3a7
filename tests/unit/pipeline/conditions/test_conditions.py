import fnmatch
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.conditions.compiler import compile_conditions
from ualpipe.pipeline.errors import ConfigError

DOCUMENT: dict[str, Any] = {
    "event": {"action": "FileDownloaded", "category": ["file", "web"], "severity": 3},
    "user": {"id": "Alice@contoso.com", "name": None, "roles": []},
    "source": {"ip": "192.0.2.17", "port": "443"},
    "organization": {"name": "Contoso *GmbH*"},
    "o365": {
        "audit": {
            "RecordType": 6,
            "IsManagedDevice": False,
            "ExternalAccess": "True",
            "ObjectId": "C:\\Temp\\a?b.docx",
            "Target": [{"ID": "Bob@contoso.com", "Type": 5}, {"ID": "1003BFFD", "Type": 3}],
            "Folders": [{"Items": [{"Subject": "budget"}]}, {"Items": [{"Subject": "plan"}]}],
        }
    },
}


def fits(spec: Any, document: dict[str, Any] = DOCUMENT) -> bool:
    return compile_conditions(spec)(document)


def refusal(spec: Any, where: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        compile_conditions(spec, where)
    return str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        {"event.action": "FileDownloaded"},
        {"event.action": "filedownloaded"},
        {"event.action": ["FileDeleted", "FileDownloaded"]},
        {"event.action": "File*ed"},
        {"event.action": "FileDownloade?"},
        {"event.action": ["x*", "file*"]},
        {"event.action|contains": "down"},
        {"event.action|contains": ["up", "down"]},
        {"event.action|contains|all": ["file", "down"]},
        {"event.action|contains": "f?le"},
        {"event.action|startswith": "FILE"},
        {"event.action|startswith": ["Folder", "F?le"]},
        {"event.action|endswith": "loaded"},
        {"event.action|endswith": "d*loaded"},
        {"event.action|cased": "FileDownloaded"},
        {"event.action|contains|cased": "Down"},
        {"event.action|neq": "FileDeleted"},
        {"event.action|neq": ["FileDeleted", "FileModified"]},
        {"event.action|re": "^File(Down|Up)loaded$"},
        {"event.action|re": "Down"},
        {"event.action|re|i": "DOWN"},
        {"source.ip|cidr": "192.0.2.0/24"},
        {"source.ip|cidr": ["10.0.0.0/8", "192.0.2.0/28", "192.0.2.16/28"]},
        {"event.severity": 3},
        {"event.severity": "3"},
        {"event.severity": 3.0},
        {"event.severity|gte": 3},
        {"event.severity|lt": 3.5},
        {"source.port|gt": 442},
        {"source.port": 443},
        {"o365.audit.IsManagedDevice": False},
        {"o365.audit.IsManagedDevice": "false"},
        {"o365.audit.ExternalAccess": True},
        {"user.name": None},
        {"user.missing": None},
        {"nowhere.at.all": None},
        {"user.roles": None},
        {"user.name": [None, "bob"]},
        {"event.action": [None, "FileDownloaded"]},
        {"event.action|neq": None},
        {"user.id|exists": True},
        {"user.name|exists": False},
        {"user.roles|exists": False},
        {"user|exists": True},
        {"event.category": "web"},
        {"event.category|all": ["web", "file"]},
        {"event.category|neq": "email"},
        {"o365.audit.Target.ID|endswith": "@contoso.com"},
        {"o365.audit.Target.Type": 3},
        {"o365.audit.Folders.Items.Subject": "plan"},
        {"organization.name": "contoso \\*gmbh\\*"},
        {"organization.name|endswith": "\\*"},
        {"o365.audit.ObjectId": "c:\\temp\\a\\?b.docx"},
        {"o365.audit.ObjectId": "C:\\\\Temp\\\\a?b.docx"},
        {"o365.audit.ObjectId|contains": "\\Temp\\"},
    ],
)
def test_condition_fits(spec: Any) -> None:
    assert fits(spec)


@pytest.mark.parametrize(
    "spec",
    [
        {"event.action": "File"},
        {"event.action": "File?ed"},
        {"event.action|cased": "filedownloaded"},
        {"event.action|contains|all": ["file", "up"]},
        {"event.action|contains|cased": "down"},
        {"event.action|neq": ["FileDeleted", "FileDownloaded"]},
        {"event.action|re": "down"},
        {"event.action|cidr": "192.0.2.0/24"},
        {"event.action|gt": 1},
        {"event.action": None},
        {"event": "FileDownloaded"},
        {"event|contains": "F"},
        {"event|startswith": "{"},
        {"event|re": "."},
        {"event|gt": 0},
        {"event.action.deeper": "FileDownloaded"},
        {"user.name": "*"},
        {"user.name|contains": "a"},
        {"user.name|neq": None},
        {"user.roles": "*"},
        {"user.id|exists": False},
        {"source.ip|cidr": "2001:db8::/32"},
        {"o365.audit.IsManagedDevice": 0},
        {"o365.audit.IsManagedDevice|lt": 1},
        {"o365.audit.Target.ID": "alice@contoso.com"},
        {"organization.name": "contoso \\*"},
        {"event.category|neq": "web"},
    ],
)
def test_condition_does_not_fit(spec: Any) -> None:
    assert not fits(spec)


def test_keys_of_one_mapping_must_all_hold() -> None:
    assert fits({"event.action": "FileDownloaded", "user.id|endswith": "@contoso.com"})
    assert not fits({"event.action": "FileDownloaded", "user.id|endswith": "@fabrikam.com"})


def test_one_mapping_of_a_list_is_enough() -> None:
    assert fits([{"event.action": "x"}, {"event.action": "FileDownloaded"}])
    assert not fits([{"event.action": "x"}, {"event.action": "y"}])


@pytest.mark.parametrize(("address", "network"), [("2001:DB8::1", "2001:db8::/32"), ("::ffff:192.0.2.1", "192.0.2.0/24")])
def test_addresses_fit_their_network_in_any_spelling(address: str, network: str) -> None:
    assert fits({"ip|cidr": network}, {"ip": address})


@pytest.mark.parametrize("value", ["192.0.2.1:443", "", "localhost", 3221225985, {"a": 1}])
def test_what_is_no_address_is_in_no_network(value: Any) -> None:
    assert not fits({"ip|cidr": "0.0.0.0/0"}, {"ip": value})


@pytest.mark.parametrize("value", ["nan", "inf", "", "12x", True, {"a": 1}, 10**400])
def test_what_is_no_finite_number_compares_with_none(value: Any) -> None:
    assert not fits([{"n|lt": 0}, {"n|gte": 0}], {"n": value})


def test_fields_can_be_compared_with_each_other() -> None:
    spec = {"user.id|fieldref": "user.target.id"}
    assert fits(spec, {"user": {"id": "a", "target": {"id": ["b", "A"]}}})
    assert not fits(spec, {"user": {"id": "a", "target": {"id": "b"}}})
    assert not fits(spec, {"user": {}})
    assert fits({"user.id|fieldref|neq": "user.target.id"}, {"user": {"id": "a", "target": {"id": "b"}}})


def test_nested_lists_are_followed() -> None:
    assert fits({"a.b": 2}, {"a": [[{"b": [1, [2]]}], None, "text"]})


def test_wildcards_go_over_line_ends() -> None:
    assert fits({"text": "one*three"}, {"text": "one\r\ntwo\nthree"})


def test_regular_expression_takes_flags() -> None:
    assert fits({"text|re|m|s": "^two.three"}, {"text": "one\ntwo\nthree"})
    assert not fits({"text|re": "^two.three"}, {"text": "one\ntwo\nthree"})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"a|endwith": "x"}, "a|endwith: 'endwith' is no modifier (did you mean endswith?)"),
        ({"a|base64": "x"}, "a|base64: 'base64' is no modifier"),
        ({"|contains": "x"}, "|contains: the name of the field is missing or incomplete"),
        ({"a..b": "x"}, "a..b: the name of the field is missing or incomplete"),
        ({"a": []}, "a: the list of values is empty"),
        ({"a": {"b": 1}}, "a: a mapping is not text, a number, true, false or null"),
        ({"a": ["x", ["y"]]}, "a: a list is not text, a number, true, false or null"),
        ({"a|re": "("}, "a|re: '(' is no regular expression: missing ), unterminated subpattern at position 0"),
        ({"a|re": 5}, "a|re: 5 is not a regular expression"),
        ({"a|cidr": "10.0.0.0/99"}, "a|cidr: not a network such as 192.0.2.0/24: '10.0.0.0/99' does not appear"),
        ({"a|gt": "5"}, "a|gt: '5' is not a number"),
        ({"a|lt": True}, "a|lt: True is not a number"),
        ({"a|exists": "yes"}, "a|exists: 'yes' is not true or false"),
        ({"a|fieldref": 1}, "a|fieldref: 1 is not the name of a field"),
        ({"a|contains": None}, "a|contains: null can't be used with this modifier"),
        ({"a|contains": ""}, "a|contains: an empty text is part of every text"),
        ({"a|i": "x"}, "a|i: `i` belongs to `re`"),
        ({"a|contains|re": "x"}, "a|contains|re: `contains` and `re` can't be used together"),
        ({"a|cidr|cased": "x"}, "a|cidr|cased: `cidr` and `cased` can't be used together"),
        ({"a|all|neq": ["x"]}, "a|all|neq: `all` and `neq` can't be used together"),
        ({}, "conditions are a mapping"),
        ([], "conditions are a mapping"),
        ([{"a": 1}, "b"], "conditions are a mapping"),
        ("event.action: x", "conditions are a mapping"),
    ],
)
def test_wrong_condition_is_refused_with_its_reason(spec: Any, message: str) -> None:
    assert refusal(spec).startswith(message)


def test_every_wrong_key_is_named_with_its_place() -> None:
    assert refusal([{"a|gt": "x", "b": 1}, {"c|strtswith": "y"}], "sinks.siem.when") == (
        "sinks.siem.when: a|gt: 'x' is not a number; "
        "sinks.siem.when: c|strtswith: 'strtswith' is no modifier (did you mean startswith?)"
    )


@given(st.text(alphabet="aAbB.+(\\[^", max_size=8), st.text(alphabet="aAbB*?.+(", max_size=6))
def test_wildcards_mean_what_they_mean_in_file_names(text: str, pattern: str) -> None:
    assert fits({"f": pattern}, {"f": text}) == fnmatch.fnmatchcase(text.casefold(), pattern.casefold())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("xyzß\0İ\ud800", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
MODIFIERS = st.sampled_from(["", "|contains", "|startswith", "|endswith", "|cased", "|neq", "|re"])


@given(
    st.dictionaries(st.sampled_from("abc"), JSON), st.sampled_from(["a", "a.b", "a.b.c"]), MODIFIERS, st.text("xyz*", min_size=1)
)
def test_no_document_makes_a_condition_fail(document: dict[str, Any], field: str, modifier: str, value: str) -> None:
    wanted = "x" if modifier == "|re" else value
    assert fits({field + modifier: wanted}, document) in (True, False)


@pytest.mark.parametrize("depth", [10, 300, 20_000])
def test_lists_are_followed_however_deep_they_lie(depth: int) -> None:
    nested: Any = {"b": ["x", None, "y"]}
    for _level in range(depth):
        nested = [nested]
    assert fits({"a.b": "y"}, {"a": nested})
    assert not fits({"a.b": "z"}, {"a": nested})


@given(st.dictionaries(st.sampled_from("abc"), JSON), st.sampled_from(["a", "a.b", "a.b.c"]))
def test_a_field_either_exists_or_is_null(document: dict[str, Any], field: str) -> None:
    assert fits({f"{field}|exists": True}, document) != fits({field: None}, document)
