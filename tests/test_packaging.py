"""The wheel holds what the tree holds, under one top-level name."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_BUILD_FILES = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy: the build leaves its products beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    for name in _folders():
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _BUILD_FILES:
        shutil.copy(ROOT / name, tree)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, tree]
    subprocess.run(build, check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    shipped = {name.removeprefix("ualpipe/") for name in wheel.namelist() if name.startswith("ualpipe/")}
    assert shipped == {str(path.relative_to(ROOT)) for folder in _folders() for path in _files(ROOT / folder)}


def test_only_ualpipe_is_installed(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"ualpipe"}


def test_each_package_of_the_tree_is_named_in_the_build() -> None:
    """A folder with modules that is not in ``packages`` would be missing from the wheel without a word."""
    packages = _pyproject()["tool"]["setuptools"]["packages"]
    with_modules = {
        path.parent.relative_to(ROOT) for folder in _folders() for path in _files(ROOT / folder) if path.suffix == ".py"
    }
    assert {".".join(("ualpipe", *folder.parts)) for folder in with_modules} == set(packages)


def test_entry_points_name_modules_of_the_wheel(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read_string(wheel.read(next(name for name in names if name.endswith("/entry_points.txt"))).decode())
    modules = [target.split(":")[0] for section in parser.values() for target in section.values()]
    assert modules
    assert [
        module
        for module in modules
        if not {f"{module.replace('.', '/')}.py", f"{module.replace('.', '/')}/__init__.py"} & set(names)
    ] == []


def test_wheel_carries_licence_and_type_marker(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "ualpipe/pipeline/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def _pyproject() -> dict[str, dict[str, dict[str, list[str]]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _folders() -> set[str]:
    """Returns the top-level folders of the packages."""
    return {folder.split("/")[0] for folder in _pyproject()["tool"]["setuptools"]["package-dir"].values()}


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
