"""Comparing runs: what counts as a difference, what does not, and how it is shown."""

from __future__ import annotations

import copy
import json
import math
import re
from difflib import SequenceMatcher
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcprun._util.alignment import Alignment
from mcprun._util.json_io import dumps
from mcprun._util.json_value import json_equal
from mcprun.analysis.diff.repeats import Rate
from mcprun.analysis.diff.runs import DiffSummary, QueryDiff, RunDiff
from mcprun.analysis.diff.scrub import SCRUBS, Scrubber, parse_path
from mcprun.analysis.diff.transcripts import ASPECTS, Change, CompareOptions, align, result_of
from mcprun.errors import UsageError
from mcprun.report.diff import ABSENT, as_json, leaves, tool_lines
from mcprun.report.diff import lines as lines_of
from mcprun.report.diff import value_pairs as told_of
from mcprun.report.diff_markdown import markdown
from mcprun.report.markdown import COMMENT_BYTES
from mcprun.tools.changes import ToolChange
from tests.support.examples import examples
from tests.support.json_strategies import JSON
from tests.support.transcripts import EXAMPLES, call, calls, changes, lines, transcript, transcripts

ALL = frozenset(ASPECTS)

runs = st.lists(transcripts, max_size=6, unique_by=lambda one: (one["id"], one["repeat"]))


@given(runs, st.randoms())
def test_a_run_does_not_differ_from_itself(run: list[dict[str, Any]], chance: Any) -> None:
    """Whatever is compared, and in whatever order its queries stand."""
    assume(run)
    other = copy.deepcopy(run)
    chance.shuffle(other)
    comparison = RunDiff(CompareOptions(ALL))
    assert list(comparison.compare(lines(run), lines(other))) == []
    assert (comparison.summary.same, comparison.summary.differ) == (len(run), False)


@given(runs, runs)
def test_pairs_are_the_same_from_both_sides(base: list[dict[str, Any]], head: list[dict[str, Any]]) -> None:
    """What is added from one side is removed from the other, what is changed is changed, and everything is counted."""
    assume(base or head)
    there, back = RunDiff(CompareOptions(ALL)), RunDiff(CompareOptions(ALL))
    forth = {(diff.id, diff.repeat): diff for diff in there.compare(lines(base), lines(head))}
    again = {(diff.id, diff.repeat): diff for diff in back.compare(lines(head), lines(base))}
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    assert {key: opposite[diff.how] for key, diff in forth.items()} == {key: diff.how for key, diff in again.items()}
    for key, diff in forth.items():
        assert diff.verdicts == again[key].verdicts[::-1]
        assert bool(diff.changes) == (diff.how == "changed")
    tally = there.summary
    assert tally.same + tally.changed + tally.removed == len(base)
    assert tally.same + tally.changed + tally.added == len(head)
    keys = [{(one["id"], one["repeat"]) for one in run} for run in (base, head)]
    assert {key for key, diff in forth.items() if diff.how == "added"} == keys[1] - keys[0]


def test_calls_that_alternate_are_aligned_within_the_bound() -> None:
    """Of 10,000 calls that alternate between two inputs and start with the other one, all but two find a partner."""
    base = [call("get", n=number % 2) for number in range(10_000)]
    pairs = list(align(base, base[1:] + base[:1]))
    assert sum(None not in pair for pair in pairs) == 9_999


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_an_alignment_leaves_out_as_little_as_difflib_or_less(before: list[str], after: list[str]) -> None:
    """Its blocks are equal on both sides and in order, and hold a longest common subsequence."""
    blocks = Alignment(before, after).get_matching_blocks()
    matched = [before[block.a + at] for block in blocks for at in range(block.size)]
    assert matched == [after[block.b + at] for block in blocks for at in range(block.size)]
    assert (len(before), len(after), 0) == tuple(blocks[-1])
    by_difflib = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    assert sum(block.size for block in by_difflib) <= len(matched)


