"""Compare runs: what counts as a difference, what is ignored, and how differences are shown."""

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
from mcprun._util.json_path import OfTool, format_path
from mcprun._util.json_value import json_equal
from mcprun.analysis.diff.forms import SCRUBS
from mcprun.analysis.diff.groups import Groups
from mcprun.analysis.diff.json_lines import as_json
from mcprun.analysis.diff.repeats import Rate
from mcprun.analysis.diff.runs import DiffSummary, QueryDiff, RunDiff
from mcprun.analysis.diff.scrub import Scrubber, parse_path
from mcprun.analysis.diff.transcripts import ASPECTS, Change, CompareOptions, align, result_of
from mcprun.analysis.diff.values import ValueDifference, value_differences
from mcprun.errors import UsageError
from mcprun.report.diff import lines as lines_of
from mcprun.report.diff import tool_lines
from mcprun.report.diff_markdown import markdown
from mcprun.report.markdown import COMMENT_BYTES
from mcprun.tools.changes import ToolChange
from tests.support.examples import examples
from tests.support.json_strategies import JSON
from tests.support.transcripts import EXAMPLES, call, calls, changes, lines, transcript, transcripts
from tests.support.value_pairs import value_pairs

ALL = frozenset(ASPECTS)

runs = st.lists(transcripts, max_size=6, unique_by=lambda line: (line["id"], line["repeat"]))


@given(runs, st.randoms())
def test_a_run_does_not_differ_from_itself(run: list[dict[str, Any]], random: Any) -> None:
    """A run has no differences from a shuffled copy of itself, with every aspect compared."""
    assume(run)
    shuffled = copy.deepcopy(run)
    random.shuffle(shuffled)
    comparison = RunDiff(CompareOptions(ALL))
    assert list(comparison.compare(lines(run), lines(shuffled))) == []
    assert (comparison.summary.same, comparison.summary.differ) == (len(run), False)


@given(runs, runs)
def test_swapping_base_and_head_mirrors_the_diff(base: list[dict[str, Any]], head: list[dict[str, Any]]) -> None:
    """Swapping base and head swaps added and removed and reverses the verdicts. The totals cover every query."""
    assume(base or head)
    forward_run_diff, backward_run_diff = RunDiff(CompareOptions(ALL)), RunDiff(CompareOptions(ALL))
    forward = {(diff.id, diff.repeat): diff for diff in forward_run_diff.compare(lines(base), lines(head))}
    backward = {(diff.id, diff.repeat): diff for diff in backward_run_diff.compare(lines(head), lines(base))}
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    assert {key: opposite[diff.how] for key, diff in forward.items()} == {
        key: diff.how for key, diff in backward.items()
    }
    for key, diff in forward.items():
        assert diff.verdicts == backward[key].verdicts[::-1]
        assert bool(diff.changes) == (diff.how == "changed")
    summary = forward_run_diff.summary
    assert summary.same + summary.changed + summary.removed == len(base)
    assert summary.same + summary.changed + summary.added == len(head)
    keys = [{(line["id"], line["repeat"]) for line in run} for run in (base, head)]
    assert {key for key, diff in forward.items() if diff.how == "added"} == keys[1] - keys[0]


def test_long_alternating_call_lists_align_within_the_bound() -> None:
    """Two lists of 10,000 alternating calls, shifted by one, align except for one call on each side."""
    base = [call("get", n=number % 2) for number in range(10_000)]
    pairs = list(align(base, base[1:] + base[:1]))
    assert sum(None not in pair for pair in pairs) == 9_999


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_an_alignment_matches_at_least_as_much_as_difflib(before: list[str], after: list[str]) -> None:
    """The matching blocks are equal on both sides, in order, and cover at least as many items as difflib's."""
    blocks = Alignment(before, after).get_matching_blocks()
    matched = [before[block.a + at] for block in blocks for at in range(block.size)]
    assert matched == [after[block.b + at] for block in blocks for at in range(block.size)]
    assert (len(before), len(after), 0) == tuple(blocks[-1])
    by_difflib = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    assert sum(block.size for block in by_difflib) <= len(matched)


