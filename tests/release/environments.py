"""The Pythons of this machine, virtual environments for them, and uv with pip's settings."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SECONDS = 1800.0
"""The time limit of a step."""

_OURS = re.compile(r"PYTHON|VIRTUAL_ENV$|PYTEST|ANTHROPIC_|MCPRUN_")
"""Variables that would leak this environment or an API key into another one."""

_PIP_AS_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}

Version = tuple[int, int]
"""A Python version, such as (3, 11)."""


class BrokenError(Exception):
    """A trial failed. The message names the failure, with the output of its command."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment. Its commands are isolated from the environment of this process."""

    folder: Path

    @property
    def python(self) -> Path:
        """The path of its Python."""
        return self.folder / "bin" / "python"

    def run(self, *command: str | Path, cwd: Path, shown: bool = False) -> str:
        """Run a command and return its stdout, or print it and return '' if `shown`."""
        active = {"VIRTUAL_ENV": str(self.folder), "PATH": f"{self.folder / 'bin'}{os.pathsep}{_path()}"}
        return run(*command, cwd=cwd, env=active, shown=shown)


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None, shown: bool = False) -> str:
    """Run a command outside any virtual environment, without stdin. Raise `BrokenError` if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=_clean_variables() | dict(env or {}), stdin=subprocess.DEVNULL, text=True, timeout=SECONDS, check=False,
        stdout=None if shown else subprocess.PIPE, stderr=None if shown else subprocess.PIPE,
    )  # fmt: skip
    if done.returncode:
        line = " ".join(str(part) for part in command)
        raise BrokenError(f"exit code {done.returncode}: {line}\n{done.stdout or ''}{done.stderr or ''}")
    return done.stdout or ""


def _clean_variables() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    return inherited | {"PATH": _path()}


def _path() -> str:
    own = str(Path(sys.executable).parent)
    return os.pathsep.join(part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != own)


def pythons(minimum: Version) -> dict[Version, Path]:
    """Return the Pythons of this machine, on PATH or from pyenv, that are at least `minimum`, oldest first."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path(part) for part in _path().split(os.pathsep)]
    folders += sorted((root / "versions").glob("*/bin"))
    pythons_by_version: dict[Version, Path] = {}
    for file in (file for folder in folders for file in sorted(folder.glob("python3*"))):
        name = re.fullmatch(r"python3(?:\.(\d+))?", file.name)
        version = _version(file) if name and (3, int(name[1] or minimum[1])) >= minimum else None
        if version and version >= minimum:
            pythons_by_version.setdefault(version, file)
    return dict(sorted(pythons_by_version.items()))


def _version(python: Path) -> Version | None:
    """Return the version of a Python, or None unless it is a final CPython that runs and has ensurepip."""
    code = "import ensurepip, sys; print(*sys.version_info[:2], sys.version_info.releaselevel, sys.implementation.name)"
    try:
        done = subprocess.run(
            [python, "-c", code], env=_clean_variables(), capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor, *kind = done.stdout.split()
    return (int(major), int(minor)) if kind == ["final", "cpython"] else None


def create(python: Path, folder: Path) -> Environment:
    """Create a virtual environment that contains only pip."""
    run(python, "-m", "venv", folder, cwd=folder.parent)
    return Environment(folder)


def uv_settings(pip_config: Iterable[str]) -> dict[str, str]:
    """Return uv's variables for the package indexes that pip uses, from the lines of `pip config list`.

    Environment variables take precedence over files. pip has already merged its files.
    """
    settings: dict[str, str] = {}
    for line in sorted(pip_config, key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        if variable := _PIP_AS_UV.get(name.rsplit(".", 1)[-1]):
            settings[variable] = " ".join(str(ast.literal_eval(value)).split())
    if "UV_FIND_LINKS" in settings:
        settings["UV_FIND_LINKS"] = settings["UV_FIND_LINKS"].replace(" ", ",")
    return settings | {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_PYTHON_DOWNLOADS": "never"}


@dataclass(frozen=True)
class Uv:
    """The uv program and its environment variables."""

    program: Path
    settings: Mapping[str, str]

    @classmethod
    def install(cls, environment: Environment) -> Uv:
        """Install uv into an environment."""
        environment.run("pip", "install", "-q", "uv>=0.9,<1", cwd=environment.folder)
        config = environment.run("pip", "config", "list", cwd=environment.folder)
        return cls(environment.folder / "bin" / "uv", uv_settings(config.splitlines()))

    def run(self, *arguments: str | Path, cwd: Path) -> str:
        """Run uv, and return its stdout."""
        return run(self.program, *arguments, cwd=cwd, env=self.settings)


def copy(checkout: Path, folder: Path) -> Path:
    """Copy the files of a checkout that git tracks or would add, without ignored files. Return `folder`."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=checkout)
    for name in listed.split("\0")[:-1]:
        if (checkout / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, folder / name)
    return folder
