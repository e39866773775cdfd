"""The request counts that verify a benchmark, and its table."""

from __future__ import annotations

import json
import urllib.request

import pytest

import mcprun
from tests.benchmarks.api import RequestCounts, request_counts, serving
from tests.benchmarks.beside import Contender, run_verified, table
from tests.benchmarks.processes import Cost
from tests.benchmarks.ratios import figure

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


def test_the_table_has_a_row_for_mcprun_and_each_other_program() -> None:
    """Values are medians over the rounds, and the last column is the median ratio to mcprun's wall time."""
    pairs_by_unit = {
        "s of wall": [(2.0, 8.0), (2.5, 5.0), (4.0, 12.0)],
        "s of all processors": [(1.0, 3.0)],
        "MB": [(100.0, 250.0)],
    }
    figures = [figure("beside: other 1.2", pairs, allowed=1.0, unit=unit) for unit, pairs in pairs_by_unit.items()]
    assert list(table(figures))[2:] == [
        f"| mcprun {mcprun.__version__} | 2.5 s | 1.0 s | 100 MB | 1.00 |",
        "| other 1.2 | 8.0 s | 3.0 s | 250 MB | 3.00 |",
    ]
