"""Generated values for schemas with patterns."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jsonschema
import pytest
from hypothesis import event, given, settings

from mcprun.tools.json_schema.generate import generate_value
from tests.support.examples import examples
from tests.support.generated_values import made
from tests.support.schema_strategies import of, wholes

UUID = "00000000-0000-4000-8000-000000000000"

UUID_OF_ZOD = (
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    f"|{UUID.replace('4', '0').replace('8', '0')}|ffffffff-ffff-ffff-ffff-ffffffffffff)$"
)
"""What servers written with zod 4 have for every id."""


@given(wholes)
@settings(max_examples=examples(100), deadline=None)
def test_an_example_is_valid_and_does_not_vary(schema: Any) -> None:
    """Whatever the schema, what is made fits it, and is made again; where nothing is, that is a `ValueError`."""
    try:
        value = generate_value(schema)
    except ValueError:
        event("none")
        return
    event("made")
    try:
        jsonschema.Draft202012Validator(schema).validate(value)
    except RecursionError:  # jsonschema itself follows a circular reference beside `unevaluatedProperties` without end
        event("circular")
    assert json.dumps(generate_value(schema)) == json.dumps(value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "default": "d", "examples": ["e"]}, "d"),
        ({"type": "string", "examples": ["e"]}, "e"),
        ({"type": "string", "default": 5, "examples": [6, "e"]}, "e"),
        ({"enum": ["C", "F"]}, "C"),
        ({"type": "integer", "exclusiveMinimum": 7}, 8),
        ({"type": "integer", "minimum": 20, "multipleOf": 7}, 21),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "string", "format": "date-time"}, "2026-01-15T12:00:00Z"),
        ({"type": "string", "pattern": r"^\d{5}$"}, "00000"),
        ({"type": "string", "pattern": "^[A-Z]{2}-[0-9a-f]{4}$"}, "AA-aaaa"),
        ({"type": "string", "pattern": "^[^A-Z]{2}[^a-z]{4}$"}, "aaAAAA"),
        ({"type": "string", "minLength": 10}, "exampleexa"),
        ({"type": "string", "format": "uuid", "pattern": UUID_OF_ZOD}, UUID),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True}, ["example", "example-2"]),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": {"type": "null"}, "minItems": 2}, [1, None]),
        ({"type": "object", "minProperties": 1}, {"example1": "example"}),
        ({**of(a={"type": "number"}, b={"type": "number"}, c={}), "required": ["a", "b"]}, {"a": 1, "b": 2}),
        ({**of(a={}, b={}), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": "example"}),
        ({**of(a={}, b={"const": 1}), "if": {"properties": {"a": True}}, "then": {"required": ["b"]}}, {"b": 1}),
        ({**of(a={}, b={}), "required": ["a"], "dependentRequired": {"a": ["b"]}}, {"a": "example", "b": "example"}),
        ({"allOf": [{"type": "number", "minimum": 3}, {"type": "integer", "maximum": 4}]}, 3),
        ({"anyOf": [False, {"$ref": "#/$defs/day"}], "$defs": {"day": {"const": "Mon"}}}, "Mon"),
    ],
)
def test_which_value_is_chosen(schema: Any, value: Any) -> None:
    """What the schema offers comes first; then the likeliest of its type, within its bounds; nothing optional."""
    assert made(schema) == value


def test_circles_end() -> None:
    """Where they may be left, deep down; where they may not, there is no example."""
    node = {**of(next={"anyOf": [{"$ref": "#"}, {"type": "null"}]}), "required": ["next"]}
    assert made(node) == {"next": {"next": {"next": None}}}
    for endless in ({"$ref": "#"}, {**of(next={"$ref": "#"}), "required": ["next"]}):
        with pytest.raises(ValueError, match="none of the values tried is valid against the schema"):
            generate_value(endless)


def chain(keyword: str) -> dict[str, Any]:
    """Make a small schema that says the same thing 2^60 times."""
    defs = {f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, "d60": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (chain("allOf"), "too many alternatives"),
        (chain("anyOf"), "too many alternatives"),
        ({"type": "strnig"}, r"not valid at \$\.type"),
        ("no schema", "not valid at"),
        (False, "none of the values"),
        ({"$ref": "#/default", "default": {"required": 5}}, "none of the values"),
        ({"type": "string", "minLength": 10**9}, "none of the values"),
        ({"type": "integer", "minimum": 10**400}, "none of the values"),
        ({"type": "array", "minItems": 10**9}, "none of the values"),
        ({"type": "string", "pattern": r"^\p{Nope}$"}, "the pattern .* can't be parsed"),
        ({"enum": ["x" * 10_000]}, "none of the values"),
        (json.loads('{"not":' * 150 + "{}" + "}" * 150), "nested more than 100 deep"),
    ],
)  # fmt: skip
def test_where_there_is_none_the_reason_is_given(schema: Any, why: str) -> None:
    """Schemas that are not valid, can't be met, go on without end or ask for too much: an error, in no time."""
    with pytest.raises(ValueError, match=why):
        generate_value(schema)


def test_nothing_is_fetched() -> None:
    """A schema may refer to what is elsewhere: nobody is asked for it, and there is no example."""
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(ValueError, match="none of the values"):
                generate_value({"type": "object", "not": {"$ref": f"http://127.0.0.1:{server.server_port}/x.json"}})
        finally:
            server.shutdown()
            thread.join()
    assert asked == []
