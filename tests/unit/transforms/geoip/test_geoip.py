import copy
import threading
from pathlib import Path
from typing import Any

import pytest

import fakes
from geo_databases import (
    CARRIER_AS,
    CITY,
    CITY_V6,
    COUNTRY,
    GENEVA_GEO,
    KENYA,
    PRIVATE,
    UNKNOWN,
    write_asn,
    write_city,
    write_database,
)
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform
from ualpipe.transforms.geoip.transform import LOOK_EVERY_S, GeoipTransform, GeoipTransformConfig

ORIGIN = Origin("contoso", fakes.TENANT, "Audit.General", "item", Chunk(b"[]", "array"))
KENYA_GEO = {"country_iso_code": "KE", "country_name": "Kenya"}


def transform(folder: Path, clock: fakes.FakeClock | None = None, **options: Any) -> GeoipTransform:
    made = GeoipTransform(
        build(GeoipTransformConfig, options, folder), fakes.env("transforms[2]", clock=clock or fakes.FakeClock())
    )
    made.open()
    return made


@pytest.fixture
def geoip(tmp_path: Path) -> GeoipTransform:
    """A transform with both databases."""
    write_city(tmp_path / "city.mmdb")
    write_asn(tmp_path / "asn.mmdb")
    return transform(tmp_path, city_database="city.mmdb", asn_database="asn.mmdb")


def applied(geoip: GeoipTransform, source: Any) -> Any:
    """Returns ``source`` of a document that had this one before."""
    event = Event(fakes.record(1), 0, ORIGIN, document={"source": source})
    assert geoip.apply(event) is event
    assert event.document is not None
    return event.document["source"]


def test_address_gets_place_and_network(geoip: GeoipTransform) -> None:
    address = {"ip": CITY, "address": CITY, "port": 443}
    assert applied(geoip, address) == {**address, "geo": GENEVA_GEO, "as": CARRIER_AS}
    assert applied(geoip, {"ip": CITY_V6}) == {"ip": CITY_V6, "geo": GENEVA_GEO, "as": CARRIER_AS}


def test_what_only_one_database_knows_is_added(geoip: GeoipTransform) -> None:
    assert applied(geoip, {"ip": COUNTRY}) == {"ip": COUNTRY, "geo": KENYA_GEO}


@pytest.mark.parametrize(("name", "added"), [("city", {"geo": GENEVA_GEO}), ("asn", {"as": CARRIER_AS})])
def test_one_database_is_enough(tmp_path: Path, name: str, added: dict[str, Any]) -> None:
    {"city": write_city, "asn": write_asn}[name](tmp_path / "x.mmdb")
    assert applied(transform(tmp_path, **{f"{name}_database": "x.mmdb"}), {"ip": CITY}) == {"ip": CITY, **added}


@pytest.mark.parametrize(
    "source",
    [
        {"ip": UNKNOWN},
        {"ip": PRIVATE},
        {"ip": "somewhere"},
        {"ip": [CITY]},
        {"ip": None},
        {"address": CITY},
        {},
        CITY,
        None,
        [{"ip": CITY}],
    ],
)
def test_unknown_private_and_missing_addresses_get_nothing(geoip: GeoipTransform, source: Any) -> None:
    assert applied(geoip, copy.deepcopy(source)) == source


def test_event_without_document_passes_untouched(geoip: GeoipTransform) -> None:
    event = Event(fakes.record(1, ClientIP=CITY), 0, ORIGIN)
    assert geoip.apply(event) is event
    assert event.document is None


def test_document_without_source_passes_untouched(geoip: GeoipTransform) -> None:
    event = Event(fakes.record(1), 0, ORIGIN, document={"event": {"action": "Send"}})
    geoip.apply(event)
    assert event.document == {"event": {"action": "Send"}}


def test_fields_that_are_there_are_not_overwritten(geoip: GeoipTransform) -> None:
    there = {"ip": CITY, "geo": {"name": "head office", "city_name": "Carouge"}, "as": {"organization": {"name": "Own"}}}
    assert applied(geoip, there) == {
        "ip": CITY,
        "geo": {**GENEVA_GEO, "name": "head office", "city_name": "Carouge"},
        "as": {"number": 64496, "organization": {"name": "Own"}},
    }


