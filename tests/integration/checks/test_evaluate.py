"""The checks of a query, including those that evaluate patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcprun.checks.evaluate import Outcome, check_all
from mcprun.checks.expect import Expect, ExpectedCall
from mcprun.checks.one_call import mismatch
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from tests.support.cli import SERVERS, run_mcprun, script, write_jsonl
from tests.support.expectations import call


@pytest.mark.parametrize(
    ("expect", "stop", "calls", "allow", "messages"),
    [
        ({}, "end_turn", [], False, []),
        ({}, "stop_sequence", [], False, []),
        ({}, "pause_turn", [], False, ["expected the model to end its turn, got pause_turn"]),
        ({}, "max_tokens", [], False, ["stopped at the limit of tokens per reply (`--max-tokens`)"]),
        ({}, "refusal", [], False, ["the model refused to answer (stop reason `refusal`)"]),
        ({}, "end_turn", [call("a", is_error=True, text="no")], True, []),
        ({"tool_errors": "allow"}, "end_turn", [call("a", is_error=True)], False, []),
        (
            {},
            "end_turn",
            [call("ok"), call("a", is_error=True, text="no\nway", x=1)],
            False,
            ["call 1: a{x: 1} returned an error: 'no way'"],
        ),
        ({"text": {"contains": ["5", "6"]}}, "end_turn", [], False, ["expected text with '6', got 'It is 5.'"]),
        (
            {"text": {"not_contains": ["6", "is"]}},
            "end_turn",
            [],
            False,
            ["expected text without 'is', got 'It is 5.'"],
        ),
        ({"text": {"equals": "It is 5."}}, "end_turn", [], False, []),
        ({"text": {"equals": "It is 5"}}, "end_turn", [], False, ["expected text 'It is 5', got 'It is 5.'"]),
        (
            {"text": {"equals": "It is  5."}},
            "end_turn",
            [],
            False,
            ["expected text 'It is <U+0020>5.', got 'It is 5.'"],
        ),
        (
            {"text": {"regex": ["^It", r"\d{2}"]}},
            "end_turn",
            [],
            False,
            ["expected text matching '\\d{2}', got 'It is 5.'"],
        ),
        (
            {"text": {"json_schema": {"type": "object"}}},
            "end_turn",
            [],
            False,
            [
                "expected JSON that matches the schema, got 'It is 5.':"
                " it is not JSON: Expecting value: line 1 column 1 (char 0)"
            ],
        ),
        (
            {"never": "rm_*"},
            "end_turn",
            [call("ls"), call("rm_all", x=1)],
            False,
            ["call 1: expected no call to rm_*, got rm_all{x: 1}"],
        ),
        ({"never": ["x", "y"]}, "end_turn", [call("xy")], False, []),
        ({"calls": []}, "end_turn", [], False, []),
        ({"calls": []}, "end_turn", [call("a")], False, ["expected no calls, got call 0, a{}"]),
        ({"max_calls": 1}, "end_turn", [call("a"), call("b")], False, ["made 2 calls, at most 1 allowed"]),
        ({"max_turns": 2}, "end_turn", [], False, ["took 3 turns, at most 2 allowed"]),
        ({"max_seconds": 1}, "end_turn", [], False, ["took 1.5 s, at most 1 s allowed"]),
        ({"max_output_tokens": 39}, "end_turn", [], False, ["used 40 output tokens, at most 39 allowed"]),
        ({"max_calls": 0, "max_turns": 3, "max_seconds": 1.5, "max_output_tokens": 40}, "end_turn", [], False, []),
        (
            {"calls": [{"tool": "a", "is_error": True}]},
            "end_turn",
            [call("b"), call("a", is_error=True, text="no")],
            False,
            [],
        ),
        (
            {"calls": [{"tool": "a", "is_error": True}]},
            "end_turn",
            [call("a", is_error=True), call("a", is_error=True, text="again")],
            False,
            ["call 1: a{} returned an error: 'again'"],
        ),
        (
            {"calls": [{"tool": "a", "is_error": False}]},
            "end_turn",
            [call("a", is_error=True, text="no")],
            True,
            ["expected call 0 differs from call 0, a{}: expected no error, got 'no'"],
        ),
    ],
)
def test_failed_checks_are_reported(
    expect: dict[str, Any], stop: str, calls: list[Call], allow: bool, messages: list[str]
) -> None:
    """Every query must end its turn and, unless allowed, have no tool errors. `expect` adds further checks."""
    outcome = Outcome(stop_reason=stop, calls=calls, text="It is 5.", turns=3, elapsed=1.5, output_tokens=40)
    checks = check_all(Expect.model_validate(expect), outcome, ValueFormatter(), allow_tool_errors=allow)
    assert [check.message for check in checks if not check.passed] == messages


@pytest.mark.parametrize(
    ("expected", "actual", "message"),
    [
        ({"tool": "a", "input": {"x": 1}, "exact_input": True}, call("a", x=1), ""),
        (
            {"tool": "a", "input": {"x": 1}, "exact_input": True},
            call("a", x=1, y=2),
            "input.y: not expected, got 2",
        ),
        ({"tool": "a", "result": "5"}, call("a", text="5"), ""),
        ({"tool": "a", "result": 5}, call("a", text="5"), ""),  # JSON within the text
        ({"tool": "a", "result": {"n": {"$type": "integer"}}}, call("a", text='{"n": 5, "m": 6}'), ""),
        ({"tool": "a", "result": {"$regex": "^5"}}, call("a", text="5 apples"), ""),
        ({"tool": "a", "result": None}, call("a", text="null"), ""),
        ({"tool": "a", "result": 6}, call("a", text="5"), "result: expected 6, got 5"),
        ({"tool": "a", "is_error": True}, call("a", text="fine"), "expected an error, got 'fine'"),
    ],
)
def test_a_call_is_compared_with_its_expectation(expected: dict[str, Any], actual: Call, message: str) -> None:
    """A call is compared by its input, its result, and whether it is an error."""
    assert mismatch(ExpectedCall.model_validate(expected), actual, ValueFormatter()) == message


def test_each_failed_check_is_a_line_of_the_terminal(tmp_path: Path) -> None:
    """Calls that were made and calls that were expected are named apart, and each failed check has its own line."""
    query = script(
        ("fails", {"why": "x"}), ("echo", {"text": "b"}), expect={"calls": [{"tool": "echo", "input": {"text": "c"}}]}
    )
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query), SERVERS / "kinds.py", cwd=tmp_path)
    lines = [line.strip() for line in done.stderr.splitlines() if line.startswith("        ")]
    assert lines == [
        "call 0: fails{why: \"x\"} returned an error: 'Error executing tool fails'",
        'expected call 0 differs from call 1, echo{text: "b"}: input.text: expected "c", got "b"',
    ]