@given(calls, calls)
def test_each_call_is_aligned_once_and_in_order(base: list[dict[str, Any]], head: list[dict[str, Any]]) -> None:
    """The alignment contains every call of both sides once, in order, and pairs only calls of the same tool."""
    pairs = list(align(base, head))
    assert [before for before, _ in pairs if before is not None] == list(range(len(base)))
    assert [after for _, after in pairs if after is not None] == list(range(len(head)))
    for before, after in pairs:
        if before is not None and after is not None:
            assert base[before]["tool"] == head[after]["tool"]


def test_a_query_diff_lists_verdict_stop_and_call_changes() -> None:
    """The diff of a query lists its verdict and stop reason.

    Each call that was added, removed, or changed its input or result is listed too.
    """
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


def test_text_and_usage_are_compared_only_on_request() -> None:
    """Text, tokens and turns are compared only on request.

    An explicit list of aspects limits the comparison to these.
    """
    base = transcript(text="5", usage={"output_tokens": 3}, turns=[{}], calls=[call("a", "1")])
    head = transcript(text="five", usage={"output_tokens": 4}, turns=[{}, {}], calls=[call("a", "2")])
    assert changes(base, head) == [Change("result", "1", "2", 0, "a", {})]
    assert [change.what for change in changes(base, head, *ASPECTS)] == ["result", "text", "usage"]
    assert changes(base, head, "usage") == [
        Change("usage", {"turns": 1, "output_tokens": 3}, {"turns": 2, "output_tokens": 4})
    ]
    assert changes(base, head, "verdict", "calls") == []


def test_an_error_result_differs_from_an_equal_value() -> None:
    """A value and an error with the same content differ, unless results are ignored."""
    text, failed = call("a", structured={"error": "no"}), call("a", "no", is_error=True)
    (change,) = changes(transcript(calls=[text]), transcript(calls=[failed]))
    assert (change.what, change.after, change.are_errors) == ("result", "no", (False, True))
    value = call("a", "no")
    (change,) = changes(transcript(calls=[value]), transcript(calls=[failed]))
    assert list(value_pairs(change)) == [("-", "no"), ("+", "error: no")]
    ignoring = Scrubber.of(ignore=["calls[*].result"])
    assert changes(transcript(calls=[value]), transcript(calls=[failed]), scrubber=ignoring) == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**20, 1e22, 2**53, -0.0])
def test_numbers_of_old_and_new_recordings_are_equal(number: float) -> None:
    """NaN as older versions wrote it, a bare token, equals NaN as newer ones write it, a string.

    So do other unusual numbers.
    """
    old, old_copy = (transcript(calls=[call("a", structured={"n": [number]}, x=number)]) for _ in range(2))
    new = json.loads(dumps(old))
    different = transcript(calls=[call("a", structured={"n": [1.5]}, x=1.5)])
    for base, head in ((old, old_copy), (old, new), (new, old)):
        assert changes(base, head, *ALL) == []
    assert [change.what for change in changes(old, different)] == ["input", "result"]
    texts = [transcript(calls=[call("a", json.dumps({"n": number, "at": at}))]) for at in (1, 2)]
    assert changes(texts[0], texts[1], scrubber=Scrubber.of(ignore=["calls[*].result.at"])) == []
    (change,) = changes(texts[0], texts[1])
    assert "NaN" not in as_json({"change": change}).replace('"NaN"', "")


def test_calls_with_equal_numbers_are_aligned() -> None:
    """A call with 1.0 is aligned with the one with 1, not with the one with true, even inside nested values."""
    base = [call("a", x=[{"n": n}]) for n in (True, 1, 2, math.nan)]
    head = [call("b"), *(call("a", x=[{"n": n}]) for n in (1.0, 2.0, math.nan))]
    assert [pair for pair in align(base, head) if None not in pair] == [(1, 1), (2, 2), (3, 3)]
    kinds = [change.what for change in changes(transcript(calls=base), transcript(calls=head), "calls")]
    assert kinds == ["call_removed", "call_added"]


