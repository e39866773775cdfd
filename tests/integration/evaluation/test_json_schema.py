"""A user's schema must be self-contained, and values may be nested deeply."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from mcprun.evaluation.evaluator import Schema
from mcprun.evaluation.json_schema import (
    SchemaValidator,
    check_users_schema,
)
from mcprun.evaluation.patterns import SEARCHES


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$ref": "URL/x"}, "$ref 'URL/x'"),
        ({"properties": {"a": {"$ref": "URL/x"}}}, "$ref 'URL/x'"),
        ({"$dynamicRef": "URL/x#meta"}, "$dynamicRef 'URL/x#meta'"),
        ({"$id": "URL/a/", "$ref": "b.json"}, "$ref 'b.json'"),
        ({"$defs": {"a": {"$id": "URL/a/", "items": {"$ref": "../b"}}}}, "$ref '../b'"),
        ({"$schema": "URL/dialect"}, "$schema 'URL/dialect'"),
        ({"items": {"$schema": "URL/dialect"}}, "$schema 'URL/dialect'"),
        ({"$ref": "file:///etc/passwd"}, "$ref 'file:///etc/passwd'"),
        ({"$ref": "#/$defs/gone"}, "$ref '#/$defs/gone'"),
        ({"$ref": "#gone"}, "$ref '#gone'"),
        ({"$ref": "#/mine", "mine": {"$ref": "URL/x"}}, "$ref 'URL/x'"),
        ({"$ref": "#/title", "title": "no schema"}, "$ref '#/title'"),
        ({"$ref": "http://[bad"}, "$ref 'http://[bad'"),
        ({"definitions": {"a": {"$ref": "URL/x"}}}, "$ref 'URL/x'"),
        ({"contentSchema": {"$ref": "URL/x"}}, "$ref 'URL/x'"),
        ({"pattern": "("}, "pattern '('"),
        ({"patternProperties": {"(?<n>a)": True}}, "pattern '(?<n>a)'"),
        ({"pattern": "a{99999999999999}"}, "pattern 'a{99999999999999}'"),
        ({"type": "strnig"}, "at $.type"),
    ],
)
def test_user_schemas_must_be_self_contained(schema: Any, expected: str) -> None:
    """A reference that would have to be fetched is refused by name, and nothing is fetched.

    A server's schema is validated without it.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        schema, expected = replace_url(schema, url), expected.replace("URL", url)
        with pytest.raises(ValueError, match=r".") as refused:
            check_users_schema(schema)
        assert expected in str(refused.value)
        for search in SEARCHES.values():
            SchemaValidator(schema, search).outcome({"a": 1})
        with pytest.raises(BlockingIOError):  # no connection was made
            listener.accept()


def replace_url(schema: Any, url: str) -> Any:
    """Replace `URL` in a schema by the URL of a listener."""
    if isinstance(schema, dict):
        return {key: replace_url(item, url) for key, item in schema.items()}
    return schema.replace("URL", url) if isinstance(schema, str) else schema


def test_values_may_be_nested_deeply() -> None:
    """A recursive schema is followed as deep as a value goes, far deeper than Python's own stack allows."""
    value: Any = 1
    for _ in range(300):
        value = [value]
    lists = {"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "integer"}]}
    assert Schema(lists, "python").outcome(value).problem is None
    assert Schema({**lists, "not": {"const": value}}, "python").outcome(value).problem is not None
