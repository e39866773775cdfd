"""Build transcripts as parsed lines of `transcripts.jsonl`, generate and compare them, for tests of `mcprun diff`.

`EXAMPLES` are values that `--scrub` replaces, by the name of the kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from mcprun.analysis.diff.runs import RunDiff
from mcprun.analysis.diff.transcripts import DEFAULT_ASPECTS, Change, CompareOptions
from tests.support.json_strategies import JSON

calls = st.lists(
    st.fixed_dictionaries(
        {
            "turn": st.just(0),
            "tool": st.sampled_from("abc"),
            "input": st.dictionaries(st.sampled_from("xy"), st.integers(0, 2), max_size=2),
            "is_error": st.booleans(),
            "content": st.lists(
                st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=3)}), max_size=2
            ),
            "structured": st.none() | JSON,
        }
    ),
    max_size=5,
)

transcripts = st.fixed_dictionaries(
    {
        "id": st.sampled_from("pqrstu"),
        "repeat": st.integers(1, 2),
        "verdict": st.sampled_from(["passed", "failed"]),
        "stop": st.sampled_from(["end_turn", "max_turns"]),
        "calls": calls,
        "text": st.text(max_size=5),
        "turns": st.lists(st.just({}), max_size=3),
        "usage": st.none() | st.just({"input_tokens": 5}),
        "error": st.none(),
    }
)


def lines(run: list[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the lines of a `transcripts.jsonl` with these transcripts."""
    return (json.dumps(one).encode() + b"\n" for one in run)


def transcript(**more: Any) -> dict[str, Any]:
    """Return a transcript as `transcripts.jsonl` stores it."""
    plain = {
        "id": "q", "repeat": 1, "verdict": "passed", "stop": "end_turn", "calls": [], "text": "", "turns": [],
        "usage": None, "error": None,
    }  # fmt: skip
    return {**plain, **more}


def call(tool: str, text: str = "", structured: Any = None, is_error: bool = False, **input: Any) -> dict[str, Any]:
    """Return a call as `transcripts.jsonl` stores it."""
    content = [{"type": "text", "text": text}] if text else []
    return {"turn": 0, "tool": tool, "input": input, "is_error": is_error, "content": content, "structured": structured}


def changes(base: dict[str, Any], head: dict[str, Any], *aspects: str, **options: Any) -> list[Change]:
    """Return the changes between two transcripts of the same query."""
    comparison = RunDiff(CompareOptions(frozenset(aspects) or DEFAULT_ASPECTS, **options))
    return [change for diff in comparison.compare(lines([base]), lines([head])) for change in diff.changes]


EXAMPLES = {
    "uuid": [
        "123e4567-e89b-12d3-a456-426614174000",
        "9F1B7E02-0000-4000-8000-0123456789AB",
        "123e4567e89b42d3a456426614174000",
        "9F1B7E02000040008000012345678AB0",
    ],
    "ulid": ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav"],
    "timestamp": [
        "2026-11-22",
        "2026-11-22T10:11:12.345Z",
        "2026-11-22 10:11",
        "2026-11-22T10:11:12+01:00",
        "20261129T101112Z",
        "2026-11-22T10:11:12+01",
        "2026-11-22t10:11:12z",
        "2026-11-22T10Z",
        "20261129T101112.345+0100",
        "20261129T1011",
        "2026-W49-1",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 6 Nov 1994 08:49:37 -0800",
        "Sun, 06 Nov 1994 08:49:37 +0000 (UTC)",
        "Sun Nov  6 08:49:37 UTC 1994",
        "Sun Nov 06 1994 08:49:37 GMT+0000 (Coordinated Universal Time)",
        "Sun Nov 06 1994",
        "6 Nov 1994 08:49 PST",
        "6 Nov 1994",
        "2026/11/22 10:11:12",
        "2026/11/22",
        "2026-11-22 10:11:12 +0000 UTC",
        "2026-11-22 10:11:12.123456789 +0000 UTC m=+0.000012345",
        "2026-11-22T10:11:12.123+01:00[Europe/Berlin]",
        "2026-11-22_10-11-12",
        "2026-11-22T10-11-12",
        "20261122_101112",
        "20261122-101112",
        "20261122101112",
        "22/Nov/2026:10:11:12 +0000",
        "Nov 22 10:11:12",
        "November 22, 2026 10:11 AM",
        "Sunday, November 22, 2026 at 10:11:12 AM UTC",
        "Nov 22, 2026",
        "11/22/2026, 10:11:12 AM",
        "22/11/2026 10:11",
        "22.11.2026 10:11:12",
    ],
    "time": ["10:11:12", "9:11:12.345", "10:11:12 AM", "23:59:59Z"],
    "epoch": ["1732960000", "1732960000.123", "1732960000123", "1732960000123456", "1732960000123456789"],
    "tmp": [
        "/tmp/pytest-1/x.txt",
        "/var/folders/ab/cd/T/x",
        "/private/tmp/a",
        "/dev/shm/x",
        "/run/user/1000/x",
        r"C:\Users\RUNNER~1\AppData\Local\Temp\tmpab12\x.txt",
        "C:/Users/Ada Lovelace/AppData/Local/Temp/x",
        r"%TEMP%\x",
    ],
    "hash": [
        "d41d8cd98f00b204e9800998ecf8427e",
        "D41D8CD98F00B204E9800998ECF8427E",
        "a" * 40,
        "b" * 56,
        "0" * 64,
        "c" * 96,
        "d" * 128,
        "507f1f77bcf86cd799439011",
        "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    ],
    "port": ["localhost:54321", "localhost:8080", "[::1]:9000", "port 54321", "Port: 8080", "port=54321"],
    "duration": ["12ms", "12.5 ms", "0.53 s", "850µs", "3 seconds", "1m30s", "1 min 30 s", "2 hours, 3 minutes, 1 s"],
}
