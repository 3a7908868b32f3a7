import logging
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import maxminddb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fakes
from geo_databases import (
    CARRIER,
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
from ualpipe.transforms.geoip.database import AS, GEO, DatabaseKind, GeoDatabase

DAY_S = 86_400


def database(path: Path, kind: DatabaseKind = GEO, *, age_days: float = 0, opened: bool = True) -> GeoDatabase:
    """Makes a database that the clock takes for so many days old."""
    clock = fakes.FakeClock(datetime.now(UTC) + timedelta(days=age_days))
    made = GeoDatabase(path, kind, fakes.env("transforms[1]", clock=clock), 90 * DAY_S)
    if opened:
        made.open()
    return made


def replaced(path: Path, content: bytes) -> None:
    """Puts another file in its place, as updaters do."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_place_and_network_of_an_address_are_found(tmp_path: Path) -> None:
    assert database(write_city(tmp_path / "city.mmdb")).find(CITY) == GENEVA_GEO
    assert database(write_asn(tmp_path / "asn.mmdb"), AS).find(CITY_V6) == CARRIER_AS


@pytest.mark.parametrize("ip", [UNKNOWN, PRIVATE, "127.0.0.1", "::1", "fe80::1", "localhost", "203.0.113", "", "é", "\x00"])
def test_unknown_and_private_addresses_give_nothing(tmp_path: Path, ip: str) -> None:
    assert database(write_city(tmp_path / "city.mmdb")).find(ip) == {}


def test_ipv6_address_is_unknown_to_a_database_of_ipv4(tmp_path: Path) -> None:
    found = database(write_database(tmp_path / "city.mmdb", "GeoIP2-City", {f"{COUNTRY}/32": KENYA}, ip_version=4))
    assert found.find(COUNTRY)["country_iso_code"] == "KE"
    assert found.find(CITY_V6) == {}


@pytest.mark.parametrize("record", ["text", 7, [KENYA], True], ids=repr)
def test_record_that_is_no_object_gives_nothing(tmp_path: Path, record: Any) -> None:
    assert database(write_database(tmp_path / "own.mmdb", "Contoso-City", {"203.0.113.0/24": record})).find(CITY) == {}


@pytest.mark.parametrize("kind", ["GeoIP2-City", "GeoLite2-Country", "GeoIP2-Enterprise", "DBIP-City-Lite"])
def test_databases_of_places_are_taken(tmp_path: Path, kind: str) -> None:
    assert database(write_city(tmp_path / "x.mmdb", kind)).find(CITY) == GENEVA_GEO


@pytest.mark.parametrize("kind", ["GeoLite2-ASN", "GeoIP2-ISP", "GeoIP2-Enterprise", "DBIP-ASN-Lite (compat=GeoLite2-ASN)"])
def test_databases_of_networks_are_taken(tmp_path: Path, kind: str) -> None:
    assert database(write_asn(tmp_path / "x.mmdb", kind), AS).find(CITY) == CARRIER_AS


def test_database_of_another_kind_is_refused_by_its_name(tmp_path: Path) -> None:
    path = write_asn(tmp_path / "x.mmdb")
    with pytest.raises(ConfigError) as caught:
        database(path)
    assert str(caught.value) == (
        f"transforms[1].city_database: {path}: is a database of the type 'GeoLite2-ASN'; give one of City, Country or Enterprise"
    )
    with pytest.raises(ConfigError, match=r"asn_database.*'GeoLite2-City'; give one of ASN, ISP or Enterprise"):
        database(write_city(path), AS)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^transforms\[1\]\.city_database: .*/none\.mmdb: can't be read: No such file"):
        database(tmp_path / "none.mmdb")


def test_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        database(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 100_000, b"\xab\xcd\xefMaxMind.com", b"\xab\xcd\xefMaxMind.com\xe0"])
def test_other_file_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "city.mmdb"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"is not a whole MaxMind database \(\.mmdb\)"):
        database(path)


def test_missing_library_is_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(ConfigError, match=r"pip install 'ualpipe\[geoip\]'"):
        database(write_city(tmp_path / "city.mmdb"))


def test_reader_in_plain_python_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")  # as on systems other than Linux
    found = database(write_city(tmp_path / "city.mmdb"))
    assert [found.find(ip) for ip in (CITY, CITY_V6, UNKNOWN, "localhost")] == [GENEVA_GEO, GENEVA_GEO, {}, {}]


# Old databases


@pytest.mark.parametrize(("age_days", "warned"), [(89, 0), (91, 1)])
def test_old_database_is_warned_of_when_it_is_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, age_days: int, warned: int
) -> None:
    database(write_city(tmp_path / "city.mmdb"), age_days=age_days)
    assert len(warnings(caplog)) == warned


def test_warning_of_an_old_database_names_file_and_age(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_city(tmp_path / "city.mmdb")
    with maxminddb.open_database(path) as reader:
        built = datetime.fromtimestamp(reader.metadata().build_epoch, UTC)
    database(path, age_days=200)
    assert warnings(caplog) == [f"{path}: the database is of {built:%Y-%m-%d}, 200 days old; renew it"]


def test_database_that_grows_old_while_it_is_open_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = fakes.FakeClock(datetime.now(UTC))
    found = GeoDatabase(write_city(tmp_path / "city.mmdb"), GEO, fakes.env(clock=clock), 90 * DAY_S)
    found.open()
    for _day in range(100):
        clock.advance(DAY_S)
        assert not found.renew()
    assert len(warnings(caplog)) == 1


# Files that change


def test_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    path = write_city(tmp_path / "city.mmdb")
    found = database(path)
    found.open()
    assert not found.renew()


def test_replaced_file_is_taken_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = write_city(tmp_path / "city.mmdb")
    found = database(path)
    replaced(path, write_database(tmp_path / "b.mmdb", "GeoIP2-City", {"203.0.113.0/24": KENYA}).read_bytes())
    assert found.renew()
    assert found.find(CITY) == {"country_iso_code": "KE", "country_name": "Kenya"}
    assert "took up the database of" in caplog.text
    assert not found.renew()


def test_file_overwritten_in_place_does_no_harm_to_the_open_database(tmp_path: Path) -> None:
    path = write_database(tmp_path / "city.mmdb", "GeoIP2-City", {f"203.0.{third}.0/24": KENYA for third in range(200)})
    found = database(path)
    os.truncate(path, 0)
    assert found.find(CITY) == {"country_iso_code": "KE", "country_name": "Kenya"}


def test_half_written_file_is_passed_over_until_it_is_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_city(tmp_path / "city.mmdb")
    found = database(path)
    whole = write_database(tmp_path / "b.mmdb", "GeoIP2-City", {"203.0.113.0/24": KENYA}).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert [found.renew(), found.renew()] == [False, False]
    assert found.find(CITY) == GENEVA_GEO
    (warning,) = warnings(caplog)
    assert "going on with the database that is open" in warning
    path.write_bytes(whole)
    assert found.renew()
    assert found.find(CITY)["country_iso_code"] == "KE"


def test_file_that_has_gone_is_warned_of_once_each_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_city(tmp_path / "city.mmdb")
    content = path.read_bytes()
    found = database(path)
    for _time in range(2):
        path.unlink()
        assert [found.renew(), found.renew()] == [False, False]
        path.write_bytes(content)
        assert found.renew()
    assert found.find(CITY) == GENEVA_GEO
    assert len(warnings(caplog)) == 2


def test_replacement_of_another_kind_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_city(tmp_path / "city.mmdb")
    found = database(path)
    replaced(path, write_asn(tmp_path / "asn.mmdb").read_bytes())
    assert not found.renew()
    assert found.find(CITY) == GENEVA_GEO
    assert "'GeoLite2-ASN'" in caplog.text


# Damage


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.data(), st.booleans())
def test_damaged_database_is_refused_or_gives_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject, is_fast: bool
) -> None:
    content = bytearray(write_database(tmp_path / "asn.mmdb", "GeoLite2-ASN", {"203.0.113.0/24": CARRIER}).read_bytes())
    for _byte in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.mmdb"
    path.write_bytes(content)
    with monkeypatch.context() as patch:
        if not is_fast:
            patch.delattr(os, "memfd_create")
        found = database(path, AS, opened=False)
        try:
            found.open()
        except ConfigError:
            return
    for ip in (CITY, CITY_V6, PRIVATE):
        assert found.find(ip).keys() <= {"number", "organization"}


def test_damage_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_city(tmp_path / "city.mmdb")
    with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
        tree_bytes = reader.metadata().search_tree_size
    path.write_bytes(b"\xff" * tree_bytes + path.read_bytes()[tree_bytes:])
    found = database(path)
    assert [found.find(CITY), found.find(COUNTRY)] == [{}, {}]
    (warning,) = warnings(caplog)
    assert "the database is damaged" in warning
