from __future__ import annotations

import traceback

import pytest
import requests

from fakes import TENANT
from scripted_http import (
    CONTENT,
    EXCHANGE,
    FEED,
    CountingBudget,
    Reply,
    ScriptedHttp,
    api_error,
    blob,
    entry,
    records,
    source_on,
)
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.errors import (
    ContentGone,
    ContentUndecodable,
    SourceDenied,
    SourceError,
    SourceOverloaded,
    SourceThrottled,
    SourceUnavailable,
    Stopped,
)
from ualpipe.pipeline.stages import WorkItem


class TestFetch:
    def test_records_come_as_they_are_and_the_content_id_is_not_encoded(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply([{"Id": "1"}, {"Id": "2"}]))
        assert records(source_on(http), blob()) == [{"Id": "1"}, {"Id": "2"}]
        assert http.urls("/audit/") == [f"{FEED}/audit/blob$1$audit_exchange?PublisherIdentifier={TENANT}"]

    def test_a_publisher_of_ones_own_is_sent(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply([{"Id": "1"}]))
        publisher = "33333333-3333-3333-3333-333333333333"
        records(source_on(http, publisher_id=publisher), blob())
        assert http.urls("/audit/")[0].endswith(f"?PublisherIdentifier={publisher}")

    def test_an_empty_blob_has_no_records(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply([]))
        assert records(source_on(http), blob()) == []

    def test_further_pages_of_a_blob_are_read_should_there_be_any(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply([{"Id": "1"}], headers={"NextPageUri": f"{FEED}/audit/more"}), Reply([{"Id": "2"}]))
        assert records(source_on(http), blob()) == [{"Id": "1"}, {"Id": "2"}]

    @pytest.mark.parametrize(
        "uri", ["https://evil.example/x", "http://manage.office.com/x", "https://manage.office.com@evil.example/x"]
    )
    def test_a_foreign_address_gets_no_request_and_the_blob_is_tried_again(self, uri: str) -> None:
        http = ScriptedHttp()
        source = source_on(http)
        sent = len(http.sent)
        with pytest.raises(SourceUnavailable, match="nothing was sent there") as caught:
            records(source, blob(contentUri=uri))
        assert "evil.example" in str(caught.value) or "http://manage.office.com" in str(caught.value)
        assert len(http.sent) == sent

    def test_a_redirect_is_not_followed(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply(b"", 302, {"Location": "https://evil.example/"}))
        with pytest.raises(SourceUnavailable, match=r"fetching blob\$1\$audit_exchange: \(HTTP 302\)"):
            records(source_on(http), blob())
        assert http.count("evil.example") == 0

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (api_error("AF20050", status=404), ContentGone),
            (api_error("AF20051"), ContentGone),
            (api_error("AF20052"), ContentGone),
            (Reply(b"", 404), ContentGone),
            (api_error("AF429", status=403), SourceThrottled),
            (Reply(b"<html>", 502), SourceUnavailable),
            (Reply(b"<html>please log in", 200), SourceUnavailable),
            (Reply(b'[{"Id":"1"},{"Id'), ContentUndecodable),
            (Reply(b""), SourceUnavailable),
            (Reply({"error": {"code": "AF50005", "message": "x"}}), SourceUnavailable),
            (Reply({"Id": "1"}), ContentUndecodable),
            (Reply(b"nonsense"), ContentUndecodable),
            (requests.ReadTimeout("Read timed out."), SourceOverloaded),
        ],
    )
    def test_what_goes_wrong_gets_the_class_that_says_the_reaction(
        self, reply: Reply | Exception, expected: type[SourceError]
    ) -> None:
        http = ScriptedHttp()
        http.on("/audit/", reply)
        with pytest.raises(SourceError) as caught:
            records(source_on(http), blob())
        assert type(caught.value) is expected

    def test_a_body_shorter_than_announced_is_tried_again(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply([{"Id": "1"}], headers={"Content-Length": "5000"}))
        with pytest.raises(SourceUnavailable, match="the body was cut off"):
            records(source_on(http), blob())

    def test_a_blob_larger_than_allowed_says_which_option_to_raise(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply([{"Id": "x" * 2000}]))
        with pytest.raises(ContentUndecodable, match="max_blob_size"):
            records(source_on(http, max_blob_size="1KiB"), blob())

    def test_pages_of_a_blob_have_the_size_of_one_together(self) -> None:
        http = ScriptedHttp()
        page = [{"Id": "x" * 200}]
        http.on("/audit/", *(Reply(page, headers={"NextPageUri": f"{FEED}/audit/page{number}"}) for number in range(900)))
        with pytest.raises(ContentUndecodable, match="max_blob_size"):
            records(source_on(http, max_blob_size="1KiB"), blob())
        assert http.count("/audit/") == 5


