"""MaxMind databases of a few networks from documentation ranges, written by the tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

CITY = "203.0.113.42"
REGIONS = "203.0.113.200"
COUNTRY = "198.51.100.7"
CITY_V6 = "2001:db8::42"
UNKNOWN = "192.0.2.1"
PRIVATE = "10.1.2.3"

GENEVA: dict[str, Any] = {
    "city": {"geoname_id": 2660646, "names": {"de": "Genf", "en": "Geneva", "fr": "Genève"}},
    "continent": {"code": "EU", "names": {"de": "Europa", "en": "Europe"}},
    "country": {"iso_code": "CH", "names": {"de": "Schweiz", "en": "Switzerland"}},
    "location": {"accuracy_radius": 20, "latitude": 46.2022, "longitude": 6.1457, "time_zone": "Europe/Zurich"},
    "postal": {"code": "1201"},
    "registered_country": {"iso_code": "DE", "names": {"en": "Germany"}},
    "subdivisions": [{"iso_code": "GE", "names": {"en": "Geneva"}}],
}
GENEVA_GEO = {
    "continent_code": "EU",
    "continent_name": "Europe",
    "country_iso_code": "CH",
    "country_name": "Switzerland",
    "region_iso_code": "CH-GE",
    "region_name": "Geneva",
    "city_name": "Geneva",
    "postal_code": "1201",
    "timezone": "Europe/Zurich",
    "location": {"lat": 46.2022, "lon": 6.1457},
}
OXFORD: dict[str, Any] = {
    "country": {"iso_code": "GB", "names": {"en": "United Kingdom"}},
    "subdivisions": [{"iso_code": "ENG", "names": {"en": "England"}}, {"iso_code": "OXF", "names": {"en": "Oxfordshire"}}],
}
KENYA: dict[str, Any] = {"country": {"iso_code": "KE", "names": {"en": "Kenya"}}}
CARRIER: dict[str, Any] = {"autonomous_system_number": 64496, "autonomous_system_organization": "Contoso Carrier"}
CARRIER_AS = {"number": 64496, "organization": {"name": "Contoso Carrier"}}


def write_database(path: Path, kind: str, networks: Mapping[str, Any], *, ip_version: int = 6) -> Path:
    """Writes a database of a type (``GeoLite2-City``): a record for each network."""
    writer = MMDBWriter(ip_version, kind, languages=["en"], description="A few networks", ipv4_compatible=ip_version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def write_city(path: Path, kind: str = "GeoLite2-City") -> Path:
    """Writes a database of places: a city with all there is, a region in a region, a country alone."""
    networks = {"203.0.113.0/25": GENEVA, "203.0.113.128/25": OXFORD, "198.51.100.0/24": KENYA, "2001:db8::/64": GENEVA}
    return write_database(path, kind, networks)


def write_asn(path: Path, kind: str = "GeoLite2-ASN") -> Path:
    """Writes a database of networks, one carrier's."""
    return write_database(path, kind, {"203.0.113.0/24": CARRIER, "2001:db8::/64": CARRIER})
