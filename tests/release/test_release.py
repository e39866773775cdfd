"""Version bounds, archives and settings of a release."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mcprun
from tests.release.archives import check_source, check_wheel, files_of
from tests.release.bounds import lowest, requirements, unbounded, untested
from tests.release.environments import BrokenError, uv_settings
from tests.release.trials import expect_six_passed, floor
from tests.support.cli import QUICKSTART, ROOT, run_mcprun

PYPROJECT = ROOT / "pyproject.toml"

numbers = st.integers(0, 99)


def test_every_requirement_has_both_bounds() -> None:
    """Every requirement, of the tests too, has a lower bound that was tested and an upper bound."""
    needed = requirements(PYPROJECT)
    assert {"hatchling", "mcp", "genai-prices", "pytest", "mypy"} <= {one.name for one in needed}
    assert unbounded(needed) == []


def test_upper_bounds_allow_at_most_one_major_version() -> None:
    """An upper bound is at most the next major version, except for pip, pytest and rich."""
    wide = {
        one.name
        for one in requirements(PYPROJECT)
        for part in one.specifier
        if part.operator == "<" and int(part.version.split(".")[0]) > lowest(one).major + 1
    }
    assert wide == {"pip", "pytest", "rich"}


@pytest.mark.parametrize("line", ["a", "a>=1", "a<2", "a!=1.5", "a<2,>1"])
def test_requirements_without_both_bounds_are_reported(line: str) -> None:
    """A single bound is not enough, and an excluded version is not a bound."""
    assert unbounded([Requirement(line), Requirement("b>=1,<2"), Requirement("c~=1.1"), Requirement("d==1")]) == [line]


@given(minimum=st.tuples(numbers, numbers), installed_version=st.tuples(numbers, numbers, numbers))
def test_a_lowest_version_counts_as_tested_only_if_installed(
    minimum: tuple[int, int], installed_version: tuple[int, int, int]
) -> None:
    """A lower bound is tested if exactly that version is installed, even if it is written with fewer parts."""
    needed = Requirement(f"Some_Thing>={minimum[0]}.{minimum[1]},<100")
    installed = {canonicalize_name("some-thing"): ".".join(map(str, installed_version))}
    descriptions = untested([needed], installed)
    assert bool(descriptions) == (installed_version != (*minimum, 0))
    assert untested([needed], {}) == [f"Some_Thing {minimum[0]}.{minimum[1]} is never tried: nothing was installed"]


def test_the_date_in_a_stub_version_is_ignored() -> None:
    """A stub package with a date after its version satisfies the bound of that version."""
    assert untested([Requirement("types-x>=4.23,<5")], {canonicalize_name("types-x"): "4.23.0.20240712"}) == []


def test_uv_uses_the_package_indexes_of_pip() -> None:
    """Environment variables take precedence, lists are converted to uv's format, and uv never downloads a Python."""
    lines = [
        ":env:.cert='/etc/ours.crt'",
        ":env:.default-timeout='180'",
        "global.cert='/etc/ssl.crt'",
        "global.extra-index-url='file:///a\\nfile:///b'",
        "global.find-links='/x /y'",
        "global.index-url='https://packages.example/simple'",
    ]
    always = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_PYTHON_DOWNLOADS": "never"}
    assert uv_settings(lines) == always | {
        "SSL_CERT_FILE": "/etc/ours.crt",
        "UV_INDEX": "file:///a file:///b",
        "UV_FIND_LINKS": "/x,/y",
        "UV_DEFAULT_INDEX": "https://packages.example/simple",
    }
    assert uv_settings([]) == always


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Create a small checkout."""
    folder = tmp_path / "checkout"
    for name in ("runner/mcprun/__init__.py", "runner/mcprun/py.typed", "runner/mcprun/templates/a.html", "tests/t.py",
                 "README.md", "CHANGELOG.md", ".ci/run"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    return folder


WHEEL = {
    name.removeprefix("runner/"): f"{name}\n".encode()
    for name in ("runner/mcprun/__init__.py", "runner/mcprun/py.typed", "runner/mcprun/templates/a.html")
} | {"mcprun-1.dist-info/METADATA": b"Name: mcprun\n"}

SOURCE = {
    name: f"{name}\n".encode()
    for name in ("runner/mcprun/__init__.py", "runner/mcprun/py.typed", "runner/mcprun/templates/a.html", "tests/t.py",
                 "README.md", "CHANGELOG.md")
} | {"PKG-INFO": b"", ".gitignore": b""}  # fmt: skip


def test_complete_archives_are_accepted(checkout: Path) -> None:
    """The wheel contains the package. The source archive contains the package, the tests and the documents."""
    check_wheel(WHEEL, checkout)
    check_source(SOURCE, checkout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mcprun/templates/a.html": None}, "the wheel lacks mcprun/templates/a.html"),
        ({"mcprun/py.typed": None}, "the wheel lacks mcprun/py.typed"),
        ({"tests/t.py": b""}, "the wheel holds tests/t.py, which should not be there"),
        ({"mcprun/__init__.py": b"other"}, "the wheel has another mcprun/__init__.py than the checkout"),
        ({"mcprun-1.dist-info/RECORD": b"PATH/x"}, "mcprun-1.dist-info/RECORD of the wheel names the folder"),
    ],
)
def test_a_wrong_wheel_is_rejected(checkout: Path, change: dict[str, bytes | None], message: str) -> None:
    """A wheel with a missing, unexpected or changed file, or with the path of the checkout, is rejected."""
    inside = {name: content for name, content in {**WHEEL, **change}.items() if content is not None}
    inside = {name: content.replace(b"PATH", bytes(checkout)) for name, content in inside.items()}
    with pytest.raises(BrokenError, match=re.escape(message)):
        check_wheel(inside, checkout)


def test_a_wrong_source_archive_is_rejected(checkout: Path) -> None:
    """A source archive with a missing document or an unexpected file is rejected."""
    with pytest.raises(BrokenError, match=r"the source archive lacks CHANGELOG\.md"):
        check_source({name: content for name, content in SOURCE.items() if name != "CHANGELOG.md"}, checkout)
    with pytest.raises(BrokenError, match=r"the source archive holds \.ci/run, which"):
        check_source({**SOURCE, ".ci/run": b".ci/run\n"}, checkout)


def test_both_kinds_of_archives_are_read(tmp_path: Path) -> None:
    """The top-level folder of a source archive is removed from its paths."""
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("mcprun/a.py", b"a")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as source:
        member = tarfile.TarInfo("mcprun-1/runner/a.py")
        member.size = 1
        source.addfile(member, io.BytesIO(b"a"))
    assert files_of(tmp_path / "a.whl") == {"mcprun/a.py": b"a"}
    assert files_of(tmp_path / "a.tar.gz") == {"runner/a.py": b"a"}


def test_a_partial_quickstart_run_is_rejected(tmp_path: Path) -> None:
    """A run of fewer queries than the quickstart has is rejected, even if all passed."""
    assert run_mcprun("batch", *QUICKSTART, "--out", "all", cwd=tmp_path).code == 0
    assert run_mcprun("batch", *QUICKSTART, "--out", "some", "--limit", "5", cwd=tmp_path).code == 0
    expect_six_passed(tmp_path / "all")
    with pytest.raises(BrokenError, match="not all passed"):
        expect_six_passed(tmp_path / "some")


def test_the_gate_runs_the_release_trials() -> None:
    """The gate ends with the release trials, and the changelog starts with Unreleased and the current version."""
    assert floor(ROOT) == (3, 11)
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "python -m tests.release"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", changelog, re.MULTILINE)
    assert released[0] == "Unreleased"
    assert released[1:2] in ([], [mcprun.__version__])