class TestRequests:
    def test_each_one_listing_and_fetching_alike_is_taken_from_the_budget(self) -> None:
        http, budget = ScriptedHttp(), CountingBudget()
        http.on(CONTENT, Reply([entry(1)], headers={"NextPageUri": f"{FEED}{CONTENT}?nextpage=1"}), Reply())
        http.on("/audit/", Reply(b"", 401), Reply([{"Id": "1"}]))
        source = source_on(http, budget=budget)
        for item in source.discover(EXCHANGE, None):
            if isinstance(item, WorkItem):
                records(source, item)
        assert budget.taken == http.count(FEED) == 5

    def test_a_stop_while_waiting_for_the_budget_gets_out(self) -> None:
        class Stopping(CountingBudget):
            def take(self) -> None:
                raise Stopped("the pipeline stops")

        with pytest.raises(Stopped):
            list(source_on(ScriptedHttp(), budget=Stopping()).discover(EXCHANGE, None))

    def test_a_refused_token_is_renewed_once_and_the_request_repeated(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply({"Message": "Authorization has been denied for this request."}, 401), Reply([{"Id": "1"}]))
        assert records(source_on(http), blob()) == [{"Id": "1"}]
        sent = [request.headers["Authorization"] for request in http.sent if "/audit/" in str(request.url)]
        assert sent == ["Bearer planted-token-1", "Bearer planted-token-2"]

    def test_a_token_refused_twice_is_a_matter_of_permission(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply({"Message": "Authorization has been denied for this request."}, 401))
        with pytest.raises(SourceDenied, match="grant admin consent") as caught:
            records(source_on(http), blob())
        assert http.count("/audit/") == 2
        shown = "".join(traceback.format_exception(caught.value))
        assert "planted" not in shown

    def test_neither_secret_nor_token_is_in_any_error_or_representation(self) -> None:
        http = ScriptedHttp()
        http.on(CONTENT, requests.ConnectionError("refused"))
        source = source_on(http, proxy="https://user:planted-password@proxy.example")
        with pytest.raises(SourceUnavailable) as caught:
            list(source.discover(EXCHANGE, None))
        shown = "".join(traceback.format_exception(caught.value)) + repr(source) + repr(vars(source)) + repr(source._connection)
        assert "planted" not in shown

    def test_gzip_is_offered_and_the_token_sent(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply([]))
        records(source_on(http), blob())
        headers = http.sent[-1].headers
        assert headers["Accept-Encoding"] == "gzip"
        assert headers["Authorization"] == "Bearer planted-token-1"

    def test_good_answers_are_counted(self) -> None:
        http = ScriptedHttp()
        http.on("/audit/", Reply([]))
        source = source_on(http)
        records(source, blob())
        assert source._env.metrics.get(m.REQUESTS, source="contoso", outcome="ok") == 1

    def test_opening_again_costs_no_login_and_closing_is_safe_twice(self) -> None:
        http = ScriptedHttp()
        source = source_on(http)
        source.open()
        assert http.count("/oauth2/v2.0/token") == 1
        source.close()
        source.close()
        with pytest.raises(SourceUnavailable, match="not open"):
            records(source, blob())
        source.open()
        assert http.count("/oauth2/v2.0/token") == 2
