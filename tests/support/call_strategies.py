"""Hypothesis strategies for the calls of a transcript and for `expect.calls`, for tests of call matching."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mcprun.runs.transcript import Call


def made(result: Any = "", tool: str = "t", **arguments: Any) -> Call:
    """Return a call of `tool` with the input `arguments` and the text `result`."""
    return Call(
        turn=0, tool=tool, input=arguments, is_error=False, content=[{"type": "text", "text": result}], structured=None
    )


LEAVES = [0, 1, 1.0, True, None, "a", {"k": 1}, [1], [{"k": 1}]]

MATCHERS = [
    {"$any": True}, {"$oneof": [0, 1]}, {"$oneof": [[1], "a"]}, {"$approx": 0.9, "within": 0.2}, {"$equals": 1},
    {"$equals": {"k": 1}}, {"$type": "array"}, {"$optional": True, "$oneof": ["a"]}, {"$regex": "a"}, {"$approx": 10**400},
]  # fmt: skip

expectations = st.lists(
    st.fixed_dictionaries(
        {"tool": st.sampled_from("tu"), "input": st.dictionaries(st.just("x"), st.sampled_from(LEAVES + MATCHERS))},
        optional={"result": st.sampled_from([*LEAVES, *MATCHERS]), "exact_input": st.booleans()},
    ),
    max_size=4,
)

RESULTS = ["a", "1", "[1]", "true", '{"k": 1}', '[{"k": 1.0}]']

calls = st.lists(
    st.builds(
        lambda tool, result, arguments: made(result, tool, **arguments),
        st.sampled_from("tu"), st.sampled_from(RESULTS), st.dictionaries(st.sampled_from("xy"), st.sampled_from(LEAVES)),
    ),
    max_size=4,
)  # fmt: skip
