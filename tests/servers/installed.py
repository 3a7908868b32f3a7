"""Where the servers' programs are: Java, rsyslog, and what was fetched or built into our cache folder."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
JAVA_HOMES = Path("/usr/lib/jvm")
POSTGRES_HOMES = Path("/usr/lib/postgresql")  # as Debian has them, which keeps the servers off the path
OLDEST_POSTGRES = 15

_SHOWN_OUTPUT = 4000


class NotInstalled(Exception):
    """A program is missing; the message says how to get it."""


def cache_folder() -> Path:
    """Returns the folder for what is downloaded: below ``XDG_CACHE_HOME`` where that is set, else in the checkout."""
    shared = os.environ.get("XDG_CACHE_HOME")
    return Path(shared, "ualpipe") if shared else CHECKOUT / ".cache" / "servers"


def jar_folder(name: str, *more_sources: str) -> Path:
    """Returns the folder that the artifacts of ``NAME.pom.xml`` belong in; another version has another folder."""
    digest = hashlib.sha256()
    for source in (f"{name}.pom.xml", *more_sources):
        digest.update((HERE / source).read_bytes())
    return cache_folder() / f"{name}-{digest.hexdigest()[:12]}"


def elasticsearch9_folder() -> Path:
    return jar_folder("elasticsearch9", "TestNode.java")


def lumberjack_folder() -> Path:
    """Returns the folder that the receiver of Beats belongs in; another source has another folder."""
    digest = hashlib.sha256()
    for source in sorted((HERE / "lumberjack").iterdir()):
        digest.update(source.read_bytes())
    return cache_folder() / f"lumberjack-{digest.hexdigest()[:12]}"


def require(folder: Path) -> Path:
    """Returns the folder.

    Raises:
        NotInstalled: It is not there.
    """
    if not folder.is_dir():
        raise NotInstalled(f"{folder.name} is not installed: run `make servers`")
    return folder


def java_home(minimum: int, *, compiler: bool = False) -> Path:
    """Returns the home of the oldest Java of at least this version.

    Args:
        minimum: Major version.
        compiler: It must hold a compiler too.

    Raises:
        NotInstalled: There is none.
    """
    wanted = "bin/javac" if compiler else "bin/java"
    fit = [(version, home) for version, home in _javas() if version >= minimum and (home / wanted).exists()]
    if not fit:
        raise NotInstalled(f"no Java {minimum} or newer: run `make servers`, or set JAVA_HOME")
    return min(fit)[1]


def program(name: str) -> Path:
    """Returns a program that is on the path or where Debian keeps those of the system.

    Raises:
        NotInstalled: It is in neither.
    """
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin")))
    if found is None:
        raise NotInstalled(f"no {name}: run `make servers`")
    return Path(found)


def postgres_folder() -> Path:
    """Returns the folder with the programs of the oldest PostgreSQL that ualpipe works with.

    Raises:
        NotInstalled: There is none.
    """
    found = [(int(path.parent.name), path) for path in POSTGRES_HOMES.glob("*/bin") if path.parent.name.isdigit()]
    fit = [(version, path) for version, path in found if version >= OLDEST_POSTGRES and (path / "initdb").exists()]
    if not fit:
        raise NotInstalled(f"no PostgreSQL {OLDEST_POSTGRES} or newer: run `make servers`")
    return min(fit)[1]


def rsyslog_has(module: str) -> bool:
    """Whether rsyslog's module (``lmnsd_gtls``) is installed."""
    return any(found for folders in ("lib*", "lib/*") for found in Path("/usr").glob(f"{folders}/rsyslog/{module}.so"))


def run_tool(command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
    """Runs a program to its end, in a folder if one is named.

    Raises:
        NotInstalled: It failed; the message ends with what it said.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotInstalled(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout[-_SHOWN_OUTPUT:]}")


def forget_javas() -> None:
    """Looks for Java anew at the next question."""
    _javas.cache_clear()


@functools.cache
def _javas() -> list[tuple[int, Path]]:
    named = [Path(value) for name, value in os.environ.items() if name.startswith("JAVA_HOME") and value]
    on_path = shutil.which("java")
    homes = [*named, *JAVA_HOMES.glob("*"), *([Path(on_path).resolve().parent.parent] if on_path else [])]
    found = {home.resolve() for home in homes if (home / "bin/java").exists()}
    return sorted((_java_version(home), home) for home in found)


def _java_version(home: Path) -> int:
    """Returns the major version of a Java: its ``release`` file tells, without starting it, in all but odd builds."""
    release = home / "release"
    if release.exists() and (match := re.search(r'^JAVA_VERSION="(\d+)', release.read_text(encoding="utf-8"), re.MULTILINE)):
        return int(match[1])
    said = subprocess.run([home / "bin/java", "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0
