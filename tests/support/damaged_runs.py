"""Write a finished run and damage its transcripts and record, for tests of the integrity check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import write_jsonl
from tests.support.runs import failed, transcript, write_run

TRANSCRIPTS, RECORD, QUERIES = "transcripts.jsonl", "run.json", "queries.jsonl"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Write a finished run of three queries, `a`, `b` and `c`."""
    path = write_run(tmp_path / "run", [transcript("a"), failed("b", "why"), transcript("c")])
    write_jsonl(path / QUERIES, *({"id": name, "digest": "0" * 16} for name in "abc"))
    return path


def lines_of(path: Path) -> list[bytes]:
    return (path / TRANSCRIPTS).read_bytes().splitlines(keepends=True)


def write_lines(path: Path, *lines: bytes) -> None:
    (path / TRANSCRIPTS).write_bytes(b"".join(lines))


def edit_record(path: Path, **changes: Any) -> None:
    record = json.loads((path / RECORD).read_bytes())
    (path / RECORD).write_text(json.dumps({**record, **changes}))


def tear_last(path: Path) -> None:
    data = (path / TRANSCRIPTS).read_bytes()
    (path / TRANSCRIPTS).write_bytes(data[:-30])


def repeat_line(path: Path) -> None:
    write_lines(path, *lines_of(path), lines_of(path)[0])


def replace_line(path: Path) -> None:
    first, second, _ = lines_of(path)
    write_lines(path, first, second, first)


def stray_line(path: Path) -> None:
    first, second, third = lines_of(path)
    write_lines(path, first, second, third.replace(b'"id":"c"', b'"id":"z"'))