@pytest.mark.parametrize("there", ["Geneva", None, ["Geneva"], 7])
def test_value_that_is_no_object_is_not_overwritten_either(geoip: GeoipTransform, there: Any) -> None:
    assert applied(geoip, {"ip": CITY, "geo": there}) == {"ip": CITY, "geo": there, "as": CARRIER_AS}


def test_objects_that_documents_share_are_not_changed(geoip: GeoipTransform) -> None:
    for shared in ({"ip": CITY}, {"ip": CITY, "geo": {"city_name": "Carouge"}}):
        before = copy.deepcopy(shared)
        first, second = applied(geoip, shared), applied(geoip, shared)
        assert shared == before
        assert first == second
        assert first is not shared


def test_client_is_left_as_it_is(geoip: GeoipTransform) -> None:
    mapping = EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env())
    mapping.open()
    event = geoip.apply(mapping.apply(Event(fakes.record(1, ClientIP=f"[{CITY}]:443"), 0, ORIGIN)))
    assert event.document is not None
    assert event.document["source"] == {"address": CITY, "ip": CITY, "port": 443, "geo": GENEVA_GEO, "as": CARRIER_AS}
    assert event.document["client"] == {"address": CITY, "ip": CITY, "port": 443}


def test_options_without_a_database_are_refused() -> None:
    with pytest.raises(ConfigError, match="give `city_database`, `asn_database` or both"):
        GeoipTransformConfig(warn_after=1.0)


def test_construction_reads_nothing(tmp_path: Path) -> None:
    made = GeoipTransform(build(GeoipTransformConfig, {"city_database": "none.mmdb"}, tmp_path), fakes.env())
    with pytest.raises(ConfigError, match=r"none\.mmdb: can't be read"):
        made.open()


def test_age_from_which_a_database_is_old_can_be_chosen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = fakes.FakeClock()
    clock.advance(365 * 100 * 86_400)
    write_city(tmp_path / "city.mmdb")
    transform(tmp_path, clock, city_database="city.mmdb", warn_after="73000d")
    assert caplog.text == ""
    transform(tmp_path, clock, city_database="city.mmdb")
    assert "days old; renew it" in caplog.text


# Replaced files


def replace(path: Path) -> None:
    write_database(path.with_suffix(".new"), "GeoIP2-City", {"203.0.113.0/24": KENYA}).replace(path)


def test_replaced_database_is_taken_up_within_a_minute(tmp_path: Path) -> None:
    clock = fakes.FakeClock()
    path = write_city(tmp_path / "city.mmdb")
    found = transform(tmp_path, clock, city_database="city.mmdb")
    assert applied(found, {"ip": CITY})["geo"] == GENEVA_GEO
    replace(path)
    clock.advance(LOOK_EVERY_S - 1)
    assert applied(found, {"ip": CITY})["geo"] == GENEVA_GEO
    clock.advance(1)
    assert applied(found, {"ip": CITY})["geo"] == KENYA_GEO
    clock.advance(LOOK_EVERY_S)
    assert applied(found, {"ip": CITY})["geo"] == KENYA_GEO


def test_threads_see_one_or_the_other_database_and_then_the_new(tmp_path: Path) -> None:
    clock = fakes.FakeClock()
    path = write_city(tmp_path / "city.mmdb")
    found = transform(tmp_path, clock, city_database="city.mmdb")
    addresses = [f"203.0.113.{last}" for last in range(1, 127)]
    seen: list[Any] = []
    begin = threading.Barrier(5, timeout=10)

    def apply_all() -> None:
        begin.wait()
        seen.extend(applied(found, {"ip": ip})["geo"] for _round in range(20) for ip in addresses)

    threads = [threading.Thread(target=apply_all) for _number in range(4)]
    for thread in threads:
        thread.start()
    begin.wait()
    replace(path)
    clock.advance(LOOK_EVERY_S)
    for thread in threads:
        thread.join(20)
    assert len(seen) == 4 * 20 * len(addresses)
    assert all(geo in (GENEVA_GEO, KENYA_GEO) for geo in seen)
    assert all(applied(found, {"ip": ip})["geo"] == KENYA_GEO for ip in addresses)


def test_memory_of_addresses_is_bounded(geoip: GeoipTransform) -> None:
    for number in range(10_000):
        applied(geoip, {"ip": f"10.{number >> 8}.{number & 255}.1"})
    applied(geoip, {"ip": "x" * 1_000_000})
    assert len(geoip._known) <= 4096
    assert max(map(len, geoip._known)) < 20