@given(calls, calls)
def test_calls_are_aligned_in_order_and_once(base: list[dict[str, Any]], head: list[dict[str, Any]]) -> None:
    """Every call of both sides stands in the alignment once, in its order, and partners are of the same tool."""
    pairs = list(align(base, head))
    assert [before for before, _ in pairs if before is not None] == list(range(len(base)))
    assert [after for _, after in pairs if after is not None] == list(range(len(head)))
    for before, after in pairs:
        if before is not None and after is not None:
            assert base[before]["tool"] == head[after]["tool"]


def test_what_is_told_of_a_query() -> None:
    """The verdict, how it stopped, and each call that was added, removed, given or brought something else."""
    base = transcript(calls=[call("a", "1", x=1), call("b", "2"), call("c", "3"), call("d", "4", y=1)])
    head = transcript(
        verdict="error", stop="timeout", error={"kind": "query_timeout", "message": "after 3.2 s"},
        calls=[call("a", "1", x=2), call("c", "5"), call("d", "4", y=1), call("e")],
    )  # fmt: skip
    assert changes(base, head) == [
        Change("verdict", "passed", "error"),
        Change("stop", "end_turn", "timeout (query_timeout)"),
        Change("input", {"x": 1}, {"x": 2}, 0, "a"),
        Change("call_removed", {}, None, 1, "b"),
        Change("result", "3", "5", 1, "c", {}),
        Change("call_added", None, {}, 3, "e"),
    ]


def test_what_counts_only_when_asked_for() -> None:
    """The model's words, tokens and turns; and with `only` nothing but what is named."""
    base = transcript(text="5", usage={"output_tokens": 3}, turns=[{}], calls=[call("a", "1")])
    head = transcript(text="five", usage={"output_tokens": 4}, turns=[{}, {}], calls=[call("a", "2")])
    assert changes(base, head) == [Change("result", "1", "2", 0, "a", {})]
    assert [change.what for change in changes(base, head, *ASPECTS)] == ["result", "text", "usage"]
    assert changes(base, head, "usage") == [
        Change("usage", {"turns": 1, "output_tokens": 3}, {"turns": 2, "output_tokens": 4})
    ]
    assert changes(base, head, "verdict", "calls") == []


def test_an_error_is_no_value() -> None:
    """A result that says `error` and one that is an error differ, whatever they hold, unless results are ignored."""
    text, failed = call("a", structured={"error": "no"}), call("a", "no", is_error=True)
    (change,) = changes(transcript(calls=[text]), transcript(calls=[failed]))
    assert (change.what, change.after, change.are_errors) == ("result", "no", (False, True))
    same = call("a", "no")
    (change,) = changes(transcript(calls=[same]), transcript(calls=[failed]))
    assert list(told_of(change)) == [("-", "no"), ("+", "error: no")]
    ignoring = Scrubber.of(ignore=["calls[*].result"])
    assert changes(transcript(calls=[same]), transcript(calls=[failed]), scrubber=ignoring) == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**20, 1e22, 2**53, -0.0])
def test_a_number_of_an_old_recording_equals_itself(number: float) -> None:
    """Files of older versions hold NaN as Python writes it, newer ones its name; both are the value that the server sent."""
    old, again = (transcript(calls=[call("a", structured={"n": [number]}, x=number)]) for _ in range(2))
    new = json.loads(dumps(old))
    near = transcript(calls=[call("a", structured={"n": [1.5]}, x=1.5)])
    for base, head in ((old, again), (old, new), (new, old)):
        assert changes(base, head, *ALL) == []
    assert [change.what for change in changes(old, near)] == ["input", "result"]
    texts = [transcript(calls=[call("a", json.dumps({"n": number, "at": at}))]) for at in (1, 2)]
    assert changes(texts[0], texts[1], scrubber=Scrubber.of(ignore=["calls[*].result.at"])) == []
    (change,) = changes(texts[0], texts[1])
    assert "NaN" not in as_json({"change": change}).replace('"NaN"', "")


