"""A test or the gate runs every command in the documents, or `NOT_RUN` gives a reason."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.cli import PROMPTS, ROOT, run_mcprun
from tests.support.documents import PAGES, README
from tests.support.example_folders import FOLDERS

DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *PROMPTS.rglob("README.md"), *(ROOT / "outputs").glob("*.md")}
)

GATE = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

_SET_UP = "python3 -m venv .venv && . .venv/bin/activate && pip install -q "

NOT_RUN = {
    f"{_SET_UP}. && mcprun batch prompts/quickstart.jsonl prompts/quickstart.py": "tests.release runs it in a fresh checkout",
    f"{_SET_UP}-e '.[test]' && pytest": "the gate reads this command from the README and runs it",
    f"{_SET_UP}-e '.[dev]'": "the gate does the same in two steps",
    "pytest": "the gate is this command",
    "pytest tests/unit": "the gate runs the whole suite",
    "pytest tests": "the gate runs all tests in two steps",
    "python -m tests.conformance --write": "takes minutes: test_conformance runs two scenarios and checks the table",
    "pip install ./mcprun": "tests.release installs the package",
    "uv tool install ./mcprun": "tests.release runs mcprun with uv",
    "uvx --from ./mcprun mcprun --version": "tests.release runs mcprun with uv",
    "pip install mcp-server-fetch": "the extra `test` brings it",
    "pip install mcp-server-git": "the extra `test` brings it",
    "pip install mcp-server-time": "the extra `test` brings it",
    "python -m http.server 8765 --bind 127.0.0.1 --directory prompts/fetch/site &": "the tests serve it on a free port",
    "kill $!": "stops the server of the command above",
    "sh prompts/git/make-repos.sh": "test_real_servers runs it",
    "ANTHROPIC_API_KEY=any mcprun batch prompts.jsonl server.py --base-url http://127.0.0.1:8080 --model local-model --bare-api": "test_providers runs it with a stub API on a free port",
    "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 mcprun batch prompts.jsonl server.py --otel": "test_telemetry runs it with a collector on a free port",
    "pytest prompts.jsonl --mcp-server server.py": "test_pytest_plugin runs it with the quickstart's files",
    "pytest prompts.jsonl --mcp-server server.py -k add -x": "test_pytest_plugin runs it and checks what -k and -x deselect",
    'pytest prompts.jsonl --mcp-server "server.py -- --verbose" -n 2': "test_pytest_plugin tests each option by itself",
}
"""Commands that no test runs verbatim, and the reason."""


def commands(document: Path) -> list[str]:
    """Return the commands in a document's code blocks, without comments.

    In a block with `$` prompts, the other lines are output.
    """
    found: list[str] = []
    for block in re.findall(r"```(?:console|sh|bash|shell)\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
        lines = block.splitlines()
        prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found += prompted or [line for line in lines if line and not line.startswith("#")]
    return found


def is_run(document: Path, command: str) -> bool:
    """Return whether a test or the gate runs the command of a document."""
    if command.startswith("mcprun "):
        # test_pages, test_real_servers and test_the_regression_example_runs read these from the documents.
        return document in (README, *PAGES) or document.parent.name in (*FOLDERS, "regression", "state")
    return command in GATE.splitlines()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_command_is_run_or_has_a_reason(document: Path) -> None:
    """Each command in a code block is run by a test or the gate, or has a reason in `NOT_RUN`."""
    assert [line for line in commands(document) if not is_run(document, line) and line not in NOT_RUN] == []


def test_every_reason_is_still_needed() -> None:
    """`NOT_RUN` lists no command that has been removed or that is run by now."""
    not_run = {line for document in DOCUMENTS for line in commands(document) if not is_run(document, line)}
    assert not_run == set(NOT_RUN)


def test_the_gate_runs_what_the_reasons_claim() -> None:
    """The gate reads the test command from the README and installs the `dev` extra."""
    assert "grep -m1 '&& pytest$' README.md" in GATE
    assert "pip install -q -e '.[dev]'" in GATE


def test_the_regression_example_runs(tmp_path: Path) -> None:
    """The command in the regression README passes and writes the recording `good`."""
    (tmp_path / "prompts").symlink_to(PROMPTS)
    (line,) = commands(PROMPTS / "regression" / "README.md")
    done = run_mcprun(*shlex.split(line)[1:], cwd=tmp_path)
    assert (done.code, set(done.verdicts.values()), done.run.name) == (0, {"passed"}, "good")


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md", "docs/conformance.md", "docs/benchmarks.md"])
def test_names_in_documents_exist(name: str) -> None:
    """The files, tests and mcprun commands that a document names exist."""
    text = (ROOT / name).read_text(encoding="utf-8")
    package = ROOT / "runner" / "mcprun"
    known = {file.relative_to(package).as_posix() for file in package.rglob("*.py")}
    known |= {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("*.py")}
    suite = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for file in re.findall(r"`([\w/]+\.py)`", text):
        assert file in known
    for test in re.findall(r"`(test_\w+)`", text):
        assert f"def {test}(" in suite
    help_text = run_mcprun("--help", cwd=ROOT).stdout
    for command in re.findall(r"`mcprun ([a-z]+)", text):
        assert re.search(rf"^  {command} ", help_text, re.MULTILINE)
