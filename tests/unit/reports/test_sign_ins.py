"""The report sign-ins: countries, which generated records have none of, and what it says at its edges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archives.scene import located, store_of
from counted.oddities import OWN, START, Planted
from counted.scene import rows_of
from geo_databases import write_asn, write_city

pytest.importorskip("duckdb")

SWISS, BRITISH, KENYAN, NOWHERE = "203.0.113.1", "203.0.113.200", "198.51.100.7", "192.0.2.1"
ANN = "ann@contoso.com"
Plot = Callable[[Planted], Any]


def _reported(folder: Path, *plots: Plot, **asked: Any) -> list[dict[str, Any]]:
    planted = Planted()
    for plot in plots:
        plot(planted)
    folder.mkdir(exist_ok=True)
    make = located(write_city(folder / "city.mmdb"), write_asn(folder / "asn.mmdb"))
    store = store_of(folder / "archive", planted.records, make)
    try:
        return rows_of(store, "sign-ins", own=OWN, **asked)
    finally:
        store.close()


def _signs_in(*ips: str, user: str = ANN, **fields: Any) -> Plot:
    def plot(p: Planted) -> None:
        for ip in ips:
            p.sign_in(user, ip=ip, **fields)

    return plot


def test_a_country_is_new_once(tmp_path: Path) -> None:
    [row] = _reported(tmp_path, _signs_in(SWISS, KENYAN, SWISS, KENYAN, user="Ann@Contoso.com"))
    assert (row["finding"], row["account"], row["countries"], row["ips"]) == ("new country", ANN, "KE", KENYAN)
    assert row["detail"] == "2 sign-ins from a country that this account never signed in from before"
    assert len(row["event_ids"]) == 2


def test_networks_are_named(tmp_path: Path) -> None:
    [row] = _reported(tmp_path, lambda p: p.sign_in(ANN, "50126", ip=SWISS))
    assert (row["finding"], row["countries"], row["networks"]) == ("failed", "CH", "Contoso Carrier")


@pytest.mark.parametrize(
    "plot",
    [
        _signs_in(SWISS),
        _signs_in(SWISS, NOWHERE, SWISS),
        lambda p: (_signs_in(SWISS)(p), _signs_in(KENYAN, user="bob@contoso.com")(p)),
        lambda p: (_signs_in(SWISS)(p), p.mail("Create", ANN, ANN, ClientIP=KENYAN)),
    ],
    ids=["the first of all", "an address that is nowhere", "another account", "no sign-in"],
)
def test_no_country_is_new(tmp_path: Path, plot: Plot) -> None:
    assert _reported(tmp_path, plot) == []


def test_a_country_of_a_refused_sign_in_is_not_known_by_it(tmp_path: Path) -> None:
    rows = _reported(tmp_path, _signs_in(SWISS), lambda p: p.sign_in(ANN, "50126", ip=KENYAN), _signs_in(KENYAN))
    assert [row["finding"] for row in rows] == ["failed, then in", "new country"]


def test_a_country_is_not_new_that_was_there_before_what_is_asked_for(tmp_path: Path) -> None:
    plots = _signs_in(SWISS), _signs_in(KENYAN), _signs_in(KENYAN), _signs_in(BRITISH)
    rows = _reported(tmp_path, *plots, since=START.replace(minute=2))
    assert [row["countries"] for row in rows] == ["GB"]


def test_own_service_accounts_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = _reported(tmp_path, *[lambda p, user=user: p.sign_in(user, "50126") for user in ("backup@contoso.com", ANN)])
    assert {row["account"]: row["excluded"] for row in rows} == {ANN: None, "backup@contoso.com": "own service accounts"}


def test_a_second_factor_that_was_asked_for_is_shown_beside_failures_alone(tmp_path: Path) -> None:
    asked = [lambda p: p.sign_in(ANN, "50074"), lambda p: p.sign_in(ANN, "50076")]
    assert _reported(tmp_path / "1", *asked) == []
    [row] = _reported(tmp_path / "2", *asked, lambda p: p.sign_in(ANN, "500121"))
    assert (row["failed"], row["codes"], row["mfa_asked"]) == (1, "500121 1", 2)
