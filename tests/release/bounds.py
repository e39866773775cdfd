"""The requirements of `pyproject.toml` and their bounds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

_LOWER = {">=", "==", "~="}
_UPPER = {"<", "<=", "==", "~="}


def requirements(pyproject: Path) -> list[Requirement]:
    """Return all requirements: to build, to run and of every extra, except those on the project itself."""
    settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    project = settings["project"]
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    own = canonicalize_name(project["name"])
    return build_requirements(pyproject) + [
        one for one in map(Requirement, lines) if canonicalize_name(one.name) != own
    ]


def build_requirements(pyproject: Path) -> list[Requirement]:
    """Return the build requirements."""
    return list(map(Requirement, tomllib.loads(pyproject.read_text(encoding="utf-8"))["build-system"]["requires"]))


def unbounded(requirements: Iterable[Requirement]) -> list[str]:
    """Return the requirements that lack a lower or an upper bound."""
    return [
        str(one)
        for one in requirements
        if not {part.operator for part in one.specifier} & _LOWER
        or not {part.operator for part in one.specifier} & _UPPER
    ]


def lowest(requirement: Requirement) -> Version:
    """Return the lowest version that a requirement allows."""
    return max(Version(part.version) for part in requirement.specifier if part.operator in _LOWER)


def untested(requirements: Iterable[Requirement], installed: Mapping[NormalizedName, str]) -> list[str]:
    """Describe the requirements whose lowest version is not installed and was therefore not tested.

    `installed` maps normalised package names to versions.
    """
    lines = []
    for one in requirements:
        found = installed.get(canonicalize_name(one.name))
        if found is None or _release(Version(found)) != _release(lowest(one)):
            lines.append(f"{one.name} {lowest(one)} is never tried: {found or 'nothing'} was installed")
    return lines


def _release(version: Version) -> tuple[int, ...]:
    """Return major, minor and micro. Stub packages append a date, which is ignored."""
    return version.major, version.minor, version.micro
