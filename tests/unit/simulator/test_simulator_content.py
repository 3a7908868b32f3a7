from __future__ import annotations

import gzip
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from fakes import NOW, FakeClock
from ualpipe.simulator.service.content import content_type_of, cut_into_bodies, is_content_id
from ualpipe.simulator.service.tenant import SimulatedTenant


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tenant(clock: FakeClock) -> SimulatedTenant:
    return SimulatedTenant("AAAAAAAA-2222-2222-2222-222222222222", "Contoso.com", "c", clock=clock)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"RecordType": 15}, "Audit.AzureActiveDirectory"),
        ({"RecordType": "8"}, "Audit.AzureActiveDirectory"),
        ({"RecordType": 50, "Workload": "SharePoint"}, "Audit.Exchange"),
        ({"RecordType": 11, "Workload": "OneDrive"}, "DLP.All"),
        ({"RecordType": 13, "Workload": "Exchange"}, "DLP.All"),
        ({"RecordType": 33}, "DLP.All"),
        ({"RecordType": 63}, "DLP.All"),
        ({"RecordType": 6}, "Audit.SharePoint"),
        ({"RecordType": 25}, "Audit.General"),
        ({"RecordType": 68, "Workload": "Exchange"}, "Audit.General"),
        ({"RecordType": -1, "Workload": "Exchange"}, "Audit.General"),
        ({"RecordType": "fifteen", "Workload": "Exchange"}, "Audit.Exchange"),
        ({"Workload": "OneDrive"}, "Audit.SharePoint"),
        ({}, "Audit.General"),
    ],
)
def test_records_are_sorted_by_record_type_and_only_then_by_workload(record: dict[str, object], expected: str) -> None:
    assert content_type_of(record) == expected


def test_bodies_hold_one_content_type_each_and_no_more_records_than_asked() -> None:
    records = [{"Id": str(at), "RecordType": (6, 15)[at % 2]} for at in range(9)]
    bodies = [(content_type, orjson.loads(body)) for content_type, body in cut_into_bodies(records, 2)]
    assert sorted(record["Id"] for _, body in bodies for record in body) == [str(at) for at in range(9)]
    assert all(len(body) <= 2 for _, body in bodies)
    assert all(content_type_of(record) == content_type for content_type, body in bodies for record in body)


def test_records_given_as_text_are_delivered_byte_for_byte() -> None:
    text = b'{"RecordType":6, "Id" : "1\\/2"}'
    assert list(cut_into_bodies([text], 10)) == [("Audit.SharePoint", b"[" + text + b"]")]


@pytest.mark.parametrize("text", [b'{"Id": NaN', b"[1]", b""])
def test_what_is_no_record_is_delivered_in_audit_general(text: bytes) -> None:
    assert list(cut_into_bodies([text], 10)) == [("Audit.General", b"[" + text + b"]")]


def test_added_records_are_spread_over_the_last_hours_oldest_first(tenant: SimulatedTenant) -> None:
    blobs = tenant.add_records([{"RecordType": 6}] * 10, records_per_blob=2, spread=timedelta(hours=5))
    assert [blob.created for blob in blobs] == [NOW - timedelta(hours=hours) for hours in (4, 3, 2, 1, 0)]


def test_a_blob_expires_after_the_tenants_content_lifetime_unless_it_says_otherwise(tenant: SimulatedTenant) -> None:
    tenant.content_lifetime = timedelta(days=20)
    assert tenant.add_blob("DLP.All", b"[]").expires == NOW + timedelta(days=20)
    assert tenant.add_blob("DLP.All", b"[]", expires=NOW).expires == NOW


def test_blobs_come_in_the_order_in_which_they_become_available(tenant: SimulatedTenant) -> None:
    late = tenant.add_blob("DLP.All", b"[]", created=NOW - timedelta(hours=1), listed_at=NOW)
    early = tenant.add_blob("DLP.All", b"[]", created=NOW - timedelta(minutes=1))
    assert tenant.blobs("DLP.All") == [early, late]
    assert tenant.blobs("Audit.General") == []


def test_blobs_created_in_the_same_millisecond_have_ids_of_their_own(tenant: SimulatedTenant) -> None:
    blobs = [tenant.add_blob("Audit.Exchange", b"[]", created=NOW) for _ in range(3)]
    assert len({blob.content_id for blob in blobs}) == 3
    assert all(is_content_id(blob.content_id) and tenant.blob(blob.content_id) is blob for blob in blobs)


def test_created_is_cut_to_the_milliseconds_that_a_listing_shows(tenant: SimulatedTenant) -> None:
    assert tenant.add_blob("DLP.All", b"[]", created=NOW + timedelta(microseconds=1999)).created == NOW + timedelta(
        milliseconds=1
    )


def test_an_unknown_content_type_is_refused(tenant: SimulatedTenant) -> None:
    with pytest.raises(ValueError, match=r"'Audit\.Sharepoint' is not one of"):
        tenant.add_blob("Audit.Sharepoint", b"[]")


def test_a_file_is_compressed_like_bytes(tenant: SimulatedTenant, tmp_path: Path) -> None:
    path = tmp_path / "blob.json"
    path.write_bytes(b'[{"Id":"1"}]')
    assert gzip.decompress(tenant.add_blob("DLP.All", path).gzipped) == b'[{"Id":"1"}]'
    assert gzip.decompress(tenant.add_blob("DLP.All", [{"Id": "1"}]).gzipped) == b'[{"Id":"1"}]'


def test_ids_and_names_are_compared_in_lower_case(tenant: SimulatedTenant) -> None:
    assert (tenant.tenant_id, tenant.name) == ("aaaaaaaa-2222-2222-2222-222222222222", "contoso.com")


def test_a_subscription_starts_once_until_it_is_stopped(tenant: SimulatedTenant) -> None:
    assert tenant.start("DLP.All")
    assert not tenant.start("DLP.All")
    assert tenant.stop("DLP.All")
    assert tenant.start("DLP.All")
    assert not tenant.stop("Audit.General")


def test_a_restart_takes_hold_after_the_restart_delay(tenant: SimulatedTenant, clock: FakeClock) -> None:
    tenant.restart_delay = timedelta(minutes=10)
    tenant.start("DLP.All")
    tenant.stop("DLP.All")
    clock.advance(60)
    tenant.start("DLP.All")
    found = tenant.subscription("DLP.All")
    assert found is not None
    assert found.effective_from == NOW + timedelta(minutes=10)


def test_page_sizes_are_gone_through_page_by_page(tenant: SimulatedTenant) -> None:
    tenant.page_size = (2, 0, 5)
    assert [tenant.size_of_page(number) for number in range(4)] == [2, 0, 5, 2]
