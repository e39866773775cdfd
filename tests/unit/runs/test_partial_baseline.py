"""Accept some queries of a run into a baseline, which stays a valid run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.errors import UsageError
from mcprun.runs.baseline import Selection, bless, bless_selection, merged_order
from mcprun.runs.run import Run
from mcprun.runs.run_record import RepeatsRecord, ServerRecord
from mcprun.runs.transcript import Transcript
from tests.support.runs import broken, call, failed, transcript, write_run

OLD, NEW = call("get", "old"), call("get", "new")
TOOL = {"name": "get", "inputSchema": {"type": "object"}}


def make_run(path: Path, *transcripts: Transcript, **more: Any) -> Run:
    """Write a run with these transcripts, and open it."""
    return Run.read(str(write_run(path, transcripts, **more)))


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    """Make a baseline of the queries `a`, `b` and `c`."""
    run = make_run(tmp_path / "old", *(transcript(name, OLD) for name in "abc"))
    bless(run, tmp_path / "baseline", slim=False, force=False)
    return tmp_path / "baseline"


def contents(path: Path) -> list[tuple[str, int, str]]:
    """Return the id, the repeat and the first result of each transcript of a baseline, which must be a valid run."""
    return [(one.id, one.repeat, one.calls[0].content[0]["text"]) for one in Run.read(str(path)).transcripts()]


def test_only_the_selected_queries_are_replaced(tmp_path: Path, baseline: Path) -> None:
    """The others keep their bytes, and the counts are those of the new lines."""
    before = (baseline / "transcripts.jsonl").read_bytes().splitlines()
    run = make_run(tmp_path / "new", transcript("a", NEW), failed("b", "why", NEW, NEW), transcript("c", NEW))
    bless_selection(run, baseline, Selection({"b"}), force=False)
    after = (baseline / "transcripts.jsonl").read_bytes().splitlines()
    assert contents(baseline) == [("a", 1, "old"), ("b", 1, "new"), ("c", 1, "old")]
    assert (after[0], after[2]) == (before[0], before[2])
    record = Run.read(str(baseline)).record
    assert record.counts is not None
    assert (record.counts.passed, record.counts.failed, record.counts.calls) == (2, 1, 4)
    assert (record.state, record.prompts.queries, record.prompts.runs) == ("finished", 3, 3)
    assert sorted(file.name for file in baseline.iterdir()) == ["run.json", "transcripts.jsonl"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["baseline", "new", "old"]


def test_new_queries_get_their_place_in_the_run(tmp_path: Path, baseline: Path) -> None:
    """A query that the baseline lacks follows the query before it in the run; one that is dropped is gone."""
    run = make_run(tmp_path / "new", *(transcript(name, NEW) for name in ("x", "a", "y", "b", "z")))
    bless_selection(run, baseline, Selection({"x", "y", "z"}, {"c"}), force=False)
    assert [(name, text) for name, _, text in contents(baseline)] == [
        ("x", "new"), ("a", "old"), ("y", "new"), ("b", "old"), ("z", "new")
    ]  # fmt: skip


def test_all_repeats_of_a_query_are_replaced(tmp_path: Path) -> None:
    """The repeats of a query stay together, and `repeats` has the rates of the run that each query is from."""

    def repeats(call: Any, *names: str, runs: int) -> list[Transcript]:
        return [transcript(name, call, repeat=number) for name in names for number in range(1, runs + 1)]

    def rate(name: str, runs: int) -> RepeatsRecord:
        return RepeatsRecord(
            id=name, runs=runs, passed=runs, failed=0, error=0, skipped=0, pass_rate=1, low=0, high=1, pass_at=[1],
            pass_hat=[1], flaky=False,
        )  # fmt: skip

    old = make_run(tmp_path / "old", *repeats(OLD, "a", "b", runs=2), repeats=[rate("a", 2), rate("b", 2)])
    bless(old, tmp_path / "baseline", slim=False, force=False)
    new = make_run(tmp_path / "new", *repeats(NEW, "a", "b", runs=3), repeats=[rate("a", 3), rate("b", 3)])
    bless_selection(new, tmp_path / "baseline", Selection({"a"}), force=False)
    assert contents(tmp_path / "baseline") == [
        *(("a", repeat, "new") for repeat in (1, 2, 3)), *(("b", repeat, "old") for repeat in (1, 2))
    ]  # fmt: skip
    record = Run.read(str(tmp_path / "baseline")).record
    assert [(one.id, one.runs) for one in record.repeats] == [("a", 3), ("b", 2)]
    assert (record.prompts.queries, record.prompts.runs) == (2, 5)


@pytest.mark.parametrize(("accepts_tools", "expected"), [(False, []), (True, [TOOL])])
def test_tools_are_accepted_only_if_selected(
    tmp_path: Path, baseline: Path, accepts_tools: bool, expected: list[Any]
) -> None:
    """The server of the baseline stays, with its tools, unless the tools of the run are accepted too."""
    server = ServerRecord(name="shop", version="2.0", protocol="2026-07-28", tools=[TOOL])
    run = make_run(tmp_path / "new", transcript("a", NEW), server=server)
    bless_selection(run, baseline, Selection({"a"}, tools=accepts_tools), force=False)
    found = Run.read(str(baseline)).record.server
    assert found is not None
    assert found.tools == expected


def test_a_slim_baseline_stays_slim(tmp_path: Path) -> None:
    """Queries that are accepted into a slim baseline lose their conversations as well; the reverse is refused."""
    run = make_run(tmp_path / "run", transcript("a", OLD), transcript("b", OLD))
    bless(run, tmp_path / "slim", slim=True, force=False)
    bless_selection(run, tmp_path / "slim", Selection({"a"}), force=False)
    slim = Run.read(str(tmp_path / "slim"))
    assert (slim.record.slim, [one.messages for one in slim.transcripts()]) == (True, [[], []])
    bless(run, tmp_path / "whole", slim=False, force=False)
    with pytest.raises(UsageError, match=r"is slim, and .* is not"):
        bless_selection(slim, tmp_path / "whole", Selection({"a"}), force=False)


def test_a_query_with_an_error_is_refused_if_it_is_selected(tmp_path: Path, baseline: Path) -> None:
    """Errors of other queries do not matter. A refusal leaves the baseline as it is; `force` accepts the error."""
    before = (baseline / "transcripts.jsonl").read_bytes()
    run = make_run(tmp_path / "new", transcript("a", NEW), broken("b", "server_died", "gone", NEW))
    with pytest.raises(UsageError, match=r"'b' ended in an error or was skipped in .*new, and can't be accepted"):
        bless_selection(run, baseline, Selection({"a", "b"}), force=False)
    assert (baseline / "transcripts.jsonl").read_bytes() == before
    bless_selection(run, baseline, Selection({"a"}), force=False)
    assert contents(baseline)[:2] == [("a", 1, "new"), ("b", 1, "old")]
    bless_selection(run, baseline, Selection({"b"}), force=True)
    assert contents(baseline)[1] == ("b", 1, "new")


def test_a_damaged_baseline_is_not_merged(tmp_path: Path, baseline: Path) -> None:
    """A baseline that lacks a line is refused even with `force`: what it held is unknown."""
    data = (baseline / "transcripts.jsonl").read_bytes()
    (baseline / "transcripts.jsonl").write_bytes(data[:-20])
    run = make_run(tmp_path / "new", transcript("a", NEW))
    with pytest.raises(UsageError, match="is damaged"):
        bless_selection(run, baseline, Selection({"a"}), force=True)
    assert (baseline / "transcripts.jsonl").read_bytes() == data[:-20]


def test_a_selection_can_begin_a_baseline(tmp_path: Path) -> None:
    """Without a baseline, one is made of the selected queries."""
    run = make_run(tmp_path / "run", transcript("a", NEW), transcript("b", NEW))
    bless_selection(run, tmp_path / "baseline", Selection({"b"}), force=False)
    assert contents(tmp_path / "baseline") == [("b", 1, "new")]


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(NAMES, NAMES)
def test_a_merged_order_holds_each_query_once(kept: list[str], order: list[str]) -> None:
    """The baseline's order does not change, and a new query comes after the one before it in the run."""
    merged = merged_order(kept, order)
    assert sorted(merged) == sorted({*kept, *order})
    assert [name for name in merged if name in kept] == kept
    for before, name in zip([None, *order], order, strict=False):
        if name not in kept:
            place = merged.index(name)
            assert place == 0 if before is None else merged.index(before) == place - 1
