"""Cookies of a balancer: kept, sent back, and few."""

import pytest

from ualpipe.clients.posting.cookies import MOST_BYTES, MOST_COOKIES, Cookies


def header(*taken):
    cookies = Cookies()
    cookies.take(taken)
    return cookies.header


@pytest.mark.parametrize(
    ("taken", "sent"),
    [
        ((), ""),
        (("node=a1; Path=/; HttpOnly",), "node=a1"),
        (("node=a1", "route=x=y"), "node=a1; route=x=y"),
        (("node=a1", "node=b2"), "node=b2"),
        (("node=a1", "node=; Max-Age=0"), ""),
        (('node="a 1"',), 'node="a 1"'),
    ],
)
def test_what_a_server_sets_is_sent_back(taken, sent):
    assert header(*taken) == sent


@pytest.mark.parametrize(
    "taken", ["", "=a", "no pair", "a b=c", "node=\x1b[0m", "node=\u202e", f"node={'x' * MOST_BYTES}", "node=a\r\nX: y"]
)
def test_what_is_no_cookie_or_does_harm_is_not(taken):
    assert header(taken) == ""


def test_many_cookies_push_out_the_oldest():
    sent = header(*(f"c{at}=1" for at in range(MOST_COOKIES + 2)))
    assert sent.count("=1") == MOST_COOKIES
    assert sent.startswith("c2=1")
