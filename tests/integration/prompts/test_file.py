"""`mcprun validate` reports every bad line of a prompts file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.cli import run_mcprun

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

BAD = (
    b'{"prompt": "a", "id": "one"}\n'
    b"\n"
    b"\xff\n"
    b'{"prompt": 1}\n'
    b'{"prompt": "b", "id": "one"}\n'
    b"{bad\n"
    b'{"prompt": "c", "metadata": {"x": NaN}}\n'
    b'{"prompt": "d", "prompt": "e"}\n'
    b"[" + b"[" * 100_000 + b"\n"
    b'{"prompt": "f", "promt": 1, "resources": {}}'
)


def test_every_bad_line_is_reported_at_once(tmp_path: Path) -> None:
    """`mcprun validate` lists each bad line with file, line, field and problem, and exits with 2."""
    (tmp_path / "p.jsonl").write_bytes(BAD)
    done = run_mcprun("validate", "p.jsonl", cwd=tmp_path)
    assert done.code == 2
    assert done.stderr.splitlines() == [
        "p.jsonl:3: line: not UTF-8: byte 0xff at position 1",
        "p.jsonl:4: prompt: must be a string or a list of content blocks, not the number 1",
        "p.jsonl:5: id: 'one' is already used on line 1",
        "p.jsonl:6: line: not JSON: Expecting property name enclosed in double quotes, at column 2",
        "p.jsonl:7: metadata.x: NaN is not JSON",
        "p.jsonl:8: prompt: the key 'prompt' appears twice in one object",
        "p.jsonl:9: line: not JSON: nested too deeply",
        "p.jsonl:10: resources: must be a list, not an object",
        "p.jsonl:10: promt: unknown key; did you mean 'prompt'?",
    ]


def test_stdin_is_named_in_messages(tmp_path: Path) -> None:
    """Problems in prompts from stdin are reported as `<stdin>:LINE`."""
    done = run_mcprun("validate", "-", cwd=tmp_path, input="{}")
    assert (done.code, done.stderr) == (2, "<stdin>:1: prompt: is missing\n")


def test_valid_file_is_summarised(tmp_path: Path) -> None:
    """A BOM, CRLF, blank lines and a missing final newline are accepted, and the queries are counted."""
    (tmp_path / "p.jsonl").write_bytes(b'\xef\xbb\xbf"one"\r\n\r\n  \n{"prompt": "two", "script": [{"text": "2"}]}')
    done = run_mcprun("validate", "p.jsonl", cwd=tmp_path)
    assert (done.code, done.stdout) == (0, "p.jsonl: 2 queries, 1 with a script\n")


def test_number_out_of_range_is_a_bad_line(tmp_path: Path) -> None:
    """A number too large for a float is a bad line; it is not read as infinity."""
    done = run_mcprun("validate", "-", cwd=tmp_path, input='{"prompt": "x", "metadata": {"n": 1e999}}')
    assert done.stderr == "<stdin>:1: metadata.n: the number 1e999 is too large\n"