def test_only_unequal_numbers_are_listed() -> None:
    """Beside a difference, 1 and 1.0 are not listed as one, but 1 and true are."""
    one = {"a": 1, "b": [1.0], "c": 1, "d": math.nan}
    other = {"a": 1.0, "b": [1], "c": True, "d": math.nan}
    assert list(value_differences(one, other)) == [ValueDifference(("c", "c"), 1, True)]
    assert result_of(call("a", '{"n": 1}', {"n": True})) == {"content": {"n": 1}, "structured": {"n": True}}
    assert result_of(call("a", '{"n": 1.0}', {"n": 1})) == {"n": 1}


def test_ignore_paths_reach_into_json_text() -> None:
    """An ignore path reaches into a text result that is JSON, as servers without structured content send it."""
    base, head = (transcript(calls=[call("a", json.dumps({"v": 1, "at": at}))]) for at in (1, 2))
    assert [change.what for change in changes(base, head)] == ["result"]
    assert changes(base, head, scrubber=Scrubber.of(ignore=["calls[*].result.at"])) == []


@pytest.mark.parametrize(
    "content", [[], [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], [{"type": "image", "data": "x"}]]
)
def test_content_differs_from_one_text_with_its_json(content: list[dict[str, Any]]) -> None:
    """Several texts, other blocks and no content differ from a single text that holds the same as JSON."""
    texts = [block["text"] for block in content if "text" in block]
    blocks = {**call("a"), "content": content}
    one, other = (transcript(calls=[made]) for made in (blocks, call("a", json.dumps(texts or content))))
    assert [change.what for change in changes(one, other)] == ["result"]
    assert changes(other, other) == []


@pytest.mark.parametrize("path", ["calls[0]", "calls[*]", "calls[*].tool", "calls[*].input", "calls[*].is_error"])
def test_calls_and_their_parts_can_be_ignored(path: str) -> None:
    """Ignoring one call, all calls or their input hides a changed input. Ignoring `tool` or `is_error` does not."""
    base, head = (transcript(calls=[call("a", "1", x=x)]) for x in (1, 2))
    remaining = changes(base, head, scrubber=Scrubber.of(ignore=[path]))
    assert len(remaining) == (path in ("calls[*].tool", "calls[*].is_error"))


def test_one_differs_from_true_but_not_from_one_point_zero() -> None:
    """Values are compared as JSON: 1 differs from true, which Python treats as equal, and 1 equals 1.0."""
    base, head = (transcript(calls=[call("a", structured={"n": n}, x=n)]) for n in (1, True))
    assert [change.what for change in changes(base, head)] == ["input", "result"]
    assert changes(base, transcript(calls=[call("a", structured={"n": 1.0}, x=1.0)])) == []


@pytest.mark.parametrize(
    ("recorded", "result"),
    [
        (call("a", "5"), "5"),
        (call("a", "5", {"result": 5}), 5),
        (call("a", '{"n": 5}', {"n": 5}), {"n": 5}),
        (call("a", '{"n": 5}'), {"n": 5}),
        (call("a", "[" * 200_000, {"n": 5}), {"content": "[" * 200_000, "structured": {"n": 5}}),
        (call("a", "text", {"result": "text"}), "text"),
        (call("a", '{"n": 5}', {"result": '{"n": 5}'}), {"n": 5}),
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
def test_structured_content_repeated_as_text_is_shown_once(recorded: dict[str, Any], result: Any) -> None:
    """If the text content repeats the structured content, the result contains only one of them."""
    assert result_of(recorded) == result


@pytest.mark.parametrize("name", SCRUBS)
def test_scrubbed_values_do_not_differ(name: str) -> None:
    """Two values of a scrubbed kind are equal wherever they occur, and differ without scrubbing."""
    one, other = EXAMPLES[name][:2]
    base, head = (transcript(calls=[call("a", f"at {value}!", {"deep": [value]}, x=value)]) for value in (one, other))
    assert changes(base, head)
    assert changes(base, head, scrubber=Scrubber.of([name])) == []
    for example in EXAMPLES[name]:
        assert f"<{name}>" in Scrubber.of([name]).clean(f"({example})")
        assert f"<{name}>" in Scrubber.of([name]).clean(f"of_{example}_")


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name in EXAMPLES if name != "port" for text in EXAMPLES[name]]
)
def test_a_value_is_scrubbed_completely(name: str, text: str) -> None:
    """The placeholder replaces the whole value. Of an address, it replaces the port."""
    assert Scrubber.of([name]).clean(f"(at_{text})") == f"(at_<{name}>)"


