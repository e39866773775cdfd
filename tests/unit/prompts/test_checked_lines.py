"""The second reading of a prompts file yields the queries that the first one selected, or reports a change."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.errors import UsageError
from mcprun.prompts.file import QueryFilter, read_prompts

PROMPTS = st.lists(st.sampled_from(["a", "b", "c\u2028", "é"]), min_size=1, max_size=8)


@given(PROMPTS, st.integers(1, 8), st.sets(st.integers(0, 7)))
def test_finished_queries_are_left_out_and_the_others_keep_their_ids(
    prompts: list[str], limit: int, finished: set[int]
) -> None:
    """Generated ids, which number equal prompts, do not depend on which queries are read again."""
    source = io.BytesIO("\n\n".join(map(json.dumps, prompts)).encode())
    found = read_prompts("-", QueryFilter(limit=limit), stored_path=source)
    names = list(found.digests)
    done = {(name, 1) for number, name in enumerate(names) if number in finished}
    left = [(query.id, query.prompt) for query, _ in found.left(done)]
    assert left == [one for number, one in enumerate(zip(names, prompts, strict=False)) if number not in finished]


def test_only_some_of_the_selected_queries_are_read_again() -> None:
    """The line numbers are those of the whole file."""
    source = io.BytesIO(b'\n{"id": "a", "prompt": "x"}\n{"id": "b", "prompt": "x"}\n{"id": "c", "prompt": "x"}\n')
    found = read_prompts("-", QueryFilter(("a", "c")), stored_path=source).only(["c"])
    assert [(line, query.id) for line, query in found.numbered_queries()] == [(4, "c")]


@pytest.mark.parametrize("after", [b'"b"\n"c"', b'"b"\n\n"b"\n"c"\n', b'"x"\n"b"\n"c"\n', b'"b"\n"c"\n"d"\n'])
def test_a_line_that_is_removed_added_or_moved_is_a_change(after: bytes) -> None:
    """Other lines than those that were selected count as well."""
    source = io.BytesIO(b'"a"\n"b"\n"c"\n')
    found = read_prompts("-", QueryFilter(limit=2), stored_path=source)
    source.seek(0)
    source.truncate()
    source.write(after)
    with pytest.raises(UsageError, match="changed during the run"):
        list(found.queries())
