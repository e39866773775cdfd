"""A query whose names have values."""

from __future__ import annotations

from typing import Any

from mcprun.prompts.bindings import Bindings
from mcprun.prompts.query import parse_query

QUERY = {
    "id": "close",
    "vars": {"number": 1},
    "prompt": "Close {{number}}.",
    "script": [{"text": "{{number}}"}],
    "expect": {
        "calls": [{"tool": "close", "input": {"id": "{{number}}"}, "result": None}],
        "text": {"equals": "{{number}}"},
    },
    "cleanup": ["reset"],
}


def bound(value: Any, spoken: Any = None) -> Any:
    """Return the query with a value for `number`, and another one for what the model says."""
    names = {"number": value}
    return parse_query(QUERY).bind(Bindings(names), names if spoken is None else {"number": spoken})


def test_names_are_replaced_in_the_conversation() -> None:
    """The script keeps its names, which are replaced when it is used; so do the query's id and digest."""
    query, source = bound(17), parse_query(QUERY)
    assert (query.id, query.prompt, query.script) == ("close", "Close 17.", source.script)
    assert query.expect.model_dump(exclude_defaults=True) == {
        "calls": [{"tool": "close", "input": {"id": 17}, "result": None}],
        "text": {"equals": "17"},
    }
    assert (query.source, source.source) == (source, source)
    assert (query.bindings.names, source.bindings.names) == ({"number": 17}, {})


def test_what_the_model_said_may_have_other_values() -> None:
    """In a replay, the text is the recorded one, with recorded values."""
    query = bound(18, spoken=17)
    assert (query.prompt, query.expect.text.equals) == ("Close 18.", "17")


def test_values_of_a_server_are_taken_as_they_are() -> None:
    """Braces, references and matchers in a value have no meaning."""
    assert bound("{{other}}").prompt == "Close {{other}}."
    assert bound({"$from": 0}).prompt == 'Close {"$from":0}.'
    assert bound({"$any": True}).expect.calls[0].input == {"id": {"$equals": {"$any": True}}}
