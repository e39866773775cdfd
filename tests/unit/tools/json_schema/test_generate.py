"""Values generated from schemas are valid, plausible, deterministic and finite."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.tools.json_schema.generate_scalars import numbers, strings, strings_matching
from mcprun.tools.json_schema.named_values import UUID, Argument
from tests.support.examples import examples
from tests.support.generated_values import made
from tests.support.schema_strategies import of

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
def test_satisfiable_schema_has_an_example(schema: Any) -> None:
    """A value is found for any nesting of limits, arrays, objects and alternatives."""
    made(schema)


def test_values_fit_the_names_and_overwrite_nothing() -> None:
    """A read-only tool gets names of common files. Any other tool gets names that are unlikely to exist."""
    text = {"type": "string"}
    names = ("url", "userEmail", "source_timezone", "start_date", "file_path", "paths", "repo_path", "title")
    schema = {**of(**dict.fromkeys(names, text)), "required": [*names]}
    by_name = ["https://example.com/", "user@example.com", "UTC", "2026-01-15"]
    assert list(made(schema, reads_only=True).values()) == [*by_name, "README.md", "README.md", ".", "example"]
    assert list(made(schema).values()) == [*by_name, "example.txt", "example.txt", "example", "example"]
    paths = {**of(path=text, file_path=text), "required": ["path", "file_path"]}
    for tool in ("list_directory", "searchFiles", "directory_tree"):
        assert made(paths, tool=tool, reads_only=True) == {"path": ".", "file_path": "README.md"}
    assert made(paths, tool="create_folder") == {"path": "example", "file_path": "example.txt"}
    assert made(paths, tool="read_file", reads_only=True) == {"path": "README.md", "file_path": "README.md"}
    flags = {**of(force={"type": "boolean"}, dry_run={"type": "boolean"}), "required": ["force", "dry_run"]}
    assert made(flags) == {"force": False, "dry_run": True}


@given(st.from_regex(r"\^?([a-c]|\[[a-z]-z\]|\\d|\(x\|y\)|\.)([*+?]|\{[0-5],5\})?(z[+])?\$?", fullmatch=True))
@settings(deadline=None)
def test_text_is_generated_for_a_pattern(pattern: str) -> None:
    """Each text matches the pattern, and the generator is deterministic."""
    texts = list(strings_matching(pattern))
    assert texts == list(strings_matching(pattern))
    assert all(re.search(pattern, text) for text in texts)
    assert texts


@pytest.mark.parametrize("pattern", ["(x{999}){999}", "(((x*)*)*)*" * 9 + "+" * 9, r"(a)(\1\1)(\2\2)", "(", "a" * 999])
def test_text_for_a_pattern_is_bounded(pattern: str) -> None:
    """Nested repetitions and backreferences are not expanded. An invalid pattern has no text."""
    assert sum(map(len, strings_matching(pattern))) < 1000


@pytest.mark.parametrize(
    "pattern", ["^([0-f]+)+x", "^([0-f]|-|.){36}x", "^" + "([0-f]|.)" * 36 + "x", "^" + ".?" * 36 + "x", "^.{0,36}x"]
)
def test_long_text_is_not_matched_against_a_slow_pattern(pattern: str) -> None:
    """A UUID is long enough for catastrophic backtracking."""
    assert UUID not in list(strings({"format": "uuid", "pattern": pattern}, Argument("id", reads_only=True)))


def test_invalid_limits_are_ignored() -> None:
    """Unvalidated parts of a schema may have limits of any type."""
    assert 1 in numbers({"minimum": "x", "multipleOf": 0, "maximum": True}, 1, Argument(""), whole=True)
    assert "example" in strings({"minLength": "x", "maxLength": None}, Argument("", reads_only=True))