def test_object_keys_are_scrubbed() -> None:
    """Scrubbing applies to object keys too.

    Keys that become equal are numbered so that none is lost, independent of their order.
    """
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(4)]
    one = {ids[0]: {"n": 1}, ids[1]: {"n": 2}, "Sun, 06 Nov 1994 08:49:37 GMT": 3, "kept": ids[0]}
    other = {ids[3]: {"n": 2}, "Mon, 07 Nov 1994 08:49:37 GMT": 3, ids[2]: {"n": 1}, "kept": ids[2]}
    shorter = {key: value for key, value in other.items() if key != ids[2]}
    base, head, short_head = (
        transcript(calls=[call("a", structured={"deep": [value]})]) for value in (one, other, shorter)
    )
    scrubber = Scrubber.of(["uuid", "timestamp"])
    assert changes(base, head, scrubber=scrubber) == []
    assert changes(base, short_head, scrubber=scrubber)
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
        "5551234567",
        "+1732960000",
        "4111111111111111",
        "10.0.0.1",
        "version 1.10.2026",
        "section 4.2.2019",
        "2026-11",
        "May 5",
        "00:1B:44:11:3A:B7",
        "00:11:22:33:44:55",
        "5 minutes",
        "12 items",
        "as 5 students",
        "port 80",
        "passport 54321",
        "HELLOWORLDHELLOWORLDHELLOW",
        "012345678901234567890123",
        "sha256-abc",
        r"C:\Windows\System32",
        "2024-13-45",
        "1234-56-78",
        "2001:0db8:85a3:1234:0000:8a2e:0370:7334",
        "fe80:1234::1",
        "12:30:4500",
    ],
)
def test_scrubbing_leaves_similar_text_unchanged(text: str) -> None:
    """All scrubs together leave text unchanged that only resembles an id, a timestamp or a path."""
    assert Scrubber.of(list(SCRUBS)).clean(text) == text


@pytest.mark.parametrize("number", [1_732_960_000, 1_732_960_000.25, 1_732_960_000_123, 1_732_960_000_123_456_789])
def test_numbers_that_are_times_are_scrubbed_as_epoch(number: float) -> None:
    """`epoch` replaces a number that is a time since 1970, in any unit. Other scrubs, and other numbers, do not."""
    scrubber = Scrubber.of(["epoch"])
    assert scrubber.clean({"at": [number], "n": 5, "ok": True}) == {"at": ["<epoch>"], "n": 5, "ok": True}
    assert scrubber.clean([0, -number, 10_000_000, 4_111_111_111_111_111]) == [
        0,
        -number,
        10_000_000,
        4_111_111_111_111_111,
    ]
    assert Scrubber.of(["timestamp"]).clean(number) == number


def test_text_with_an_escaped_newline_after_a_temporary_path_is_kept() -> None:
    """A temporary path of a POSIX system ends at a backslash, as that of a newline in JSON."""
    assert Scrubber.of(["tmp"]).clean(r"/tmp/x\nNext") == r"<tmp>\nNext"


@given(JSON, st.randoms())
def test_the_order_of_a_list_can_be_ignored(value: Any, random: Any) -> None:
    """With `ignore_order`, a list equals any permutation of it, and no list with other items."""
    items = [value, 1, "b"]
    shuffled = random.sample(items, len(items))
    base, head, other = (
        transcript(calls=[call("a", structured={"list": side, "kept": [1, 2]})])
        for side in (items, shuffled, [*shuffled[:-1], "c"])
    )
    unordered = Scrubber.of(ignore_order=["calls[*].result.structured.list"])
    assert changes(base, head, scrubber=unordered) == []
    assert bool(changes(base, other, scrubber=unordered)) == (not json_equal(shuffled[-1], "c"))


