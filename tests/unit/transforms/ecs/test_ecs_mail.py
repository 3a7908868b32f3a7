"""Mail texts, URLs and file names, policies and directory targets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.transforms.ecs.conversions import agent, directory, investigation, mail, policy, sharepoint, web


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sana@contoso.com", "sana@contoso.com"),
        ("<sana@contoso.com>", "sana@contoso.com"),
        ("Sana B <sana@contoso.com>", "sana@contoso.com"),
        ("smtp:sana@contoso.com", "sana@contoso.com"),
        ('"Sana, B" <sana@contoso.com>;', "sana@contoso.com"),
        ("<>", None),
        ("Sana", None),
    ],
)
def test_mail_address_is_found_in_each_form(text: str, expected: str | None) -> None:
    assert mail.mail_address(text) == expected


def test_message_id_loses_its_brackets() -> None:
    assert mail.message_id(" <a@contoso.com> ") == "a@contoso.com"
    assert mail.message_id("<>") is None


@pytest.mark.parametrize(
    ("text", "expected"), [("Inbound", "inbound"), ("Intra-org", "internal"), ("OUTBOUND", "outbound"), ("sideways", None)]
)
def test_direction_is_one_of_three_words(text: str, expected: str | None) -> None:
    assert mail.direction(text) == expected


def file(name: str, size: int, extension: str = "") -> dict[str, Any]:
    return {"file": {"name": name, **({"extension": extension} if extension else {}), "size": size}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.docx (12b)", [file("a.docx", 12, "docx")]),
        ("a (b) 1.docx (12b); photo (34b)", [file("a (b) 1.docx", 12, "docx"), file("photo", 34)]),
        ("C:\\Temp\\a.pdf (12b); Offer 1/2.msg (3b)", [file("a.pdf", 12, "pdf"), file("Offer 1/2.msg", 3, "msg")]),
        ("3\n      .jpg (5b);", [file("3 .jpg", 5, "jpg")]),
        ("nothing of the kind", None),
    ],
)
def test_attachments_are_read_from_text(text: str, expected: list[dict[str, Any]] | None) -> None:
    assert mail.attachments(text) == expected


def test_attachments_are_bounded() -> None:
    assert len(mail.attachments("a (1b); " * 2000) or ()) == mail.MAX_ATTACHMENTS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"FileName": "a.exe", "SHA256": "AB"}], [{"file": {"name": "a.exe", "extension": "exe", "hash": {"sha256": "ab"}}}]),
        ({"FileName": "a"}, [{"file": {"name": "a"}}]),
        ([{"FileName": 5}, "x", {}], None),
    ],
)
def test_attachments_of_verdicts_are_read(value: Any, expected: list[dict[str, Any]] | None) -> None:
    assert mail.threat_attachments(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Client=OWA;Mozilla/5.0 (X11; Linux) Firefox/1.0;", "Mozilla/5.0 (X11; Linux) Firefox/1.0"),
        ("Client=OutlookService;Outlook-iOS/2.0;", "Outlook-iOS/2.0"),
        ("Client=REST;Client=RESTSystem;;", None),
        ("Client=OWA;Action=ViaProxy", None),
        ("Mozilla/5.0 (X11; Linux)", "Mozilla/5.0 (X11; Linux)"),
        (" ", None),
    ],
)
def test_user_agent_is_cut_out_of_client_info(text: str, expected: str | None) -> None:
    assert mail.client_agent(text) == expected


SITE = {
    "scheme": "https",
    "domain": "contoso.sharepoint.com",
    "port": 443,
    "registered_domain": "sharepoint.com",
    "top_level_domain": "com",
    "subdomain": "contoso",
}


def url(text: str, **parts: Any) -> dict[str, Any]:
    return {"original": text, "full": text, **parts}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://contoso.sharepoint.com", SITE),
        ("https://contoso.sharepoint.com/", {**SITE, "path": "/"}),
        ("https://contoso.sharepoint.com/a b/c%20d.docx", {**SITE, "path": "/a b/c%20d.docx", "extension": "docx"}),
        (
            "https://contoso.sharepoint.com/a.aspx?x=1#top",
            {**SITE, "path": "/a.aspx", "extension": "aspx", "query": "x=1", "fragment": "top"},
        ),
        ("https://contoso.sharepoint.com?x=1", {**SITE, "query": "x=1"}),
        ("HTTP://fabrikam.example:8080/", {"scheme": "http", "domain": "fabrikam.example", "port": 8080, "path": "/"}),
        ("https://user:pw@fabrikam.example/", {"scheme": "https", "domain": "fabrikam.example", "port": 443, "path": "/"}),
        ("https://[2001:db8::1]:8443/x", {"scheme": "https", "domain": "[2001:db8::1]", "port": 8443, "path": "/x"}),
        ("ftp://fabrikam.example/x", {"scheme": "ftp", "domain": "fabrikam.example", "path": "/x"}),
    ],
)
def test_url_is_taken_apart(text: str, parts: dict[str, Any]) -> None:
    assert web.read_url(text) == url(text, **parts)


@pytest.mark.parametrize(
    "text", ["", "contoso.com/a", "//contoso.com/a", "https://", "https:///a", "Not Available", "a b://c/d", "x"]
)
def test_what_is_no_url_is_left_alone(text: str) -> None:
    assert web.read_url(text) is None


def test_hash_is_part_of_a_file_name_in_sharepoint() -> None:
    text = "https://contoso.sharepoint.com/plan #1.xlsx?web=1"
    assert web.read_file_url(text) == url(text, **SITE, path="/plan #1.xlsx", extension="xlsx", query="web=1")


@given(st.text() | st.text().map("https://contoso.com/".__add__))
def test_any_text_is_taken_apart_without_empty_parts(text: str) -> None:
    assert all((web.read_url(text) or {}).values())
    assert all((web.read_file_url(text) or {}).values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.docx", "docx"), ("a.tar.gz", "gz"), ("a", None), (".x", "x"), ("a.", None), ("No. seventeen of them", None)],
)
def test_extension_is_what_follows_the_last_dot(name: str, expected: str | None) -> None:
    assert web.file_extension(name) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"SourceRelativeUrl": "Docs/x", "SourceFileName": "a.txt"}, "Docs/x/a.txt"),
        ({"SourceRelativeUrl": "Docs/", "SourceFileName": "a.txt"}, "Docs/a.txt"),
        ({"SourceRelativeUrl": "Docs/a.txt", "SourceFileName": "a.txt"}, "Docs/a.txt"),
        ({"SourceFileName": "a.txt"}, None),
        ({"SourceRelativeUrl": "Docs", "SourceFileName": ["a.txt"]}, None),
    ],
)
def test_file_path_is_folder_and_name(record: dict[str, Any], expected: str | None) -> None:
    assert sharepoint.file_path(record) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"SourceRelativeUrl": "Docs/x", "SourceFileName": "a.txt"}, "Docs/x"),
        ({"SourceRelativeUrl": "Docs/a.txt", "SourceFileName": "a.txt"}, "Docs"),
        ({"SourceRelativeUrl": "Docs/a%20b.txt", "SourceFileName": "a b.txt"}, "Docs"),
        ({"SourceRelativeUrl": "a.txt", "SourceFileName": "a.txt"}, None),
        ({"SourceRelativeUrl": "Docs/Plan", "SourceFileName": "Plan", "ObjectId": "https://x/Docs/Plan/Plan"}, "Docs/Plan"),
        ({"SourceRelativeUrl": "Docs/Plan", "SourceFileName": "Plan", "ObjectId": "https://x/Docs/Plan"}, "Docs"),
        ({"SourceRelativeUrl": "Docs"}, "Docs"),
        ({"SourceRelativeUrl": ["Docs"]}, None),
    ],
)
def test_directory_is_never_the_file_itself(record: dict[str, Any], expected: str | None) -> None:
    assert sharepoint.file_directory(record) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<Group>Plan Owners</Group>", "Plan Owners"),
        ("<group>A &amp; B</group><Type>x</Type>", "A & B"),
        ("<Group></Group>", None),
        ("Group", None),
    ],
)
def test_group_is_read_of_event_data(text: str, expected: str | None) -> None:
    assert sharepoint.group_in_event_data(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amy@fabrikam.example", ["amy@fabrikam.example"]),
        ("a@b.example, c@d.example;e@f.example", ["a@b.example", "c@d.example", "e@f.example"]),
        ("Amy <amy@fabrikam.example>, amy@fabrikam.example", ["amy@fabrikam.example"]),
        ("nobody", None),
    ],
)
def test_addresses_are_read_of_a_list(text: str, expected: list[str] | None) -> None:
    assert mail.mail_addresses(text) == expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("www.contoso.com/a/x.php", {"path": "/a/x.php", "extension": "php"}),
        ("www.contoso.com:8443/a?b=1#c", {"path": "/a", "query": "b=1", "fragment": "c"}),
        ("www.contoso.com?b=1", {"query": "b=1"}),
        ("www.contoso.com", {}),
    ],
)
def test_link_without_scheme_has_neither_scheme_nor_port(text: str, parts: dict[str, Any]) -> None:
    domain = {"domain": "www.contoso.com", "registered_domain": "contoso.com", "top_level_domain": "com", "subdomain": "www"}
    assert web.read_link(text) == {"original": text, **domain, **parts}


def test_link_with_scheme_is_read_as_a_url() -> None:
    assert web.read_link("https://contoso.com/a") == web.read_url("https://contoso.com/a")
    assert "subdomain" not in (web.read_url("https://contoso.com/a") or {})
    assert (web.read_url("https://a.b.contoso.com/") or {})["subdomain"] == "a.b"


@pytest.mark.parametrize("text", ["", "contoso", "amy@contoso.com", "a b.com", "/a.com/b", "not a link.", "..", "a..com"])
def test_what_is_no_link_is_left_alone(text: str) -> None:
    assert web.read_link(text) is None


def test_path_is_no_url() -> None:
    assert (web.plain_path("/sites/a.docx"), web.plain_path("https://contoso.com/a.docx")) == ("/sites/a.docx", None)


HASHES = [
    {"Algorithm": "SHA256", "Value": "AB" * 32},
    {"Algorithm": "sha-1", "Value": "CD" * 20},
    {"Algorithm": "MD5", "Value": "short"},
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (HASHES, {"sha256": "ab" * 32, "sha1": "cd" * 20}),
        ([HASHES], {"sha256": "ab" * 32, "sha1": "cd" * 20}),
        ([*HASHES, {"Algorithm": "SHA256", "Value": "EF" * 32}], None),
        ([{"Algorithm": 5, "Value": "x"}, "x"], None),
        ("x", None),
    ],
)
def test_hashes_of_one_file_are_read(value: Any, expected: dict[str, str] | None) -> None:
    assert investigation.entity_hashes(value) == expected


def test_files_of_mails_become_attachments() -> None:
    files = [{"Name": "a.pdf", "FileHashes": HASHES}, {"Name": "a.pdf", "FileHashes": HASHES}, {"FileHashes": "x"}, 5]
    hashes = {"sha256": "ab" * 32, "sha1": "cd" * 20}
    assert investigation.entity_attachments([files]) == [{"file": {"name": "a.pdf", "extension": "pdf", "hash": hashes}}]
    assert investigation.entity_attachments("x") is None


def test_user_agent_is_taken_apart() -> None:
    text = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
    assert agent.agent(text) == {"name": "Chrome", "version": "131.0.0.0"}
    assert agent.system(text) == {"name": "Windows", "version": "10", "full": "Windows 10"}
    assert agent.device(text) is None
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
    assert agent.device(phone) == {"name": "iPhone"}
    assert (agent.agent("EvoSTS"), agent.system("EvoSTS"), agent.device("EvoSTS")) == (None, None, None)


def test_small_file_conversions() -> None:
    assert (web.file_kind("File"), web.file_kind("Folder"), web.file_kind("Web")) == ("file", "dir", None)
    assert (web.file_name("C:\\a\\b.txt"), web.file_name("x/y"), web.file_name("b.txt")) == ("b.txt", "y", None)
    assert (web.windows_path("C:\\a"), web.windows_path("\\\\srv\\a"), web.windows_path("/a")) == ("C:\\a", "\\\\srv\\a", None)
    assert (web.extension(".docx"), web.extension(" ")) == ("docx", None)


def policy_match(*rules: dict[str, Any], name: str = "Cards") -> dict[str, Any]:
    return {"PolicyName": name, "Rules": list(rules)}


LOW = {"RuleId": "1", "RuleName": "few", "Severity": "Low", "Actions": ["NotifyUser"]}
HIGH = {"RuleId": "2", "RuleName": "many", "Severity": "High", "Actions": ["BlockAccess"]}


@pytest.mark.parametrize(
    ("details", "rule", "severity"),
    [
        ([policy_match(LOW, HIGH)], {"id": "2", "name": "many", "ruleset": "Cards"}, 4),
        ([policy_match(LOW), policy_match({**LOW, "RuleId": "3"}, name="B")], {"id": "1", "name": "few", "ruleset": "Cards"}, 2),
        (policy_match(LOW), {"id": "1", "name": "few", "ruleset": "Cards"}, 2),
        ([policy_match({"Severity": 4})], {"ruleset": "Cards"}, None),
        ([{"PolicyName": "Cards"}], None, None),
        ("text", None, None),
        ([None, [], {"Rules": "x"}], None, None),
    ],
)
def test_most_severe_rule_stands_for_all(details: Any, rule: dict[str, str] | None, severity: int | None) -> None:
    assert policy.most_severe_rule(details) == rule
    assert policy.highest_severity(details) == severity


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"PolicyDetails": [policy_match(LOW, HIGH)]}, "failure"),
        ({"PolicyDetails": [policy_match(LOW)]}, "success"),
        ({"PolicyDetails": [policy_match({**HIGH, "OverriddenActions": ["BlockAccess"]})]}, "success"),
        ({"PolicyDetails": [policy_match(HIGH)], "ExceptionInfo": {"FalsePositive": True}}, "success"),
        ({"PolicyDetails": [policy_match(HIGH)], "ExceptionInfo_text": "override"}, "success"),
        ({"PolicyDetails": [policy_match(HIGH)], "Operation": "DlpRuleUndo"}, "success"),
        ({"PolicyDetails": [policy_match(HIGH)], "ResultStatus": "Success"}, "failure"),
        ({"PolicyDetails": [policy_match(LOW)], "ResultStatus": "Failed"}, None),
        ({}, "success"),
    ],
)
def test_policy_match_fails_where_the_act_was_stopped(record: dict[str, Any], expected: str | None) -> None:
    assert policy.policy_outcome(record) == expected


@pytest.mark.parametrize(("word", "number"), [("Informational", 1), ("low", 2), ("Medium", 3), ("HIGH", 4), ("severe", None)])
def test_severity_is_a_number(word: str, number: int | None) -> None:
    assert policy.severity(word) == number


GUID = "33333333-3333-4333-8333-333333333333"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            [{"ID": f"Group_{GUID}", "Type": "2"}, {"ID": "Group", "Type": "2"}, {"ID": "Finance", "Type": "1"}],
            {"id": GUID, "name": "Finance"},
        ),
        ([{"ID": "Group", "Type": "2"}], None),
        ([{"ID": "User", "Type": "2"}, {"ID": "Finance", "Type": "1"}], None),
    ],
)
def test_group_is_the_target_only_where_the_target_says_so(target: Any, expected: dict[str, str] | None) -> None:
    assert directory.target_group(target) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Finance"', "Finance"),
        ('[\r\n "Finance"\r\n]', "Finance"),
        ("Finance", "Finance"),
        ('["a","b"]', None),
        ("[5]", None),
        ('"x', '"x'),
        (" ", None),
    ],
)
def test_property_value_is_read_out_of_json(text: str, expected: str | None) -> None:
    assert directory.json_value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"User-Agent":"curl/8"}', "curl/8"),
        ('{"User-Agent":5}', None),
        ('["User-Agent"]', None),
        ("User-Agent {", None),
        ("{}", None),
    ],
)
def test_user_agent_is_found_in_details(text: str, expected: str | None) -> None:
    assert directory.details_agent(text) == expected
