"""The parts of the benchmarks that keep their figures honest: request counts, and the table."""

from __future__ import annotations

import json
import urllib.request

import pytest

import mcprun
from tests.benchmarks.api import Asked, asked, serving
from tests.benchmarks.beside import Way, checked, table
from tests.benchmarks.processes import Cost
from tests.benchmarks.ratios import figure

COST = Cost(processor=1.0, wall=2.0, megabytes=3.0, together=4.0)


def ask(url: str, *results: dict[str, object]) -> None:
    """Send one request of a conversation."""
    content = [{"type": "tool_result", "tool_use_id": "toolu_1", **result} for result in results]
    body = {"messages": [{"role": "user", "content": content or "What is 2 + 3?"}]}
    urllib.request.urlopen(f"{url}/v1/messages", json.dumps(body).encode()).close()


def test_a_run_counts_only_with_two_turns_a_query_and_no_error() -> None:
    """The API counts what it is asked, and one request less, or a result that is an error, is refused."""

    def run(queries: int, **result: object) -> Cost:
        for _ in range(queries):
            ask(url)
        for _ in range(2):
            ask(url, {"content": "5", **result})
        return COST

    with serving() as url:
        assert checked(Way("whole", lambda: run(2)), url, 2) == COST
        assert asked(url) == Asked(first=2, results=2)
        with pytest.raises(RuntimeError, match=r"less did not run 2 queries .*first=1"):
            checked(Way("less", lambda: run(1)), url, 2)
        with pytest.raises(RuntimeError, match="errors=2"):
            checked(Way("broken", lambda: run(2, is_error=True)), url, 2)


def test_the_table_holds_mcprun_and_each_other_way() -> None:
    """Values are the medians; how often mcprun's wall time is the median of the rounds."""
    taken = {
        "s of wall": [(2.0, 8.0), (2.5, 5.0), (4.0, 12.0)],
        "s of all processors": [(1.0, 3.0)],
        "MB": [(100.0, 250.0)],
    }
    figures = [figure("beside: other 1.2", pairs, allowed=1.0, unit=unit) for unit, pairs in taken.items()]
    assert list(table(figures))[2:] == [
        f"| mcprun {mcprun.__version__} | 2.5 s | 1.0 s | 100 MB | 1.00 |",
        "| other 1.2 | 8.0 s | 3.0 s | 250 MB | 3.00 |",
    ]
