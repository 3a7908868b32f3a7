"""How long the certificates of credentials still last, as they lie on the disk."""

from datetime import timedelta

import pytest

from app_certificates import write_certificate
from fakes import NOW
from ualpipe.pipeline.credentials.options import Certificate
from ualpipe.pipeline.credentials.status import CertificateStatus, certificate_status


def test_a_certificate_is_shown_with_the_days_it_lasts(tmp_path):
    certificate = write_certificate(tmp_path, NOW + timedelta(days=12, hours=3))
    found = certificate_status("app", certificate, NOW)
    assert found == CertificateStatus("app", "2026-12-02T15:00:00.000Z", 12, "", is_urgent=True)


@pytest.mark.parametrize(("days", "is_urgent"), [(31, False), (29, True), (-1, True)])
def test_a_certificate_is_urgent_from_thirty_days_on(tmp_path, days, is_urgent):
    found = certificate_status("app", write_certificate(tmp_path, NOW + timedelta(days=days)), NOW)
    assert (found.days, found.is_urgent) == (days, is_urgent)


def test_a_certificate_that_can_not_be_read_says_why(tmp_path):
    certificate = Certificate(pfx=tmp_path / "missing.pfx", private_key=None, public=None, passphrase=None)
    found = certificate_status("app", certificate, NOW)
    assert (found.expires, found.days, found.is_urgent) == (None, None, True)
    assert "missing.pfx: can't be read" in found.problem
