"""Causes that concern the whole run."""

from __future__ import annotations

import pytest

from mcprun.report.causes import CauseKind
from mcprun.report.log_excerpt import exception_line
from mcprun.report.run_causes import breaking_causes, end_causes
from mcprun.runs.run_record import BaselineRecord, Counts, ModelRecord, PromptsRecord, RunRecord
from mcprun.runs.transcript import ErrorInfo
from mcprun.tools.changes import ToolChange

TRACEBACK = """\
INFO starting
Traceback (most recent call last):
  File "server.py", line 4, in <module>
    load()
KeyError: 'TRACKER_TOKEN'
[the server exited with code 1]
"""


def record(state: str = "interrupted", kind: str = "", message: str = "", **more: object) -> RunRecord:
    """Return the record of a run of three queries."""
    error = ErrorInfo.model_validate({"kind": kind, "message": message}) if kind else None
    prompts = PromptsRecord(file="p.jsonl", sha256="", queries=3, runs=3)
    model = ModelRecord(kind="script", name="script", chosen="named")
    plain = {"started": "2026-11-22T10:00:00Z", "arguments": {}, "limits": {}, "versions": {}}
    return RunRecord.model_validate(
        {**plain, "state": state, "prompts": prompts, "model": model, "error": error, **more}
    )


def test_a_server_that_did_not_start_is_the_cause_with_its_exception() -> None:
    """The message ends with the line that names the exception."""
    (cause,) = end_causes(record(kind="server_start", message="the server exited"), Counts(skipped=3), TRACEBACK)
    assert (cause.kind, cause.message, cause.count) == (
        CauseKind.SERVER,
        "the server exited; KeyError: 'TRACKER_TOKEN'",
        3,
    )


@pytest.mark.parametrize(
    ("run", "counts", "message"),
    [
        (
            record(kind="budget", message="the run spent its budget"),
            Counts(passed=1, skipped=2),
            "Stopped early: the run spent its budget. 2 of 3 were not run.",
        ),
        (record("started"), Counts(passed=2), "The run has not finished (state: started). 1 of 3 was not run."),
        (record("finished"), Counts(passed=2, skipped=1), "1 of 3 queries was not run."),
        (
            record("finished", kind="output", message="can't write differences.jsonl"),
            Counts(passed=3),
            "can't write differences.jsonl",
        ),
        (
            record("finished", baseline=BaselineRecord(path="base")),
            Counts(passed=3),
            "the run was not compared with its baseline base",
        ),
    ],
)
def test_a_run_that_did_not_do_everything_says_why(run: RunRecord, counts: Counts, message: str) -> None:
    """The end, its reason and the queries that were not run are one line."""
    assert [(cause.kind, cause.message) for cause in end_causes(run, counts)] == [(CauseKind.STOPPED, message)]


def test_a_run_that_did_everything_has_no_cause() -> None:
    """Queries that failed are no cause of the whole run."""
    assert not list(end_causes(record("finished"), Counts(passed=1, failed=2)))


def test_a_renamed_tool_is_named_with_its_callers() -> None:
    """Red queries count if they call the tool by its old or its new name."""
    renamed = ToolChange("list_stores", "tool_renamed", True, "removed", "list_stores", "list_shops")
    harmless = ToolChange("search", "description", False, "description: a → b")
    callers = {"list_stores": [("a", 1), ("b", 1)], "list_shops": [("b", 1), ("c", 1), ("c", 2)]}
    (cause,) = breaking_causes([renamed, harmless], callers)
    assert cause.message == "breaking tool change: list_stores → list_shops, probably renamed"
    assert (cause.count, cause.tools, cause.queries[:3]) == (
        3,
        ("list_stores", "list_shops"),
        (("a", 1), ("b", 1), ("c", 1)),
    )


def test_many_breaking_changes_are_counted() -> None:
    """Those of tools that most red queries call have a row; the others are one row."""
    changes = [ToolChange(f"t{n}", "tool_removed", True, "removed") for n in range(14)]
    found = list(breaking_causes(changes, {"t9": [("a", 1)], "t12": [("a", 1), ("b", 1)]}))
    assert [cause.message for cause in found] == [
        "breaking tool change: t12: removed",
        "breaking tool change: t9: removed",
        "breaking tool change: t0: removed",
        "breaking tool change: t1: removed",
        "10 more breaking tool changes",
    ]


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (TRACEBACK, "KeyError: 'TRACKER_TOKEN'"),
        (
            "Traceback (most recent call last):\n  File x\nshop.LimitExceeded: 5 > 3\ndone\n",
            "shop.LimitExceeded: 5 > 3",
        ),
        (f"{TRACEBACK}\nDuring handling\n\nTraceback (most recent call last):\n  x\nValueError: b", "ValueError: b"),
        ("  | Traceback (most recent call last):\n  |   File x\n  | ValueError: inner\n  +---", "ValueError: inner"),
        (
            "/srv/a.js:3\nTypeError: x is undefined\n    at load (/srv/a.js:3:1)\nNode.js v22",
            "TypeError: x is undefined",
        ),
        ("Error [ERR_MODULE]: Cannot find it\n    at load", "Error [ERR_MODULE]: Cannot find it"),
        ("panic: no key\n\ngoroutine 1 [running]:", "panic: no key"),
        ("ready\nlistening", ""),
        ("", ""),
    ],
)
def test_the_line_of_the_exception_is_found(log: str, line: str) -> None:
    """The last exception counts, in Python, JavaScript and Go."""
    assert exception_line(log) == line
