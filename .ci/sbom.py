"""Writes the software bill of materials of what a user installs, as CycloneDX JSON: ``sbom.py LOCK_FILE OUTPUT``.

Names, versions and hashes come from the lock file; licences and what needs what from the packages as they are installed here.
The same lock file gives the same bytes.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_SPDX = re.compile(r"^[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*$")


def main(lock_file: Path, output: Path) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    components = list(locked(lock_file.read_text(encoding="utf-8")))
    root = component(project["name"], project["version"], [], project["license"])
    bom = Bom(components=components, metadata=BomMetaData(component=root))
    bom.serial_number = uuid5(NAMESPACE_URL, lock_file.read_text(encoding="utf-8") + project["version"])
    bom.metadata.timestamp = None
    extras = [name for group in project["optional-dependencies"].values() for name in group]
    bom.register_dependency(root, needed([*project["dependencies"], *extras], components))
    for found in components:
        bom.register_dependency(found, needed(installed_requirements(found.name), components))
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(f"{text}\n", encoding="utf-8")
    sys.stdout.write(f"{output}: {len(components)} components\n")


def locked(text: str) -> Iterator[Component]:
    """Yields the packages of a lock file; one that is locked for several versions of Python comes several times."""
    for entry in re.split(r"\n(?=\S)", text):
        if pinned := _PINNED.match(entry):
            name = canonicalize_name(pinned[1])
            yield component(name, pinned[2], _HASH.findall(entry), installed_licence(name))


def component(name: str, version: str, hashes: list[str], licence: str | None) -> Component:
    return Component(
        name=name,
        version=version,
        type=ComponentType.APPLICATION if not hashes else ComponentType.LIBRARY,
        bom_ref=f"{name}@{version}",
        purl=PackageURL("pypi", None, name, version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=found) for found in sorted(hashes)],
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
    )


def installed_licence(name: str) -> str | None:
    """Returns the licence that a package declares as an SPDX expression; None where it declares none, or is not installed."""
    try:
        declared = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:  # one for other platforms
        return None
    found = declared.get("License-Expression") or declared.get("License") or ""
    return found if _SPDX.match(found) else None


def installed_requirements(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def needed(requirements: list[str], components: list[Component]) -> list[Component]:
    """Returns those components that requirements name, markers for other platforms and extras aside."""
    names = {canonicalize_name(Requirement(text).name) for text in requirements}
    return [found for found in components if found.name in names]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
