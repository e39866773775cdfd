"""What matters most of how queries differ from the baseline."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mcprun.analysis.diff.repeats import Rate
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.diff.transcripts import Change
from mcprun.report.aspect import Aspect, aspect_of, comparison_parts, tool_parts
from mcprun.tools.changes import compare_tools

RESULT = Change("result", 1, 2, call=0, tool="t")
CALL = Change("call_added", None, {}, call=1, tool="t")


@pytest.mark.parametrize(
    ("aspect", "fields"),
    [
        ("now_fails", {"verdicts": ("passed", "failed"), "changes": (RESULT,)}),
        ("now_fails", {"verdicts": ("passed", "error")}),
        ("now_passes", {"verdicts": ("failed", "passed"), "changes": (RESULT,)}),
        ("result", {"verdicts": ("failed", "error"), "changes": (CALL, RESULT)}),
        ("result", {"verdicts": ("passed", "passed"), "changes": (RESULT,)}),
        ("calls", {"changes": (Change("stop"), CALL)}),
        ("calls", {"changes": (Change("input", 1, 2, call=0, tool="t"),)}),
        ("other", {"changes": (Change("stop", "end_turn", "max_turns"),)}),
        ("other", {"changes": ()}),
        ("now_fails", {"rates": (Rate(20, 20), Rate(5, 20))}),
        ("now_passes", {"rates": (Rate(5, 20), Rate(20, 20))}),
        ("result", {"rates": (Rate(3, 4), Rate(2, 4)), "changes": (RESULT,)}),
        ("added", {"how": "added"}),
        ("removed", {"how": "removed"}),
    ],
)
def test_a_query_has_one_aspect(aspect: str, fields: dict[str, Any]) -> None:
    """The verdict or the pass rate outweighs a result, which outweighs the calls."""
    assert aspect_of(QueryDiff("q", 1, **{"how": "changed", **fields})) == aspect


def tool(name: str, **schema: Any) -> dict[str, Any]:
    """Return a tool in wire form."""
    return {"name": name, "description": f"Do {name}.", "inputSchema": {"type": "object", **schema}}


def test_a_comparison_is_counted_in_one_line() -> None:
    """Each query counts once, what fails first, and a renamed tool has both names."""
    tools = compare_tools([tool("list_stores")], [{**tool("list_stores"), "name": "list_shops"}])
    aspects: list[Aspect] = [
        "result",
        "now_fails",
        "now_fails",
        "now_fails",
        *cast("list[Aspect]", ["result"] * 10),
        "added",
    ]
    parts = comparison_parts(aspects, tools)
    assert [part.text for part in parts] == [
        "3 now fail", "11 results changed", "1 new query", "1 tool renamed (list_stores → list_shops)",
    ]  # fmt: skip
    assert [part.text for part in comparison_parts(["now_fails", "now_passes"], [])] == ["1 now fails", "1 now passes"]


def test_tools_are_counted_once() -> None:
    """A tool that changed in several ways counts once, and is breaking if one of the changes is."""
    arguments = {"a": {"type": "string"}, "b": {"type": "string"}}
    before = [tool("gone"), tool("search", properties=arguments), tool("same")]
    after = [{**tool("search"), "description": "Find."}, tool("same"), tool("new", properties=arguments)]
    assert list(tool_parts(compare_tools(before, after))) == [
        "1 tool removed (gone)", "1 tool added (new)", "1 tool changed (1 breaking)",
    ]  # fmt: skip
