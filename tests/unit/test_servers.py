"""Where the test servers' programs are looked for, and what is said when they are missing."""

from __future__ import annotations

import string
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from servers import elasticsearch, install, installed
from servers.installed import NotInstalled
from servers.missing import missing


@pytest.fixture
def javas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a JRE 17, a JDK 21 and a JDK 25, and no other Java in sight."""
    for version, programs in ((17, ["java"]), (21, ["java", "javac"]), (25, ["java", "javac"])):
        home = tmp_path / str(version)
        (home / "bin").mkdir(parents=True)
        (home / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{version}.0.4"\n')
        for program in programs:
            (home / "bin" / program).touch()
        monkeypatch.setenv(f"JAVA_HOME_{version}", str(home))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installed, "JAVA_HOMES", tmp_path / "none")
    installed.forget_javas()
    yield tmp_path
    installed.forget_javas()


def test_oldest_java_that_fits_is_taken(javas: Path) -> None:
    assert installed.java_home(17) == javas / "17"
    assert installed.java_home(18) == javas / "21"


def test_java_without_compiler_is_passed_over_where_one_is_needed(javas: Path) -> None:
    assert installed.java_home(17, compiler=True) == javas / "21"


def test_missing_java_is_told_with_the_way_to_get_it(javas: Path) -> None:
    with pytest.raises(NotInstalled, match=r"no Java 26 or newer: run `make servers`"):
        installed.java_home(26)


def test_an_older_elasticsearch_in_the_place_of_the_newest_is_told_at_the_end_of_the_run(
    javas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch, "notes", [])
    assert (elasticsearch.local_version(), elasticsearch.notes) == ("9", [])
    for version in (21, 25):
        monkeypatch.delenv(f"JAVA_HOME_{version}")
    installed.forget_javas()
    assert elasticsearch.local_version() == "8"
    lines: list[str] = []
    conftest = next(plugin for plugin in sys.modules.values() if getattr(plugin, "elasticsearch_server", None) is elasticsearch)
    conftest.pytest_terminal_summary(SimpleNamespace(write_line=lines.append))
    assert "servers: Elasticsearch 8 served the tests in the place of 9, which needs a JDK 21 or newer" in "\n".join(lines)


def test_cache_is_in_the_checkout_unless_the_user_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert installed.cache_folder() == installed.CHECKOUT / ".cache/servers"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert installed.cache_folder() == tmp_path / "ualpipe"


def test_another_version_is_fetched_into_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "HERE", tmp_path)
    (tmp_path / "kafka.pom.xml").write_text("<version>1</version>")
    first = installed.jar_folder("kafka")
    (tmp_path / "kafka.pom.xml").write_text("<version>2</version>")
    assert installed.jar_folder("kafka") != first


def test_folder_that_is_not_there_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="kafka-1 is not installed"):
        installed.require(tmp_path / "kafka-1")


def test_who_may_not_install_packages_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "missing_packages", lambda: ["maven", "rsyslog"])
    monkeypatch.setattr(install, "is_root", lambda: False)
    with pytest.raises(NotInstalled, match=r"As root: apt-get install .*maven rsyslog"):
        install.install()


def test_failed_tool_is_told_with_its_output() -> None:
    with pytest.raises(NotInstalled, match=r"(?s)sh -c .* failed \(3\):\nno such thing"):
        installed.run_tool(["sh", "-c", "echo no such thing >&2; exit 3"])


@pytest.mark.parametrize(("required", "outcome"), [("1", pytest.fail.Exception), ("0", pytest.skip.Exception)])
def test_missing_server_skips_and_fails_where_it_is_required(
    required: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UALPIPE_REQUIRE_SERVERS", required)
    with pytest.raises(outcome, match="no broker"):
        missing("no broker")


@pytest.mark.parametrize("name", ["server.properties", "rsyslog.conf", "rsyslog_relp.conf"])
def test_templates_have_no_stray_dollar(name: str) -> None:
    assert string.Template((installed.HERE / name).read_text()).is_valid()