def test_the_order_of_lines_can_be_ignored() -> None:
    """With `ignore_order` at a text, its lines may come in any order. Ignored and scrubbed items do not affect it."""
    base, head = (transcript(calls=[call("a", text)]) for text in ("x 2026-01-01\ny", "y\nx 2026-01-02"))
    assert changes(base, head, scrubber=Scrubber.of(["timestamp"], ignore_order=["calls[*].result"])) == []
    assert changes(base, head, scrubber=Scrubber.of(["timestamp"]))
    base, head = (
        transcript(calls=[call("a", json.dumps(text))])
        for text in ([{"n": 1, "at": 1}, {"n": 2, "at": 1}], [{"n": 2, "at": 0}, {"n": 1, "at": 5}])
    )
    assert changes(base, head, scrubber=Scrubber.of([], ["calls[*].result[*].at"], ["calls[*].result"])) == []


def test_ignore_paths_accept_wildcards_and_indices() -> None:
    """An ignore path can match a field of every call, a list index, any key, or any depth."""
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
def test_an_ignored_field_does_not_affect_the_diff(one: Any, other: Any, seed: int, value: Any) -> None:
    """With a field ignored, transcripts compare as if the field were absent."""
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
        ("calls[tool=get_time].result", ("calls", OfTool("get_time"), "result")),
        ('calls[tool="a \\"]"].result', ("calls", OfTool('a "]'), "result")),
        ("**.at", ("**", "at")),
    ],
)
def test_paths_are_parsed_into_steps(path: str, steps: tuple[Any, ...]) -> None:
    """A path is parsed into its keys, indices and wildcards."""
    assert parse_path(path) == steps


@given(
    st.lists(st.text(min_size=1) | st.integers(0, 99) | st.none() | st.builds(OfTool, st.text(min_size=1)), min_size=1)
)
def test_a_formatted_path_is_parsed_into_its_steps(steps: list[Any]) -> None:
    """The text of a path is parsed into the steps that it was made of, whatever their characters."""
    assert parse_path(format_path(["calls", *steps])) == ("calls", *steps)


@pytest.mark.parametrize("path", ["", "$", "a[", "a[x]", "a]b", 'a["b]'])
def test_invalid_paths_are_rejected(path: str) -> None:
    """A malformed path raises a `UsageError`."""
    with pytest.raises(UsageError):
        parse_path(path)


def render_lines(before: Any, after: Any) -> list[str]:
    """Return the lines below the title of a changed result."""
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
def test_every_differing_line_is_shown(before: Any, after: Any, expected: list[str]) -> None:
    """Each differing line is shown on one line, whatever characters it starts or ends with."""
    assert render_lines(before, after) == expected


text_lines = st.lists(st.sampled_from(["a", "b", "--- a", "+++ b", "@@ c", " ", "\r", "\x1b", ""]), max_size=6)


@given(text_lines, text_lines, st.text(alphabet="a \n", max_size=700))
def test_unequal_texts_have_differing_lines_and_equal_texts_none(
    before: list[str], after: list[str], prefix: str
) -> None:
    """Texts that differ have differing lines, even if they differ late in a long text. Equal texts have none."""
    for one, other in (("\n".join(before), "\n".join(after)), (prefix + "x".join(before), prefix + "x".join(after))):
        shown = render_lines(one, other)
        removed, added = ([line[2:] for line in shown if line[0] == sign] for sign in "-+")
        assert bool(removed or added) == (one != other)
        if len(removed) == len(added) == 1 and one.count("\n") == other.count("\n") == 0:
            assert removed != added
        assert all(line.isprintable() and len(line) < 1500 for line in shown)


def test_long_values_are_shortened_around_the_difference() -> None:
    """A long value, or a long line of a text, is shortened to the part around the difference."""
    before, after = ("x" * 600 + end for end in ("new", "old"))
    expected = [f"- …{'x' * 20}new", f"+ …{'x' * 20}old"]
    assert render_lines(before, after) == expected
    assert render_lines(f"a\n{before}", f"a\n{after}") == ["  a", *expected]


