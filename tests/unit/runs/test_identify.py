"""Identify files that were named in place of others, for messages."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.runs.identify import flaw, identify, identify_data
from tests.support.runs import event, transcript, write_run


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "an empty file"),
        (" \n", "an empty file"),
        ("[1]", "a list"),
        ("7", "a number"),
        ("{}", "an empty object"),
        ('{"a": 1}', "an object with the key a"),
        (json.dumps(dict.fromkeys("abcdefg", 0)), "an object with the keys a, b, c, d, e, …"),
        ('{"\\u001b[2J\\n": 1}', "an object with the key '\\x1b[2J\\n'"),
        ('{"a": 1}\n{"a": 2}\n', "a JSONL file of objects with the key a"),
        ('{"id": "a", "prompt": "x"}\n{"id": "b", "prompt": "y"}\n', "a prompts file"),
        ('{"prompt": "x", "script": []}', "a prompts file"),
        ('{"protocol": "x", "tools": []}', "a snapshot of a server's tools"),
        ('{\n "mcpServers": {}\n}', "the configuration of an MCP client"),
        ('{"schema": 1, "id": "a", "digest"', "incomplete JSON (it ends at line 1, column 33)"),
        ('{\n  "a": 1,\n  "b": "x', "incomplete JSON (it ends at line 3, column 9)"),
        ('{"a" 1}', "invalid JSON (expecting ':' delimiter at line 1, column 6)"),
        ("# A title\n\nText.\n", "text that begins with '# A title'"),
        ("\0\1\2", "binary data"),
        ("[" * 100_000, "invalid JSON (nested too deeply)"),
    ],
)
def test_the_content_of_a_file_is_identified(content: str, expected: str) -> None:
    """Files of mcprun and of MCP clients are named; others are described by their keys or their first line."""
    assert identify_data(content.encode()) == expected


def test_the_files_of_a_run_are_identified(tmp_path: Path) -> None:
    """Each file of a run is identified as mcprun writes it."""
    run = write_run(tmp_path / "run", [transcript("a"), transcript("b")], [event("run_start", 0), event("x", 1)])
    assert {name: identify(run / name) for name in ("run.json", "transcripts.jsonl", "trace.jsonl")} == {
        "run.json": "the run.json of a run",
        "transcripts.jsonl": "a file of transcripts",
        "trace.jsonl": "the trace of a run",
    }


def test_a_path_that_can_not_be_read_is_described(tmp_path: Path) -> None:
    """A folder and a pipe are named, and never opened."""
    if sys.platform == "win32":
        raise NotImplementedError
    os.mkfifo(tmp_path / "pipe")
    assert identify(tmp_path) == "a folder"
    assert identify(tmp_path / "pipe") == "a pipe"
    assert identify(tmp_path / "none") == "a file that can't be read"


@given(st.binary(max_size=200))
def test_any_data_is_described_on_one_line(data: bytes) -> None:
    """No data raises an error, and the description has neither line breaks nor control characters."""
    assert identify_data(data).isprintable()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one)))
def test_json_has_no_flaw_until_it_is_cut(value: object) -> None:
    """Valid JSON has no flaw, and a list that is cut before its end is incomplete or invalid."""
    data = json.dumps([value]).encode()
    assert flaw(data) == ""
    assert flaw(data[:-1]).startswith("incomplete JSON (it ends at line 1, column ")
