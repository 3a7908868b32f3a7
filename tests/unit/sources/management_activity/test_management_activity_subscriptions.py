from __future__ import annotations

from typing import Any

import pytest
import requests

from fakes import NOW, TENANT, FakeClock
from scripted_http import (
    CONTENT,
    EXCHANGE,
    FEED,
    START,
    Reply,
    ScriptedHttp,
    api_error,
    entry,
    keys,
    source_on,
)
from ualpipe.pipeline.errors import SourceDenied, SourceUnavailable


class TestSubscriptions:
    def test_a_running_one_is_left_alone_and_looked_at_once_an_hour(self) -> None:
        http, clock = ScriptedHttp(), FakeClock()
        http.on(CONTENT, Reply())
        source = source_on(http, clock)
        for _poll in range(3):
            list(source.discover(EXCHANGE, None))
        assert (http.count("/subscriptions/list"), http.count(START)) == (1, 0)
        clock.advance(3600)
        list(source.discover(EXCHANGE, None))
        assert http.count("/subscriptions/list") == 2

    @pytest.mark.parametrize(
        "listed",
        [
            [],
            [{"contentType": EXCHANGE, "status": "disabled"}],
            [{"contentType": "audit.exchange", "status": "enabled"}],
            ["odd"],
        ],
    )
    def test_a_missing_or_disabled_one_is_started_once(self, listed: list[Any]) -> None:
        http, clock = ScriptedHttp(), FakeClock()
        http.on("/subscriptions/list", Reply(listed))
        http.on(START, Reply({}))
        http.on(CONTENT, Reply())
        source = source_on(http, clock)
        for _poll in range(3):
            assert list(source.discover(EXCHANGE, None))[-1].until == clock.now()
            clock.advance(1000)
        assert http.urls(START) == [f"{FEED}{START}?contentType={EXCHANGE}&PublisherIdentifier={TENANT}"]
        assert next(request for request in http.sent if START in str(request.url)).headers["Content-Length"] == "0"

    def test_one_without_a_status_counts_as_running(self) -> None:
        http = ScriptedHttp()
        http.on("/subscriptions/list", Reply([{"contentType": EXCHANGE, "webhook": None}]))
        http.on(CONTENT, Reply())
        list(source_on(http).discover(EXCHANGE, None))
        assert http.count(START) == 0

    def test_already_enabled_is_success(self) -> None:
        http = ScriptedHttp()
        http.on("/subscriptions/list", Reply([]))
        http.on(START, api_error("AF20024"))
        http.on(CONTENT, Reply([entry(1)]))
        assert keys(source_on(http).discover(EXCHANGE, None)) == ["blob$1$audit_exchange"]

    @pytest.mark.parametrize("code", ["AF20022", "AF20023"])
    def test_one_that_turns_out_to_be_off_is_started_and_its_window_listed_again(self, code: str) -> None:
        http = ScriptedHttp()
        http.on(START, Reply({}))
        http.on(CONTENT, api_error(code), Reply([entry(1)]))
        assert keys(source_on(http).discover(EXCHANGE, None)) == ["blob$1$audit_exchange"]
        assert (http.count(START), http.count(CONTENT)) == (1, 2)
        assert len(set(http.urls(CONTENT))) == 1

    def test_one_that_stays_off_is_started_once_in_fifteen_minutes(self) -> None:
        http, clock = ScriptedHttp(), FakeClock()
        http.on(START, Reply({}))
        http.on(CONTENT, api_error("AF20023", "The subscription was disabled."))
        source = source_on(http, clock)
        for _poll in range(14):
            with pytest.raises(SourceUnavailable, match=r"AF20023|does not deliver yet"):
                list(source.discover(EXCHANGE, None))
            clock.advance(60)
        assert http.count(START) == 1
        clock.advance(60)
        with pytest.raises(SourceUnavailable):
            list(source.discover(EXCHANGE, None))
        assert http.count(START) == 2

    def test_a_refused_start_pauses_the_stream_and_is_not_repeated_for_a_while(self) -> None:
        http, clock = ScriptedHttp(), FakeClock()
        http.on("/subscriptions/list", Reply([]))
        http.on(START, api_error("StartSubscription [CorrId=1]", "x.DataServiceException: Tenant 1 does not exist.\r\n at y"))
        source = source_on(http, clock)
        for _poll in range(2):
            with pytest.raises(SourceDenied, match="turn on auditing"):
                list(source.discover(EXCHANGE, None))
        assert http.count(START) == 1
        clock.advance(900)
        http.on(START, Reply({}))
        http.on(CONTENT, Reply())
        assert [one.until for one in source.discover(EXCHANGE, None)] == [clock.now()]

    def test_a_start_that_got_no_answer_is_repeated_at_the_next_attempt(self) -> None:
        http = ScriptedHttp()
        http.on("/subscriptions/list", Reply([]))
        http.on(START, requests.ConnectionError("reset"), Reply({}))
        http.on(CONTENT, Reply())
        source = source_on(http)
        with pytest.raises(SourceUnavailable, match="reset"):
            list(source.discover(EXCHANGE, None))
        assert [one.until for one in source.discover(EXCHANGE, None)] == [NOW]

    def test_a_type_without_permission_does_not_hinder_the_others(self) -> None:
        http = ScriptedHttp()
        http.on("/subscriptions/list", Reply([{"contentType": name, "status": "enabled"} for name in (EXCHANGE, "DLP.All")]))
        http.on(CONTENT, Reply())
        http.on("contentType=DLP.All", api_error("AF10001", "The permission set () sent in the request ...", 401))
        source = source_on(http, content_types=[EXCHANGE, "DLP.All"])
        with pytest.raises(SourceDenied, match=r"listing DLP\.All .*AF10001.*ActivityFeed\.ReadDlp"):
            list(source.discover("DLP.All", None))
        assert [one.until for one in source.discover(EXCHANGE, None)] == [NOW]
