"""Values generated from JSON schemas."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jsonschema
import pytest
from hypothesis import event, given, settings
from referencing.exceptions import Unresolvable

from mcprun.tools.json_schema.generate import generate_value
from tests.support.examples import examples
from tests.support.generated_values import made
from tests.support.schema_strategies import of, wholes

UUID = "00000000-0000-4000-8000-000000000000"

ZOD_UUID_PATTERN = (
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    f"|{UUID.replace('4', '0').replace('8', '0')}|ffffffff-ffff-ffff-ffff-ffffffffffff)$"
)
"""The pattern that zod 4 gives a UUID."""


@given(wholes)
@settings(max_examples=examples(100), deadline=None)
def test_a_generated_value_is_valid_and_reproducible(schema: Any) -> None:
    """A generated value is valid against its schema, and the same each time.

    If none is found, a `ValueError` is raised.
    """
    try:
        value = generate_value(schema)
    except ValueError:
        event("none")
        return
    event("made")
    try:
        jsonschema.Draft202012Validator(schema).validate(value)
    except (RecursionError, Unresolvable):  # beside `unevaluatedProperties`, jsonschema follows all references
        event("circular, or unresolvable")
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
        ({"type": "string", "format": "uuid", "pattern": ZOD_UUID_PATTERN}, UUID),
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
def test_the_likeliest_value_is_chosen(schema: Any, value: Any) -> None:
    """Values that the schema offers come first, then the likeliest of its type within its bounds.

    Optional properties are left out.
    """
    assert made(schema) == value


def test_recursive_schemas_terminate() -> None:
    """A recursive schema gives the shortest value that ends the recursion.

    If it cannot end, a `ValueError` is raised.
    """
    node = {**of(next={"anyOf": [{"$ref": "#"}, {"type": "null"}]}), "required": ["next"]}
    assert made(node) == {"next": {"next": {"next": None}}}
    for endless in ({"$ref": "#"}, {**of(next={"$ref": "#"}), "required": ["next"]}):
        with pytest.raises(ValueError, match="none of the values tried is valid against the schema"):
            generate_value(endless)


def build_chain(keyword: str) -> dict[str, Any]:
    """Build a small schema that repeats the same constraint 2^60 times."""
    defs = {f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, "d60": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (build_chain("allOf"), "too many alternatives"),
        (build_chain("anyOf"), "too many alternatives"),
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
def test_the_error_gives_the_reason(schema: Any, message: str) -> None:
    """Schemas that are invalid, unsatisfiable, endless or too large raise an error at once, with the reason."""
    with pytest.raises(ValueError, match=message):
        generate_value(schema)


def test_remote_references_are_not_fetched() -> None:
    """A reference to a remote schema is not fetched, and no value is generated."""
    requested_paths: list[str] = []

    class RemoteSchemaHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested_paths.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            """Discard the log line."""

    with HTTPServer(("127.0.0.1", 0), RemoteSchemaHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(ValueError, match="none of the values"):
                generate_value({"type": "object", "not": {"$ref": f"http://127.0.0.1:{server.server_port}/x.json"}})
        finally:
            server.shutdown()
            thread.join()
    assert requested_paths == []
