"""Names such as `{{number}}` in the parts of a query."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.prompts.names import CONVERSATION, SPOKEN, STEP, Mode, names_in, unique_text, with_values

VALUES = {"number": 17, "title": "a.b", "issue": {"$regex": "x"}, "braces": "{{number}}", "none": None}


@pytest.mark.parametrize(
    ("value", "mode", "expected"),
    [
        ("Close {{number}}, {{ title }}.", Mode.TEXT, "Close 17, a.b."),
        ("{{number}}", Mode.TEXT, "17"),
        ("{{issue}} {{none}}", Mode.TEXT, '{"$regex":"x"} null'),
        ("{{number}}", Mode.VALUE, 17),
        ([{"id": "{{number}}", "at": "n{{number}}"}], Mode.VALUE, [{"id": 17, "at": "n17"}]),
        ("{{none}}", Mode.VALUE, None),
        ("^{{title}}$", Mode.PATTERN, r"^a\.b$"),
        ("{{title}}", Mode.PATTERN, r"a\.b"),
        ({"$regex": "{{title}}"}, Mode.EXPECTED, {"$regex": r"a\.b"}),
        ({"$equals": {"id": "{{number}}"}}, Mode.EXPECTED, {"$equals": {"id": 17}}),
        ({"a": "{{issue}}"}, Mode.EXPECTED, {"a": {"$equals": {"$regex": "x"}}}),
        ({"pattern": "{{title}}", "const": "{{number}}"}, Mode.SCHEMA, {"pattern": r"a\.b", "const": 17}),
        (
            {"properties": {"pattern": {"const": "{{title}}"}}},
            Mode.SCHEMA,
            {"properties": {"pattern": {"const": "a.b"}}},
        ),
        ({"pattern": "{{title}}"}, Mode.VALUE, {"pattern": "a.b"}),
        ("{{braces}}", Mode.TEXT, "{{number}}"),
        ("{{unknown}} {number} {{2}} {{}}", Mode.TEXT, "{{unknown}} {number} {{2}} {{}}"),
        ({"{{number}}": 1}, Mode.VALUE, {"{{number}}": 1}),
    ],
)
def test_a_name_is_replaced_by_its_value_as_the_part_requires(value: Any, mode: Mode, expected: Any) -> None:
    """In text, a name is text; in JSON, a string that is only a name becomes the value; in a pattern, it is literal."""
    assert with_values(value, mode, VALUES) == expected


def test_only_the_parts_that_hold_names_are_changed() -> None:
    """Keys such as `id` and `tags` keep their braces, and the parts about the model's text are replaced apart."""
    query = {
        "id": "{{title}}",
        "tags": ["{{title}}"],
        "prompt": "{{title}}",
        "expect": {"text": {"equals": "{{title}}"}},
    }
    replaced = with_values(query, CONVERSATION, VALUES)
    assert replaced == {**query, "prompt": "a.b"}
    assert with_values(replaced, SPOKEN, VALUES)["expect"] == {"text": {"equals": "a.b"}}


def test_names_are_found_with_their_places() -> None:
    """The place of a name is the path of its string."""
    step = {"id": "{{no}}", "tool": "{{no}}", "input": {"a": [{"b": "{{x}} {{y}}"}]}, "text": {"contains": ["{{z}}"]}}
    assert list(names_in(step, STEP, "after[0]")) == [
        ("x", "after[0].input.a[0].b"),
        ("y", "after[0].input.a[0].b"),
        ("z", "after[0].text.contains[0]"),
    ]


@given(st.text(), st.text())
def test_a_pattern_matches_exactly_the_value(value: str, other: str) -> None:
    """A value in a pattern matches itself, and no other text."""
    pattern = with_values("^{{v}}\\Z", Mode.PATTERN, {"v": value})
    assert re.match(pattern, value)
    assert bool(re.match(pattern, other)) is (other == value)


@given(st.text(), st.integers(1, 1000))
def test_unique_text_depends_on_the_query_and_its_repeat(query: str, repeat: int) -> None:
    """It is the same in each run, differs between repeats, and begins with a letter."""
    one = unique_text(query, repeat)
    assert one == unique_text(query, repeat) != unique_text(query, repeat + 1)
    assert re.fullmatch("u[0-9a-f]{11}", one)
