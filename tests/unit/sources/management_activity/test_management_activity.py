from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from fakes import NOW, TENANT, env
from scripted_http import (
    API,
    CLIENT,
    CONTENT,
    EXCHANGE,
    FEED,
    SECRET,
    Reply,
    ScriptedHttp,
    api_error,
    blob,
    config_of,
    credential_of,
    entry,
    keys,
    login_error,
    source_on,
)
from ualpipe.pipeline.credentials.options import Certificate, Credential
from ualpipe.pipeline.errors import ConfigError, SourceUnavailable
from ualpipe.pipeline.options import Secret, schema_of
from ualpipe.pipeline.stages import Gap, Listed, WorkItem
from ualpipe.sources.management_activity.connection import certificate_finding, clock_finding
from ualpipe.sources.management_activity.options import ManagementActivityConfig
from ualpipe.sources.management_activity.source import ManagementActivitySource
from ualpipe.testing import check_options

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)  # windows end with the current second


def source_of(credential: Credential | None = None, **options: Any) -> ManagementActivitySource:
    credentials = {"audit-app": credential or credential_of()}
    return ManagementActivitySource(config_of(**options), env("contoso", credentials=credentials))


class TestOptions:
    def test_each_is_described(self) -> None:
        check_options(ManagementActivitySource)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"tenant_id": "contoso.com"},
            {"cloud": "gcc-high"},
            {"cloud": {"authority": "https://localhost"}},
            {"cloud": {"authority": "http://localhost", "api": "https://localhost"}},
            {"cloud": {"authority": "https://localhost", "api": "https://localhost/path"}},
            {"content_types": ["Audit.Sharepoint"]},
            {"content_types": []},
            {"content_types": [EXCHANGE, EXCHANGE]},
            {"publisher_id": "contoso"},
            {"start": 24},
            {"concurrency": 0},
            {"tenant": TENANT},
        ],
        ids=str,
    )
    def test_wrong_values_do_not_fit_the_schema(self, wrong: dict[str, Any]) -> None:
        right = {"tenant_id": TENANT, "credential": "audit-app"}
        validator = jsonschema_rs.Draft202012Validator(schema_of(ManagementActivityConfig))
        assert validator.is_valid(right)
        assert not validator.is_valid({**right, **wrong})

    def test_all_content_types_are_streams_unless_some_are_named(self) -> None:
        defaults = next(f for f in ManagementActivityConfig.__dataclass_fields__.values() if f.name == "content_types")
        assert source_of(content_types=defaults.metadata["default"]).streams() == (
            "Audit.AzureActiveDirectory",
            "Audit.Exchange",
            "Audit.SharePoint",
            "Audit.General",
            "DLP.All",
        )

    def test_the_tenant_is_in_lower_case(self) -> None:
        assert source_of(tenant_id=TENANT.upper()).tenant == TENANT

    @pytest.mark.parametrize("name", ["start", "lookback"])
    def test_no_reach_goes_beyond_what_the_service_keeps(self, name: str) -> None:
        with pytest.raises(ConfigError, match=rf"sources\.contoso\.{name}: 8 days are more than the 7"):
            source_of(None, **{name: "8d"})

    def test_a_proxy_that_is_no_url_is_refused_without_being_shown(self) -> None:
        with pytest.raises(ConfigError, match="proxy") as caught:
            source_of(proxy="user:planted@proxy.example:3128")
        assert "planted" not in str(caught.value)

    def test_a_credential_that_is_not_there_is_named(self) -> None:
        with pytest.raises(ConfigError, match="there is no 'audit-app' under credentials"):
            ManagementActivitySource(config_of(), env("contoso"))

    @pytest.mark.parametrize(
        ("secret", "certificate"),
        [
            (None, None),
            ("secret", {"pfx": Path("app.pfx")}),
            (None, {}),
            (None, {"private_key": Path("key.pem")}),
            (None, {"pfx": Path("app.pfx"), "private_key": Path("key.pem"), "public": Path("cert.pem")}),
        ],
    )
    def test_a_credential_has_one_proof_that_is_complete(self, secret: str | None, certificate: dict[str, Path] | None) -> None:
        parts: dict[str, Any] = dict.fromkeys(("pfx", "private_key", "public", "passphrase"))
        made = None if certificate is None else Certificate(**{**parts, **certificate})
        with pytest.raises(ConfigError, match=r"credentials\.audit-app.*give either"):
            source_of(Credential(client_id=CLIENT, client_secret=Secret(secret) if secret else None, certificate=made))


