"""Tools that several sessions list add up to a union, within bounds."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_value import json_equal
from mcprun.runs.run_record import Malformed, ServerRecord
from mcprun.runs.tool_listings import MAX_SCHEMAS, joined_listings, with_listing
from tests.support.tool_lists import lists, tool


def record(*tools: dict[str, Any], malformed: list[Malformed] | None = None) -> ServerRecord:
    return ServerRecord(protocol="2026-07-28", tools=[*tools], malformed=malformed or [])


def malformed(item: str, rule: Any = "malformed") -> Malformed:
    return Malformed(item=item, rule=rule, message="is left out")


@given(st.lists(lists, min_size=1, max_size=3))
def test_each_tool_and_each_schema_is_kept_once(listings: list[list[dict[str, Any]]]) -> None:
    """Every listed tool is in the record with its schema, nothing else is, and the first list stays as it was."""
    first, *others = listings
    joined = joined_listings(record(*first), [record(*other) for other in others])
    listed = [*joined.tools, *joined.later_tools]
    assert joined.tools == first
    for one in (one for listing in listings for one in listing):
        same = [
            other
            for other in listed
            if other["name"] == one["name"] and json_equal(other["inputSchema"], one["inputSchema"])
        ]
        assert len(same) == 1
    assert {one["name"] for one in listed} == {one["name"] for listing in listings for one in listing}


@given(lists, lists)
def test_list_that_adds_nothing_returns_the_same_record(
    first: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    """A list that was added already changes nothing, so that nothing has to be written."""
    once = with_listing(record(*first), other)
    assert with_listing(once, other) is once


def test_malformed_tools_are_kept_by_name() -> None:
    """Tools that another session lists in a malformed form are kept once; ignored fields are not."""
    first = record(tool("a"), malformed=[malformed("b")])
    joined = with_listing(first, [], [malformed("b"), malformed("c"), malformed("a", "ignored")])
    assert [one.item for one in joined.later_malformed] == ["c"]


def test_later_malformed_tools_of_another_record_are_kept() -> None:
    """Joining records keeps what each of them had joined before."""
    second = with_listing(record(), [tool("b")], [malformed("c")])
    joined = joined_listings(record(tool("a")), [second])
    assert [one["name"] for one in joined.later_tools] == ["b"]
    assert [one.item for one in joined.later_malformed] == ["c"]


def test_schemas_of_one_tool_are_bounded() -> None:
    """A server that writes a random value into a schema does not let `run.json` grow without end."""
    joined = record(tool("a"))
    for number in range(50):
        joined = with_listing(joined, [tool("a", {"type": "object", "default": number}), tool("b")])
    assert [one["name"] for one in joined.later_tools] == [*"ab", *"a" * (MAX_SCHEMAS - 2)]


def test_records_without_later_tools_have_no_such_keys() -> None:
    """The keys appear in `run.json` only if a session listed something else."""
    assert not {"later_tools", "later_malformed"} & record(tool("a")).line().keys()
    assert with_listing(record(), [tool("a")]).line()["later_tools"] == [tool("a")]
