from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.clients.urls import difference, is_served_by, origin_of, resolved, shown_host
from ualpipe.sources.management_activity.clouds import CLOUDS, CustomCloud, cloud_of
from ualpipe.sources.management_activity.urls import with_publisher

API = "https://manage.office.com"
PUBLISHER = "22222222-2222-2222-2222-222222222222"


@pytest.mark.parametrize(
    "url",
    [
        "https://manage.office.com/api/v1.0/x",
        "https://manage.office.com",
        "https://MANAGE.office.com:443/api/v1/x?nextpage=2020$1$na0022",
        "HTTPS://manage.office.com/",
    ],
)
def test_urls_of_the_api_are_known_as_such(url: str) -> None:
    assert is_served_by(API, url)


@pytest.mark.parametrize(
    "url",
    [
        "http://manage.office.com/api",
        "https://manage.office.com.example.com/api",
        "https://example.com/manage.office.com",
        "https://manage.office.com@example.com/api",
        "https://manage.office.com:443@example.com/api",
        "https://example.com\\@manage.office.com/api",
        "https://manage.office.com\\@example.com/api",
        "https://manage.office.com:8443/api",
        "https://manage-gcc.office.com/api",
        "https://manage.office.com /api",
        "https://manage.office.com/a b",
        "https://manage.office.com/a\r\nX: y",
        "//manage.office.com/api",
        "/api/v1.0",
        "https://",
        "",
    ],
)
def test_foreign_or_odd_urls_are_refused(url: str) -> None:
    assert not is_served_by(API, url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://manage.office.com/api", "it begins with 'http' instead of 'https'"),
        ("https://manage.office.com:8443/api", "the port is 8443 instead of 443"),
        ("https://manage-gcc.office.com/api", "the host is 'manage-gcc.office.com' instead of 'manage.office.com'"),
        ("https://manage.office.com @x/api", "a user name stands before the host"),
        ("https://manage.office.com\u200b/api", "'manage.office.com<zero width space, U+200B>'"),
        ("https://m\u0430nage.office.com/api", "m\\u0430nage.office.com"),
        ("https://manage.office.com /api", "the host is 'manage.office.com ' instead of"),
        ("https://manage.office.com\\@evil.example/", "a backslash stands in it"),
        ("https://manage.office.com:99999/", "it is no URL"),
        ("ftp:x", "it begins with 'ftp'"),
        ("https://manage.office.com/a\x00b", "it holds a character that no URL has"),
    ],
)
def test_what_is_refused_is_told_from_what_was_wanted(url: str, said: str) -> None:
    assert not is_served_by(API, url)
    assert said in difference(API, url)


@given(st.text(max_size=40))
def test_nothing_that_is_resolved_leads_to_another_server_unless_it_says_so(reference: str) -> None:
    found = resolved(f"{API}/api/v1.0/x", reference)
    if is_served_by(API, found):
        assert not any(sign in found for sign in " \\\r\n\t\x00")
        assert found.isascii()


@given(st.text("/\\@:. \t\r\n%aehpstv?#", max_size=20))
def test_no_relative_reference_leads_to_another_server(reference: str) -> None:
    found = resolved(f"{API}/api/v1.0/x", reference)
    if is_served_by("https://evil.example", found):
        raise AssertionError(found)
    assert not is_served_by(API, found) or found.lower().startswith(API)


@given(st.text(max_size=60))
def test_no_text_behind_the_scheme_is_served_by_the_api_unless_its_host_is_the_apis(text: str) -> None:
    if is_served_by(API, f"https://{text}"):
        assert text.lower().startswith("manage.office.com")


def test_an_odd_root_matches_nothing() -> None:
    assert not is_served_by("nonsense", "nonsense")
    assert origin_of("nonsense") == ""


def test_a_shown_host_holds_no_user_and_no_path() -> None:
    assert shown_host("https://user:password@evil.example:444/secret?x") == "'https://evil.example:444'"
    assert shown_host("https://[broken/x") == "'https://[broken/x'"


def test_publisher_is_appended_and_the_rest_stays_byte_for_byte() -> None:
    uri = f"{API}/api/v1.0/x/activity/feed/audit/2023$2023$audit_general$Audit_General$emea9037"
    assert with_publisher(uri, PUBLISHER) == f"{uri}?PublisherIdentifier={PUBLISHER}"


def test_publisher_follows_an_existing_query() -> None:
    assert with_publisher(f"{API}/c?nextpage=1$2$na", PUBLISHER) == f"{API}/c?nextpage=1$2$na&PublisherIdentifier={PUBLISHER}"


@pytest.mark.parametrize("name", ["PublisherIdentifier", "publisheridentifier", "publisherIdentifier"])
def test_publisher_is_not_given_twice(name: str) -> None:
    assert with_publisher(f"{API}/c?{name}=1", PUBLISHER) == f"{API}/c?{name}=1"


@pytest.mark.parametrize("name", list(CLOUDS))
def test_tokens_of_each_cloud_are_made_for_the_host_of_its_api(name: str) -> None:
    cloud = cloud_of(name)  # type: ignore[arg-type]
    assert cloud.token_for.scope == f"{cloud.api}/.default"
    assert cloud.feed("t") == f"{cloud.api}/api/v1.0/t/activity/feed"
    assert is_served_by(cloud.api, cloud.feed("t"))
    assert cloud.authority.startswith("https://login.microsoftonline.")


def test_a_cloud_of_ones_own_loses_the_slash_at_the_end() -> None:
    cloud = cloud_of(CustomCloud(authority="https://localhost:1/", api="https://localhost:2/"))
    assert (cloud.authority, cloud.api) == ("https://localhost:1", "https://localhost:2")
