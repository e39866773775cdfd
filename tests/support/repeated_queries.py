"""Write files of transcripts that repeat one query, and compare two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcprun.analysis.diff.runs import QueryDiff, RunDiff
from mcprun.analysis.diff.transcripts import DEFAULT_ASPECTS, CompareOptions
from mcprun.runs.transcript_files import open_transcripts, repeated
from tests.support.cli import write_jsonl
from tests.support.transcripts import transcript


def run(folder: Path, name: str, *repeats: dict[str, Any]) -> Path:
    """Write a file with the transcripts of the repeats of the query `q`; return its path."""
    lines = ({"schema": 1, **transcript(repeat=number), **more} for number, more in enumerate(repeats, 1))
    return write_jsonl(
        folder / name, *({key: line[key] for key in ("schema", "id", "repeat", *line)} for line in lines)
    )


def compared(base: Path, head: Path, *aspects: str) -> tuple[list[QueryDiff], RunDiff]:
    """Compare two files of transcripts; return the differences of each query, and the comparison."""
    with open_transcripts(str(base)) as before, open_transcripts(str(head)) as after:
        options = CompareOptions(frozenset(aspects) or DEFAULT_ASPECTS)
        comparison = RunDiff(options, repeated=repeated(before, after))
        return list(comparison.compare(before, after)), comparison
