"""Scripts that use parts of earlier results in later calls."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.models.references import UnresolvedReferenceError, resolve
from mcprun.prompts.bindings import Bindings
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter

CALLS = [
    Call(turn=0, tool="a", input={}, is_error=False, content=[{"type": "text", "text": "id=17, id=18"}],
         structured={"id": 7, "deep": [{"a/b": "x", "m~n": "y"}]}),
    Call(turn=0, tool="b", input={}, is_error=True, content=[{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}]),
]  # fmt: skip


def after(calls: list[Call]) -> Bindings:
    return Bindings().with_calls(calls, {})


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"$from": 0, "path": "/structuredContent/id"}, 7),
        ({"$from": 0, "path": "/structuredContent/deep/0/a~1b"}, "x"),
        ({"$from": 0, "path": "/structuredContent/deep/0/m~0n"}, "y"),
        ({"$from": 0, "path": "/content/0/text", "match": r"id=(\d+)"}, "17"),
        ({"$from": 0, "match": r"id=\d+$"}, "id=18"),
        ({"$from": 1}, "one\ntwo"),
        ({"$from": 1, "path": "/isError"}, True),
        ({"$from": 0, "path": "/id"}, 7),
        ({"$from": 0, "path": "/deep/0/m~0n"}, "y"),
        ({"$from": 0, "path": "/structuredContent/id", "match": "7"}, "7"),
        ({"$from": 0, "path": "/structuredContent/id", "as": "string"}, "7"),
        ({"$from": 0, "match": r"id=(\d+)", "as": "number"}, 17),
        ({"$from": 0, "match": r"id=(\d+)", "as": "integer"}, 17),
        ({"$from": 1, "path": ""}, {"content": CALLS[1].content, "structuredContent": None, "isError": True}),
    ],
)
def test_reference_resolves_to_part_of_a_result(reference: dict[str, Any], value: Any) -> None:
    """A `path` yields the JSON value, a `match` yields text unless `as` says otherwise, anywhere in the input."""
    assert resolve({"x": [reference], "y": 1}, after(CALLS)) == {"x": [value], "y": 1}


def returning(*texts: str, structured: Any = None, is_error: bool = False) -> list[Call]:
    content = [{"type": "text", "text": text} for text in texts]
    return [Call(turn=0, tool="save", input={}, is_error=is_error, content=content, structured=structured)]


@pytest.mark.parametrize(
    ("calls", "path", "value"),
    [
        (returning('{"id": 7, "tags": ["a"]}'), "/id", 7),
        (returning('{"id": 7, "tags": ["a"]}'), "/tags/0", "a"),
        (returning('{"id": 7}'), "/structuredContent/id", 7),
        (returning('{"id": 7}'), "/structuredContent", {"id": 7}),
        (returning('{"id": 7}'), "/content/0/text/id", 7),
        (returning('{"id": 7}'), "/content/0/text", '{"id": 7}'),
        (returning(' [{"id": 7}]\n'), "/0/id", 7),
        (returning("Saved.", '{"id": 7}'), "/id", 7),
        (returning('{"a": 1}', '{"id": 7}'), "/id", 7),
        (returning('{"id": 7}', structured={"result": '{"id": 8}'}), "/result/id", 8),
        (returning('{"id": 7}', structured={"id": 8}), "/id", 8),
        (returning('{"content": {"id": 7}}'), "/content/id", 7),
        (returning('{"id": 7}', structured={"other": 8}), "/id", 7),
        (returning('{"error": {"id": 7}}', is_error=True), "/error/id", 7),
    ],
)
def test_a_path_reads_json_from_a_text_result(calls: list[Call], path: str, value: Any) -> None:
    """A path that the MCP result lacks points into structured content, and then into text that is JSON."""
    assert resolve({"$from": 0, "path": path}, after(calls)) == value


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("42", "number", 42),
        (" 42\n", "integer", 42),
        ("-1.5e3", "number", -1500.0),
        ("007", "integer", 7),
        ("+2.0", "integer", 2),
        (".5", "number", 0.5),
        ("42", "string", "42"),
        ("True", "boolean", True),
        ("[1, {}]", "json", [1, {}]),
        ("9007199254740993", "number", 9007199254740993),
    ],
)
def test_as_converts_the_value(text: str, kind: str, value: Any) -> None:
    """`as` sends a number, a boolean or JSON in place of the text."""
    found = resolve({"$from": 0, "as": kind}, after(returning(text)))
    assert (found, type(found)) == (value, type(value))


SAVED = "; call 0 (save) returned 'Saved as 17.'"


@pytest.mark.parametrize(
    ("reference", "calls", "message"),
    [
        ({"$from": 0, "path": "/structuredContent/name"}, CALLS, "$from 0 /structuredContent/name: there is no 'name' in an object with 'id', 'deep'; call 0 (a) returned 'id=17, id=18'"),
        ({"$from": 0, "path": "/content/7"}, CALLS, "$from 0 /content/7: there is no '7' in a list of length 1; call 0 (a) returned 'id=17, id=18'"),
        ({"$from": 0, "path": "/id"}, returning("Saved as 17."), f"$from 0 /id: there is no 'id': the result has no structured content, and its text is not JSON{SAVED}"),
        ({"$from": 0, "path": "/content/0/text/id"}, returning("Saved as 17."), f"$from 0 /content/0/text/id: there is no 'id' in text that is not JSON{SAVED}"),
        ({"$from": 0, "path": "/note/id"}, returning('{"note": {"title": "a"}}'), "$from 0 /note/id: there is no 'id' in an object with 'title'; call 0 (save) returned '{\"note\": {\"title\": \"a\"}}'"),
        ({"$from": 0, "match": "no=(.)"}, returning("Saved as 17."), f"$from 0: 'no=(.)' does not match{SAVED}"),
        ({"$from": 0, "match": "(no)?"}, returning("Saved as 17."), f"$from 0: '(no)?' matches, but not its first group{SAVED}"),
        ({"$from": 0, "match": "Saved (.+)", "as": "number"}, returning("Saved as 17."), f"$from 0: 'as 17.' is not a number{SAVED}"),
        ({"$from": 0, "path": "/deep", "match": "7"}, CALLS, "$from 0 /deep: match needs text or a number, not a list; call 0 (a) returned 'id=17, id=18'"),
        ({"$from": 0, "path": "/id"}, returning("no such folder", is_error=True), "$from 0 /id: there is no 'id': the result has no structured content, and its text is not JSON; call 0 (save) failed with 'no such folder'"),
        ({"$from": 3}, CALLS, "$from 3: call 3 was not made"),
    ],
)  # fmt: skip
def test_unresolved_reference_is_named(reference: dict[str, Any], calls: list[Call], message: str) -> None:
    """The message names the place in the input, the call, the path and the result."""
    with pytest.raises(UnresolvedReferenceError) as error:
        resolve({"note": [reference]}, after(calls))
    assert str(error.value) == f"note[0]: {message}"


@pytest.mark.parametrize("text", ["nan", "1e999", "0x10", "1_000", "\N{ARABIC-INDIC DIGIT ONE}", "", "1,5", "true"])
def test_only_finite_decimal_numbers_are_numbers(text: str) -> None:
    """Text that other parsers would read as a number in another way is refused."""
    with pytest.raises(UnresolvedReferenceError, match="is not a number"):
        resolve({"$from": 0, "as": "number"}, after(returning(text)))


def test_a_message_holds_no_part_of_a_secret() -> None:
    """A result is redacted before it is shortened."""
    formatter = ValueFormatter(lambda text: text.replace("s3cret", "***"))
    with pytest.raises(UnresolvedReferenceError) as error:
        resolve({"$from": 0, "path": "/id"}, after(returning("x" * 196 + "s3cret")), formatter)
    assert "s3c" not in str(error.value)
