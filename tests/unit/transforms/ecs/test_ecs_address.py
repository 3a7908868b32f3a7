from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.transforms.ecs.conversions.address import canonical_ip, client_ip, network_type, read_address, read_server


def ip(address: str, **more: Any) -> dict[str, Any]:
    return {"address": address, "ip": address, **more}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", ip("203.0.113.7")),
        (" 203.0.113.7 ", ip("203.0.113.7")),
        ("203.0.113.7:443", ip("203.0.113.7", port=443)),
        ("[203.0.113.7]", ip("203.0.113.7")),
        ("[203.0.113.7]:443", ip("203.0.113.7", port=443)),
        ("2001:db8::1", ip("2001:db8::1")),
        ("[2001:db8::1]", ip("2001:db8::1")),
        ("[2001:db8::1]:443", ip("2001:db8::1", port=443)),
        ("::1", ip("::1")),
        ("FE80::", ip("fe80::")),
        ("2001:DB8:0:0::1", ip("2001:db8::1")),
        ("fe80::1%eth0", ip("fe80::1")),
        ("::ffff:203.0.113.7", ip("203.0.113.7")),
        ("[::ffff:203.0.113.7]:443", ip("203.0.113.7", port=443)),
        ("203.0.113.7, 198.51.100.1", ip("203.0.113.7")),
        ("203.0.113.7:99999", ip("203.0.113.7")),
        ("203.0.113.7:0", ip("203.0.113.7")),
        ("[BRANCH (203.0.113.7)]", ip("203.0.113.7", domain="BRANCH")),
        ("BRANCH (203.0.113.7)", ip("203.0.113.7", domain="BRANCH")),
        ("BRANCH (203.9000.0.1)", {"address": "BRANCH", "domain": "BRANCH"}),
        ("host.contoso.com", {"address": "host.contoso.com", "domain": "host.contoso.com"}),
        ("host.contoso.com:443", {"address": "host.contoso.com", "domain": "host.contoso.com", "port": 443}),
        ("[host.contoso.com]:443", {"address": "host.contoso.com", "domain": "host.contoso.com", "port": 443}),
        ("203.0.113.999", {"address": "203.0.113.999"}),
        ("ffff:203.0.113.7", ip("203.0.113.7")),
        ("::ffff:203.0.113.7:443", ip("203.0.113.7", port=443)),
        ("0:0:0:0:0:FFFF:203.0.113.7:443", ip("203.0.113.7", port=443)),
        ("203.000.113.009", ip("203.0.113.9")),
        ("010.020.030.040", {"address": "010.020.030.040"}),
        ("\u200e203.0.113.7", ip("203.0.113.7")),
        ("\ufeff203.0.113.7:443", ip("203.0.113.7", port=443)),
        ("(203.0.113.7)", ip("203.0.113.7")),
        ("'203.0.113.7:443'", ip("203.0.113.7", port=443)),
        ("tcp://203.0.113.7:80", ip("203.0.113.7", port=80)),
        ("ipv4:203.0.113.7:80", ip("203.0.113.7", port=80)),
        ("ipv6:[2001:db8::7]:80", ip("2001:db8::7", port=80)),
        ("203.0.113.7;198.51.100.1", ip("203.0.113.7")),
        ("203.0.113.7|198.51.100.1", ip("203.0.113.7")),
        ("203.0.113.7/32", ip("203.0.113.7")),
        ("203.0.113.0/24", {"address": "203.0.113.0/24"}),
        ("2001:db8::7:443", ip("2001:db8::7:443")),
        ("203.0.113.7 (gw.contoso.com)", {**ip("203.0.113.7"), "domain": "gw.contoso.com"}),
        ("GW (203.0.113.7:443)", {**ip("203.0.113.7", port=443), "domain": "GW"}),
        ("not an address", {"address": "not an address"}),
        ("NOTANIPV4 (10.9000.0.1)", {"address": "NOTANIPV4", "domain": "NOTANIPV4"}),
        ("203.0.113.7,198.51.100.1:443", ip("203.0.113.7")),
        ("[fe80::1%eth0]:443", ip("fe80::1", port=443)),
        ("[FE80::1]", ip("fe80::1")),
        ("::FFFF:203.0.113.7", ip("203.0.113.7")),
        ("localhost:12345", {"address": "localhost", "domain": "localhost", "port": 12345}),
        ("<null>", None),
        ("NULL", None),
        ("Not Available", None),
        ("", None),
        (" , 203.0.113.7", None),
    ],
)
def test_client_address_is_read_in_each_form(text: str, expected: dict[str, Any] | None) -> None:
    assert read_address(text) == expected


@given(st.text())
def test_any_text_is_read_without_inventing_an_ip(text: str) -> None:
    found = read_address(text) or {}
    assert "ip" not in found or canonical_ip(str(found["ip"])) == found["ip"]
    assert 0 < found.get("port", 1) < 65536
    assert all(found.values())


@given(st.ip_addresses())
def test_every_address_is_read_back(address: Any) -> None:
    expected = str(getattr(address, "ipv4_mapped", None) or address)
    assert read_address(str(address)) == ip(expected)
    assert read_address(f"[{address}]:514") == ip(expected, port=514)


def test_very_long_text_stays_as_it_is() -> None:
    assert read_address("x" * 400) == {"address": "x" * 400}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AM0PR01MB0001 (15.20.4200.000)\r\n", {"address": "AM0PR01MB0001", "domain": "AM0PR01MB0001"}),
        ("AM0PR01MB0001 (15.1.2.3)", {"address": "AM0PR01MB0001", "domain": "AM0PR01MB0001"}),
        ("AM0PR01MB0001 (203.0.113.7)\n", ip("203.0.113.7", domain="AM0PR01MB0001")),
        ("[SOMETHING (10.555.1.2)]", {"address": "SOMETHING", "domain": "SOMETHING"}),
        ("AM0PR01MB0001", {"address": "AM0PR01MB0001", "domain": "AM0PR01MB0001"}),
        ("two words", None),
        ("\r\n", None),
    ],
)
def test_build_of_a_server_is_not_taken_for_its_address(text: str, expected: dict[str, Any] | None) -> None:
    assert read_server(text) == expected


def test_network_type_follows_the_address() -> None:
    assert (network_type("203.0.113.7"), network_type("2001:db8::1")) == ("ipv4", "ipv6")


@pytest.mark.parametrize(
    ("text", "expected"), [("203.0.113.7:443", "203.0.113.7"), ("FE80::1%eth0", "fe80::1"), ("host:443", None), ("<null>", None)]
)
def test_ip_is_taken_from_any_form_of_an_address(text: str, expected: str | None) -> None:
    assert client_ip(text) == expected
