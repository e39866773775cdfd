"""The trials of a release. Each uses its own folder and raises `BrokenError` if it fails."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.release import archives, bounds
from tests.release.environments import BrokenError, Environment, Uv, Version, create, run

CORE = ("python", "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider")
"""The default tests: `tests/unit` and `tests/integration`."""


def build(tools: Environment, checkout: Path, folder: Path) -> Path:
    """Build the source archive and the wheel from it, check the contents of both, and return the wheel."""
    tools.run("pip", "install", "-q", "build>=1.3,<2", cwd=folder)
    tools.run("python", "-m", "build", "--outdir", folder, checkout, cwd=folder)
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    archives.check_source(archives.files_of(source), checkout)
    archives.check_wheel(archives.files_of(wheel), checkout)
    return wheel


def install(python: Path, wheel: Path, checkout: Path, folder: Path) -> Environment:
    """Install the wheel alone, and run mcprun's commands in a folder that contains only the quickstart."""
    installed = create(python, folder / "venv")
    installed.run("pip", "install", "-q", wheel, cwd=folder)
    here = folder / "anywhere"
    here.mkdir()
    for file in (checkout / "prompts").glob("quickstart.*"):
        shutil.copy2(file, here)
    version = wheel.name.split("-")[1]
    _expect(installed.run("mcprun", "--version", cwd=here), version)
    _expect(installed.run("python", "-m", "mcprun", "--version", cwd=here), version)
    installed.run("mcprun", "batch", "quickstart.jsonl", "quickstart.py", cwd=here)
    expect_six_passed(here / "outputs" / "latest")
    _expect(installed.run("mcprun", "show", "latest", "two-questions", cwd=here), "divide{a: 15, b: 2}")
    installed.run("mcprun", "bless", "latest", "baseline", cwd=here)
    _expect(installed.run("mcprun", "diff", "baseline", "latest", cwd=here), "6 unchanged")
    files = re.findall(r"^ +(--[a-z-]+) FILE\b", installed.run("mcprun", "report", "--help", cwd=here), re.MULTILINE)
    installed.run("mcprun", "report", *(part for flag in files for part in (flag, f"report{flag}")), cwd=here)
    for flag in files:
        if not (here / f"report{flag}").stat().st_size:
            raise BrokenError(f"mcprun report {flag} wrote an empty file")
    if not files:
        raise BrokenError("mcprun report --help lists no option that takes a FILE")
    return installed


def expect_six_passed(latest: Path) -> None:
    """Check that a run has six passed queries, as the quickstart has."""
    counts = json.loads((latest / "run.json").read_bytes())["counts"]
    if counts["passed"] != 6:
        raise BrokenError(f"of the quickstart's six queries not all passed: {counts}")


def _expect(printed: str, part: str) -> None:
    if part not in printed:
        raise BrokenError(f"expected {part!r} in the output:\n{printed}")


def types(installed: Environment, checkout: Path, folder: Path) -> None:
    """Check the types of a program that imports the installed wheel, in a folder without the checkout."""
    program = shutil.copy2(checkout / "tests" / "typing" / "api.py", folder)
    python = ("--python-executable", installed.python)
    checker = create(installed.python, folder / "venv")
    checker.run("pip", "install", "-q", "mypy>=2,<3", cwd=folder)
    checker.run("mypy", "--strict", *python, program, cwd=folder)


def readme(uv: Uv, checkout: Path, folder: Path) -> None:
    """Run the first command of the README verbatim in a fresh checkout, and the uv command in another."""
    text = (checkout / "README.md").read_text(encoding="utf-8")
    command = re.findall(r"```console\n(.*?)```", text, re.DOTALL)[0]
    fresh, other = (shutil.copytree(checkout, folder / name) for name in ("fresh", "other"))
    run("bash", "-euc", command, cwd=fresh)
    expect_six_passed(fresh / "outputs" / "latest")
    with_uv = re.findall(r"`uv (run mcprun batch [^`]+)`", text)[0]
    uv.run(*with_uv.split(), cwd=other)
    expect_six_passed(other / "outputs" / "latest")


def oldest(uv: Uv, python: Path, checkout: Path, folder: Path) -> None:
    """Build, check the types and run the core tests with the lowest version of each requirement.

    Ray is left out: it is as large as all the rest, and the core tests do not need it.
    """
    requirements = [one for one in bounds.requirements(checkout / "pyproject.toml") if one.name != "ray"]
    (overrides := folder / "overrides.txt").write_text("ray; python_version < '3'\n", encoding="utf-8")
    environment = Environment(folder / "venv")
    uv.run("venv", "--python", python, environment.folder, cwd=folder)
    install = ("pip", "install", "--python", environment.python, "--resolution", "lowest-direct")
    uv.run(*install, *map(str, bounds.build_requirements(checkout / "pyproject.toml")), cwd=folder)
    uv.run(*install, "--overrides", overrides, "--no-build-isolation", f"{checkout}[dev]", cwd=folder)
    listed = uv.run("pip", "list", "--python", environment.python, "--format", "json", cwd=folder)
    installed = {canonicalize_name(one["name"]): one["version"] for one in json.loads(listed)}
    if reported := bounds.untested(requirements, installed):
        raise BrokenError("\n".join(reported))
    environment.run("mypy", "-p", "mcprun", "-p", "tests.typing", cwd=checkout, shown=True)
    environment.run(*CORE, cwd=checkout, shown=True)


def newest(python: Path, wheel: Path, checkout: Path, folder: Path) -> None:
    """Run the core tests with the wheel on the newest Python."""
    environment = create(python, folder / "venv")
    environment.run("pip", "install", "-q", f"{wheel}[test]", cwd=folder)
    environment.run(*CORE, cwd=checkout, shown=True)


def floor(checkout: Path) -> Version:
    """Return the oldest Python that `requires-python` allows."""
    found = re.search(r'requires-python = ">=(\d+)\.(\d+)"', (checkout / "pyproject.toml").read_text(encoding="utf-8"))
    if not found:
        raise BrokenError('pyproject.toml has no requires-python = ">=X.Y"')
    return int(found[1]), int(found[2])
