"""Replace property keys of an input schema with stand-ins: in the schema, in its references and in arguments. Pure.

The Messages API accepts only property keys that match `[a-zA-Z0-9_.-]{1,64}`, and no top-level `allOf`, `anyOf` or
`oneOf`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.evaluation.schema_references import (
    REFERENCES,
    SAME_VALUE_MAPS,
    SCHEMA_MAPS,
    VALUES,
    Path,
    SchemasByPath,
    pointer,
)

_ITEMS = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")
_KEYED = (("properties",), *((keyword,) for keyword in SAME_VALUE_MAPS))
_OTHERS = ("additionalProperties", "unevaluatedProperties")


def property_keys(schema: Any) -> list[str]:
    """Return every key of `properties` in a schema and its subschemas, each once."""
    found: dict[str, None] = {}
    todo = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += reversed(node)
        elif isinstance(node, dict):
            inner: list[Any] = []
            for keyword, value in node.items():
                if keyword in SCHEMA_MAPS and isinstance(value, dict):
                    if keyword == "properties":
                        found.update(dict.fromkeys(value))
                    inner += value.values()
                elif keyword not in VALUES:
                    inner.append(value)
            todo += reversed(inner)
    return list(found)


@dataclass(frozen=True, slots=True)
class SentSchema:
    """Rewrites a schema to the form that is sent to the API.

    `safe` maps property keys to their stand-ins. `moved` are the top-level keywords that the caller moves to `then`.
    """

    schemas_by_path: SchemasByPath
    safe: Mapping[str, str]
    moved: frozenset[str] = frozenset()

    def schema(self) -> Any:
        """Return the schema with stand-ins for keys, and with references that resolve once `moved` has been moved."""
        return self._node((), self.schemas_by_path.root)

    def _node(self, path: Path, node: Any) -> Any:
        if isinstance(node, list):
            return [self._node((*path, index), item) for index, item in enumerate(node)]
        if not isinstance(node, dict):
            return node
        return {keyword: self._keyword(path, keyword, value) for keyword, value in node.items()}

    def _keyword(self, path: Path, keyword: str, value: Any) -> Any:
        match keyword, value:
            case "properties" | "dependentSchemas" | "dependencies", dict():
                return {self._name(key): self._dependency((*path, keyword, key), item) for key, item in value.items()}
            case "dependentRequired", dict():
                return {self._name(key): self._names(names) for key, names in value.items()}
            case "required", list():
                return self._names(value)
            case "discriminator", dict():
                return self._discriminator(path, value)
            case "propertyNames", dict():
                return self._property_names((*path, keyword), value)
            case (("const" | "default"), _):
                return rename_keys(self.schemas_by_path, [path], value, self.safe)
            case (("enum" | "examples"), list()):
                return [rename_keys(self.schemas_by_path, [path], item, self.safe) for item in value]
            case _, str() if keyword in REFERENCES:
                return self._reference(path, value)
            case _, dict() if keyword in SCHEMA_MAPS:
                return {key: self._node((*path, keyword, key), item) for key, item in value.items()}
        return value if keyword in VALUES else self._node((*path, keyword), value)

    def _dependency(self, path: Path, value: Any) -> Any:
        """Rewrite a schema, or the list of property names that draft 7 allows instead."""
        return self._names(value) if isinstance(value, list) else self._node(path, value)

    def _name(self, key: Any) -> Any:
        return self.safe.get(key, key) if isinstance(key, str) else key

    def _names(self, names: Any) -> Any:
        return [self._name(name) for name in names] if isinstance(names, list) else names

    def _property_names(self, path: Path, value: JsonObject) -> Any:
        node = self._node(path, value)
        if "enum" in node:
            node["enum"] = self._names(node["enum"])
        if "const" in node:
            node["const"] = self._name(node["const"])
        return node

    def _discriminator(self, path: Path, value: JsonObject) -> JsonObject:
        """Rewrite the property name and the references of a discriminator (OpenAPI 3.1, "Discriminator Object")."""
        sent = dict(value)
        if "propertyName" in sent:
            sent["propertyName"] = self._name(sent["propertyName"])
        if isinstance(mapping := sent.get("mapping"), dict):
            sent["mapping"] = {
                key: self._reference(path, item) if isinstance(item, str) else item for key, item in mapping.items()
            }
        return sent

    def _reference(self, path: Path, reference: str) -> str:
        """Rewrite a reference with a JSON Pointer. Other references, and unresolvable ones, are returned unchanged."""
        found = self.schemas_by_path.resource(path, reference)
        target = self.schemas_by_path.target(path, reference)
        if found is None or target is None or not found[1].startswith("/"):
            return reference
        start = found[0]
        before, after = target[len(start) :], self._path(target)[len(self._path(start)) :]
        return reference if after == before else f"{reference.partition('#')[0]}#{pointer(after)}"

    def _path(self, path: Path) -> Path:
        """Return the path of a node after rewriting. Within an embedded resource only keys are renamed."""
        new = [self._name(step) if self._is_key(path[:place]) else step for place, step in enumerate(path)]
        return ("then", *new) if path and path[0] in self.moved else tuple(new)

    def _is_key(self, before: Path) -> bool:
        """Return whether the step after this path is the key of a property."""
        return before[-1:] in _KEYED and before[:-1] in self.schemas_by_path.schemas


def rename_keys(schemas_by_path: SchemasByPath, paths: list[Path], value: Any, names: Mapping[str, str]) -> Any:
    """Rename the keys of a value that the schemas at `paths` declare; undeclared keys are kept.

    `names` maps keys to stand-ins or stand-ins to keys. It must hold only keys of the document and their stand-ins.
    """
    views = list(dict.fromkeys(view for path in paths for view in schemas_by_path.views(path)))
    if isinstance(value, list):
        inner = [child for view in views for keyword in _ITEMS for child in schemas_by_path.children((*view, keyword))]
        return [rename_keys(schemas_by_path, inner, item, names) for item in value]
    if not isinstance(value, dict):
        return value
    declared: dict[str, list[Path]] = {}
    other: list[Path] = []
    for view in views:
        node = schemas_by_path.schemas[view]
        for key in _declared(node):
            child = (*view, "properties", key)
            declared.setdefault(key, []).extend([child] if child in schemas_by_path.schemas else [])
        other += [(*view, keyword) for keyword in _OTHERS if (*view, keyword) in schemas_by_path.schemas]
        if isinstance(patterns := node.get("patternProperties"), dict):
            other += [
                child for key in patterns if (child := (*view, "patternProperties", key)) in schemas_by_path.schemas
            ]
    result = {}
    for key, item in value.items():
        new = names.get(key, key)
        declared_key = key if key in declared else new
        if declared_key in declared:
            result[new] = rename_keys(schemas_by_path, declared[declared_key] or other, item, names)
        else:
            result[key] = rename_keys(schemas_by_path, other, item, names)
    return result


def _declared(node: JsonObject) -> Iterator[str]:
    """Yield the property keys that a schema names."""
    for keyword in ("properties", "dependentRequired", *SAME_VALUE_MAPS):
        if isinstance(value := node.get(keyword), dict):
            yield from value
    lists = [node.get("required")]
    for keyword in ("dependentRequired", "dependencies"):
        if isinstance(value := node.get(keyword), dict):
            lists += value.values()
    for names in lists:
        if isinstance(names, list):
            yield from (name for name in names if isinstance(name, str))
