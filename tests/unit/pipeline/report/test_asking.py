"""The ``reports`` section becomes what SQL reads in ``asked`` and ``own``."""

from pathlib import Path

from archives.scene import NOW
from ualpipe.pipeline.config.model import ReportsOptions
from ualpipe.pipeline.options import build
from ualpipe.pipeline.report.asking import asked_of
from ualpipe.pipeline.report.contract import Own, Selection


def test_what_is_ones_own_counts_once_and_in_lower_case():
    section = {
        "domains": ["Contoso.com", "contoso.com "],
        "service_accounts": ["Scan@contoso.com"],
        "break_glass": ["bg@contoso.com"],
        "admins": ["Root@contoso.com"],
        "vips": ["ceo@contoso.com"],
        "partner_tenants": ["AAAA"],
        "apps": ["BBBB"],
        "delegates": [{"mailbox": "CEO@contoso.com", "delegate": "Assistant@contoso.com"}],
        "business_hours": {"begins": 8, "ends": 17, "days": ["saturday", "monday"], "timezone": "Europe/Berlin"},
    }
    asked = asked_of(Selection(), build(ReportsOptions, section, Path()), "UTC", NOW)
    assert asked.own == [
        Own("domain", "contoso.com"),
        Own("service_account", "scan@contoso.com"),
        Own("break_glass", "bg@contoso.com"),
        Own("admin", "root@contoso.com"),
        Own("vip", "ceo@contoso.com"),
        Own("partner_tenant", "aaaa"),
        Own("app", "bbbb"),
        Own("delegate", "ceo@contoso.com", "assistant@contoso.com"),
    ]
    assert (asked.day_begins, asked.day_ends, asked.workdays) == (8, 17, [1, 6])