def test_equal_numbers_of_calls_are_aligned() -> None:
    """A call with 1.0 belongs to the one with 1, and not to the one with true, also among others and within lists."""
    base = [call("a", x=[{"n": n}]) for n in (True, 1, 2, math.nan)]
    head = [call("b"), *(call("a", x=[{"n": n}]) for n in (1.0, 2.0, math.nan))]
    assert [pair for pair in align(base, head) if None not in pair] == [(1, 1), (2, 2), (3, 3)]
    items = [change.what for change in changes(transcript(calls=base), transcript(calls=head), "calls")]
    assert items == ["call_removed", "call_added"]


def test_only_unequal_numbers_are_shown() -> None:
    """Beside one that differs, 1 and 1.0 are not listed, and 1 and true are."""
    one = {"a": 1, "b": [1.0], "c": 1, "d": math.nan}
    other = {"a": 1.0, "b": [1], "c": True, "d": math.nan}
    assert list(leaves(one, other)) == [("c", 1, True)]
    assert result_of(call("a", '{"n": 1}', {"n": True})) == {"content": {"n": 1}, "structured": {"n": True}}
    assert result_of(call("a", '{"n": 1.0}', {"n": 1})) == {"n": 1}


def test_paths_lead_into_json_that_is_text() -> None:
    """Servers without structured content answer with JSON as text."""
    base, head = (transcript(calls=[call("a", json.dumps({"v": 1, "at": at}))]) for at in (1, 2))
    assert [change.what for change in changes(base, head)] == ["result"]
    assert changes(base, head, scrubber=Scrubber.of(ignore=["calls[*].result.at"])) == []


@pytest.mark.parametrize("path", ["calls[0]", "calls[*]", "calls[*].tool", "calls[*].input", "calls[*].is_error"])
def test_anything_may_be_ignored(path: str) -> None:
    """Whole calls too."""
    base, head = (transcript(calls=[call("a", "1", x=x)]) for x in (1, 2))
    left = changes(base, head, scrubber=Scrubber.of(ignore=[path]))
    assert len(left) == (path in ("calls[*].tool", "calls[*].is_error"))


def test_one_is_not_true() -> None:
    """Values are compared as JSON, where Python would take 1 for `True`; 1 and 1.0 are the same number."""
    base, head = (transcript(calls=[call("a", structured={"n": n}, x=n)]) for n in (1, True))
    assert [change.what for change in changes(base, head)] == ["input", "result"]
    assert changes(base, transcript(calls=[call("a", structured={"n": 1.0}, x=1.0)])) == []


@pytest.mark.parametrize(
    ("made", "result"),
    [
        (call("a", "5"), "5"),
        (call("a", "5", {"result": 5}), 5),
        (call("a", '{"n": 5}', {"n": 5}), {"n": 5}),
        (call("a", '{"n": 5}'), {"n": 5}),
        (call("a", "[" * 200_000, {"n": 5}), {"content": "[" * 200_000, "structured": {"n": 5}}),
        (call("a", "text", {"result": "text"}), "text"),
        (call("a", "five", {"n": 5}), {"content": "five", "structured": {"n": 5}}),
        (call("a", "no", is_error=True), "no"),
        (call("a"), []),
        ({**call("a"), "content": [{"type": "image", "data": "x"}]}, [{"type": "image", "data": "x"}]),
        (
            {**call("a", structured={"result": [1, 2]}), "content": [{"type": "text", "text": n} for n in "12"]},
            [1, 2],
        ),
    ],
)
def test_a_result_is_told_once(made: dict[str, Any], result: Any) -> None:
    """Servers repeat structured content as text; where they do, one of them is enough."""
    assert result_of(made) == result


@given(JSON, JSON)
def test_leaves_lead_to_every_difference(before: Any, after: Any) -> None:
    """Equal values have none, others have at least one, and each is a difference."""
    found = list(leaves(before, after))
    assert (found == []) == (
        json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True) or before == after
    ) or found
    for _, one, other in found:
        assert one is ABSENT or other is ABSENT or not json_equal(one, other)
    assert list(leaves(before, copy.deepcopy(before))) == []


