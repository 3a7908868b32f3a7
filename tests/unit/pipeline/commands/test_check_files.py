"""``ualpipe check`` finds what would fail later about files, names it with its path, and says what to type."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes import FakeClock, open_journal
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME
from ualpipe.pipeline.journal.sqlite.state_dir.mark import MARK_NAME, Generation, make_mark, read_mark

pytestmark = pytest.mark.usefixtures("quiet_logs")

CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
journal: {max_size: 64MiB}
credentials:
  with-pfx: {client_id: app, certificate: {pfx: app.pfx, passphrase: "${file:passphrase}"}}
  with-pem: {client_id: app, certificate: {private_key: app.key, public: app.pem}}
sources:
  contoso: {type: management_activity, tenant_id: 22222222-2222-2222-2222-222222222222, credential: with-pfx, ca_file: proxy.pem}
sinks:
  local: {type: file, path: out/audit.ndjson}
  siem: {type: syslog, host: siem.contoso.example, tls: {ca_file: ca.pem, client_certificate: ours.pem, client_key: ours.key}}
  search: {type: elasticsearch, urls: ["https://es1.contoso.example:9200"], ca_file: ca.pem}
"""
FILES = ("app.pfx", "app.key", "app.pem", "proxy.pem", "ca.pem", "ours.pem", "ours.key", "passphrase")
Check = Callable[[], tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline file with all that it names."""
    for name in FILES:
        (tmp_path / name).write_text("content")
        (tmp_path / name).chmod(0o600 if name not in ("app.pem", "ca.pem", "proxy.pem", "ours.pem") else 0o644)
    (tmp_path / "pipeline.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs the command without the network; returns its exit code and what it says behind the first line."""

    def run() -> tuple[int, str]:
        code = main(["check", str(folder / "pipeline.yaml")])
        first, _, rest = capsys.readouterr().out.partition("\n")
        assert "the config is fine" in first
        return code, rest

    return run


def test_where_all_is_in_order_nothing_is_said(check: Check) -> None:
    assert check() == (0, "")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("app.pfx", ["credentials.with-pfx.certificate.pfx"]),
        ("app.key", ["credentials.with-pem.certificate.private_key"]),
        ("app.pem", ["credentials.with-pem.certificate.public"]),
        ("proxy.pem", ["sources.contoso.ca_file"]),
        ("ca.pem", ["sinks.siem.tls.ca_file", "sinks.search.ca_file"]),
        ("ours.pem", ["sinks.siem.tls.client_certificate"]),
        ("ours.key", ["sinks.siem.tls.client_key"]),
    ],
)
@pytest.mark.parametrize("how", ["missing", "a folder"])
def test_a_file_that_is_not_there_is_an_error(folder: Path, check: Check, name: str, options: list[str], how: str) -> None:
    (folder / name).unlink()
    if how == "a folder":
        (folder / name).mkdir()
    reason = "can't be read: No such file or directory" if how == "missing" else "is no file"
    code, said = check()
    assert code == 3
    first, others = options[0], options[1:]
    assert said == f"ERROR    {first}: {folder / name}: {reason}\n           -> check the path\n" + "".join(
        f"ERROR    {first}: {folder / name}: the same for {option}\n" for option in others
    )


@pytest.mark.parametrize("name", ["app.pfx", "app.key", "ours.key", "passphrase"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_secret_that_others_can_read_is_named_with_what_to_type(folder: Path, check: Check, name: str, mode: int) -> None:
    (folder / name).chmod(mode)
    code, said = check()
    assert code == 0
    assert f"other users can read the secret in {folder / name} (mode {mode:04o}): chmod 600 {folder / name}\n" in said
    assert said.count("weakened") == 1


def test_a_certificate_file_with_its_key_in_it_is_a_secret(folder: Path, check: Check) -> None:
    (folder / "ours.pem").write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n")
    assert f": chmod 600 {folder / 'ours.pem'}\n" in check()[1]


# --- the state directory -------------------------------------------------------------------------------------------------


def test_a_state_directory_that_can_not_be_made_is_an_error(folder: Path, check: Check) -> None:
    (folder / "state").write_text("a file")
    code, said = check()
    assert code == 3
    assert f"ERROR    state_dir: {folder / 'state'}: can't be made: {folder / 'state'} is no folder" in said
    assert said.count("check `state_dir`") == 1


def test_folders_that_can_not_be_written_to_are_errors_with_one_remedy_each(
    folder: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user without the right sees them; root may write everywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    code, said = check()
    assert code == 3
    assert f"ERROR    state_dir: {folder / 'state'}: can't be made: {folder} can't be written to" in said
    assert f"ERROR    local: folder {folder / 'out'}: {folder} can't be written to" in said
    assert (said.count("check `state_dir`"), said.count("check `path`")) == (1, 1)


@pytest.mark.parametrize(("free_mib", "level", "code"), [(20, "ERROR  ", 3), (500, "warning", 0)])
def test_a_disk_that_is_nearly_full_is_named(
    folder: Path, check: Check, monkeypatch: pytest.MonkeyPatch, free_mib: int, level: str, code: int
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": free_mib << 20})())
    found, said = check()
    assert found == code
    assert f"{level}  state_dir: {folder / 'state'}: only {free_mib} MiB are free\n           -> make room" in said


@pytest.fixture
def state_dir(folder: Path) -> Path:
    """The state directory of a pipeline that has run."""
    open_journal(folder / "state", FakeClock()).close()
    return folder / "state"


def test_loose_modes_in_the_state_directory_are_named(state_dir: Path, check: Check) -> None:
    state_dir.chmod(0o755)
    (state_dir / FILE_NAME).chmod(0o644)
    code, said = check()
    assert code == 0
    assert f"-> chmod 700 {state_dir}" in said
    assert f"-> chmod 600 {state_dir / FILE_NAME}" in said


def test_a_journal_cut_to_nothing_is_an_error(state_dir: Path, check: Check) -> None:
    os.truncate(state_dir / FILE_NAME, 0)
    code, said = check()
    assert code == 3
    assert "is empty, which it never is by itself" in said


def test_a_journal_older_than_its_mark_is_named_and_nothing_changed(state_dir: Path, check: Check) -> None:
    known = read_mark(state_dir / MARK_NAME)
    assert known
    make_mark(state_dir / MARK_NAME, Generation(known.journal, known.transactions + 5))
    before = {path.name: path.read_bytes() for path in state_dir.iterdir()}
    code, said = check()
    assert code == 0
    assert "is 5 transactions older than it was" in said
    assert {path.name: path.read_bytes() for path in state_dir.iterdir()} == before


def test_a_link_in_the_state_directory_is_an_error(state_dir: Path, check: Check) -> None:
    (state_dir / "lock").unlink()
    (state_dir / "lock").symlink_to(state_dir / "elsewhere")
    code, said = check()
    assert code == 3
    assert f"{state_dir / 'lock'}: it is a symbolic link" in said


def test_a_damaged_journal_is_an_error(state_dir: Path, check: Check) -> None:
    (state_dir / FILE_NAME).write_bytes(b"no database" * 1000)
    code, said = check()
    assert code == 3
    assert "is damaged" in said


def test_an_output_that_is_not_ours_is_an_error_without_the_network(folder: Path, check: Check) -> None:
    (folder / "out").mkdir(mode=0o700)
    (folder / "out" / "audit.ndjson").symlink_to(folder / "precious")
    code, said = check()
    assert code == 3
    assert f"ERROR    local: file {folder / 'out' / 'audit.ndjson'}: it is a symbolic link" in said
