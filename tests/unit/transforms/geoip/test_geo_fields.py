import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo_databases import CARRIER, CARRIER_AS, GENEVA, GENEVA_GEO, KENYA, OXFORD
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.geoip.fields import AS_FIELDS, GEO_FIELDS, as_fields, geo_fields


def test_city_gives_all_fields() -> None:
    assert geo_fields(GENEVA) == GENEVA_GEO


def test_country_alone_gives_what_it_has() -> None:
    assert geo_fields(KENYA) == {"country_iso_code": "KE", "country_name": "Kenya"}


def test_region_is_the_most_specific_one() -> None:
    found = geo_fields(OXFORD)
    assert (found["region_iso_code"], found["region_name"]) == ("GB-OXF", "Oxfordshire")


def test_country_where_a_network_is_registered_is_no_place() -> None:
    assert geo_fields({"registered_country": {"iso_code": "DE", "names": {"en": "Germany"}}}) == {}


def test_region_without_country_has_no_code() -> None:
    assert geo_fields({"subdivisions": [{"iso_code": "GE", "names": {"en": "Geneva"}}]}) == {"region_name": "Geneva"}


@pytest.mark.parametrize("zero", [0, 0.0])
def test_point_on_the_equator_is_a_point(zero: float) -> None:
    assert geo_fields({"location": {"latitude": zero, "longitude": zero}}) == {"location": {"lat": 0, "lon": 0}}


@pytest.mark.parametrize(
    "location",
    [
        {"latitude": 46.2},
        {"longitude": 6.1},
        {"latitude": 90.1, "longitude": 6.1},
        {"latitude": 46.2, "longitude": -180.1},
        {"latitude": math.nan, "longitude": 6.1},
        {"latitude": math.inf, "longitude": 6.1},
        {"latitude": "46.2", "longitude": "6.1"},
        {"latitude": True, "longitude": False},
        ["46.2", "6.1"],
    ],
)
def test_half_a_point_and_one_beyond_the_earth_are_left_out(location: Any) -> None:
    assert geo_fields({"location": location}) == {}


def test_network_gives_number_and_organization() -> None:
    assert as_fields(CARRIER) == CARRIER_AS


def test_network_of_an_enterprise_record_stands_in_its_traits() -> None:
    assert as_fields({**GENEVA, "traits": CARRIER}) == CARRIER_AS


@pytest.mark.parametrize("number", [0, -1, 2**32, True, "64496", 1.5, None])
def test_what_is_no_number_of_a_network_is_left_out(number: Any) -> None:
    assert as_fields({**CARRIER, "autonomous_system_number": number}) == {"organization": {"name": "Contoso Carrier"}}


def test_record_of_another_kind_gives_nothing() -> None:
    assert as_fields(GENEVA) == {}
    assert geo_fields(CARRIER) == {}


def test_fields_are_those_of_ecs() -> None:
    ecs = load_ecs()
    assert all(ecs.field(f"source.geo.{name}") for name in GEO_FIELDS)
    assert all(ecs.field(f"source.as.{name}") for name in AS_FIELDS)
    assert geo_fields(GENEVA).keys() == set(GEO_FIELDS)


WORDS = ["en", "names", "iso_code", "code", "latitude", "longitude", "time_zone", "autonomous_system_number"]
PARTS = ["city", "continent", "country", "location", "postal", "subdivisions", "traits"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(PARTS), VALUES))
def test_no_record_gives_a_field_of_another_type_than_ecs_has(record: dict[str, Any]) -> None:
    for name, value in geo_fields(record).items():
        assert isinstance(value, dict if name == "location" else str)
        assert value
    assert as_fields(record).keys() <= {"number", "organization"}
