"""Arguments of `mcprun call`, converted by a tool's schema."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mcprun.tools.arguments import parse_arguments

SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "f": {"type": "number"},
        "flag": {"type": "boolean"},
        "s": {"type": "string"},
        "items": {"type": "array", "items": {"type": "string"}},
        "nums": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "either": {"type": ["integer", "string"]},
        "a": {"$ref": "#/$defs/A"},
        "choice": {"enum": ["x", 1]},
        "any": {},
        "dotted.key": {"type": "integer"},
    },
    "$defs": {"A": {"type": "object", "properties": {"b": {"type": "integer"}, "c": {"$ref": "#/$defs/A"}}}},
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["n=3"], {"n": 3}),
        (["n=3.0"], {"n": 3}),
        (["f=3"], {"f": 3}),
        (["f=-1.5e3"], {"f": -1500.0}),
        (["flag=true"], {"flag": True}),
        (["flag=No"], {"flag": False}),
        (["s=3"], {"s": "3"}),
        (["s="], {"s": ""}),
        (["s=a=b"], {"s": "a=b"}),
        (["s={}"], {"s": "{}"}),
        (['items=["a", "b"]'], {"items": ["a", "b"]}),
        (["items=a"], {"items": ["a"]}),
        (["items=a", "items=1"], {"items": ["a", "1"]}),
        (["nums=1", "nums=2"], {"nums": [1, 2]}),
        (["nums=null"], {"nums": None}),
        (["maybe=null"], {"maybe": None}),
        (["maybe=x"], {"maybe": "x"}),
        (["either=3"], {"either": 3}),
        (["either=x"], {"either": "x"}),
        (["a.b=1", "a.c.b=2"], {"a": {"b": 1, "c": {"b": 2}}}),
        (['a={"b": 1}'], {"a": {"b": 1}}),
        (["dotted.key=1"], {"dotted.key": 1}),
        (["choice=1"], {"choice": 1}),
        (["choice=x"], {"choice": "x"}),
        (["any=3"], {"any": 3}),
        (["any=x"], {"any": "x"}),
        (["any.x=true"], {"any": {"x": True}}),
        (['{"n": "three", "zzz": 1}'], {"n": "three", "zzz": 1}),
        (['{"n": 1, "s": "a"}', "n=2"], {"n": 2, "s": "a"}),
    ],
)
def test_values_are_converted_by_the_schema(words: list[str], expected: dict[str, Any]) -> None:
    """Each value gets the type in the schema, and JSON is passed on as it is."""
    found = parse_arguments(words, SCHEMA)
    assert (found, str(found)) == (expected, str(expected))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["n=x"], 'n: must be an integer, not "x"'),
        (["n=1.5"], "n: must be an integer, not 1.5"),
        (["n="], 'n: must be an integer, not ""'),
        (["n=NaN"], 'n: must be an integer, not "NaN"'),
        (["flag=maybe"], 'flag: must be a boolean, not "maybe"'),
        (["nums=x"], 'nums[0]: must be an integer, not "x"'),
        (["a.b=x"], 'a.b: must be an integer, not "x"'),
        (["s=a", "s=b"], "s: is given 2 times, but takes no list"),
        (["s.t=a"], "s: must be a string, not an object"),
        (["a={}", "a.b=1"], "a: is given both as a whole and by its keys"),
        (["numz=1"], "numz: there is no such argument; did you mean 'nums'?"),
        (["a.z=1"], "a.z: there is no such argument; the keys are 'b', 'c'"),
        (["n"], "'n' is neither KEY=VALUE nor a JSON object"),
        (["=1"], "'=1' is neither KEY=VALUE nor a JSON object"),
        (["[1]"], "'[1]' is neither KEY=VALUE nor a JSON object"),
        (['{"n": 1'], "{\"n\": 1 is not JSON: Expecting ',' delimiter: line 1 column 8 (char 7)"),
        (['{"n": 1, "n": 2}'], '{"n": 1, "n": 2} is not JSON: the key \'n\' appears twice in one object (at n)'),
    ],
)
def test_bad_arguments_are_named(words: list[str], message: str) -> None:
    """The message has the key, what its schema expects, and the keys that there are."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_arguments(words, SCHEMA)


@pytest.mark.parametrize("schema", [None, {"type": 5}, {"type": "object"}, {"$ref": "#/nowhere"}, True])
def test_a_schema_without_properties_accepts_any_key(schema: Any) -> None:
    """Without a usable schema, values that are JSON are read as such."""
    assert parse_arguments(["x=1", "y=true", "z=word"], schema) == {"x": 1, "y": True, "z": "word"}


def test_a_schema_of_other_keys_gives_their_type() -> None:
    """`additionalProperties` is the schema of keys that are not declared."""
    schema = {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}}
    assert parse_arguments(["b=1"], schema) == {"b": "1"}
