"""Install each candidate once per machine, into its own folder below `.cache/servers` or another cache."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from tests.release.environments import BrokenError, create, run
from tests.servers_table.candidates import Candidate

CACHE = Path(__file__).parents[2] / ".cache" / "servers"

_NPM = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")


@dataclass(frozen=True)
class Installed:
    """The program that starts an installed server, and the version of its package."""

    program: Path
    version: str


def install(candidate: Candidate, cache: Path = CACHE) -> Installed:
    """Install a candidate below `cache` if necessary, and return its program and version. Raise as `install_packages`."""
    folder = install_packages(candidate, cache)
    return _from_npm(candidate, folder) if candidate.registry == "npm" else _from_pypi(candidate, folder)


def install_packages(candidate: Candidate, cache: Path = CACHE) -> Path:
    """Install a candidate's packages below `cache` if necessary. Return the folder that has `node_modules` or `venv`.

    Install scripts of npm packages are not run. Each PyPI package gets its own virtual environment, because some
    servers need another version of the MCP SDK than mcprun. An interrupted installation is repeated.

    Raises:
        BrokenError: npm or pip failed. Its message is their output.
    """
    folder = cache / candidate.registry.lower() / re.sub(r"[^a-z0-9.-]+", "_", candidate.package.lower())
    done = folder / "installed.txt"
    requirements = "\n".join(candidate.requirements)
    if done.is_file() and done.read_text() == requirements:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if candidate.registry == "npm":
        run(*_NPM, "--prefix", folder, *candidate.requirements, cwd=folder)
    else:
        environment = create(Path(sys.executable), folder / "venv")
        environment.run("pip", "install", "-q", *candidate.requirements, cwd=folder)
    done.write_text(requirements)
    return folder


def npm_manifest(candidate: Candidate, folder: Path) -> dict[str, Any]:
    """Return the `package.json` of a candidate from npm that is installed in a folder."""
    manifest: dict[str, Any] = json.loads((folder / "node_modules" / candidate.package / "package.json").read_bytes())
    return manifest


def _from_npm(candidate: Candidate, folder: Path) -> Installed:
    manifest = npm_manifest(candidate, folder)
    bins = manifest["bin"]
    if isinstance(bins, str):
        bins = {candidate.package.rpartition("/")[2]: bins}
    return Installed(folder / "node_modules" / ".bin" / (candidate.program or next(iter(bins))), manifest["version"])


def _from_pypi(candidate: Candidate, folder: Path) -> Installed:
    (packages,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    for found in distributions(name=candidate.package, path=[str(packages)]):
        return Installed(folder / "venv" / "bin" / (candidate.program or candidate.package), found.version)
    raise BrokenError(f"{candidate.package} was installed but has no metadata")
