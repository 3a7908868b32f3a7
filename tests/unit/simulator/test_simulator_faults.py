from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import FakeClock
from ualpipe.simulator.data import read_yaml
from ualpipe.simulator.service.faults import READY_MADE, FaultAnswer, FaultScript, load_rules, parse_rule, replacement, spoil
from ualpipe.simulator.service.http import Reply
from ualpipe.simulator.service.routes import Call

FETCH = Call("fetch", "GET", "t1", "Audit.Exchange", "a$b$audit_exchange$Audit_Exchange$s")
LIST = Call("list", "GET", "t1", "DLP.All", "", "first")
NEXT = Call("list", "GET", "t1", "DLP.All", "", "next")


def script(**rule: Any) -> FaultScript:
    return FaultScript([{"answer": {"status": 503}, **rule}])


def plays(played: FaultScript, *calls: Call) -> list[bool]:
    return [played.fault_for(call) is not None for call in calls]


def test_a_rule_without_conditions_hits_every_call() -> None:
    assert plays(script(), FETCH, LIST, Call("unknown", "GET")) == [True, True, True]


@pytest.mark.parametrize(
    ("rule", "hits"),
    [
        ({"operation": "fetch"}, [True, False, False]),
        ({"operation": "list", "page": "next"}, [False, False, True]),
        ({"method": "POST"}, [False, False, False]),
        ({"tenant": "t1"}, [True, True, True]),
        ({"tenant": "t2"}, [False, False, False]),
        ({"content_type": "Audit.*"}, [True, False, False]),
        ({"content_id": "*$Audit_Exchange$*"}, [True, False, False]),
    ],
)
def test_a_rule_hits_only_what_it_names(rule: dict[str, Any], hits: list[bool]) -> None:
    assert plays(script(**rule), FETCH, LIST, NEXT) == hits


def test_skip_and_times_choose_the_nth_calls() -> None:
    assert plays(script(skip=1, times=2), *[FETCH] * 5) == [False, True, True, False, False]


def test_each_counts_for_every_blob_on_its_own() -> None:
    other = Call("fetch", "GET", "t1", "Audit.Exchange", "other")
    assert plays(script(each="content_id", times=1), FETCH, other, FETCH, other) == [True, True, False, False]


def test_a_share_of_the_calls_is_hit_the_same_way_each_time() -> None:
    once, again = (plays(script(share=0.3, seed=7), *[FETCH] * 1000) for _ in range(2))
    assert once == again
    assert 250 < sum(once) < 350
    assert once != plays(script(share=0.3, seed=8), *[FETCH] * 1000)


def test_a_rule_holds_for_its_time_on_the_clock_of_the_service() -> None:
    clock = FakeClock()
    played = FaultScript([{"after_s": 60, "for_s": 120, "answer": {"status": 503}}], clock)
    found = []
    for _minute in range(5):
        found += plays(played, FETCH)
        clock.advance(60)
    assert found == [False, True, True, False, False]


def test_the_first_rule_that_fires_wins_and_each_counts_what_it_played() -> None:
    played = FaultScript([{"times": 1, "answer": {"status": 500}}, {"operation": "fetch", "answer": {"status": 503}}])
    found = [played.fault_for(call) for call in (FETCH, FETCH, LIST)]
    assert [fault and fault.status for fault in found] == [500, 503, None]
    assert (played.played(0), played.played(1), played.played()) == (1, 1, 2)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"answer": {"status": 503}, "operatoin": "fetch"}, "operatoin"),
        ({"answer": {"status": 9}}, r"answer\.status"),
        ({"operation": "fetch"}, "answer"),
        ({"answer": {}, "share": 2}, "share"),
    ],
)
def test_a_wrong_rule_is_refused_and_the_wrong_part_named(rule: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_rule(rule)


@pytest.mark.parametrize("name", list(read_yaml(READY_MADE)))
def test_every_ready_made_script_loads(name: str) -> None:
    assert load_rules(name)


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("- {operation: list, answer: {code: AF50000}}\n")
    assert [rule.answer.code for rule in load_rules(str(path))] == ["AF50000"]


@pytest.mark.parametrize("text", ["operation: list\n", ""])
def test_a_file_without_a_list_of_rules_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="a list of fault rules"):
        load_rules(str(path))


def test_an_unknown_script_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(ValueError, match="throttled"):
        load_rules("trottled")


def answer_of(**answer: Any) -> FaultAnswer:
    return parse_rule({"answer": answer}).answer


def test_an_error_code_brings_its_status_and_message() -> None:
    reply = replacement(answer_of(code="AF20051"))
    assert reply.status == 400
    assert isinstance(reply.body, bytes)
    assert b'"code":"AF20051"' in reply.body
    assert replacement(answer_of(code="AF429", status=429)).status == 429


def test_a_body_that_begins_with_a_tag_is_html() -> None:
    reply = replacement(answer_of(body="<html></html>"))
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html")


@pytest.mark.parametrize(
    "answer", [{"delay_s": 1}, {"cut_at_byte": 5}, {"bytes_per_s": 10}, {"foreign_host": "x"}, {"revoke_tokens": True}]
)
def test_faults_of_the_wire_leave_the_right_answer_in_place(answer: dict[str, Any]) -> None:
    assert not answer_of(**answer).replaces


def test_a_foreign_host_stands_in_body_and_headers() -> None:
    right = Reply(200, b'[{"contentUri":"https://localhost:1/a"}]', {"NextPageUri": "https://localhost:1/b"})
    reply = spoil(right, answer_of(foreign_host="evil.example"), "localhost:1")
    assert reply.body == b'[{"contentUri":"https://evil.example/a"}]'
    assert reply.headers["NextPageUri"] == "https://evil.example/b"


def test_further_headers_are_added() -> None:
    reply = spoil(Reply(429), answer_of(status=429, headers={"Retry-After": "3"}), "h")
    assert reply.headers["Retry-After"] == "3"
