"""References in input schemas still resolve in the schema that is sent to the API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from mcprun.tools.api_schema import fit_to_api, replacement_name
from tests.support.examples import examples
from tests.support.messages_rules import PROPERTY_KEY, refusal

VALUES = {"const", "default", "enum", "examples", "required", "dependentRequired"}

MAPS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}

keys = st.sampled_from(["a", "b c", "d/e", "f~g", "100%", "é", "$ref", "properties", "required", "x" * 70, "h#i", ""])


def replacement(key: str) -> str:
    """Return the key that replaces one that the API rejects."""
    return replacement_name(key, 64, ".-")


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for object schemas that nest others under every keyword."""
    maps = st.dictionaries(keys, inner, min_size=1, max_size=2)
    names = st.lists(keys, min_size=1, max_size=2, unique=True)
    lists = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries({"properties": maps}, optional={
        "$defs": maps, "definitions": maps, "dependentSchemas": maps, "dependencies": st.dictionaries(keys, inner | names, max_size=2),
        "dependentRequired": st.dictionaries(keys, names, max_size=2), "required": names,
        "allOf": lists, "anyOf": lists, "oneOf": lists, "prefixItems": lists,
        "items": inner, "not": inner, "if": inner, "then": inner, "additionalProperties": inner,
        "x-components": st.dictionaries(st.sampled_from(["a", "b c"]), inner, max_size=2),
    })  # fmt: skip


trees = objects(st.recursive(st.just({}), lambda inner: objects(inner) | inner, max_leaves=3))


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield every schema in a document with its path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from nodes(item, (*path, index))
    elif isinstance(value, dict):
        yield path, value
        for keyword, inner in value.items():
            if keyword in MAPS or keyword == "x-components":
                for key, item in inner.items():
                    yield from nodes(item, (*path, keyword, key))
            elif keyword not in VALUES:
                yield from nodes(inner, (*path, keyword))


def to_pointer(path: tuple[Any, ...], *, quoted: bool) -> str:
    """Return a path as a JSON Pointer, percent-encoded or with only the percent sign encoded."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in path]
    return "".join(f"/{quote(step) if quoted else step.replace('%', '%25')}" for step in steps)


UNKNOWN = {"definitions", "dependencies", "x-components"}
"""Keywords in which JSON Schema 2020-12 does not look for anchors."""


def find_owners(document: dict[str, Any]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return the path of the nearest enclosing schema with an `$id` for each schema."""
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for path, node in nodes(document):
        around = (path[:length] for length in range(len(path) - 1, -1, -1))
        found[path] = path if "$id" in node else next((found[one] for one in around if one in found), ())
    return found


