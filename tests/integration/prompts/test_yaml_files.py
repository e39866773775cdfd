"""Prompts files in YAML, in the commands that read prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import SERVERS, run_mcprun

KINDS = SERVERS / "kinds.py"
SUITE = """\
# What a person writes by hand
- id: one
  prompt: Say no.
  script:
    - calls: [{tool: echo, input: {text: no}}]
    - text: |
        no
  expect:
    calls:
      - tool: echo
        input: {text: no}

- id: two
  prompt: Say on.
  tags: [slow]
  script:
    - calls:
        - {tool: echo, input: {text: 2026-01-01}}
- {id: three, prompt: Fail., script: [{calls: [{tool: ecko}]}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.yaml").write_text(SUITE, encoding="utf-8")
    return tmp_path


def test_a_yaml_suite_runs_as_the_same_jsonl_does(folder: Path) -> None:
    """The transcripts are the same bytes, and `no` and dates are sent as text."""
    ran = run_mcprun("batch", "p.yaml", KINDS, "--out", "yaml", cwd=folder)
    assert ran.code == 1
    queries = [
        {"id": "one", "prompt": "Say no.", "script": [{"calls": [{"tool": "echo", "input": {"text": "no"}}]}, {"text": "no\n"}], "expect": {"calls": [{"tool": "echo", "input": {"text": "no"}}]}},
        {"id": "two", "prompt": "Say on.", "tags": ["slow"], "script": [{"calls": [{"tool": "echo", "input": {"text": "2026-01-01"}}]}]},
        {"id": "three", "prompt": "Fail.", "script": [{"calls": [{"tool": "ecko"}]}]},
    ]  # fmt: skip
    (folder / "p.jsonl").write_text("".join(f"{json.dumps(query)}\n" for query in queries), encoding="utf-8")
    run_mcprun("batch", "p.jsonl", KINDS, "--out", "jsonl", cwd=folder)
    transcripts = [(folder / name / "transcripts.jsonl").read_bytes() for name in ("yaml", "jsonl")]
    assert transcripts[0] == transcripts[1]


def test_a_run_of_yaml_is_resumed_and_merged(folder: Path) -> None:
    """A changed file is noticed on resume, a changed comment is not, and shards of YAML are merged."""
    for number in (1, 2):
        run_mcprun("batch", "p.yaml", KINDS, "--shard", f"{number}/2", "--out", str(number), cwd=folder)
    assert run_mcprun("merge", "1", "2", "--out", "whole", cwd=folder).code == 1
    run_mcprun("batch", "p.yaml", KINDS, "--out", "r", "--max-failures", "1", "--concurrency", "1", cwd=folder)
    (folder / "p.yaml").write_text(SUITE.replace("by hand", "by herself"), encoding="utf-8")
    assert run_mcprun("batch", "--resume", "r", cwd=folder).code == 1
    (folder / "p.yaml").write_text(SUITE.replace("Say on", "Say off"), encoding="utf-8")
    assert run_mcprun("batch", "--resume", "r", cwd=folder).code == 2


def test_messages_have_the_line_of_the_field(folder: Path) -> None:
    """`validate` names the line of the tool in the YAML file, and annotations that of the query."""
    done = run_mcprun("validate", "p.yaml", KINDS, cwd=folder)
    assert done.code == 2
    assert done.stderr.splitlines() == [
        "p.yaml:19: script[0].calls[0].tool: the server has no tool 'ecko'; did you mean 'echo'?"
    ]
    (folder / "p.yaml").write_text(SUITE.replace("input: {text: no}\n\n", "inputs: {text: no}\n\n"), encoding="utf-8")
    done = run_mcprun("validate", "p.yaml", cwd=folder)
    assert done.stderr == "p.yaml:11: expect.calls[0].inputs: unknown key; did you mean 'input'?\n"


def test_calls_are_saved_to_yaml(folder: Path) -> None:
    """`call --save` appends to a YAML file, and the queries pass."""
    run_mcprun("call", KINDS, "echo", "text=no", "--save", "new.yaml", cwd=folder)
    run_mcprun("call", KINDS, "echo", "text=1e3", "--save", "new.yaml", cwd=folder)
    assert run_mcprun("batch", "new.yaml", KINDS, cwd=folder).code == 0


def test_init_writes_yaml(folder: Path) -> None:
    """`init --prompts FILE.yaml` writes YAML that can be run."""
    run_mcprun("init", KINDS, "--prompts", "new.yaml", "--no-workflow", "--tool", "echo", cwd=folder)
    assert (folder / "new.yaml").read_text(encoding="utf-8").startswith("- id: echo\n")
    assert run_mcprun("validate", "new.yaml", KINDS, cwd=folder).code == 0
