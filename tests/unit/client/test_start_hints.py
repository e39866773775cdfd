"""Hints at what a server that failed is missing, and the Python that starts a server's file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mcprun.client.python_environment import python_for
from mcprun.client.start_hints import hint, variables_hint
from mcprun.client.target import HttpTarget, StdioTarget

TARGET = StdioTarget("s.py", "/usr/bin/python", ("s.py",), env={"GIVEN_TOKEN": "x"})
SHELL = {"API_TOKEN": "1", "TOKEN": "2", "GIVEN_TOKEN": "3", "PATH": "4", "OTHER": "5"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("KeyError: 'TOKEN'", ["TOKEN"]),
        ("fatal: API_TOKEN is not set", ["API_TOKEN"]),
        ("sh: $TOKEN: parameter not set", ["TOKEN"]),
        ("${TOKEN} and `API_TOKEN`", ["TOKEN", "API_TOKEN"]),
        ("no TOKEN here, but OTHER words", []),
        ("KeyError: 'GIVEN_TOKEN' in PATH, 'PATH'", []),
        ("KeyError: 'API_TOKENS'", []),
        ("", []),
    ],
)
def test_variables_of_the_shell_that_a_text_names(text: str, names: list[str]) -> None:
    """Only variables that are set in the shell and not for the server are named, each once, with the flag to use."""
    found = variables_hint(TARGET, text, SHELL)
    assert [word for word in found.split() if word in SHELL and f"--env {word}" in found][: len(names)] == names
    assert bool(found) == bool(names)


def test_servers_that_are_not_started_get_no_hint() -> None:
    """A server at a URL has an environment of its own."""
    assert variables_hint(HttpTarget("http://localhost/mcp"), "KeyError: 'TOKEN'", SHELL) == ""
    assert hint(HttpTarget("http://localhost/mcp"), "ImportError: x") == ""


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        (TARGET, "it was started with /usr/bin/python: install the module there, or name another Python with --python"),
        (
            StdioTarget("python s.py", "python", ("s.py",)),
            "it was started with python: install the module there, or name another Python in the command",
        ),
        (StdioTarget("uvx x", "uvx", ("x",)), ""),
    ],
)
def test_an_import_error_names_the_python(target: StdioTarget, advice: str) -> None:
    """The hint names the Python that ran, and how to use another one."""
    stderr = "Traceback (most recent call last):\n  …\nModuleNotFoundError: No module named 'mcp'\n"
    assert hint(target, stderr) == advice
    assert hint(target, "it raised no ModuleNotFoundError: fine") == ""


@pytest.mark.parametrize(
    "error",
    [
        "AttributeError: 'Server' object has no attribute 'list_tools'",
        "AttributeError: 'Server' object has no attribute 'call_tool'",
        "ImportError: cannot import name 'FastMCP' from 'mcp.server' (/x/mcp/server/__init__.py)",
        "ModuleNotFoundError: No module named 'mcp.server.fastmcp'. This is mcp 2.x, where FastMCP was renamed",
    ],
)
def test_a_server_for_an_older_sdk_is_recognised(error: str) -> None:
    """Version 2 of the MCP SDK for Python dropped what version 1 had; most servers do not limit the version."""
    stderr = f"Traceback (most recent call last):\n  …\n{error}\n"
    assert hint(StdioTarget("some-server", "some-server", ()), stderr).endswith("install 'mcp<2' there")
    assert hint(StdioTarget("some-server", "some-server", ()), f"it said: {error}") == ""


def make_python(environment: Path) -> str:
    """Create the Python of a virtual environment; return its path."""
    python = environment / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    return str(python)


def test_the_nearest_environment_of_the_project_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is searched from the file's folder up to the root of the repository, unless an environment is active."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    outside = make_python(tmp_path / ".venv")
    root, package = tmp_path / "repo", tmp_path / "repo" / "package"
    file = package / "src" / "server.py"
    file.parent.mkdir(parents=True)
    (root / ".git").touch()
    (package / "pyproject.toml").touch()
    assert python_for(file) == sys.executable
    of_root = make_python(root / ".venv")
    assert python_for(file) == of_root
    of_package = make_python(package / ".venv")
    assert python_for(file) == of_package
    active = make_python(tmp_path / "active")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    assert python_for(file) == active
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "gone"))
    assert (python_for(file), outside != sys.executable) == (sys.executable, True)


def test_without_a_project_only_the_own_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file outside any project uses the environment beside it, and none from above."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    make_python(tmp_path / ".venv")
    file = tmp_path / "sub" / "server.py"
    file.parent.mkdir()
    assert python_for(file) == sys.executable
    beside = make_python(tmp_path / "sub" / ".venv")
    assert python_for(file) == beside
