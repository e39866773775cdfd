"""Implementations of JSON Schema keywords, in place of those of `jsonschema`.

The caller chooses the dialect of patterns. Numbers are exact, and items are compared by their hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing.exceptions import Unresolvable

from mcprun._util.quoted_pattern import quote_pattern
from mcprun.evaluation.patterns import Search


def keywords(finds: Search, note: Callable[[str], None]) -> dict[str, Any]:
    """Return the implementation of each keyword, with the signature that `jsonschema` expects.

    `finds` matches patterns. `note` receives a message for each reference that can't be resolved.
    """

    def pattern_(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
        if validator.is_type(instance, "string") and finds(pattern, instance) is False:
            yield ValidationError(f"{instance!r} does not match {quote_pattern(pattern)}")

    def pattern_properties(validator: Any, patterns: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
        if validator.is_type(instance, "object"):
            for pattern, schema in patterns.items():
                for key, item in instance.items():
                    if finds(pattern, key):
                        yield from validator.descend(item, schema, path=key, schema_path=pattern)

    def additional_properties(validator: Any, rest: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not validator.is_type(instance, "object"):
            return
        declared, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        # A pattern that can't be read might match the key, so the key may be declared.
        extra = [
            key for key in instance if key not in declared and all(finds(pattern, key) is False for pattern in patterns)
        ]
        if rest is False and extra:
            named = ", ".join(map(repr, sorted(extra)))
            yield ValidationError(f"additional properties are not allowed: {named}")
        elif isinstance(rest, dict):
            for key in extra:
                yield from validator.descend(instance[key], rest, path=key)

    def unevaluated_properties(validator: Any, rest: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not validator.is_type(instance, "object"):
            return
        evaluated = _evaluated(validator, instance, schema, finds)
        wrong = [
            key
            for key, item in instance.items()
            if key not in evaluated and any(True for _ in validator.descend(item, rest))
        ]
        if wrong:
            named = ", ".join(map(repr, sorted(wrong)))
            yield ValidationError(f"unevaluated properties are not allowed: {named}")

    def followed(keyword: str) -> Any:
        follow = Draft202012Validator.VALIDATORS[keyword]

        def reference(validator: Any, reference: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
            try:
                yield from follow(validator, reference, instance, schema) or ()
            except Unresolvable:
                note(f"{keyword} {reference!r} does not resolve within the schema and is not checked")

        return reference

    return {
        "$ref": followed("$ref"),
        "$dynamicRef": followed("$dynamicRef"),
        "additionalProperties": additional_properties,
        "multipleOf": _multiple_of,
        "pattern": pattern_,
        "patternProperties": pattern_properties,
        "unevaluatedProperties": unevaluated_properties,
        "uniqueItems": unique_items,
    }


def _evaluated(validator: Any, instance: dict[str, Any], schema: Any, finds: Search) -> set[str]:
    """Return the properties that the other keywords of a schema evaluate (JSON Schema Core, 11.3)."""
    if not isinstance(schema, dict):
        return set()
    keys: set[str] = instance.keys() & schema.get("properties", {}).keys()
    keys |= {
        key for key in instance for pattern in schema.get("patternProperties", ()) if finds(pattern, key) is not False
    }
    if "additionalProperties" in schema:
        return set(instance)

    def valid(part: Any) -> bool:
        return next(validator.descend(instance, part), None) is None

    inner = [part for keyword in ("allOf", "anyOf", "oneOf") for part in schema.get(keyword, ()) if valid(part)]
    inner += [part for key, part in schema.get("dependentSchemas", {}).items() if key in instance]
    if "if" in schema:
        holds = valid(schema["if"])
        inner += [schema["if"]] if holds else []
        inner += [schema[branch] for branch in ("then" if holds else "else",) if branch in schema]
    for part in inner:
        keys |= _evaluated(validator, instance, part, finds)
        if isinstance(part, dict) and "unevaluatedProperties" in part:
            keys |= set(instance)  # the schema accepts the object, so it allows all of them
    for keyword in ("$ref", "$dynamicRef"):
        if keyword in schema:
            found = validator._resolver.lookup(schema[keyword])  # noqa: SLF001  as jsonschema's own keyword does
            within = validator.evolve(schema=found.contents, _resolver=found.resolver)
            keys |= _evaluated(within, instance, found.contents, finds)
            if isinstance(found.contents, dict) and "unevaluatedProperties" in found.contents:
                keys |= set(instance)
    return keys


def _multiple_of(validator: Any, factor: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    """Implement `multipleOf` for decimals as written: 19.99 is a multiple of 0.01, though no float equals either."""
    if validator.is_type(instance, "number") and not _is_multiple(instance, factor):
        yield ValidationError(f"{instance!r} is not a multiple of {factor!r}")


def _is_multiple(number: float, factor: float) -> bool:
    try:
        return (_exact(number) / _exact(factor)).denominator == 1
    except (ValueError, ZeroDivisionError):  # infinity or NaN
        return False


def _exact(number: float) -> Fraction:
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def unique_items(validator: Any, wanted: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    """Implement `uniqueItems` by hashes. `jsonschema` compares all pairs if items can't be sorted, such as objects."""
    if wanted and validator.is_type(instance, "array"):
        seen: set[Any] = set()
        for at, item in enumerate(instance):
            key = _key(item)
            if key in seen:
                yield ValidationError(f"items are not unique: item {at} repeats an earlier one")
                return
            seen.add(key)


def _key(value: Any) -> Any:
    """Return a hashable key. Keys are equal if the JSON values are: 1 and 1.0 are equal, `true` and 1 are not."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, list):
        return list, tuple(map(_key, value))
    if isinstance(value, dict):
        return dict, frozenset((key, _key(item)) for key, item in value.items())
    return value
