"""The request counts that verify a benchmark, the tables that compare programs, and the time of a query."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.benchmarks.api import RequestCounts, request_counts, serving
from tests.benchmarks.beside import Contender, run_verified
from tests.benchmarks.comparison import BEGIN, END, Comparison, Limits, Program, Record, Workload
from tests.benchmarks.processes import Cost
from tests.benchmarks.query_time import QueryTime, query_time
from tests.support.documents import page, replace_block
from tests.support.runs import event

COST = Cost(processor=1.0, wall=2.0, megabytes=3.0, together=4.0)


def ask(url: str, *results: dict[str, object]) -> None:
    """Send one request of a conversation, with these tool results."""
    content = [{"type": "tool_result", "tool_use_id": "toolu_1", **result} for result in results]
    body = {"messages": [{"role": "user", "content": content or "What is 2 + 3?"}]}
    urllib.request.urlopen(f"{url}/v1/messages", json.dumps(body).encode()).close()


def test_a_run_without_two_error_free_turns_per_query_is_rejected() -> None:
    """A run with a missing request or an error result raises, according to the counts of the API."""

    def run(queries: int, **result: object) -> Cost:
        for _ in range(queries):
            ask(url)
        for _ in range(2):
            ask(url, {"content": "5", **result})
        return COST

    with serving() as url:
        assert run_verified(Contender("whole", lambda: run(2)), url, 2) == COST
        assert request_counts(url) == RequestCounts(first=2, results=2)
        with pytest.raises(RuntimeError, match=r"less did not run 2 queries .*first=1"):
            run_verified(Contender("less", lambda: run(1)), url, 2)
        with pytest.raises(RuntimeError, match="errors=2"):
            run_verified(Contender("broken", lambda: run(2, is_error=True)), url, 2)


def cost(wall: float, together: float = 1.0, megabytes: float = 100.0) -> Cost:
    """Return a cost whose own processor time is never the one that is compared."""
    return Cost(processor=999.0, wall=wall, megabytes=megabytes, together=together)


OWN = Program("mcprun 1.2", (cost(2.0), cost(2.5), cost(4.0)))
OTHER = Program(
    "other 3.4",
    (cost(8.0, 3.0, 250.0), cost(5.0, 4.0, 260.0), cost(12.0, 5.0, 270.0)),
    Limits(wall=0.4, megabytes=0.3),
)
TIMES = (QueryTime(0.11, 0.1), QueryTime(0.12, 0.1), QueryTime(0.13, 0.1))
FEW = Comparison(Workload(200, 2, 16, 0.05), (OWN, OTHER), TIMES)
MANY = Comparison(Workload(2_000, 2, 16, 0.05), (OWN,), TIMES, allowed=1.06)
RECORD = Record("one core", (FEW, MANY))


def test_each_program_has_a_row_relative_to_mcprun() -> None:
    """The columns are medians with the range of wall times, of all processes, and the ratio of each round to mcprun's."""
    assert FEW.table.splitlines() == [
        "| 200 queries of 2 turns, 50 ms an answer, concurrency 16 | wall | processor | memory | times mcprun's wall |",
        "|---|---|---|---|---|",
        "| mcprun 1.2 | 2.50 s (2.00 to 4.00) | 1.0 s | 100 MB | 1.00 |",
        "| other 3.4 | 8.00 s (5.00 to 12.00) | 4.0 s | 260 MB | 3.00 (2.00 to 4.00) |",
        "| waiting alone | 1.25 s |  |  | 0.50 (0.31 to 0.62) |",
    ]


def test_costs_without_a_limit_are_no_figures() -> None:
    """A figure is a cost of mcprun relative to another program's or to waiting, with its limit."""
    assert [(figure.name, round(figure.median, 2), figure.allowed, figure.unit) for figure in RECORD] == [
        ("beside: 200 queries, other 3.4", 0.33, 0.4, "s of wall"),
        ("beside: 200 queries, other 3.4", 0.38, 0.3, "MB"),
        ("beside: 2,000 queries, a query and its waiting", 1.2, 1.06, "ms"),
    ]
    assert [figure.is_met for figure in RECORD] == [True, False, False]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The JSON of a record holds all that its tables and figures are made of."""
    (tmp_path / "record.json").write_text(RECORD.text)
    assert Record.read(tmp_path / "record.json") == RECORD


def test_the_tables_replace_those_of_a_document() -> None:
    """Both tables and the paragraph replace what is between the markers, and nothing around them."""
    document = f"# Speed\n\n{BEGIN}\nold\n{END}\n\nMore.\n"
    assert replace_block(document, BEGIN, END, RECORD.markdown) == (
        f"# Speed\n\n{BEGIN}\n{FEW.table}\n\n{MANY.table}\n\n"
        "Medians of 3 rounds and their range, on one core. "
        "With 2,000 queries and without start-up, a query takes mcprun 1.20 (1.10 to 1.30) times its waiting.\n"
        f"{END}\n\nMore.\n"
    )
    with pytest.raises(ValueError, match="no place"):
        replace_block("# Speed\n", BEGIN, END, RECORD.markdown)


def test_the_page_has_the_tables_of_the_record() -> None:
    """docs/benchmarks.md has the tables of the record once: 200 queries by all programs, and 2,000 by the fast ones."""
    record = Record.read()
    assert record.markdown in page("benchmarks")
    assert page("benchmarks").count(BEGIN) == page("benchmarks").count(END) == 1
    few, many = record.comparisons
    assert (few.workload.queries, many.workload.queries) == (200, 2_000)
    own, bare_loop, node_sdk = (program.name for program in many.programs)
    assert [program.name for program in few.programs][:3] == [own, bare_loop, node_sdk]
    assert [name.partition(" ")[0] for name in (own, node_sdk)] == ["mcprun", "MCPJam"]


def test_a_query_takes_as_long_as_its_worker_is_busy_with_it() -> None:
    """The first query of each worker is left out, and each call counts as long as the fastest."""
    trace = [
        event("run_start", 0),
        event("query_end", 900, worker=0),
        event("query_end", 950, worker=1),
        event("tool_call", 1000, seconds=0.002),
        event("tool_call", 1000, seconds=0.010),
        *[event("model_call", 1000, seconds=0.07)] * 8,
        event("query_end", 1020, worker=0),
        event("query_end", 1150, worker=0),
    ]
    mean = query_time(trace, answer_seconds=0.05)
    assert mean.seconds == pytest.approx((0.120 + 0.130) / 2)
    assert mean.waiting == pytest.approx((8 * 0.05 + 2 * 0.002) / 4)
