"""Scripts that use parts of earlier results in later calls."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.models.script import resolve
from mcprun.runs.transcript import Call

CALLS = [
    Call(turn=0, tool="a", input={}, is_error=False, content=[{"type": "text", "text": "id=17, id=18"}],
         structured={"id": 7, "deep": [{"a/b": "x", "m~n": "y"}]}),
    Call(turn=0, tool="b", input={}, is_error=True, content=[{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"$from": 0, "path": "/structuredContent/id"}, 7),
        ({"$from": 0, "path": "/structuredContent/deep/0/a~1b"}, "x"),
        ({"$from": 0, "path": "/structuredContent/deep/0/m~0n"}, "y"),
        ({"$from": 0, "path": "/content/0/text", "match": r"id=(\d+)"}, "17"),
        ({"$from": 0, "match": r"id=\d+$"}, "id=18"),
        ({"$from": 1}, "one\ntwo"),
        ({"$from": 1, "path": "/isError"}, True),
        ({"$from": 1, "path": ""}, {"content": CALLS[1].content, "structuredContent": None, "isError": True}),
    ],
)
def test_reference_resolves_to_part_of_a_result(reference: dict[str, Any], value: Any) -> None:
    """A `path` yields the JSON value, a `match` yields text, and both work anywhere in the input."""
    assert resolve({"x": [reference], "y": 1}, CALLS) == {"x": [value], "y": 1}


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"$from": 0, "path": "/structuredContent/name"}, "$from 0 /structuredContent/name: there is no 'name' in "),
        ({"$from": 0, "path": "/content/7"}, "$from 0 /content/7: there is no '7' in "),
        ({"$from": 0, "path": "/content/x"}, "$from 0 /content/x: there is no 'x' in "),
        ({"$from": 0, "match": "no=(.)"}, "$from 0: 'no=(.)' does not match the result's text"),
        ({"$from": 0, "path": "/structuredContent/id", "match": "7"}, "$from 0: match needs text, not int"),
    ],
)
def test_unresolved_reference_is_named(reference: dict[str, Any], message: str) -> None:
    """The message names the reference and the value in which it was not found."""
    with pytest.raises(LookupError) as error:
        resolve(reference, CALLS)
    assert str(error.value.args[0]).startswith(message)