class TestDiscover:
    def test_items_carry_what_fetching_and_the_ledger_need(self) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply([entry(1, somethingNew={"a": 1})]))
        item, listed = source_on(http).discover(EXCHANGE, None)
        assert item == WorkItem(
            EXCHANGE,
            "blob$1$audit_exchange",
            {"uri": f"{FEED}/audit/blob$1$audit_exchange"},
            datetime(2026, 11, 20, 8, tzinfo=UTC),
            datetime(2026, 11, 27, 8, tzinfo=UTC),
        )
        assert listed == Listed(NOW, NOW - DAY + SECOND)

    def test_first_run_lists_the_configured_reach_in_plain_utc_and_names_the_publisher(self) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply())
        assert list(source_on(http, start="3h").discover(EXCHANGE, None)) == [Listed(NOW, NOW - timedelta(hours=3) + SECOND)]
        window = "startTime=2026-11-20T09:00:01&endTime=2026-11-20T12:00:01"
        assert http.urls(CONTENT) == [f"{FEED}{CONTENT}?contentType={EXCHANGE}&{window}&PublisherIdentifier={TENANT}"]

    def test_days_are_listed_newest_first_and_said_to_be_listed_only_at_the_end_before_a_look_for_late_content(self) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply([entry(3)]), Reply([entry(2)]), Reply([entry(1)]), Reply())
        found = list(source_on(http).discover(EXCHANGE, NOW - 2 * DAY))
        assert keys(found[:3]) == [f"blob${number}$audit_exchange" for number in (3, 2, 1)]
        assert found[3:] == [Listed(NOW)]
        starts = [url.partition("startTime=")[2][:19] for url in http.urls(CONTENT)]
        assert starts[:4] == ["2026-11-19T12:00:01", "2026-11-18T12:00:01", "2026-11-17T12:00:01", "2026-11-17T12:00:00"]
        assert starts[4:] == ["2026-11-16T12:00:00", "2026-11-15T12:00:00", "2026-11-14T12:00:00", "2026-11-13T12:05:00"]

    def test_an_old_day_that_fails_keeps_the_newer_items_and_claims_nothing(self) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply([entry(2)]), api_error("AF50000", status=500))
        found: list[Any] = []
        with pytest.raises(SourceUnavailable, match="AF50000"):
            found.extend(source_on(http).discover(EXCHANGE, NOW - DAY))
        assert found == [blob(2)]

    def test_content_out_of_reach_is_named_first_as_a_gap(self) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply())
        first, *_others, last = source_on(http).discover(EXCHANGE, NOW - 10 * DAY)
        edge = NOW - 7 * DAY + timedelta(minutes=5)
        assert isinstance(first, Gap)
        assert (first.start, first.end) == (NOW - 10 * DAY, edge)
        assert "7 days" in first.reason
        assert last == Listed(NOW)
        assert http.count(CONTENT) == 7

    def test_pages_are_followed_to_the_end_empty_ones_too(self) -> None:
        http = ScriptedHttp()
        pages = [f"{FEED}{CONTENT}?contenttype={EXCHANGE}&nextpage={number}$0$na0022" for number in (1, 2)]
        http.on(
            CONTENT,
            Reply([entry(1)], headers={"NextPageUri": pages[0]}),
            Reply([], headers={"nextpageurl": pages[1]}),
            Reply([entry(2)]),
        )
        assert keys(source_on(http).discover(EXCHANGE, None)) == ["blob$1$audit_exchange", "blob$2$audit_exchange"]
        assert http.urls(CONTENT)[1:] == [f"{page}&PublisherIdentifier={TENANT}" for page in pages]

    @pytest.mark.parametrize(
        "page", ["https://evil.example/next", "http://manage.office.com/next", "//evil.example/next", "\\\\evil.example"]
    )
    def test_a_next_page_elsewhere_gets_no_request(self, page: str) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply([entry(1)], headers={"NextPageUri": page}))
        with pytest.raises(SourceUnavailable, match=f"is not {API}: nothing was sent there"):
            list(source_on(http).discover(EXCHANGE, None))
        assert http.count(CONTENT) == 1

    @pytest.mark.parametrize(
        ("page", "asked"),
        [
            (f"{FEED}{CONTENT}?nextpage=a b", f"{FEED}{CONTENT}?nextpage=a%20b"),
            (f" {FEED}{CONTENT}?nextpage=1 ", f"{FEED}{CONTENT}?nextpage=1"),
            (f"{FEED}{CONTENT}?nextpage=\u00e4$1", f"{FEED}{CONTENT}?nextpage=%C3%A4$1"),
            (f"{FEED.removeprefix(API)}{CONTENT}?nextpage=1", f"{FEED}{CONTENT}?nextpage=1"),
            ("?nextpage=1", f"{FEED}{CONTENT}?nextpage=1"),
            ("content?nextpage=1", f"{FEED}{CONTENT}?nextpage=1"),
        ],
    )
    def test_a_next_page_that_can_mean_one_thing_only_is_read(self, page: str, asked: str) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply([entry(1)], headers={"NextPageUri": page}), Reply([entry(2)]))
        assert len(keys(source_on(http).discover(EXCHANGE, None))) == 2
        assert http.urls(CONTENT)[1] == f"{asked}&PublisherIdentifier={TENANT}"

    def test_pages_that_go_in_circles_end(self) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply([entry(1)], headers={"NextPageUri": f"{FEED}{CONTENT}?nextpage=1"}))
        with pytest.raises(SourceUnavailable, match="after 2 pages the next one was already read"):
            list(source_on(http).discover(EXCHANGE, None))

    def test_pages_without_end_are_bounded(self) -> None:
        http = ScriptedHttp()
        pages = (Reply([], headers={"NextPageUri": f"{FEED}{CONTENT}?nextpage={n}"}) for n in range(1100))
        http.on(CONTENT, *pages)
        with pytest.raises(SourceUnavailable, match="after 1000 pages"):
            list(source_on(http).discover(EXCHANGE, None))

    def test_a_place_that_was_lost_lists_the_window_once_more_from_its_beginning(self) -> None:
        http = ScriptedHttp()
        page = Reply([entry(1)], headers={"NextPageUri": f"{FEED}{CONTENT}?nextpage=1"})
        http.on(CONTENT, page, api_error("AF20031"), Reply([entry(1), entry(2)]))
        found = list(source_on(http).discover(EXCHANGE, None))
        assert keys(found) == [f"blob${number}$audit_exchange" for number in (1, 1, 2)]
        assert found[-1] == Listed(NOW, NOW - DAY + SECOND)

    def test_a_place_that_is_lost_again_and_again_is_trouble(self) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, api_error("AF20031"))
        with pytest.raises(SourceUnavailable, match="AF20031"):
            list(source_on(http).discover(EXCHANGE, None))
        assert http.count(CONTENT) == 2

    def test_items_that_name_no_content_spoil_neither_the_others_nor_the_claim(self) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply([entry(1), {"contentId": "x"}, "odd", entry(2, contentUri=None), entry(3)]))
        found: list[Any] = []
        with pytest.raises(SourceUnavailable, match="3 items have no contentId or contentUri"):
            found.extend(source_on(http).discover(EXCHANGE, None))
        assert keys(found) == ["blob$1$audit_exchange", "blob$3$audit_exchange"]

    @pytest.mark.parametrize("odd", [None, "", "soon", 5, {}, []])
    def test_an_odd_time_is_none_at_all(self, odd: Any) -> None:
        item = blob(contentCreated=odd, contentExpiration=odd)
        assert (item.created, item.expires) == (None, None)

    @pytest.mark.parametrize("text", ["2026-11-20T08:00:00.0000000Z", "2026-11-20T08:00:00", "2026-11-20T10:00:00+02:00"])
    def test_times_in_any_spelling_are_utc(self, text: str) -> None:
        assert blob(contentCreated=text).created == datetime(2026, 11, 20, 8, tzinfo=UTC)

    @pytest.mark.parametrize("body", [{"value": []}, b"", b"<html>", b"[1,", b'"text"'])
    def test_a_listing_of_another_shape_is_tried_again(self, body: Any) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, Reply(body))
        with pytest.raises(SourceUnavailable, match=r"listing Audit\.Exchange of 2026-11-19T12:00:01 to 2026-11-20T12:00:01"):
            list(source_on(http).discover(EXCHANGE, None))

    def test_a_source_that_is_not_open_says_so(self) -> None:
        with pytest.raises(SourceUnavailable, match="not open"):
            list(source_of().discover(EXCHANGE, None))


