"""The differences between a value and an expected one: where they are, and how a message describes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.checks.calls import any_order
from mcprun.checks.difference_text import describe
from mcprun.checks.differences import differences
from mcprun.checks.evaluate import check_text
from mcprun.checks.expect import ExpectedCall, ExpectedText
from mcprun.checks.matchers import fits
from mcprun.checks.one_call import mismatch
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from tests.support.call_strategies import made
from tests.support.json_strategies import JSON
from tests.support.matcher_tables import PLAIN

MATCHERS = st.sampled_from(
    [{"$any": True}, {"$oneof": [1, {"a": 1}]}, {"$type": "integer"}, {"$approx": 1}, {"$equals": {"a": [1]}},
     {"$optional": True}, {"$type": "string", "$optional": True}]
)  # fmt: skip
EXPECTED = st.recursive(
    PLAIN | MATCHERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
ROWS = [{"id": at, "name": f"row {at}", "note": "x" * 50} for at in range(50)]


def message(expected: Any, got: Any, *, exact: bool = False) -> str:
    """Return the message about the differences of a result."""
    return describe(differences(expected, got, exact=exact), "result", ValueFormatter())


@pytest.mark.parametrize(
    ("expected", "got", "text"),
    [
        ({"status": "good"}, {"rows": ROWS, "status": "bad"}, 'result.status: expected "good", got "bad"'),
        ({"rows": [*ROWS[:-1], {"id": 0}]}, {"rows": ROWS}, "result.rows[49].id: expected 0, got 49"),
        ({"n": 5}, {"n": "5"}, 'result.n: expected 5, got "5"'),
        ({"n": 1}, {"n": True}, "result.n: expected 1, got true"),
        ({"a": 1, "b": 2}, {"b": 3}, "result.a: missing, expected 1; result.b: expected 2, got 3"),
        ({"a": []}, {"a": {"b": 1}}, 'result.a: expected [], got {"b": 1}'),
        ([1, 2], [1, 2, 3], "result: expected 2 items, got 3; result[2]: not expected, got 3"),
        ([1, 2], [0, 1, 2], "result: expected 2 items, got 3; result[0]: not expected, got 0"),
        ([1, 2, 3], [1, 3], "result: expected 3 items, got 2; result[1]: missing, expected 2"),
        ([1], [5, 6], "result: expected 1 item, got 2; result[0]: expected 1, got 5; result[1]: not expected, got 6"),
        ([], ROWS, "result: expected 0 items, got 50"),
        (
            {"odd key": {"a.b": [{"é": 1}]}},
            {"odd key": {"a.b": [{"é": 2}]}},
            'result.odd key["a.b"][0].é: expected 1, got 2',
        ),
        ({"a": {"$type": ["integer", "null"]}}, {"a": "x"}, 'result.a: expected type integer or null, got "x"'),
        ({"a": {"$oneof": ["C", "F"]}}, {"a": "K"}, 'result.a: expected one of "C", "F", got "K"'),
        ({"a": {"$approx": 3.14, "within": 0.1}}, {"a": 4}, "result.a: expected 3.14 ± 0.1, got 4"),
        ({"a": {"$approx": 3.14}}, {}, "result.a: missing, expected about 3.14"),
        ({"a": {"$any": True}}, {}, "result.a: missing, expected any value"),
        ({"a": {"$equals": {"b": 1}}}, {"a": {"b": 1, "c": 2}}, "result.a.c: not expected, got 2"),
        ({"$equals": {"$any": True}}, {"$any": 1}, "result.$any: expected true, got 1"),
    ],
)
def test_a_message_has_the_path_and_both_values_of_each_difference(expected: Any, got: Any, text: str) -> None:
    """A message shows only what differs, however large the values are."""
    assert message(expected, got) == text


def test_keys_that_are_not_expected_differ_only_in_exact_values() -> None:
    """Objects may have more keys than expected unless they are compared exactly."""
    assert message({"a": {}}, {"a": {"b": 1}}) == ""
    assert message({"a": {}}, {"a": {"b": 1}}, exact=True) == "result.a.b: not expected, got 1"


def test_the_first_few_differences_are_shown_and_the_others_counted() -> None:
    """A message has up to five differences, and a count that is bounded too."""
    expected, got = {str(at): at for at in range(9)}, {str(at): -1 for at in range(9)}
    text = message(expected, got)
    assert (text.count("expected"), text[-24:]) == (5, "; and 4 more differences")
    assert message([0] * 6, [1] * 6).endswith("; and 1 more difference")
    assert message([0] * 20_000, [1] * 20_000).endswith("; and more than 995 more differences")


@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_a_message_has_a_bounded_length(size: int) -> None:
    """Long values, keys and lists do not make a message longer than 1,000 characters."""
    long, other = {"k" * size: "a" * size, "m": ["a" * size]}, {"k" * size: "b" * size, "m": "b" * size}
    assert 100 < len(message([long] * 9, [other] * 9)) < 1_000
    call = made(result="y" * size, text="x" * size)
    _, problem = any_order([ExpectedCall(tool="t", result="z" * size)], [call], ValueFormatter())
    assert len(problem) < 1_000


def test_texts_are_shown_around_their_first_difference() -> None:
    """Of long texts, a message has the line, and the part that differs with a few characters around it."""
    before = f"{'first ' * 500}\n{'second ' * 500}good{' third' * 500}"
    after = before.replace("good", "bad")
    excerpts = '"…econd second second good third third third …", got "…econd second second bad third third third …"'
    assert message(before, after) == f"result, line 2: expected {excerpts}"
    (check,) = check_text(ExpectedText(equals=before), after, ValueFormatter())
    assert check.message == f"line 2: expected text {excerpts}".replace('"', "'")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": "x"}', ": at $.a: 'x' is not of type 'integer'"),
        ('{"a": "x", "b": 1}', ": at $.a: 'x' is not of type 'integer'; at $.b: 1 is not of type 'array'"),
        ('{"a": 1, "b": [0, 0, 0, 0, 0, 0]}', "; at $.b[3]: 0 is not of type 'string'; and 2 more"),
        ("x", ", got 'x': it is not JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_the_first_few_violations_of_a_schema_are_shown_and_the_others_counted(text: str, problem: str) -> None:
    """A message has the paths of the violations, but not the text, unless that is no JSON."""
    properties = {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string"}}}
    (check,) = check_text(ExpectedText(json_schema={"properties": properties}), text, ValueFormatter())
    assert str(check.message).startswith("expected JSON that matches the schema")
    assert str(check.message).endswith(problem)


def test_the_differences_of_a_result_are_those_of_its_nearest_form() -> None:
    """Structured content, the value that it wraps, the text, and the JSON in the text are forms of a result."""

    def differs(expected: Any, **result: Any) -> str:
        call = Call(turn=0, tool="t", input={}, is_error=False, **({"content": []} | result))
        return mismatch(ExpectedCall(tool="t", result=expected), call, ValueFormatter())

    wrapped = {"result": {"status": "bad"}}
    text = [{"type": "text", "text": '{"status": "worse"}'}]
    assert differs({"status": "good"}, structured=wrapped) == 'result.status: expected "good", got "bad"'
    assert differs({"result": {"status": "good"}}, structured=wrapped).startswith("result.result.status: ")
    assert differs({"status": "good"}, content=text) == 'result.status: expected "good", got "worse"'
    assert differs("good", structured=wrapped, content=text).startswith('result: expected "good", got "{')
    image = [{"type": "image", "data": "", "mimeType": "image/png"}]
    assert differs("good", content=image) == "result: missing, expected \"good\", got '(image)'"


def test_secrets_are_redacted_in_differences() -> None:
    """Values, keys and excerpts are redacted before they are shortened."""
    formatter = ValueFormatter(lambda text: text.replace("hunter2hunter2", "***"))
    secret = "hunter2hunter2"
    for expected, got in (({"a": 1}, {"a": secret}), ({secret: 1}, {}), ("x" * 500, f"{'x' * 490}{secret}")):
        shown = describe(differences(expected, got), "result", formatter)
        assert ("***" in shown, "hunter2" in shown) == (True, False)


def test_the_closest_call_is_the_one_that_differs_least() -> None:
    """If several calls of the tool may be meant, the message is about the one with the fewest differences."""
    calls = [made(a=1, b=2, c=3), made(a=9, b=9, c=3), made(tool="u", a=1, b=2, c=4)]
    _, problem = any_order([ExpectedCall(tool="t", input={"a": 1, "b": 2, "c": 4})], calls, ValueFormatter())
    assert problem == "expected call 0 differs from call 0, t{a: 1, b: 2, c: 3}: input.c: expected 4, got 3"
    results = [made(result='{"n": 1, "m": 1}', x=1), made(result='{"n": 1, "m": 2}', x=1)]
    wanted = ExpectedCall.model_validate({"tool": "t", "input": {"x": 1}, "result": {"n": 0, "m": 2}})
    assert "differs from call 1" in any_order([wanted], results, ValueFormatter())[1]


@given(EXPECTED, JSON | EXPECTED, st.booleans())
def test_there_are_differences_if_and_only_if_a_value_does_not_match(expected: Any, got: Any, exact: bool) -> None:
    """The differences agree with the verdict, and each can be described."""
    found = list(differences(expected, got, exact=exact))
    assert (found == []) == fits(expected, got, exact=exact)
    assert bool(describe(found, "result", ValueFormatter())) == bool(found)