@pytest.mark.parametrize("name", SCRUBS)
def test_what_is_scrubbed_does_not_differ(name: str) -> None:
    """Two values of a kind are the same when the kind is scrubbed, wherever they stand, and differ otherwise."""
    one, other = EXAMPLES[name][:2]
    base, head = (transcript(calls=[call("a", f"at {value}!", {"deep": [value]}, x=value)]) for value in (one, other))
    assert changes(base, head)
    assert changes(base, head, scrubber=Scrubber.of([name])) == []
    for example in EXAMPLES[name]:
        assert f"<{name}>" in Scrubber.of([name]).clean(f"({example})")
        assert f"<{name}>" in Scrubber.of([name]).clean(f"of_{example}_")


@pytest.mark.parametrize("text", EXAMPLES["timestamp"])
def test_all_of_a_timestamp_is_scrubbed(text: str) -> None:
    """No part of it is left beside the placeholder."""
    assert Scrubber.of(["timestamp"]).clean(f"(at_{text})") == "(at_<timestamp>)"


def test_keys_are_scrubbed_as_texts_are() -> None:
    """Objects may be keyed by an id or a time. Keys that become the same are all kept, whatever their order."""
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(4)]
    one = {ids[0]: {"n": 1}, ids[1]: {"n": 2}, "Sun, 06 Nov 1994 08:49:37 GMT": 3, "kept": ids[0]}
    other = {ids[3]: {"n": 2}, "Mon, 07 Nov 1994 08:49:37 GMT": 3, ids[2]: {"n": 1}, "kept": ids[2]}
    less = {key: value for key, value in other.items() if key != ids[2]}
    base, head, short = (transcript(calls=[call("a", structured={"deep": [made]})]) for made in (one, other, less))
    scrubber = Scrubber.of(["uuid", "timestamp"])
    assert changes(base, head, scrubber=scrubber) == []
    assert changes(base, short, scrubber=scrubber)
    assert scrubber.clean({ids[0]: 2, ids[1]: 1, "<uuid>": 0}) == {"<uuid> (3)": 2, "<uuid> (2)": 1, "<uuid>": 0}
    assert Scrubber.of(["uuid"], ["calls[*].result.deep[0].**.n"]).clean(one)["<uuid>"] == {"n": 1}


@pytest.mark.parametrize(
    "text",
    [
        "12345678T1234567",
        "20261129",
        "a20261129T101112Z",
        "a-b",
        "v1.2.3",
        "12:30",
        "call 5",
        "deadbeef",
        "/home/tmp",
        "x" * 32,
    ],
)
def test_what_is_like_it_is_left_alone(text: str) -> None:
    """Scrubbing everything by name changes nothing that is none of it."""
    assert Scrubber.of(list(SCRUBS)).clean(text) == text


def test_what_is_ignored_may_be_anything() -> None:
    """A path leaves out a value of every call, an index, any key or any depth."""
    base = transcript(calls=[call("a", structured={"at": 1, "in": {"at": 2, "n": 3}, "list": [1, 2]})])
    head = transcript(calls=[call("a", structured={"at": 5, "in": {"at": 6, "n": 3}, "list": [1, 9]})])
    paths = ["calls[*].result.structured.at", "calls[0].result.**.at", "$.calls[*].result.structured.list[1]"]
    assert [change.what for change in changes(base, head, scrubber=Scrubber.of(ignore=paths[:2]))] == ["result"]
    assert changes(base, head, scrubber=Scrubber.of(ignore=paths)) == []
    assert changes(base, head, scrubber=Scrubber.of(ignore=["calls[*].result"])) == []
    assert changes(base, head, scrubber=Scrubber.of(ignore=["**.result"])) == []
    assert changes(base, head, scrubber=Scrubber.of(ignore=["calls"])) == []