class TestCheck:
    def findings(self, http: ScriptedHttp, **options: Any) -> list[tuple[str, str]]:
        return [(finding.level, finding.subject) for finding in source_on(http, **options).check()]

    def test_it_says_what_runs_and_starts_nothing(self) -> None:
        http = ScriptedHttp()
        assert self.findings(http, content_types=[EXCHANGE, "DLP.All"]) == [
            ("ok", "login"),
            ("ok", "subscriptions"),
            ("warning", "subscriptions"),
        ]
        assert {request.method for request in http.sent if FEED in str(request.url)} == {"GET"}

    def test_a_refused_login_says_what_to_do_and_ends_it(self) -> None:
        http = ScriptedHttp()
        http.on("/oauth2/v2.0/token", login_error(7000215))
        source = ManagementActivitySource(config_of(), env("contoso", credentials={"audit-app": credential_of()}), adapter=http)
        (finding,) = source.check()
        assert (finding.level, finding.subject) == ("error", "login")
        assert "the client secret is wrong" in finding.message
        assert "make a new secret" in finding.action
        assert SECRET not in repr(finding)

    def test_a_missing_permission_is_found(self) -> None:
        http = ScriptedHttp()
        http.on("/subscriptions/list", api_error("AF10001", status=401))
        finding = list(source_on(http).check())[1]
        assert (finding.level, finding.subject) == ("error", "subscriptions")
        assert "ActivityFeed.Read" in finding.action

    def test_clocks_are_compared_by_the_date_of_the_answer(self) -> None:
        http = ScriptedHttp()
        date = format_datetime(NOW + timedelta(minutes=10), usegmt=True)
        http.on("/subscriptions/list", Reply([], headers={"Date": date}))
        finding = list(source_on(http).check())[-1]
        assert (finding.level, finding.subject) == ("warning", "clock")
        assert "600 s behind" in finding.message

    @pytest.mark.parametrize(("minutes", "level"), [(-6, "warning"), (-5, "ok"), (0, "ok"), (5, "ok"), (6, "warning")])
    def test_five_minutes_of_skew_are_borne(self, minutes: int, level: str) -> None:
        assert clock_finding(timedelta(minutes=minutes)).level == level

    @pytest.mark.parametrize(("days", "level"), [(-1, "error"), (0, "error"), (29, "warning"), (31, "ok")])
    def test_a_certificate_is_called_out_a_month_before_its_end(self, days: int, level: str) -> None:
        finding = certificate_finding(NOW + days * DAY, NOW)
        assert finding.level == level
        assert bool(finding.action) == (level != "ok")
        assert level != "warning" or "29 days" in finding.message


def test_every_window_of_a_week_is_asked_for_exactly_once() -> None:
    http = ScriptedHttp()
    http.on(CONTENT, Reply())
    list(source_on(http, start="7d").discover(EXCHANGE, None))
    times = [url.partition("startTime=")[2].split("&")[:2] for url in http.urls(CONTENT)]
    edges = [(start, end.removeprefix("endTime=")) for start, end in times]
    assert all(newer[0] == older[1] for newer, older in itertools.pairwise(edges))
    assert (edges[-1][0], edges[0][1]) == ("2026-11-13T12:05:00", "2026-11-20T12:00:01")
