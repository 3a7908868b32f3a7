"""Credentials on disk: how long certificates last is known and said in time, and what is replaced is noticed."""

from datetime import timedelta

import pytest

from app_certificates import write_certificate
from fakes import NOW
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.credentials.expiry_watch import ExpiryWatch
from ualpipe.pipeline.credentials.options import Certificate, Credential
from ualpipe.pipeline.credentials.rotation_watch import RotationWatch
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.options import FileText, Secret

HOUR_S, DAY_S = 3600, 86400


def credential(certificate: Certificate) -> Credential:
    return Credential(client_id="app", client_secret=None, certificate=certificate)


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def watching(tmp_path, clock, metrics):
    """Makes a watch of one certificate that lasts so many days."""

    def make(days: float) -> ExpiryWatch:
        certificate = write_certificate(tmp_path, NOW + timedelta(days=days))
        return ExpiryWatch({"audit-app": credential(certificate)}, clock, metrics)

    return make


def days(metrics) -> float:
    return metrics.get(m.CERTIFICATE_DAYS, credential="audit-app")


def warnings(caplog) -> list[tuple[str, str]]:
    return [(record.levelname, record.message.partition(":")[0]) for record in caplog.records]


def test_the_days_left_are_a_metric_that_goes_down(watching, clock, metrics):
    watch = watching(90.5)
    watch.look()
    assert days(metrics) == 90
    clock.advance(DAY_S)
    watch.look()
    assert days(metrics) == 89


def test_from_thirty_days_on_there_is_one_warning_a_day(watching, clock, caplog):
    watch = watching(32.5)
    for _look in range(5 * 24 * 6):
        watch.look()
        clock.advance(600)
    expected = [f"the certificate of credential audit-app expires in {left} days, on 2026-12-23" for left in (29, 28, 27)]
    assert [text for level, text in warnings(caplog) if level == "WARNING"] == expected


def test_an_expired_certificate_is_an_error_a_day(watching, clock, metrics, caplog):
    watch = watching(0.5)
    for _look in range(48):
        watch.look()
        clock.advance(HOUR_S)
    assert warnings(caplog) == [
        ("WARNING", "the certificate of credential audit-app expires in 0 days, on 2026-11-21"),
        ("ERROR", "the certificate of credential audit-app expired on 2026-11-21"),
    ]
    assert days(metrics) == -2
    assert "Certificates & secrets" in caplog.text


def test_a_replaced_certificate_counts_within_the_hour_and_ends_the_warnings(watching, clock, metrics, caplog, tmp_path):
    watch = watching(5)
    watch.look()
    write_certificate(tmp_path, NOW + timedelta(days=365))
    clock.advance(HOUR_S)
    watch.look()
    assert days(metrics) == 364
    clock.advance(3 * DAY_S)
    watch.look()
    assert len(caplog.records) == 1


def test_the_files_are_read_once_an_hour(watching, clock, metrics, tmp_path):
    watch = watching(50.5)
    watch.look()
    write_certificate(tmp_path, NOW + timedelta(days=99.5))
    clock.advance(HOUR_S - 1)
    watch.look()
    assert days(metrics) == 50
    clock.advance(1)
    watch.look()
    assert days(metrics) == 99


def test_a_file_that_can_not_be_read_is_left_to_the_login(watching, metrics, caplog, tmp_path):
    watch = watching(5)
    (tmp_path / "cert.pem").unlink()
    watch.look()
    assert (list(metrics), caplog.records) == ([], [])


# --- what was replaced -----------------------------------------------------------------------------------------------


def test_nothing_has_changed_at_first_and_while_files_stay(tmp_path):
    changes = RotationWatch({"app": credential(write_certificate(tmp_path, NOW))})
    assert [changes.look() for _look in range(3)] == [False] * 3


@pytest.mark.parametrize("name", ["key.pem", "cert.pem"])
def test_a_replaced_file_is_noticed_once(tmp_path, name):
    changes = RotationWatch({"app": credential(write_certificate(tmp_path, NOW))})
    changes.look()
    (tmp_path / "new").write_bytes((tmp_path / name).read_bytes())
    (tmp_path / "new").replace(tmp_path / name)
    assert [changes.look() for _look in range(2)] == [True, False]


def test_a_file_that_goes_and_comes_back_is_noticed(tmp_path):
    changes = RotationWatch({"app": credential(write_certificate(tmp_path, NOW))})
    changes.look()
    whole = (tmp_path / "key.pem").read_bytes()
    (tmp_path / "key.pem").unlink()
    assert changes.look()
    (tmp_path / "key.pem").write_bytes(whole)
    assert changes.look()


def test_a_replaced_secret_is_noticed_and_not_kept_in_clear(tmp_path):
    file = tmp_path / "secret"
    file.write_text("planted-old")
    secret = Secret(FileText("planted-old", file.read_text))
    changes = RotationWatch({"app": Credential(client_id="app", client_secret=secret, certificate=None)})
    changes.look()
    file.write_text("planted-new")
    assert [changes.look() for _look in range(2)] == [True, False]
    assert "planted" not in repr(vars(changes))


def test_without_credentials_there_is_nothing_to_notice(clock, metrics):
    ExpiryWatch({}, clock, metrics).look()
    assert [RotationWatch({}).look() for _look in range(2)] == [False, False]
