"""Prompts checked against a live server: `mcprun validate PROMPTS SERVER` and `mcprun batch --dry-run`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import QUICKSTART, SERVERS, run_mcprun, script, write_jsonl

KINDS = SERVERS / "kinds.py"
BAD = [
    script(("echo", {"text": "a"}), id="good"),
    script(("ecko", {"text": "a"}), id="name", expect={"never": ["delete*"]}),
    script(("echo", {"txt": "a"}), id="input"),
]
PROBLEMS = [
    "Warning: p.jsonl:2: expect.never: 'delete*' matches no tool of the server",
    "p.jsonl:2: script[0].calls[0].tool: the server has no tool 'ecko'; did you mean 'echo'?",
    "p.jsonl:3: script[0].calls[0].input.txt: there is no such argument; did you mean 'text'?",
    "p.jsonl:3: script[0].calls[0].input.text: is missing, but required",
]


@pytest.mark.parametrize("command", [["validate"], ["batch", "--dry-run"]])
def test_each_problem_is_listed_before_anything_runs(tmp_path: Path, command: list[str]) -> None:
    """Both commands list every problem with its line, exit with 2, and write no run."""
    write_jsonl(tmp_path / "p.jsonl", *BAD)
    done = run_mcprun(*command, "p.jsonl", KINDS, cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr.splitlines()) == (2, "", PROBLEMS)
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


def test_only_selected_queries_are_checked(tmp_path: Path) -> None:
    """`--dry-run` takes all options of a run, and names the model and the queries."""
    write_jsonl(tmp_path / "p.jsonl", *BAD)
    done = run_mcprun("batch", "p.jsonl", KINDS, "--dry-run", "--filter", "good", "--repeat", "2", cwd=tmp_path)
    expected = "Nothing was run: 1 query, 2 runs, model script; checked against kinds 2.0.0 (12 tools)\n"
    assert (done.code, done.stderr) == (0, expected)
    denied = run_mcprun("batch", "p.jsonl", KINDS, "--dry-run", "--filter", "good", "--deny-tool", "echo", cwd=tmp_path)
    assert denied.code == 2


def test_a_valid_file_is_summarised_with_the_server(tmp_path: Path) -> None:
    """The example of the README is valid, and says against what."""
    prompts, server = QUICKSTART
    done = run_mcprun("validate", prompts, server, cwd=tmp_path)
    assert done.code == 0
    assert done.stdout.endswith("with a script; checked against quickstart 1.0.0 (4 tools)\n")


def test_a_server_that_can_not_be_reached_is_an_error(tmp_path: Path) -> None:
    """The file is checked first, and a server that does not start exits with 3."""
    write_jsonl(tmp_path / "p.jsonl", BAD[0])
    for command in (["validate"], ["batch", "--dry-run"]):
        assert run_mcprun(*command, "p.jsonl", "false", cwd=tmp_path).code == 3
    write_jsonl(tmp_path / "p.jsonl", {"promt": "x"})
    assert run_mcprun("validate", "p.jsonl", "false", cwd=tmp_path).code == 2


def test_prompts_from_stdin_are_named(tmp_path: Path) -> None:
    """A line of stdin is `<stdin>:LINE`."""
    text = '{"prompt": "x", "expect": {"calls": [{"tool": "ecko"}]}}'
    done = run_mcprun("validate", "-", KINDS, cwd=tmp_path, input=text)
    assert done.stderr == "<stdin>:1: expect.calls[0].tool: the server has no tool 'ecko'; did you mean 'echo'?\n"
