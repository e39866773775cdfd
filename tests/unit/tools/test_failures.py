"""Results that say in words that a call failed."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.tools.failures import failure_in, is_unavailable


def found(text: str, tool: str = "get_note", structured: Any = None) -> str:
    """Return the failure in a result with one text."""
    return failure_in(tool, [{"type": "text", "text": text}], structured)


@pytest.mark.parametrize(
    "text",
    [
        "Error: no such thing", "Error executing tool read: x", "❌ Error: bad", "ValueError: x", "API error: 404",
        "**Error**: x", "An error occurred while fetching", "Failed to fetch", "Unable to connect to x", "Error",
        "Note example not found", "Invalid timezone: foo", "HTTP error 404", "Unexpected error: boom",
        "Access denied - path outside allowed directories: /x", "Traceback (most recent call last):\n x",
        "Could not find x", "fetch failed: ECONNREFUSED", "Database error: no such table: example",
        "Sorry, I can't do that", "Request failed with status code 401", "The file is not a valid workbook",
        "oh no\n    at main (/a/b.js:1:2)\n", '{"error": "x"}', '{"success": false, "message": "no"}',
        '{"result": {"ok": false}}', '{"status": "error"}', '{"status": 404}', '{"errors": [{"message": "x"}], "data": null}',
        '{"is_error": true}', '{"error": {"code": 1}}',
    ],
)  # fmt: skip
def test_failures_are_recognised(text: str) -> None:
    """Words at the start, fields of an object and stack traces show that a call failed."""
    assert found(text)


@pytest.mark.parametrize(
    "text",
    [
        "3 errors found", "No errors", "Error handling guide for Python developers. " * 20, '{"errors": [], "data": 1}',
        '{"error": null, "x": 1}', '{"error": false}', '{"error": ""}', '{"errors": 0}', "ok", "Created note 5", "[]",
        "# Errors\n\nThis page explains errors." * 10, '{"status": "ok"}', '{"status": 200}', "No results found.",
        '{"items": [{"error": "x"}]}', "Echo: example", "Saved.", "first line\nsecond line", '{"error_rate": 0.3}',
        "Missing children rescued in the north, police say. " * 9, "Errors can't be avoided. " * 30, "", "{", "[1, 2",
        '{"errors": [{"message": "x"}], "data": {"a": 1}}', '{"errors": ["a"], "notes": ["b"]}',
    ],
)  # fmt: skip
def test_other_results_are_no_failures(text: str) -> None:
    """A result that mentions errors, lists none, or has an empty field for them is no failure."""
    assert found(text) == ""


def test_a_tool_that_lists_errors_may_do_so() -> None:
    """The errors that a tool was asked for are its result, but its own failure is one."""
    text = '{"errors": [{"message": "x"}]}'
    assert (found(text, "list_errors"), bool(found(text))) == ("", True)
    assert (
        found("TypeError: x is undefined, is not defined", "read_logs") == "TypeError: x is undefined, is not defined"
    )
    assert found("Error: one\n" * 50, "read_logs") == ""
    assert found('{"valid": false, "error": "Unexpected token"}', "format_validate") == ""


def test_structured_content_counts_too() -> None:
    """Structured content is searched, with the text that it wraps, and hostile values raise nothing."""
    assert found("", structured={"result": "Error: x"}) == "Error: x"
    assert found("done", structured={"success": False, "message": "no\nway"}) == "success: false, no way"
    deep: Any = "Error: x"
    for _ in range(500):
        deep = {"result": deep}
    assert found("[" * 100_000, structured=deep) == ""
    assert failure_in("t", [{"type": "image", "data": "Error"}, {"type": "text"}], 5) == ""


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("getaddrinfo ENOTFOUND api.example.com", True), ("fetch failed", True), ("Invalid API key", True),
        ("connect ECONNREFUSED 127.0.0.1:80", True), ("HTTP 401", True), ("Could not find Chrome (ver. 1)", True),
        ("Note 403x not found", False), ("path must be absolute", False), ("no such table: example", False),
        ("not connected to a database: use connect", False),
    ],
)  # fmt: skip
def test_failures_that_no_input_avoids_are_recognised(reason: str, expected: bool) -> None:
    """Without a network, a browser, a service or an account, other inputs are not worth a try."""
    assert is_unavailable(reason) is expected
