from __future__ import annotations

import itertools
import uuid
from collections import Counter
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import orjson
import pytest

from fakes import NOW
from ualpipe.simulator.data import read_yaml
from ualpipe.simulator.records.generator import generate
from ualpipe.simulator.records.incidents import Incident, planted_incidents
from ualpipe.simulator.service.content import CONTENT_TYPES, content_type_of

DOCUMENTATION = [ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
REQUIRED = (
    "Id",
    "RecordType",
    "CreationTime",
    "Operation",
    "OrganizationId",
    "UserType",
    "UserKey",
    "Workload",
    "UserId",
    "Version",
)


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return list(generate(6000, start=NOW))


@pytest.fixture(scope="module")
def incidents() -> dict[str, Incident]:
    return {incident.name: incident for incident in planted_incidents(start=NOW)}


def test_the_same_seed_and_start_make_the_same_records(records: list[dict[str, Any]]) -> None:
    assert list(generate(200, start=NOW)) == records[:200]


@pytest.mark.parametrize("changed", [{"seed": 1}, {"start": NOW + timedelta(seconds=1)}])
def test_another_seed_or_start_makes_records_with_other_ids(records: list[dict[str, Any]], changed: dict[str, Any]) -> None:
    ids = {record["Id"] for record in generate(500, **{"start": NOW, **changed})}
    assert ids.isdisjoint(record["Id"] for record in records)


def test_the_same_seed_keeps_its_people_whenever_it_starts(records: list[dict[str, Any]]) -> None:
    later = {record["UserId"] for record in generate(3000, start=NOW + timedelta(days=1))}
    assert len(later & {record["UserId"] for record in records}) > 200


def test_records_have_the_common_fields_in_their_wire_form(records: list[dict[str, Any]]) -> None:
    for record in records:
        assert all(name in record for name in REQUIRED), record
        assert isinstance(record["RecordType"], int)
        assert str(uuid.UUID(record["Id"])) == record["Id"]
        assert len(record["CreationTime"]) == 19
    assert len({record["Id"] for record in records}) == len(records)


def test_all_content_types_and_every_kind_occur(records: list[dict[str, Any]]) -> None:
    types = Counter(content_type_of(record) for record in records)
    assert set(types) == set(CONTENT_TYPES)
    numbers = {record["RecordType"] for record in records}
    assert {1, 2, 3, 4, 6, 8, 11, 13, 14, 15, 25, 28, 36, 40, 50, 63} <= numbers
    many = {record["RecordType"] for record in itertools.islice(generate(start=NOW), 30_000)}
    assert {entry["RecordType"] for entry in read_yaml("vocabulary.yaml")["rare"]} <= many


def test_time_goes_on_at_the_chosen_rate() -> None:
    times = [record["CreationTime"] for record in generate(2000, start=NOW, rate=10)]
    assert times == sorted(times)
    assert times[0] == "2026-11-20T12:00:00"
    elapsed = datetime.fromisoformat(times[-1] + "Z") - NOW
    assert timedelta(seconds=180) < elapsed < timedelta(seconds=220)


def test_addresses_are_from_the_ranges_for_documentation(records: list[dict[str, Any]]) -> None:
    found = [record.get("ClientIP") or record.get("ClientIPAddress") for record in records]
    hosts = {
        text.partition("]")[0].removeprefix("[") if "[" in text or text.count(":") > 1 else text.partition(":")[0]
        for text in found
        if text
    }
    assert len(hosts) > 50
    assert all(any(ip_address(host) in net for net in DOCUMENTATION) for host in hosts)


def test_one_person_keeps_identity_and_mailbox(records: list[dict[str, Any]]) -> None:
    owners = {
        (record["MailboxOwnerUPN"], record["MailboxGuid"], record["MailboxOwnerSid"])
        for record in records
        if "MailboxGuid" in record
    }
    assert len({upn for upn, _, _ in owners}) == len(owners)
    logons = {(record["UserId"], record["Actor"][0]["ID"]) for record in records if record["RecordType"] == 15}
    assert len({upn for upn, _ in logons}) == len(logons)


def test_users_are_of_the_domain_or_its_guests(records: list[dict[str, Any]]) -> None:
    endings = Counter(record["UserId"].rpartition("@")[2] for record in records if "@" in record["UserId"])
    assert set(endings) == {"contoso.com", "contoso.onmicrosoft.com"}
    other = next(generate(1, start=NOW, tenant_id="ABC", domain="fabrikam.example"))
    assert other["OrganizationId"] == "abc"


def test_texts_that_hold_json_can_be_read(records: list[dict[str, Any]]) -> None:
    texts = [record["Data"] for record in records if isinstance(record.get("Data"), str)]
    texts += [prop["NewValue"] for record in records if record["RecordType"] == 8 for prop in record["ModifiedProperties"][:-1]]
    assert len(texts) > 50
    assert all(orjson.loads(text) for text in texts)


def test_records_have_the_size_of_real_ones(records: list[dict[str, Any]]) -> None:
    assert 1200 < len(orjson.dumps(records)) / len(records) < 1800


def test_incidents_are_the_same_for_the_same_seed_and_start_and_share_no_id(incidents: dict[str, Incident]) -> None:
    again = planted_incidents(start=NOW)
    assert [incident.ids for incident in again] == [incident.ids for incident in incidents.values()]
    ids = [record["Id"] for incident in again for record in incident.records]
    assert len(set(ids)) == len(ids)


def test_incidents_happen_among_the_generated_people_in_order_of_time(incidents: dict[str, Incident]) -> None:
    people = {record["UserId"] for record in generate(6000, start=NOW)}
    for incident in incidents.values():
        times = [record["CreationTime"] for record in incident.records]
        assert times == sorted(times)
        assert {record["UserId"] for record in incident.records if "@" in record["UserId"]} <= people


def test_the_delegate_reads_a_mailbox_that_is_not_his(incidents: dict[str, Incident]) -> None:
    grant, *reads = incidents["mailbox read by a delegate"].records
    parameters = {pair["Name"]: pair["Value"] for pair in grant["Parameters"]}
    assert (grant["Operation"], parameters["AccessRights"]) == ("Add-MailboxPermission", "FullAccess")
    for record in reads:
        assert (record["RecordType"], record["LogonType"]) == (50, 2)
        assert record["UserId"] == parameters["User"]
        assert record["MailboxOwnerUPN"] == parameters["Identity"]
        assert record["LogonUserSid"] != record["MailboxOwnerSid"]
        assert record["Folders"][0]["Path"].startswith("\\")


def test_the_rule_forwards_to_an_address_outside(incidents: dict[str, Incident]) -> None:
    logon, rule, update = incidents["inbox rule forwards mail outside"].records
    parameters = {pair["Name"]: pair["Value"] for pair in rule["Parameters"]}
    assert parameters["ForwardTo"].endswith("@mail.example")
    assert [record["Operation"] for record in (logon, rule, update)] == ["UserLoggedIn", "New-InboxRule", "UpdateInboxRules"]
    assert logon["ClientIP"] == rule["ClientIP"] == update["ClientIPAddress"]


def test_the_spray_fails_on_many_people_from_one_address_and_then_works(incidents: dict[str, Incident]) -> None:
    *failed, last = incidents["password spray"].records
    assert {record["Operation"] for record in failed} == {"UserLoginFailed"}
    assert {record["ErrorNumber"] for record in failed} == {"50126"}
    assert len({record["UserId"] for record in failed}) == len(failed) >= 20
    assert len({record["ClientIP"] for record in (*failed, last)}) == 1
    assert (last["Operation"], last["UserId"]) == ("UserLoggedIn", failed[-1]["UserId"])


def test_the_link_is_made_and_used_on_the_same_file(incidents: dict[str, Incident]) -> None:
    made, used, download = incidents["anonymous link created and used"].records
    assert [record["Operation"] for record in (made, used, download)] == [
        "AnonymousLinkCreated",
        "AnonymousLinkUsed",
        "FileDownloaded",
    ]
    assert made["ObjectId"] == used["ObjectId"] == download["ObjectId"]
    assert used["UserId"].startswith("urn:spo:anon#")
    assert used["ClientIP"] == download["ClientIP"] != made["ClientIP"]
