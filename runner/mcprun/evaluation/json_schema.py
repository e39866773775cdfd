"""Validate values against JSON Schema 2020-12 (https://json-schema.org/draft/2020-12).

References are never fetched, numbers are exact, and the caller chooses the dialect of patterns. Only this module,
`json_schema_keywords` and `schema_violations` use `jsonschema`. Validation has no time limit here;
`evaluation/evaluator.py` sets one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from mcprun._util.quoted_pattern import quote_pattern
from mcprun.evaluation.json_schema_keywords import keywords, unique_items
from mcprun.evaluation.patterns import Search, compile_pattern
from mcprun.evaluation.schema_references import VALUES, is_local, referred
from mcprun.evaluation.schema_violations import path_of, reason_of

_MAX_FIRST = 4
"""Maximum violations that are described in order of the schema."""

_MAX_NOTES = 10
"""Maximum skipped patterns, and maximum skipped references, that one validation reports."""

_MAX_NOTE = 300
"""Maximum characters of a note, which quotes a pattern or a reference."""


class InvalidSchemaError(ValueError):
    """Raised for a value that is not a valid JSON Schema. `path` is the JSON path of the violation."""

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"at {path}: {self.message}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A violation of a schema: the JSON path (`$` for the whole value) and a message."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"at {self.path}: {self.message}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a validation.

    `problem` is the most relevant violation, `first` are the first few, and `count` is the number of all.
    `unread` names the skipped patterns. `unresolved` names the references and other parts that could not be followed.
    Each entry includes the reason.
    """

    problem: Problem | None = None
    unread: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    first: tuple[Problem, ...] = ()
    count: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """The skipped parts with reasons: `unread`, then `unresolved`."""
        return self.unread + self.unresolved


def check_schema(schema: Any) -> None:
    """Validate a schema against the metaschema. Raises `InvalidSchemaError` at the first violation.

    `format` is not asserted: JSON Schema patterns are ECMA-262, which Python's `re` can't always read. The caller must
    bound the nesting of the schema.
    """
    error = next(_METASCHEMA.iter_errors(schema), None)
    if error is not None:
        raise InvalidSchemaError(path_of(error), reason_of(error))


def is_schema(value: Any) -> bool:
    """Return whether a value is a valid schema by the metaschema."""
    return bool(_METASCHEMA.is_valid(value))


def check_users_schema(schema: Any) -> None:
    """Check a schema from a user's file.

    Raises `ValueError` if it is invalid, refers outside itself, or has a pattern that Python's `re` can't read. The
    message names the keyword, reference or pattern.
    """
    check_schema(schema)
    for part, resolver in _parts(schema):
        dialect = part.get("$schema")
        if isinstance(dialect, str) and dialect.rstrip("#") not in _DIALECTS:
            raise ValueError(f"$schema {dialect!r} is not a known dialect, and mcprun does not fetch it")
        for keyword in ("$ref", "$dynamicRef"):
            reference = part.get(keyword)
            if isinstance(reference, str) and not _leads_to_schema(resolver, reference):
                raise ValueError(f"{keyword} {reference!r} does not resolve within the schema; mcprun fetches nothing")
        patterns = [part["pattern"]] if isinstance(part.get("pattern"), str) else []
        for pattern in [*patterns, *part.get("patternProperties", ())]:
            try:
                compile_pattern(pattern)
            except ValueError as error:
                raise ValueError(f"pattern {error}") from None


@dataclass(slots=True)
class SchemaValidator:
    """Validates values against one schema, which must be valid against the metaschema.

    `search` matches the schema's patterns. Patterns of another dialect and references that leave the document are
    skipped, and listed in the outcome.
    """

    schema: Any
    search: Search
    _unread: dict[str, None] = field(default_factory=dict)
    _unresolved: dict[str, None] = field(default_factory=dict)
    _validator: Validator | None = None

    def outcome(self, value: Any, part: Any = None) -> Outcome:
        """Validate a value against the schema, or against `part` of it. Raises only `RecursionError`."""
        self._unread.clear()
        self._unresolved.clear()
        if self._validator is None:
            implementations = keywords(self._find, self._unresolvable)
            self._validator = _validator(_in_one_dialect(self.schema), implementations)
        validator = self._validator if part is None else self._validator.evolve(schema=_in_one_dialect(part))
        problem: Problem | None = None
        first: tuple[Problem, ...] = ()
        found = _Violations(validator.iter_errors(value))
        try:
            best = best_match(found)
            if best is not None:
                problem, first = _problem(best), tuple(map(_problem, found.with_best(best)))
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001  a reference to a value that is not a schema raises any exception
            self._unresolvable(f"the schema can't be evaluated: {type(error).__name__}: {error}")
        return Outcome(problem, tuple(self._unread), tuple(self._unresolved), first, found.count)

    def _find(self, pattern: str, text: str) -> bool | None:
        found = self.search(pattern, text)
        if found is None and len(self._unread) < _MAX_NOTES:
            self._unread[shortened(f"the pattern {quote_pattern(pattern)} can't be parsed and is not checked")] = None
        return found

    def _unresolvable(self, note: str) -> None:
        if len(self._unresolved) < _MAX_NOTES:
            self._unresolved[shortened(note)] = None


