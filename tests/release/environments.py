"""Pythons that the machine has, virtual environments made of them, and uv with the settings that pip has."""

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
"""After this long, a step counts as hanging."""

_OURS = re.compile(r"PYTHON|VIRTUAL_ENV$|PYTEST|ANTHROPIC_|MCPRUN_")
"""Variables that would let this environment, or a key, into another one."""

_PIP_AS_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}

Version = tuple[int, int]
"""Of Python: (3, 11)."""


class BrokenError(Exception):
    """A promise about the release does not hold; the message says which, and what a command printed."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment. Commands are run in it from any folder, and see nothing of the one that this runs in."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    def run(self, *command: str | Path, cwd: Path, shown: bool = False) -> str:
        """Run a command and give what it printed on stdout; with `shown` it is printed and not given."""
        active = {"VIRTUAL_ENV": str(self.folder), "PATH": f"{self.folder / 'bin'}{os.pathsep}{_path()}"}
        return run(*command, cwd=cwd, env=active, shown=shown)


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None, shown: bool = False) -> str:
    """Run a command outside every virtual environment, without standard input; raises `BrokenError` when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=_outside() | dict(env or {}), stdin=subprocess.DEVNULL, text=True, timeout=SECONDS, check=False,
        stdout=None if shown else subprocess.PIPE, stderr=None if shown else subprocess.PIPE,
    )  # fmt: skip
    if done.returncode:
        line = " ".join(str(part) for part in command)
        raise BrokenError(f"exit code {done.returncode}: {line}\n{done.stdout or ''}{done.stderr or ''}")
    return done.stdout or ""


def _outside() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    return kept | {"PATH": _path()}


def _path() -> str:
    own = str(Path(sys.executable).parent)
    return os.pathsep.join(part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != own)


def pythons(least: Version) -> dict[Version, Path]:
    """Find the Pythons of this machine that are no older than `least`: those on the path, and pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path(part) for part in _path().split(os.pathsep)]
    folders += sorted((root / "versions").glob("*/bin"))
    found: dict[Version, Path] = {}
    for file in (file for folder in folders for file in sorted(folder.glob("python3*"))):
        name = re.fullmatch(r"python3(?:\.(\d+))?", file.name)
        version = _version(file) if name and (3, int(name[1] or least[1])) >= least else None
        if version and version >= least:
            found.setdefault(version, file)
    return dict(sorted(found.items()))


def _version(python: Path) -> Version | None:
    """Ask a Python for its version; one that does not run, is no final CPython or can't make environments has none."""
    code = "import ensurepip, sys; print(*sys.version_info[:2], sys.version_info.releaselevel, sys.implementation.name)"
    try:
        done = subprocess.run(
            [python, "-c", code], env=_outside(), capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor, *kind = done.stdout.split()
    return (int(major), int(minor)) if kind == ["final", "cpython"] else None


def make(python: Path, folder: Path) -> Environment:
    """Make a virtual environment that has nothing but pip."""
    run(python, "-m", "venv", folder, cwd=folder.parent)
    return Environment(folder)


def uv_settings(pip_config: Iterable[str]) -> dict[str, str]:
    """Return uv's variables for the package indexes that pip uses, from the lines of `pip config list`.

    What the environment says comes before what files say, and where several files speak, pip has merged them already.
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
    """uv, with the variables that it needs."""

    program: Path
    settings: Mapping[str, str]

    @classmethod
    def install(cls, environment: Environment) -> Uv:
        """Install uv into an environment."""
        environment.run("pip", "install", "-q", "uv>=0.9,<1", cwd=environment.folder)
        config = environment.run("pip", "config", "list", cwd=environment.folder)
        return cls(environment.folder / "bin" / "uv", uv_settings(config.splitlines()))

    def run(self, *arguments: str | Path, cwd: Path) -> str:
        """Run uv."""
        return run(self.program, *arguments, cwd=cwd, env=self.settings)


def copy(checkout: Path, folder: Path) -> Path:
    """Copy the files of a checkout that git knows or would add, and nothing that lies there besides."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=checkout)
    for name in listed.split("\0")[:-1]:
        if (checkout / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, folder / name)
    return folder