@given(JSON, JSON, st.integers(0, 2**32), JSON)
@settings(max_examples=examples(200))
def test_an_ignored_field_never_shows(one: Any, other: Any, seed: int, value: Any) -> None:
    """Whatever stands at an ignored path, the rest compares as if it were not there."""
    base = transcript(calls=[call("a", structured={"keep": one, "volatile": value})])
    head = transcript(calls=[call("a", structured={"keep": other, "volatile": seed})])
    plain = [transcript(calls=[call("a", structured={"keep": keep})]) for keep in (one, other)]
    ignoring = Scrubber.of(ignore=["calls[*].result.structured.volatile"])
    found = changes(base, head, *ASPECTS, scrubber=ignoring)
    assert found == changes(plain[0], plain[1], *ASPECTS, scrubber=ignoring)
    assert bool(found) == (not json_equal(one, other))


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("a.b", ("a", "b")),
        ("$.a[0].*[*]", ("a", 0, None, None)),
        ('a["odd key"].b', ("a", "odd key", "b")),
        ("**.at", ("**", "at")),
    ],
)
def test_paths(path: str, steps: tuple[Any, ...]) -> None:
    """Paths are read as they are written."""
    assert parse_path(path) == steps


@pytest.mark.parametrize("path", ["", "$", "a[", "a[x]", "a]b", 'a["b]'])
def test_paths_that_are_none(path: str) -> None:
    """What can't be read is refused."""
    with pytest.raises(UsageError):
        parse_path(path)


# How it is told. ------------------------------------------------------------------------------------------


def laid_out(before: Any, after: Any) -> list[str]:
    """Lay out a result that changed; give the lines beneath its title."""
    diff = QueryDiff("q", 1, "changed", changes=(Change("result", before, after, 0, "a", {}),))
    return ["".join(text for text, _ in line)[6:] for line in lines_of(diff)][2:]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a\n-- drop\nb", "a\nb", ["  a", "- -- drop", "  b"]),
        ("a\nb", "a\n++ add\nb", ["  a", "+ ++ add", "  b"]),
        ("a\n@@ -1 @@\nb", "a\nb", ["  a", "- @@ -1 @@", "  b"]),
        ("a\nb", "a\nb\n", ["  a", "- b  (no newline at the end)", "+ b"]),
        ("a\nb", "a\nc", ["  a", "- b", "+ c"]),
        ("a\nb\r\n", "a\nb\n", ["  a", "- b<U+000D>", "+ b"]),
        ("a\x0bb\nc", "a\nb\nc", ["- a<U+000B>b", "+ a", "+ b", "  c"]),
        ("", "\n", ["+ "]),
        ("5", 5, ['- "5"', "+ 5"]),
        ({"error": "x"}, "error: x", ['- {"error": "x"}', "+ error: x"]),
        ({"n": "a\nb"}, {}, ['- n: "a\\nb"']),
        ({"n\n": 1}, {"n\n": 2}, ["- n: 1", "+ n: 2"]),
        ({"n": "a\nb"}, {"n": "a\nc"}, ["  n:", "  a", "- b", "+ c"]),
    ],
)
def test_no_line_is_lost(before: Any, after: Any, expected: list[str]) -> None:
    """Whatever lines begin with and end with, what differs is told, a line each."""
    assert laid_out(before, after) == expected


text_lines = st.lists(st.sampled_from(["a", "b", "--- a", "+++ b", "@@ c", " ", "\r", "\x1b", ""]), max_size=6)


@given(text_lines, text_lines, st.text(alphabet="a \n", max_size=700))
def test_what_differs_is_told_to_differ(before: list[str], after: list[str], alike: str) -> None:
    """Texts that differ have lines that do, on one line each, also far on in long ones; equal ones have none."""
    for one, other in (("\n".join(before), "\n".join(after)), (alike + "x".join(before), alike + "x".join(after))):
        reported = laid_out(one, other)
        gone, come = ([line[2:] for line in reported if line[0] == sign] for sign in "-+")
        assert bool(gone or come) == (one != other)
        if len(gone) == len(come) == 1 and one.count("\n") == other.count("\n") == 0:
            assert gone != come
        assert all(line.isprintable() and len(line) < 1500 for line in reported)


def test_long_values_are_told_where_they_differ() -> None:
    """One value, and one line of a text."""
    before, after = ("x" * 600 + end for end in ("new", "old"))
    items = [f"- …{'x' * 20}new", f"+ …{'x' * 20}old"]
    assert laid_out(before, after) == items
    assert laid_out(f"a\n{before}", f"a\n{after}") == ["  a", *items]


