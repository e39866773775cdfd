"""Values made from schemas: valid, plausible, the same each time, and never without end."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jsonschema
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mcprun.tools.json_schema.generate import generate_value
from mcprun.tools.json_schema.generate_scalars import numbers, strings, strings_matching
from tests.support.examples import examples
from tests.test_schema_changes import of, wholes

UUID = "00000000-0000-4000-8000-000000000000"
UUID_OF_ZOD = (
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    f"|{UUID.replace('4', '0').replace('8', '0')}|ffffffff-ffff-ffff-ffff-ffffffffffff)$"
)
"""What servers written with zod 4 have for every id."""


def made(schema: Any, **how: Any) -> Any:
    """Make an example that must be valid."""
    value = generate_value(schema, **how)
    jsonschema.Draft202012Validator(schema).validate(value)
    return value


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


plain = st.one_of(
    st.builds(lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, st.integers(-99, 99), st.integers(0, 9)),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + 0.5}, st.floats(-9, 9)),
    st.builds(lambda step, low: {"type": "integer", "multipleOf": step, "minimum": low}, st.integers(1, 9), st.integers(-50, 50)),
    st.builds(lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, st.integers(0, 50), st.integers(0, 9)),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers() | st.text(), min_size=1, max_size=3)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["null", "string"]}, {}, True, {"const": [1]}]),
)  # fmt: skip
satisfiable = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.builds(lambda one, least: {"type": "array", "items": one, "minItems": least}, inner, st.integers(0, 3)),
        st.builds(lambda parts: {**of(**parts), "required": [*parts]}, st.dictionaries(st.text("ab"), inner, max_size=3)),
        st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, inner),
        st.builds(lambda one: {"allOf": [one]}, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@given(satisfiable)
@settings(max_examples=examples(300), deadline=None)
def test_what_servers_write_has_an_example(schema: Any) -> None:
    """Bounds, lists, objects and alternatives, one within the other: a value is always found."""
    made(schema)


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


def test_names_say_what_is_meant_and_nothing_is_overwritten() -> None:
    """A tool that only reads is given what is there in most places; any other is given what hardly exists."""
    text = {"type": "string"}
    names = ("url", "userEmail", "source_timezone", "start_date", "file_path", "paths", "repo_path", "title")
    schema = {**of(**dict.fromkeys(names, text)), "required": [*names]}
    common = ["https://example.com/", "user@example.com", "UTC", "2026-01-15"]
    assert list(made(schema, reads_only=True).values()) == [*common, "README.md", "README.md", ".", "example"]
    assert list(made(schema).values()) == [*common, "example.txt", "example.txt", "example", "example"]
    where = {**of(path=text, file_path=text), "required": ["path", "file_path"]}
    for tool in ("list_directory", "searchFiles", "directory_tree"):
        assert made(where, tool=tool, reads_only=True) == {"path": ".", "file_path": "README.md"}
    assert made(where, tool="create_folder") == {"path": "example", "file_path": "example.txt"}
    assert made(where, tool="read_file", reads_only=True) == {"path": "README.md", "file_path": "README.md"}
    flags = {**of(force={"type": "boolean"}, dry_run={"type": "boolean"}), "required": ["force", "dry_run"]}
    assert made(flags) == {"force": False, "dry_run": True}


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


@given(st.from_regex(r"\^?([a-c]|\[[a-z]-z\]|\\d|\(x\|y\)|\.)([*+?]|\{[0-5],5\})?(z[+])?\$?", fullmatch=True))
@settings(deadline=None)
def test_text_is_made_for_a_pattern(pattern: str) -> None:
    """What is made for a pattern of the common kind fits it, and is made again."""
    texts = list(strings_matching(pattern))
    assert texts == list(strings_matching(pattern))
    assert all(re.search(pattern, text) for text in texts)
    assert texts


@pytest.mark.parametrize("pattern", ["(x{999}){999}", "(((x*)*)*)*" * 9 + "+" * 9, r"(a)(\1\1)(\2\2)", "(", "a" * 999])
def test_no_pattern_makes_text_without_end(pattern: str) -> None:
    """Repeats of repeats and references back are not followed, and what is no pattern has no text."""
    assert sum(map(len, strings_matching(pattern))) < 1000


@pytest.mark.parametrize(
    "pattern", ["^([0-f]+)+x", "^([0-f]|-|.){36}x", "^" + "([0-f]|.)" * 36 + "x", "^" + ".?" * 36 + "x", "^.{0,36}x"]
)
def test_long_text_is_not_held_against_a_pattern_that_may_take_long(pattern: str) -> None:
    """A UUID has so many characters that some patterns would never be done with it."""
    assert UUID not in list(strings({"format": "uuid", "pattern": pattern}, "id", reads_only=True))


def test_bounds_that_are_none_are_passed_over() -> None:
    """A schema may have anything where it was not checked."""
    assert 1 in numbers({"minimum": "x", "multipleOf": 0, "maximum": True}, 1, whole=True)
    assert "example" in strings({"minLength": "x", "maxLength": None}, "", reads_only=True)
