"""Every command in the documents beside the README is run, or listed with the reason why not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.cli import PROMPTS, ROOT, run_mcprun
from tests.support.example_folders import FOLDERS

DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *PROMPTS.rglob("README.md"), *(ROOT / "outputs").glob("*.md")}
)

GATE = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

_SET_UP = "python3 -m venv .venv && . .venv/bin/activate && pip install -q "

NOT_HERE = {
    f"{_SET_UP}. && mcprun batch prompts/quickstart.jsonl prompts/quickstart.py": "tests.release runs it, in a fresh checkout",
    f"{_SET_UP}-e '.[test]' && pytest": "the gate is this command, and finds it in the README",
    f"{_SET_UP}-e '.[dev]'": "the gate does the same in two steps",
    "pytest": "the gate is this command",
    "pytest tests/unit": "a part of the suite",
    "pytest tests": "the gate runs all of them, in two steps",
    "python -m tests.conformance": "takes minutes: test_conformance runs a part of it, and holds the table below it",
    "pip install mcp-server-fetch": "the extra `test` brings it",
    "pip install mcp-server-git": "the extra `test` brings it",
    "pip install mcp-server-time": "the extra `test` brings it",
    "python -m http.server 8765 --bind 127.0.0.1 --directory prompts/fetch/site &": "the tests serve it at a port that is free",
    "kill $!": "ends what is not started",
    "sh prompts/git/make-repos.sh": "test_real_servers runs it",
    "ANTHROPIC_API_KEY=any mcprun batch prompts.jsonl server.py --base-url http://127.0.0.1:8080 --model local-model --bare-api": "test_providers does, with a stand-in at a port that is free",
    "pytest prompts.jsonl --mcp-server server.py": "test_pytest_plugin runs it with the quickstart's files",
    "pytest prompts.jsonl --mcp-server server.py -k add -x": "test_pytest_plugin does, and looks at what -k and -x leave out",
    'pytest prompts.jsonl --mcp-server "server.py -- --verbose" -n 2': "test_pytest_plugin does, each by itself",
}
"""Commands that no test runs as they stand, and why."""


def commands(document: Path) -> list[str]:
    """Give the commands of a document's blocks, in order; a block in which some have a `$` shows output as well."""
    found: list[str] = []
    for block in re.findall(r"```(?:console|sh|bash|shell)\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
        lines = block.splitlines()
        asked = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found += asked or lines
    return found


def is_run(document: Path, command: str) -> bool:
    """Whether a test runs the command of a document, or the gate does."""
    if command.startswith("mcprun "):
        # test_readme, test_real_servers and the test below read them in the documents.
        return document == ROOT / "README.md" or document.parent.name in (*FOLDERS, "regression")
    return command in GATE.splitlines()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_command_is_run_or_has_a_reason(document: Path) -> None:
    """What stands in a block is tried, so that it stays true."""
    assert [line for line in commands(document) if not is_run(document, line) and line not in NOT_HERE] == []


def test_every_reason_is_needed() -> None:
    """A command that is gone, or that is run by now, has no reason any more."""
    standing = {line for document in DOCUMENTS for line in commands(document) if not is_run(document, line)}
    assert standing == set(NOT_HERE)


def test_the_reasons_are_true() -> None:
    """The core is what the release is tried with, and the gate takes its command from the README."""
    assert "grep -m1 '&& pytest$' README.md" in GATE
    assert "pip install -q -e '.[dev]'" in GATE


def test_the_regression_example_runs(tmp_path: Path) -> None:
    """The command of its README gives the recording that the others are held against."""
    (tmp_path / "prompts").symlink_to(PROMPTS)
    (line,) = commands(PROMPTS / "regression" / "README.md")
    done = run_mcprun(*shlex.split(line)[1:], cwd=tmp_path)
    assert (done.code, set(done.verdicts.values()), done.run.name) == (0, {"passed"}, "good")


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md", "docs/conformance.md", "docs/performance.md"])
def test_what_a_document_names_is_there(name: str) -> None:
    """Files and tests that it names exist, and so do the commands of mcprun."""
    text = (ROOT / name).read_text(encoding="utf-8")
    package = ROOT / "runner" / "mcprun"
    known = {file.relative_to(package).as_posix() for file in package.rglob("*.py")}
    known |= {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("*.py")}
    suite = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for file in re.findall(r"`([\w/]+\.py)`", text):
        assert file in known
    for test in re.findall(r"`(test_\w+)`", text):
        assert f"def {test}(" in suite
    helped = run_mcprun("--help", cwd=ROOT).stdout
    for command in re.findall(r"`mcprun ([a-z]+)", text):
        assert re.search(rf"^  {command} ", helped, re.MULTILINE)
