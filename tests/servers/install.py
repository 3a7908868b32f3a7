"""Installs what the real servers need: images where Docker answers, else Debian packages as root, and jars through Maven.

The receiver of Beats is built of Go modules.

Where everything is there it takes no time and no network.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from servers import docker_engine, installed
from servers.installed import HERE, NotInstalled, run_tool
from servers.process import is_root

KAFKA_JAVA = 17
ELASTICSEARCH8_JAVA = 17
ELASTICSEARCH9_JAVA = 21


def install() -> None:
    """Installs what is missing: images where Docker answers and can get them all, else what local processes need.

    Raises:
        NotInstalled: It can't; the message says what to install by hand.
    """
    if not docker_engine.has_all():
        _install_local()
    _install_lumberjack()


def _install_local() -> None:
    for note in docker_engine.notes:
        _say(note)
    _install_packages(missing_packages())
    fetch(installed.jar_folder("kafka"), _copied("kafka"))
    fetch(installed.jar_folder("elasticsearch8"), unpacked("elasticsearch8"))
    if has_java_for_elasticsearch9():
        fetch(installed.elasticsearch9_folder(), _compiled)
    else:
        _say(f"no JDK {ELASTICSEARCH9_JAVA} or newer here: Elasticsearch 8 serves the tests in the place of 9")


def _install_lumberjack() -> None:
    """Builds the receiver of Beats, which is no image anywhere; says so where there is no Go."""
    if not _is_there(lambda: installed.program("go")) and _may_install():
        _install_packages(["golang-go"])
    if _is_there(lambda: installed.program("go")):
        fetch(installed.lumberjack_folder(), _built)
    else:
        _say("no Go here: tests of the logstash sink with a real receiver are left out")


def has_java_for_elasticsearch9() -> bool:
    return _is_there(lambda: installed.java_home(ELASTICSEARCH9_JAVA, compiler=True))


def missing_packages() -> list[str]:
    """Returns the Debian packages that would bring what is not there, whoever installed the rest."""
    wanted = {
        "default-jdk-headless": _is_there(lambda: installed.java_home(KAFKA_JAVA)),
        "maven": _is_there(lambda: installed.program("mvn")),
        "postgresql": _is_there(installed.postgres_folder),
        "rsyslog": _is_there(lambda: installed.program("rsyslogd")),
        "rsyslog-gnutls": installed.rsyslog_has("lmnsd_gtls"),
        "rsyslog-relp": installed.rsyslog_has("imrelp"),
        "rsyslog-openssl": installed.rsyslog_has("lmnsd_ossl"),
    }
    return [package for package, is_there in wanted.items() if not is_there]


def _is_there(find: Callable[[], Path]) -> bool:
    try:
        find()
    except NotInstalled:
        return False
    return True


def _install_packages(packages: Sequence[str]) -> None:
    if not packages:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if not _may_install():
        raise NotInstalled(f"the test servers need more packages. As root: {' '.join(command)} (or what your system calls them)")
    _say(f"installing {', '.join(packages)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    run_tool(["apt-get", "-qq", "update"], environment)
    run_tool(command, environment)
    installed.forget_javas()


def _may_install() -> bool:
    return is_root() and shutil.which("apt-get") is not None


def fetch(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fills a folder of the cache; it appears whole or not at all."""
    if folder.is_dir():
        return
    _say(f"fetching {folder.name}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        made = Path(name, folder.name)
        made.mkdir()
        fill(made)
        made.rename(folder)


def _copied(name: str) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        _maven(name, "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'libs'}")

    return fill


def unpacked(name: str) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        _maven(name, "dependency:unpack-dependencies", "-DexcludeTransitive=true", f"-DoutputDirectory={folder}")

    return fill


def _compiled(folder: Path) -> None:
    _copied("elasticsearch9")(folder)
    javac = installed.java_home(ELASTICSEARCH9_JAVA, compiler=True) / "bin/javac"
    run_tool([str(javac), "-d", str(folder / "classes"), "-cp", f"{folder / 'libs'}/*", str(HERE / "TestNode.java")])


def _built(folder: Path) -> None:
    go = str(installed.program("go"))
    command = [go, "build", "-mod=readonly", "-trimpath", "-o", str(folder / "lumberjack"), "."]
    run_tool(command, {"GOTOOLCHAIN": "local"}, HERE / "lumberjack")


def _maven(name: str, *arguments: str) -> None:
    """Runs Maven with a copy of the project file, as it would write beside it."""
    with tempfile.TemporaryDirectory() as work:
        pom = shutil.copy(HERE / f"{name}.pom.xml", Path(work, "pom.xml"))
        run_tool([str(installed.program("mvn")), "-q", "-B", "-f", str(pom), *arguments])


def _say(text: str) -> None:
    print(f"servers: {text}", file=sys.stderr, flush=True)