@st.composite
def draw_referring_schema(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a schema in which each subschema has a unique `$comment` and some have references."""
    tree: dict[str, Any] = json.loads(json.dumps(draw(trees)))  # subschemas must not share objects
    base = draw(st.sampled_from(["", "https://example.com/s.json", "urn:example:s"]))
    if base:
        tree["$id"] = base
    for number, (path, node) in enumerate(nodes(tree)):
        node["$comment"] = str(number)
        if path and draw(st.integers(0, 9)) == 0:
            node["$id"] = f"https://example.com/{number}.json"
        if draw(st.booleans()) and not UNKNOWN & set(path):
            node["$anchor"] = f"anchor{number}"
    found, holders = dict(nodes(tree)), find_owners(tree)
    for path, node in found.items():
        target, there = draw(st.sampled_from(sorted(found.items(), key=str)))
        theirs, mine = holders[target], holders[path]
        identifier = found[theirs].get("$id", "")
        if not draw(st.booleans()) or (theirs != mine and not identifier):
            continue
        fragment = to_pointer(target[len(theirs) :], quoted=draw(st.booleans()))
        if "$anchor" in there and draw(st.booleans()):
            fragment = there["$anchor"]
        is_near = all(found[one].get("$id", "").startswith("https") for one in (theirs, mine))
        head = "" if theirs == mine else identifier
        if is_near and draw(st.booleans()):
            head = identifier.rpartition("/")[2]
        node[draw(st.sampled_from(["$ref", "$dynamicRef"]))] = f"{head}#{fragment}"
    return tree


def resolve_references(document: dict[str, Any]) -> dict[str, str]:
    """Resolve every reference with `referencing`, and map the marks of sources to those of targets."""
    registry = Registry().with_resource(document.get("$id", ""), DRAFT202012.create_resource(document))
    for _, node in nodes(document):
        if "$id" in node:
            registry = registry.with_resource(node["$id"], DRAFT202012.create_resource(node))
    registry = registry.crawl()
    bases, holders = dict(nodes(document)), find_owners(document)
    return {
        f"{node['$comment']} {keyword}": registry.resolver(bases[holders[path]].get("$id", ""))
        .lookup(node[keyword])
        .contents["$comment"]
        for path, node in nodes(document)
        for keyword in ("$ref", "$dynamicRef")
        if keyword in node
    }


@settings(max_examples=examples(60))
@given(draw_referring_schema())
def test_references_resolve_to_the_same_schema(schema: dict[str, Any]) -> None:
    """Each reference has the same target as before, and the API accepts the sent schema."""
    sent = fit_to_api({**schema, "type": "object"}).api
    tool = {"name": "t", "input_schema": sent}
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}], "tools": [tool]}
    assert refusal(body) is None
    assert resolve_references(schema) == resolve_references(sent)


@settings(max_examples=examples(60))
@given(draw_referring_schema(), st.data())
def test_arguments_are_mapped_to_the_servers_keys(schema: dict[str, Any], data: st.DataObject) -> None:
    """The model uses replacement keys at any depth and behind any reference."""
    fitted = fit_to_api({**schema, "type": "object"})
    places = fitted.schemas_by_path

    def value(paths: list[tuple[Any, ...]], levels: int) -> Any:
        assert places
        views = [view for path in paths for view in places.views(path)]
        declared = sorted({key for view in views for key in places.schemas[view].get("properties", {})})
        if not declared or not levels:
            return 1
        chosen = data.draw(st.sets(st.sampled_from(declared), min_size=1, max_size=2))
        return {
            key: value([(*view, "properties", key) for view in views if key in places.schemas[view].get("properties", {})], levels - 1)
            for key in sorted(chosen)
        }  # fmt: skip

    arguments = value([()], 4) if places else {}
    sent = fitted.to_api(arguments)
    assert fitted.from_api(sent) == arguments
    assert all(re.fullmatch(PROPERTY_KEY, key) for key in find_keys(sent))


def find_keys(value: Any) -> Iterator[str]:
    """Yield the keys of a value, at every depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from find_keys(inner)


@pytest.mark.parametrize(
    ("reference", "sent"),
    [
        ("#/anyOf/0", "#/then/anyOf/0"),
        ("#/if", "#/then/if"),
        ("#/then/properties/b%20c", f"#/then/then/properties/{replacement('b c')}"),
        ("#/properties/b c", f"#/properties/{replacement('b c')}"),
        ("#/properties/b%20c", f"#/properties/{replacement('b c')}"),
        ("#/properties/d~1e/items", f"#/properties/{replacement('d/e')}/items"),
        ("#/$defs/b%20c", "#/$defs/b%20c"),
        ("#/$defs/b%20c/properties/f~0g", f"#/$defs/b%20c/properties/{replacement('f~g')}"),
        ("#/dependencies/b c", f"#/dependencies/{replacement('b c')}"),
        ("s.json#/anyOf/0", "s.json#/then/anyOf/0"),
        ("https://example.com/s.json#/anyOf/0", "https://example.com/s.json#/then/anyOf/0"),
        ("inner.json#/properties/b%20c", f"inner.json#/properties/{replacement('b c')}"),
        ("#/anyOf/1/properties/b%20c", f"#/then/anyOf/1/properties/{replacement('b c')}"),
        ("#", "#"),
        ("#named", "#named"),
        ("#/anyOf/7", "#/anyOf/7"),
        ("other.json#/anyOf/0", "other.json#/anyOf/0"),
        ("http://[#/anyOf/0", "http://[#/anyOf/0"),
    ],
)
@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$recursiveRef"])
def test_reference_is_rewritten_with_its_target(keyword: str, reference: str, sent: str) -> None:
    """A reference to a moved or renamed place is rewritten. One to another document or to nothing is unchanged."""
    odd = {"b c": {"$anchor": "named"}, "d/e": {"items": {}}, "f~g": {}}
    schema = {
        "$id": "https://example.com/s.json",
        "type": "object",
        "properties": {**odd, "refers": {keyword: reference}},
        "anyOf": [{}, {"$id": "inner.json", "properties": odd}],
        "if": {},
        "then": {"properties": odd},
        "$defs": {"b c": {"properties": odd}},
        "dependencies": {"b c": {}},
    }
    assert fit_to_api(schema).api["properties"]["refers"] == {keyword: sent}


def test_keys_are_replaced_wherever_a_schema_names_them() -> None:
    """Keys are replaced in `dependencies` of draft 7, in `propertyNames`, in OpenAPI discriminators, and in values."""
    schema = {
        "type": "object",
        "properties": {"b c": {"const": {"b c": 1}}, "list": {"items": [{"properties": {"b c": {}}}]}},
        "dependencies": {"b c": ["list"], "list": {"required": ["b c"]}},
        "propertyNames": {"enum": ["b c", "list"]},
        "default": {"b c": {"b c": 1}},
        "discriminator": {"propertyName": "b c", "mapping": {"x": "#/properties/b%20c"}},
    }
    key = replacement("b c")
    schema["properties"]["list"].pop("items")  # type: ignore[index]
    sent = fit_to_api(schema).api
    assert sent["dependencies"] == {key: ["list"], "list": {"required": [key]}}
    assert sent["propertyNames"] == {"enum": [key, "list"]}
    assert sent["default"] == {key: {"b c": 1}}
    assert sent["discriminator"] == {"propertyName": key, "mapping": {"x": f"#/properties/{key}"}}


def test_required_key_is_mapped_back() -> None:
    """A schema may require a key that another one declares."""
    schema = {
        "type": "object",
        "properties": {"inner": {"properties": {"b c": {}}}},
        "required": ["b c"],
        "dependentRequired": {"inner": ["b c"]},
    }
    fitted = fit_to_api(schema)
    assert fitted.api["required"] == [replacement("b c")]
    assert fitted.from_api({replacement("b c"): 1, "inner": {replacement("b c"): 2}}) == {"b c": 1, "inner": {"b c": 2}}


def test_long_chain_of_references_is_followed() -> None:
    """Each of 3000 schemas refers to the next one."""
    links: dict[str, Any] = {str(number): {"$ref": f"#/$defs/{number + 1}"} for number in range(3000)}
    schema = {"type": "object", "$ref": "#/$defs/0", "$defs": {**links, "3000": {"properties": {"b c": {}}}}}
    assert fit_to_api(schema).from_api({replacement("b c"): 1}) == {"b c": 1}
