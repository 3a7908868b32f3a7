"""Reads records of MaxMind databases as ECS fields: where an address is, and whose network it is in.

A database is a file from outside and may hold anything; a value that has not the type of its ECS field is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LANGUAGE = "en"  # the language that all of these databases have; rules and dashboards compare names
MAX_AS_NUMBER = 2**32 - 1  # RFC 6793

GEO_FIELDS = (
    "continent_code",
    "continent_name",
    "country_iso_code",
    "country_name",
    "region_iso_code",
    "region_name",
    "city_name",
    "postal_code",
    "timezone",
    "location",
)
AS_FIELDS = ("number", "organization.name")

Fields = dict[str, Any]


def geo_fields(record: Mapping[str, Any]) -> Fields:
    """Returns the ECS ``geo`` fields of a record in a City, Country or Enterprise database; empty where it tells nothing.

    The region is the most specific of the subdivisions, its code as in ISO 3166-2 (``CA-QC``).
    """
    continent, country, region = _part(record, "continent"), _part(record, "country"), _region(record)
    location = _part(record, "location")
    texts = {
        "continent_code": continent.get("code"),
        "continent_name": _name(continent),
        "country_iso_code": country.get("iso_code"),
        "country_name": _name(country),
        "region_iso_code": _region_code(country, region),
        "region_name": _name(region),
        "city_name": _name(_part(record, "city")),
        "postal_code": _part(record, "postal").get("code"),
        "timezone": location.get("time_zone"),
    }
    fields: Fields = {field: text for field, text in texts.items() if isinstance(text, str) and text}
    if point := _point(location):
        fields["location"] = point
    return fields


def as_fields(record: Mapping[str, Any]) -> Fields:
    """Returns the ECS ``as`` fields of a record in an ASN, ISP or Enterprise database; empty where it tells nothing."""
    told = _part(record, "traits") or record  # Enterprise has there what the others have at the top
    number, organization = told.get("autonomous_system_number"), told.get("autonomous_system_organization")
    fields: Fields = {}
    if type(number) is int and 0 < number <= MAX_AS_NUMBER:
        fields["number"] = number
    if isinstance(organization, str) and organization:
        fields["organization"] = {"name": organization}
    return fields


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _name(part: Mapping[str, Any]) -> Any:
    return _part(part, "names").get(LANGUAGE)


def _region(record: Mapping[str, Any]) -> Mapping[str, Any]:
    regions = record.get("subdivisions")
    return regions[-1] if isinstance(regions, list) and regions and isinstance(regions[-1], dict) else {}


def _region_code(country: Mapping[str, Any], region: Mapping[str, Any]) -> str | None:
    codes = [country.get("iso_code"), region.get("iso_code")]
    return "-".join(map(str, codes)) if all(isinstance(code, str) and code for code in codes) else None


def _point(location: Mapping[str, Any]) -> dict[str, float] | None:
    """Returns a point on Earth; a search index refuses any other."""
    latitude, longitude = _degrees(location.get("latitude"), 90), _degrees(location.get("longitude"), 180)
    return None if latitude is None or longitude is None else {"lat": latitude, "lon": longitude}


def _degrees(value: Any, most: int) -> float | None:
    return value if type(value) in (int, float) and -most <= value <= most else None