@pytest.mark.parametrize("count", [300, 50_000])
def test_one_line_among_many_that_are_alike(count: int) -> None:
    """A line that differs is told as that one, however often the others recur."""
    before = "ok\n" * count
    after = "ok\n" * 150 + "FAIL\n" + "ok\n" * (count - 151)
    assert laid_out(before, after) == ["  ok", "- ok", "+ FAIL", "  ok"]
    assert laid_out(before, f"{before}end\n") == ["  ok", "+ end"]


def test_lines_that_are_alike_between_two_that_differ() -> None:
    """No more lines are told to differ than do."""
    before, after = "ok\n" * 1500, "FAIL\n" + "ok\n" * 1498 + "FAIL\n"
    differing = [line for line in laid_out(before, after) if line[0] != " "]
    assert sorted(differing) == ["+ FAIL", "+ FAIL", "- ok", "- ok"]


def test_names_stand_on_one_line() -> None:
    """A query's id, a tool's name and the keys of an input may hold line breaks, and titles hold none."""
    odd = "a\n\x1b[2Jb"
    changed = (Change("result", 1, 2, 0, odd, {odd: 1}), Change("call_added", None, {odd: 1}, 1, odd))
    items = ["".join(text for text, _ in line) for line in lines_of(QueryDiff(odd, 1, "changed", changes=changed))]
    tools = [ToolChange(odd, "tool_renamed", True, f"removed, probably renamed to {odd}")]
    items += ["".join(text for text, _ in line) for line in tool_lines(tools)]
    assert all(line.isprintable() for line in items)
    assert items[:2] == ["~ a \\x1b[2Jb  ", "    call 0  a \\x1b[2Jb{a \\x1b[2Jb: 1}"]


def test_chance_is_never_said_to_be_nought() -> None:
    """What is rounded to 0 is less than what it is rounded to."""
    rates = Rate(20, 20), Rate(0, 20)
    for p, expected in ((0.0, "20/20 → 0/20 passed, p < 0.000001"), (0.012345, "20/20 → 0/20 passed, p = 0.012")):
        (title, *_) = lines_of(QueryDiff("q", None, "changed", rates=rates, p=p))
        assert "".join(text for text, _ in title) == f"~ q  {expected}"


def test_many_lines_of_one_value_are_counted() -> None:
    """A text and a list: the first lines are told, and how many more there are."""
    before, after = ("\n".join(f"{word} {number}" for number in range(20_000)) for word in ("old", "new"))
    for expected in (laid_out(before, after), laid_out([*range(20_000)], [*range(1, 20_001)])):
        assert (len(expected), expected[-1]) == (201, "  … and 39,800 more lines")


@given(st.integers(0, 60), st.integers(0, 400), st.sampled_from(["x", "`", "😀", "\n", "&<>"]), st.booleans())
@settings(max_examples=examples(30), deadline=None)
def test_no_markdown_is_too_long(count: int, length: int, letter: str, has_tools: bool) -> None:
    """Whatever differs, a comment takes it; what is left out is counted, and all that is opened is closed."""
    changed = [Change("result", [letter * 300] * length, [letter * 301] * length, 0, letter * 300, {letter * 300: 1})]
    diffs = [QueryDiff(f"{at}{letter * 300}", 1, "changed", changes=(*changed * 2,)) for at in range(count)]
    tools = [ToolChange(letter * 300, "other", True, letter * 600) for _ in range(length)] if has_tools else []
    text = "\n".join(markdown(diffs, tools, DiffSummary(changed=count))) + "\n"
    assert len(text.encode()) <= COMMENT_BYTES
    folded = text.count("<details>")
    assert text.count("</details>") == folded
    assert len(re.findall("(?m)^`{3,}", text)) == 2 * folded
    more = re.search(r"^Omitted: ([\d,]+) more quer(?:y|ies) with differences", text, re.MULTILINE)
    assert folded - bool(tools) + (int(more[1]) if more else 0) == count
