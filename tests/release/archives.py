"""Check the contents of the wheel and the source archive."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.release.environments import BrokenError

SHIPPED = ("runner/", "prompts/", "docs/", "tests/")
"""The folders that a source archive contains completely. `BESIDE` lists its other files."""

BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "action.yml", "pyproject.toml")
ADDED = (".gitignore", "PKG-INFO")
"""Files that the build adds to a source archive."""


def files_of(archive: Path) -> dict[str, bytes]:
    """Return the files of a wheel or source archive by path, without a source archive's top-level folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    files = {}
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            if file := source.extractfile(member):
                files[member.name.partition("/")[2]] = file.read()
    return files


def check_wheel(inside: Mapping[str, bytes], checkout: Path) -> None:
    """Check that a wheel is exactly the package and its metadata. Raise `BrokenError` if not."""
    package = {
        file.relative_to(checkout / "runner").as_posix(): file.read_bytes()
        for file in (checkout / "runner").rglob("*")
        if file.is_file()
    }
    modules = {name: content for name, content in inside.items() if ".dist-info/" not in name}
    _check_equal("the wheel", modules, package)
    if "mcprun/py.typed" not in inside:
        raise BrokenError("the wheel holds no mcprun/py.typed")
    _check_no_paths("the wheel", inside, checkout)


def check_source(inside: Mapping[str, bytes], checkout: Path) -> None:
    """Check that a source archive has exactly the shipped files of the checkout. Raise `BrokenError` if not."""
    files = {file.relative_to(checkout).as_posix(): file for file in checkout.rglob("*") if file.is_file()}
    shipped = {name: file.read_bytes() for name, file in files.items() if name.startswith(SHIPPED) or name in BESIDE}
    _check_equal(
        "the source archive", {name: content for name, content in inside.items() if name not in ADDED}, shipped
    )
    _check_no_paths("the source archive", inside, checkout)


def _check_equal(archive: str, inside: Mapping[str, bytes], expected: Mapping[str, bytes]) -> None:
    if missing := sorted(expected.keys() - inside.keys()):
        raise BrokenError(f"{archive} lacks {', '.join(missing)}")
    if unexpected := sorted(inside.keys() - expected.keys()):
        raise BrokenError(f"{archive} holds {', '.join(unexpected)}, which should not be there")
    if changed := sorted(name for name, content in expected.items() if inside[name] != content):
        raise BrokenError(f"{archive} has another {', '.join(changed)} than the checkout")


def _check_no_paths(archive: str, inside: Mapping[str, bytes], checkout: Path) -> None:
    """Check that no file contains the path of the checkout, which differs between machines."""
    for name, content in inside.items():
        if bytes(checkout) in content:
            raise BrokenError(f"{name} of {archive} names the folder that it was built in")
