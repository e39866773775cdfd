"""Find the schemas of a JSON Schema document, and resolve their references. Pure.

JSON Schema Core 2020-12, sections 8 and 9 (`$id`, `$anchor`, `$ref`, `$dynamicRef`), and the spellings of older drafts:
`definitions`, `dependencies`, `"$id": "#name"`, `$recursiveRef`. Nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urldefrag, urljoin

from mcprun._util.json_text import index_of

Path = tuple[str | int, ...]
"""The keys and indices from the root of a document to a value in it."""

SCHEMA_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})
"""Keywords whose value maps names to schemas. The names are not keywords."""

VALUES = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose value is data and holds no schemas."""

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

_SAME_VALUE = ("allOf", "anyOf", "oneOf", "if", "then", "else", "not")
SAME_VALUE_MAPS = ("dependentSchemas", "dependencies")
"""Keywords whose schemas apply to the same value as the schema that holds them."""

_POINTER_SAFE = "!$&'()*+,;=:@-._~"
"""Characters that RFC 3986 allows in a fragment, besides letters, digits and the slash."""


class SchemasByPath:
    """The schemas of one document by path. Objects in unknown keywords are included, since they may be schemas."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.schemas: dict[Path, dict[str, Any]] = {}
        self._bases: dict[Path, str] = {}
        self._resources: dict[str, Path] = {"": ()}
        self._anchors: dict[tuple[str, str], Path] = {}
        self._dynamic: dict[str, list[Path]] = {}
        self._views: dict[Path, tuple[Path, ...]] = {}
        self._add((), root, "")

    def _add(self, path: Path, node: Any, base: str) -> None:
        if isinstance(node, list):
            for index, item in enumerate(node):
                self._add((*path, index), item, base)
        if not isinstance(node, dict):
            return
        self.schemas[path] = node
        base = self._bases[path] = self._identified(path, node, base)
        for keyword, value in node.items():
            if keyword in SCHEMA_MAPS and isinstance(value, dict):
                for key, item in value.items():
                    self._add((*path, keyword, key), item, base)
            elif keyword not in VALUES:
                self._add((*path, keyword), value, base)

    def _identified(self, path: Path, node: dict[str, Any], base: str) -> str:
        """Record the identifiers of a schema; return the base URI of the schemas within."""
        identifier = node.get("$id")
        if isinstance(identifier, str):
            uri, anchor = _joined(base, identifier)
            if anchor and uri == base:  # a plain-name fragment, as in draft 7 and older
                self._anchors.setdefault((base, anchor), path)
            else:
                base = uri
                self._resources.setdefault(base, path)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(name := node.get(keyword), str):
                self._anchors.setdefault((base, name), path)
        if isinstance(name := node.get("$dynamicAnchor"), str):
            self._dynamic.setdefault(name, []).append(path)
        return base

    def resource(self, path: Path, reference: str) -> tuple[Path, str] | None:
        """Split a reference of the schema at `path` into the path of the resource it names and a decoded fragment.

        Return None if the document holds no such resource.
        """
        uri, fragment = _joined(self._bases[path], reference)
        start = self._resources.get(uri)
        return None if start is None else (start, fragment)

    def target(self, path: Path, reference: str) -> Path | None:
        """Return the path that a reference of the schema at `path` resolves to, None if it is not in the document."""
        found = self.resource(path, reference)
        if found is None:
            return None
        start, fragment = found
        if fragment and not fragment.startswith("/"):
            return self._anchors.get((self._bases.get(start, ""), fragment))
        found = _followed(self.schemas.get(start, self.root), fragment)
        return None if found is None else (*start, *found[0])

    def targets(self, path: Path) -> Iterator[Path]:
        """Yield the paths that the references of the schema at `path` may resolve to, in any dynamic scope."""
        node = self.schemas[path]
        for keyword in REFERENCES:
            if isinstance(reference := node.get(keyword), str):
                target = self.target(path, reference)
                if target is not None:
                    yield target
                if keyword == "$dynamicRef":
                    yield from self._dynamic.get(reference.rpartition("#")[2], ())

    def views(self, path: Path) -> tuple[Path, ...]:
        """Return the paths of all schemas that apply to the same value as that at `path`.

        These are the schema itself, its alternatives and its references, and theirs in turn.
        """
        if path not in self._views:
            found: dict[Path, None] = {}
            todo = [path]
            while todo:
                one = todo.pop()
                if one in found or one not in self.schemas:
                    continue
                found[one] = None
                inner = [child for keyword in _SAME_VALUE for child in self.children((*one, keyword))]
                for keyword in SAME_VALUE_MAPS:
                    if isinstance(value := self.schemas[one].get(keyword), dict):
                        inner += [(*one, keyword, key) for key in value]
                todo += reversed([*inner, *self.targets(one)])
            self._views[path] = tuple(found)
        return self._views[path]

    def children(self, path: Path) -> Iterator[Path]:
        """Yield the paths of the schemas in the keyword at `path`, which holds a schema or a list of schemas."""
        if path in self.schemas:
            yield path
            return
        value = self.schemas[path[:-1]].get(str(path[-1]))
        if isinstance(value, list):
            yield from (child for index in range(len(value)) if (child := (*path, index)) in self.schemas)


def pointer(path: Path) -> str:
    """Format a path as a JSON Pointer in a URI fragment (RFC 6901, section 6), without the `#`."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "".join(f"/{quote(step.encode('utf-8', 'surrogatepass'), safe=_POINTER_SAFE)}" for step in steps)


def referred(root: Any, reference: str) -> Any:
    """Return the value that a local reference (`#`, or `#` and a JSON Pointer) resolves to, or None."""
    if not is_local(reference):
        return None
    found = _followed(root, unquote(reference[1:]))
    return None if found is None else found[1]


def is_local(reference: str) -> bool:
    """Return whether a reference is a JSON Pointer into its own document."""
    return reference == "#" or reference.startswith("#/")


def _followed(start: Any, fragment: str) -> tuple[Path, Any] | None:
    """Follow a decoded JSON Pointer (RFC 6901). Return the path and the value, or None if there is no such value."""
    found: Any = start
    path: Path = ()
    for step in fragment.split("/")[1:]:
        key: str | int = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and (index := index_of(step, found)) is not None:
            key = index
        elif not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
        path = (*path, key)
    return path, found


def _joined(base: str, reference: str) -> tuple[str, str]:
    """Resolve a reference against a base URI. Return the URI without its fragment, and the decoded fragment."""
    if reference.startswith("#"):
        return base, unquote(reference[1:])
    try:
        uri, fragment = urldefrag(urljoin(base, reference))
    except ValueError:  # such as http://[
        uri, _, fragment = reference.partition("#")
    return uri, unquote(fragment)