@pytest.mark.parametrize("count", [300, 50_000])
def test_one_differing_line_among_many_equal_ones(count: int) -> None:
    """A single differing line is shown as such, however often the other lines repeat."""
    before = "ok\n" * count
    after = "ok\n" * 150 + "FAIL\n" + "ok\n" * (count - 151)
    assert render_lines(before, after) == ["  ok", "- ok", "+ FAIL", "  ok"]
    assert render_lines(before, f"{before}end\n") == ["  ok", "+ end"]


def test_equal_lines_between_two_differing_ones_are_not_shown() -> None:
    """If the first and the last line differ, only these two are shown as differing."""
    before, after = "ok\n" * 1500, "FAIL\n" + "ok\n" * 1498 + "FAIL\n"
    differing = [line for line in render_lines(before, after) if line[0] != " "]
    assert sorted(differing) == ["+ FAIL", "+ FAIL", "- ok", "- ok"]


def test_names_with_line_breaks_are_shown_on_one_line() -> None:
    """Titles stay on one line.

    Line breaks and control characters in query ids, tool names and input keys are replaced or escaped.
    """
    odd = "a\n\x1b[2Jb"
    changed = (Change("result", 1, 2, 0, odd, {odd: 1}), Change("call_added", None, {odd: 1}, 1, odd))
    shown = ["".join(text for text, _ in line) for line in lines_of(QueryDiff(odd, 1, "changed", changes=changed))]
    tools = [ToolChange(odd, "tool_renamed", True, f"removed, probably renamed to {odd}")]
    shown += ["".join(text for text, _ in line) for line in tool_lines(tools)]
    assert all(line.isprintable() for line in shown)
    assert shown[:2] == ["~ a \\x1b[2Jb  ", "    call 0  a \\x1b[2Jb{a \\x1b[2Jb: 1}"]


def test_a_tiny_p_value_is_shown_as_a_bound() -> None:
    """A p-value that would round to 0 is shown as less than the smallest displayed value."""
    rates = Rate(20, 20), Rate(0, 20)
    for p, expected in ((0.0, "20/20 → 0/20 passed, p < 0.000001"), (0.012345, "20/20 → 0/20 passed, p = 0.012")):
        (title, *_) = lines_of(QueryDiff("q", None, "changed", rates=rates, p=p))
        assert "".join(text for text, _ in title) == f"~ q  {expected}"


def test_long_diffs_are_truncated_with_a_count() -> None:
    """A long diff of a text or a list shows its first 200 lines and the number of omitted ones."""
    before, after = ("\n".join(f"{word} {number}" for number in range(20_000)) for word in ("old", "new"))
    for shown in (render_lines(before, after), render_lines([*range(20_000)], [*range(20_000, 40_000)])):
        assert (len(shown), shown[-1]) == (201, "  … and 39,800 more lines")


@given(st.integers(0, 60), st.integers(0, 400), st.sampled_from(["x", "`", "😀", "\n", "&<>"]), st.booleans())
@settings(max_examples=examples(30), deadline=None)
def test_markdown_fits_into_a_comment(count: int, length: int, letter: str, has_tools: bool) -> None:
    """The Markdown fits into a GitHub comment. Omitted changes are counted, and every opened block is closed."""
    groups = Groups()
    for at in range(count):
        before, after = ([f"{letter * number}{at}"] * length for number in (300, 301))
        changed = Change("result", before, after, 0, f"{at}{letter * 300}", {letter * 300: 1})
        groups.add(QueryDiff(f"{at}{letter * 300}", 1, "changed", changes=(changed, changed)))
    tools = [ToolChange(letter * 300, "other", True, letter * 600) for _ in range(length)] if has_tools else []
    text = "\n".join(markdown(groups, tools, DiffSummary(changed=count))) + "\n"
    assert len(text.encode()) <= COMMENT_BYTES
    folded = text.count("<details>")
    assert text.count("</details>") == folded
    assert len(re.findall("(?m)^`{3,}", text)) == 2 * folded
    omitted = re.search(r"^Omitted: ([\d,]+) more changes?\.", text, re.MULTILINE)
    assert folded + text.count("<div>") - bool(tools) + (int(omitted[1]) if omitted else 0) == count
