"""A pattern that is itself a name matches only that name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.name_patterns import fits
from mcprun.prompts.file import QueryFilter, read_prompts
from mcprun.prompts.generate import generate_prompts
from mcprun.prompts.shard import Shard
from mcprun.tools.toolset import ToolFilter, ToolSet
from tests.support.name_patterns import prompts

__all__ = ["prompts"]


@pytest.mark.parametrize(
    ("patterns", "ids"),
    [
        (["a[1]"], ["a[1]"]),
        (["a[12]"], ["a1"]),
        (["a[[]1]"], ["a[1]"]),
        (["b*"], ["b*"]),
        (["b-*"], ["b-x"]),
        (["c?"], ["c?"]),
        (["d[!x]"], ["d[!x]"]),
        (["d[!z]"], ["dy"]),
        (["e,f"], ["e,f"]),
        (["["], ["["]),
        (["a[1]", "c*"], ["a[1]", "c?", "cd"]),
        (["a[1]", "a1"], ["a1", "a[1]"]),
        (["t[tagged]"], ["tagged"]),
        (["tagged*"], ["tagged", "tagged-too"]),
        (["[[]z]"], ["[[]z]"]),
    ],
)
def test_exact_id_or_tag_takes_precedence_over_a_pattern(prompts: Path, patterns: list[str], ids: list[str]) -> None:
    """This applies to each pattern separately, in the index and in the queries, with shards and with a limit."""
    with read_prompts(str(prompts), QueryFilter(tuple(patterns))) as found:
        assert list(found.digests) == ids
        assert [query.id for query in found.queries()] == ids
    with read_prompts(str(prompts), QueryFilter(tuple(patterns), limit=1)) as found:
        assert [query.id for query in found.queries()] == ids[:1]
    with read_prompts(str(prompts), QueryFilter(tuple(patterns), shard=Shard(1, 2))) as found:
        assert [query.id for query in found.queries()] == ids[::2]


@given(st.lists(st.text(alphabet="ab[]*?!-", min_size=1, max_size=4), min_size=1, unique=True), st.data())
def test_every_name_can_be_selected_alone(names: list[str], data: st.DataObject) -> None:
    """A name as its own pattern selects only that name."""
    selected = data.draw(st.sampled_from(names))
    assert [name for name in names if fits(name, [selected], names)] == [selected]


def test_tool_patterns_prefer_exact_names() -> None:
    """Tool filters, a query's `tools` and `init --tool` match patterns in the same way."""
    listed = [{"name": name, "inputSchema": {"type": "object"}} for name in ("a1", "a[1]", "b*", "bc")]
    tools = ToolSet.of(listed)

    def filtered_names(tool_filter: ToolFilter) -> list[str]:
        return sorted(tools.only(tool_filter).names.values())

    assert filtered_names(ToolFilter(allow=("a[1]",))) == ["a[1]"]
    assert filtered_names(ToolFilter(allow=("a[1]", "b?"))) == ["a[1]", "b*", "bc"]
    assert filtered_names(ToolFilter(deny=("b*",))) == ["a1", "a[1]", "bc"]
    assert filtered_names(ToolFilter(deny=("a[12]",))) == ["a[1]", "b*", "bc"]
    assert [query["script"][0]["calls"][0]["tool"] for query in generate_prompts(listed, ("a[1]",)).queries] == ["a[1]"]
