"""Repeats as marks, and counts of queries and of their runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.report.outcome import outcome
from mcprun.report.repeats import (
    below_rate,
    interval_bar,
    passed_of,
    percent,
    query_counts,
    repeat_lines,
    repeated,
    runs_of,
)
from mcprun.runs.transcript import Transcript, Verdict
from tests.support.facts import facts, transcript

P, F, E, S = Verdict.PASSED, Verdict.FAILED, Verdict.ERROR, Verdict.SKIPPED


def runs(name: str, *verdicts: Verdict) -> list[Transcript]:
    """Return the runs of a query."""
    return [transcript(name, verdict, number) for number, verdict in enumerate(verdicts, 1)]


def run_of(*transcripts: Transcript, required: float | None = None, **more: Any) -> Any:
    """Return the data of a run with these transcripts."""
    return facts(*transcripts, required=required, **more)


def test_a_line_has_a_mark_for_each_run_and_the_interval_on_one_scale() -> None:
    """Queries below their rate come first, then flaky ones, and columns are aligned."""
    found = run_of(
        *runs("fine", P, P, P), *runs("flaky-half", F, P, F, P, F, F), *runs("broken", E, P, S), required=0.3
    )
    lines = [line for line, _ in repeat_lines(found.repeats, 80)]
    assert lines == [
        "flaky-half  ✗✓✗✓✗✗  2/6   33 %  10 %  ├────▪───────┤      70 %   needs 30 %",
        "fine        ✓✓✓     3/3  100 %  44 %         ├──────────▪ 100 %  needs 30 %",
        "broken      ▲✓○     1/3   33 %   6 %  ├────▪────────┤     79 %   needs 30 %  1 error",
    ]


def test_marks_are_in_the_order_of_the_runs() -> None:
    """The file may hold them in another order, as while a run is going on."""
    (one,) = repeated(run_of(*runs("q", F, P, E)).record, reversed(runs("q", F, P, E)))
    assert one.marks == "✗✓▲"


@given(st.integers(1, 300), st.integers(0, 300), st.integers(40, 200), st.text(min_size=1, max_size=60))
def test_a_line_fits_its_width_and_counts_the_runs_it_leaves_out(
    passed: int, failed: int, width: int, name: str
) -> None:
    """Marks give way, since the numbers count them."""
    found = run_of(*runs(name, *[P] * passed, *[F] * failed), required=0.5)
    ((line, one),) = repeat_lines(found.repeats, width)
    marks = line.count("✓") + line.count("✗") - (name.count("✓") + name.count("✗"))
    left_out = passed + failed - marks
    assert (f"…+{left_out:,}" in line) == (left_out > 0)
    assert len(line) <= max(width, 88)
    assert one.record.runs == passed + failed


@given(st.integers(0, 50), st.integers(1, 50), st.integers(5, 40))
def test_an_interval_holds_its_rate(passed: int, more: int, width: int) -> None:
    """The mark is never outside of the ends."""
    (one,) = repeated(run_of(*runs("q", *[P] * passed, *[F] * more), required=0.5).record, [])
    bar = interval_bar(one.record, width)
    assert len(bar) == width
    assert bar.count("▪") == 1
    assert bar.strip()[0] in "├▪"
    assert bar.strip()[-1] in "┤▪"


@pytest.mark.parametrize(("rate", "text"), [(0, "0 %"), (0.001, "1 %"), (0.335, "34 %"), (0.999, "99 %"), (1, "100 %")])
def test_a_rate_is_rounded_to_all_or_nothing_only_if_it_is(rate: float, text: str) -> None:
    """99.9 % is not all."""
    assert percent(rate) == text


def test_counts_of_queries_have_one_meaning() -> None:
    """Repeats of a query are one query, and counts of runs say so."""
    found = run_of(
        *runs("fine", P, P), *runs("flaky", P, F, P), *runs("never", F, F), transcript("single"), transcript("bad", F)
    )
    counts = query_counts(found.record, found.counts)
    assert (counts.done, counts.passed, counts.failed, counts.below, counts.repeated) == (5, 2, 1, 2, 3)
    assert below_rate(found.record) == "2 of 3 repeated queries below their rate"
    assert runs_of(found.record, found.counts) == "9 runs of 5 queries"
    assert passed_of(found.record, found.counts) == "2 of 5 queries; 5 of 9 runs"
    assert outcome(found.record, found.counts) == "FAILED: 1 failed, 2 of 3 repeated queries below their rate"


def test_a_run_without_repeats_counts_queries() -> None:
    """A share says what it is a share of: all queries, or those that ended."""
    whole = run_of(transcript("a"), transcript("b", F))
    assert (below_rate(whole.record), runs_of(whole.record, whole.counts)) == ("", "")
    assert passed_of(whole.record, whole.counts) == "1 of 2 queries"
    ended = run_of(transcript("a"), transcript("b", F), transcript("c", S))
    assert passed_of(ended.record, ended.counts) == "1 of the 2 queries that ended"


@given(st.lists(st.lists(st.sampled_from([P, F, E, S]), min_size=1, max_size=6), min_size=1, max_size=5), st.booleans())
def test_a_run_names_a_reason_exactly_if_it_is_red(all_verdicts: list[list[Verdict]], is_rated: bool) -> None:
    """The counts agree with the exit code, whatever the verdicts."""
    queries = [one for number, verdicts in enumerate(all_verdicts) for one in runs(f"q{number}", *verdicts)]
    found = run_of(*queries, required=0.5 if is_rated else None)
    counts = query_counts(found.record, found.counts)
    assert 0 <= counts.passed <= counts.done <= len(all_verdicts)
    text = outcome(found.record, found.counts)
    assert bool(text) == (found.code != 0)
    assert ("below" in text or "failed" in text) == text.startswith("FAILED")
