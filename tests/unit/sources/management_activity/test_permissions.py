"""A content type without its permission: left out where it is collected by default, an error where the config names it."""

from __future__ import annotations

import base64
import json
import logging

import pytest

from scripted_http import Reply, ScriptedHttp, api_error, source_on
from ualpipe.pipeline.errors import SourceDenied
from ualpipe.pipeline.stages import Finding
from ualpipe.sources.management_activity.permissions import all_content_types
from ualpipe.sources.management_activity.source import ManagementActivitySource

READ, READ_DLP, DLP = "ActivityFeed.Read", "ActivityFeed.ReadDlp", "DLP.All"
REFUSED = api_error("AF10001", "The permission set (ActivityFeed.Read) sent in the request ...", 403)


def tenant(*roles: str, of: str = "roles") -> ScriptedHttp:
    """A tenant in which nothing is started and DLP.All is refused; tokens name roles."""
    payload = base64.urlsafe_b64encode(json.dumps({of: roles}).encode()).decode().rstrip("=")
    http = ScriptedHttp()
    http.on("/oauth2/v2.0/token", Reply({"token_type": "Bearer", "expires_in": 3599, "access_token": f"e30.{payload}.c2ln"}))
    http.on("/subscriptions/list", Reply([]))
    http.on("/subscriptions/start", Reply({}))
    http.on("/subscriptions/content", Reply([]))
    http.on("contentType=DLP.All", REFUSED)
    return http


def of_dlp(source: ManagementActivitySource) -> list[Finding]:
    return [finding for finding in source.check() if finding.subject == f"content type {DLP}"]


def test_by_default_it_is_left_out_and_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    source = source_on(tenant(READ), content_types=None)
    with caplog.at_level(logging.WARNING):
        found = [list(source.discover(stream, None)) for _twice in range(2) for stream in all_content_types()]
    assert [bool(listed) for listed in found] == [True, True, True, True, False] * 2
    (line,) = caplog.messages
    assert line.startswith(f"{DLP} is left out: the app lacks the permission {READ_DLP}. What to do: Entra admin center")


def test_it_is_collected_where_the_service_serves_it_all_the_same() -> None:
    http = tenant(READ)
    http.on("contentType=DLP.All", Reply([]))
    assert list(source_on(http, content_types=None).discover(DLP, None))


def test_it_is_said_again_when_it_is_refused_anew(caplog: pytest.LogCaptureFixture) -> None:
    http = tenant(READ)
    http.on("contentType=DLP.All&startTime", REFUSED, Reply([]), REFUSED)
    http.on("/subscriptions/list", Reply([{"contentType": DLP, "status": "enabled"}]))
    source = source_on(http, content_types=None)
    with caplog.at_level(logging.WARNING):
        assert [bool(list(source.discover(DLP, None))) for _time in range(4)] == [False, True, False, False]
    assert len(caplog.messages) == 2


@pytest.mark.parametrize(
    ("roles", "options"),
    [
        ((READ,), {"content_types": [DLP]}),
        ((READ, READ_DLP), {"content_types": None}),
        ((), {"content_types": None}),
        ((READ_DLP,), {"content_types": None}),
    ],
    ids=["named", "granted", "nothing granted", "without the first"],
)
def test_otherwise_a_refusal_is_one(roles: tuple[str, ...], options: dict[str, list[str] | None]) -> None:
    with pytest.raises(SourceDenied, match="AF10001"):
        list(source_on(tenant(*roles), **options).discover(DLP, None))


def test_a_refusal_is_one_where_the_token_is_opaque() -> None:
    with pytest.raises(SourceDenied, match="AF10001"):
        list(source_on(tenant(READ, of="scp"), content_types=None).discover(DLP, None))


def test_a_refusal_for_another_reason_is_one() -> None:
    http = tenant(READ)
    http.on("contentType=DLP.All", api_error("AF20011"))
    with pytest.raises(SourceDenied, match="AF20011"):
        list(source_on(http, content_types=None).discover(DLP, None))


def test_check_says_that_it_will_be_left_out() -> None:
    (finding,) = of_dlp(source_on(tenant(READ), content_types=None))
    assert finding.level == "warning"
    assert READ_DLP in finding.message
    assert "leaves this content type out" in finding.message
    assert "API permissions" in finding.action
    assert "grant admin consent" in finding.action


def test_check_refuses_one_that_is_named_and_starts_nothing() -> None:
    http = tenant(READ)
    source = source_on(http, content_types=["Audit.Exchange", DLP])
    (finding,) = of_dlp(source)
    assert finding.level == "error"
    assert READ_DLP in finding.message
    assert f"take {DLP} out of `content_types`" in finding.action
    assert not http.count("/subscriptions/start")


@pytest.mark.parametrize("http", [tenant(READ, READ_DLP), tenant(), tenant(READ, of="scp"), ScriptedHttp()])
def test_check_says_nothing_of_it_where_nothing_is_known_to_be_missing(http: ScriptedHttp) -> None:
    assert of_dlp(source_on(http, content_types=None)) == []


def test_subscriptions_are_said_by_state_not_one_by_one() -> None:
    http = tenant(READ)
    http.on("/subscriptions/list", Reply([{"contentType": "Audit.Exchange", "status": "enabled"}]))
    found = [(one.level, one.message) for one in source_on(http, content_types=None).check() if one.subject == "subscriptions"]
    assert found == [
        ("ok", "enabled: Audit.Exchange"),
        ("warning", "not started: Audit.AzureActiveDirectory, Audit.SharePoint, Audit.General"),
    ]
