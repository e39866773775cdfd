"""The wheel and the source archive: what is inside, and what is not."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.release.environments import BrokenError

SHIPPED = ("runner/", "prompts/", "docs/", "tests/")
"""The folders that a source archive holds whole; of what lies beside them, `BESIDE`."""

BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "action.yml", "pyproject.toml")
ADDED = (".gitignore", "PKG-INFO")
"""What the build adds to a source archive."""


def files_of(archive: Path) -> dict[str, bytes]:
    """Read the files of a wheel or a source archive, without the folder that a source archive puts them into."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    found = {}
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            if file := source.extractfile(member):
                found[member.name.partition("/")[2]] = file.read()
    return found


def check_wheel(inside: Mapping[str, bytes], checkout: Path) -> None:
    """Hold that a wheel is the package, byte for byte, and its metadata; raises `BrokenError`."""
    package = {
        file.relative_to(checkout / "runner").as_posix(): file.read_bytes()
        for file in (checkout / "runner").rglob("*")
        if file.is_file()
    }
    modules = {name: content for name, content in inside.items() if ".dist-info/" not in name}
    _same("the wheel", modules, package)
    if "mcprun/py.typed" not in inside:
        raise BrokenError("the wheel holds no mcprun/py.typed")
    _no_paths("the wheel", inside, checkout)


def check_source(inside: Mapping[str, bytes], checkout: Path) -> None:
    """Hold that a source archive is the checkout, byte for byte, as far as it is shipped; raises `BrokenError`."""
    files = {file.relative_to(checkout).as_posix(): file for file in checkout.rglob("*") if file.is_file()}
    shipped = {name: file.read_bytes() for name, file in files.items() if name.startswith(SHIPPED) or name in BESIDE}
    _same("the source archive", {name: content for name, content in inside.items() if name not in ADDED}, shipped)
    _no_paths("the source archive", inside, checkout)


def _same(archive: str, inside: Mapping[str, bytes], expected: Mapping[str, bytes]) -> None:
    if gone := sorted(expected.keys() - inside.keys()):
        raise BrokenError(f"{archive} lacks {', '.join(gone)}")
    if more := sorted(inside.keys() - expected.keys()):
        raise BrokenError(f"{archive} holds {', '.join(more)}, which should not be there")
    if changed := sorted(name for name, content in expected.items() if inside[name] != content):
        raise BrokenError(f"{archive} has another {', '.join(changed)} than the checkout")


def _no_paths(archive: str, inside: Mapping[str, bytes], checkout: Path) -> None:
    """The folder that it was built in is nobody's business, and would differ from machine to machine."""
    for name, content in inside.items():
        if bytes(checkout) in content:
            raise BrokenError(f"{name} of {archive} names the folder that it was built in")
