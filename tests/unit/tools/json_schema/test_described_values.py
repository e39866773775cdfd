"""Values from descriptions and names of arguments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.tools.json_schema.described_values import (
    argument_description,
    described_json,
    described_numbers,
    described_strings,
)
from mcprun.tools.json_schema.named_values import Argument, named_number, named_strings


@pytest.mark.parametrize(
    ("description", "value"),
    [
        ('The day, e.g. "2024-01-01"', "2024-01-01"),
        ("The day (e.g., 2024-01-01).", "2024-01-01"),
        ("A timezone such as 'Europe/Berlin' or 'UTC'", "Europe/Berlin"),
        ("Example: berlin", "berlin"),
        ("For example, `SELECT name FROM users`", "SELECT name FROM users"),
        ("One of: asc, desc", "asc"),
        ("The order: 'asc' or 'desc'", "asc"),
        ("Sort order (asc|desc). Must be asc or desc", "asc"),
        ("Whether to list local branches ('local') or all branches('all').", "local"),
        ("The unit (default: metric)", "metric"),
        ("Defaults to 'en'.", "en"),
        ("It's the user's name, like the one that's shown", None),
        ("A command, e.g. 'rm -rf build'", None),
        ("Optional value such as a name", None),
        ("", None),
    ],
)
def test_descriptions_give_values(description: str, value: str | None) -> None:
    """Listed values, examples and defaults are found; harmful examples and ordinary words are not."""
    assert next(described_strings(description), None) == value


def test_numbers_and_json_are_found() -> None:
    """Examples of numbers, lists and objects are found."""
    assert list(described_numbers("How many, e.g. 25 (default: 10)")) == [25, 10]
    assert list(described_json('Points, for example: [[1, 2], [3, 4]], or {"a": 1}')) == [[[1, 2], [3, 4]]]
    assert list(described_json('e.g. {"a": [1]} e.g. {broken')) == [{"a": [1]}]


def test_the_description_of_a_tool_describes_its_arguments() -> None:
    """A line of a docstring describes an argument, with or without its type."""
    text = "Get it.\n\nArgs:\n    city: The city, e.g. 'Berlin'\n    day (str): The day\n  - `note_id` (required): x\n"
    assert [argument_description(text, name) for name in ("city", "day", "note_id", "it", "(")] == [
        "The city, e.g. 'Berlin'", "The day", "x", "", ""
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        (Argument("sql"), "SELECT 1"),
        (Argument("query", "The SQL to run"), "SELECT 1"),
        (Argument("query", "What to look for"), None),
        (Argument("expression"), "1+1"),
        (Argument("cronExpression"), "0 0 * * *"),
        (Argument("backgroundColor"), "#336699"),
        (Argument("start_date"), "2026-01-15"),
        (Argument("end_date"), "2026-01-16"),
        (Argument("amount", "Digits only"), "1"),
        (Argument("from_currency"), "USD"),
        (Argument("to_currency"), "EUR"),
        (Argument("uri", "A http:, file: or data: URI"), "data:text/plain,Hello"),
        (Argument("filepath", tool="create_workbook"), "example.xlsx"),
        (Argument("filepath", tool="read_workbook", reads_only=True), "example.xlsx"),
        (Argument("filepath", tool="read_markdown", reads_only=True), "README.md"),
        (Argument("path", tool="list_directory", reads_only=True), "."),
        (Argument("whatever"), None),
    ],
)
def test_a_name_determines_the_value(argument: Argument, value: str | None) -> None:
    """A value suits the argument's name, its description and the tool."""
    assert next(named_strings(argument), None) == value


def test_a_name_determines_the_number() -> None:
    """Coordinates, years and sizes have plausible numbers."""
    assert [named_number(name) for name in ("latitude", "year", "x")] == [52.52, 2026, None]


@given(st.text(), st.text())
def test_any_description_can_be_read(description: str, name: str) -> None:
    """No description or name raises an error."""
    list(described_strings(description))
    list(described_numbers(description))
    list(described_json(f"e.g. [{description}"))
    argument_description(description, name)
    list(named_strings(Argument(name, description, name)))
