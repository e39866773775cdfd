"""CSV and TAP files hold any text."""

from __future__ import annotations

import csv
import io
import json
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcprun.errors import ExitCode
from mcprun.report.csv import COLUMNS, table
from mcprun.report.data import RunData
from mcprun.report.tap import tap
from mcprun.runs.transcript import Verdict
from tests.support.facts import EVIL, EXCUSED, facts, runs, transcript


@given(st.text() | st.just(EVIL) | st.just("=1+1"))
@settings(deadline=None)
def test_csv_holds_any_text(text: str) -> None:
    """A transcript is one row, and no cell holds a control character or starts like a formula."""
    rows = list(
        csv.reader(
            io.StringIO(
                table(
                    facts(transcript(text, Verdict.FAILED, text=text)),
                ),
                newline="",
            )
        )
    )
    assert (len(rows), {len(row) for row in rows}) == (2, {len(COLUMNS)})
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in rows[1])
    assert not set("\x1b\r\u202e") & set("".join(rows[1]))


@given(runs())
@example(EXCUSED)
@settings(deadline=None)
def test_tap_fails_exactly_if_the_exit_code_does(run: RunData) -> None:
    """Test points are numbered in order. The exit code is not 0 exactly if a `not ok` has no `# TODO`."""
    version, plan, *lines = tap(run).split("\n")
    points = [line for line in lines if re.match(r"(not )?ok \d", line)]
    assert (version, plan) == ("TAP version 14", f"1..{len(points)}")
    assert [int(re.findall(r"ok (\d+)", line)[0]) for line in points] == list(range(1, len(points) + 1))
    has_failed = any(line.startswith("not ok") and " # TODO " not in line for line in points)
    assert has_failed == (run.code is not ExitCode.PASSED)


@given(st.text() | st.just("#TODO") | st.just(EVIL))
@settings(deadline=None)
def test_tap_holds_any_text(text: str) -> None:
    """No text becomes a directive, a test point or a line of its own. Diagnostics are YAML with JSON values."""
    version, plan, *lines = tap(facts(transcript(text, Verdict.FAILED, text=text))).splitlines()
    assert (version, plan, lines[0]) == ("TAP version 14", "1..1", "# Why it is red")
    points = [line for line in lines if not line.startswith("# ")]
    assert points[0].startswith("not ok 1 - ")
    assert not re.search(r"(?<!\\)#", points[0])
    assert (points[1], points[-1]) == ("  ---", "  ...")
    diagnostics = dict(line.strip().split(": ", 1) for line in points[2:-1])
    assert json.loads(diagnostics["verdict"]) == "failed"