class _Violations:
    """Iterates over violations, counts them, and keeps the `first` few."""

    def __init__(self, errors: Iterator[ValidationError]) -> None:
        self.count = 0
        self.first: list[ValidationError] = []
        self._errors = errors

    def __iter__(self) -> Iterator[ValidationError]:
        for error in self._errors:
            self.count += 1
            if len(self.first) < _MAX_FIRST:
                self.first.append(error)
            yield error

    def with_best(self, best: ValidationError) -> list[ValidationError]:
        """Return the first violations, with the most relevant one in place of the one that contains it.

        If none does, it comes first if it is of an outer value.
        """
        outermost = _outermost(best)
        if any(error is outermost for error in self.first):
            return [best if error is outermost else error for error in self.first]
        is_outer = len(outermost.path) < min(len(error.path) for error in self.first)
        return [best, *self.first[:-1]] if is_outer else self.first


def _problem(error: ValidationError) -> Problem:
    return Problem(path_of(error), reason_of(error))


def _outermost(error: ValidationError) -> ValidationError:
    """Return the violation of the whole schema that a violation of one of its alternatives belongs to."""
    while isinstance(error.parent, ValidationError):
        error = error.parent
    return error


def bound_work(schema: Any) -> float:
    """Count the nodes of a schema with its references expanded, which bounds the steps of validating a scalar.

    Multiplied by the nodes of a value, the count bounds the steps of validating that value, since each part of the
    schema is applied to each part of the value at most once. Infinite for circular schemas, for references other than
    JSON Pointers, and for keywords that may take longer: patterns, `$dynamicRef` and `unevaluated…`.
    """
    counts: dict[int, float] = {}

    def nodes(part: Any) -> float:
        if isinstance(part, str):
            return 1 + len(part) // 100
        if not isinstance(part, dict | list):
            return 1
        if id(part) in counts:
            return counts[id(part)]
        counts[id(part)] = float("inf")  # reached again while it is expanded, it is circular
        total = 1.0
        for key, item in part.items() if isinstance(part, dict) else enumerate(part):
            total += nodes(item)
            if key in _UNBOUND or (key in _UNBOUND_TEXTS and isinstance(item, str)):
                total = float("inf")
            elif key == "$ref" and isinstance(item, str):
                total += nodes(referred(schema, item)) if is_local(item) else float("inf")
        counts[id(part)] = total
        return total

    try:
        return nodes(schema)
    except RecursionError:
        return float("inf")


_UNBOUND = frozenset({"patternProperties", "unevaluatedProperties", "unevaluatedItems"})
_UNBOUND_TEXTS = frozenset({"pattern", "$dynamicRef", "$id", "$schema", "$recursiveRef"})


def count_nodes(value: Any, limit: float) -> float:
    """Count the nodes of a JSON value, a long text as several. Infinite above `limit` nodes or 50 levels."""
    total, todo = 0.0, [(value, 0)]
    while todo:
        part, level = todo.pop()
        total += 1
        if isinstance(part, str):
            total += len(part) // 100
        elif isinstance(part, int):
            total += part.bit_length() // 1000
        elif isinstance(part, dict | list):
            total += len(part)
            if total > limit or level > 50:
                return float("inf")
            todo += [(item, level + 1) for item in (part.values() if isinstance(part, dict) else part)]
            if isinstance(part, dict):
                total += sum(len(key) // 100 for key in part)
    return total if total <= limit else float("inf")


def shortened(text: str, length: int = _MAX_NOTE) -> str:
    """Return a text without its middle if it is longer than `length` characters."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]} … {text[-half:]}"


_DIALECTS = frozenset(str(uri).rstrip("#") for uri in SPECIFICATIONS)


def _parts(schema: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield each subschema, and each schema that a reference leads to, with its `referencing.Resolver`."""
    root = DRAFT202012.create_resource(schema)
    todo = [(root, SPECIFICATIONS.combine(Registry()).resolver_with_root(root))]
    seen: set[int] = set()
    while todo:
        resource, resolver = todo.pop()
        part = resource.contents
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part, resolver
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(part.get(keyword), str):
                found = resolver.lookup(part[keyword])  # the caller has checked that it resolves
                todo.append((DRAFT202012.create_resource(found.contents), found.resolver))
        for inner in DRAFT202012.subresources_of(part):
            resource = DRAFT202012.create_resource(inner)
            todo.append((resource, resolver.in_subresource(resource)))


def _leads_to_schema(resolver: Any, reference: str) -> bool:
    try:
        return is_schema(resolver.lookup(reference).contents)
    except (Unresolvable, ValueError, LookupError, TypeError, AttributeError):
        return False


def _in_one_dialect(schema: Any) -> Any:
    """Remove each `$schema` keyword, at which `jsonschema` switches to its own validator for that dialect."""
    if isinstance(schema, list):
        return [_in_one_dialect(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: item if key in VALUES else _in_one_dialect(item)
        for key, item in schema.items()
        if not (key == "$schema" and isinstance(item, str))
    }


def _validator(schema: Any, keywords: dict[str, Any]) -> Validator:
    """Return a validator that fetches nothing and uses mcprun's implementations of some keywords."""
    kind: type[Validator] = validators.extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
    return kind(schema, registry=Registry())


_METASCHEMA = _validator(Draft202012Validator.META_SCHEMA, {"uniqueItems": unique_items})
