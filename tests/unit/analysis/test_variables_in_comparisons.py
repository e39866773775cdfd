"""Comparisons of transcripts that recorded other values of the query's variables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcprun.analysis.diff.json_lines import as_json
from mcprun.analysis.diff.runs import QueryDiff, RunDiff
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import ASPECTS, Change, CompareOptions
from mcprun.analysis.volatile.detect import find_volatile
from mcprun.prompts.names import unique_text
from mcprun.report.html.transcript_pairs import pair_json
from tests.support.transcripts import call, changes, lines, transcript
from tests.support.volatile_values import NOW


def closing(number: int, *more: dict[str, Any], state: str = "closed", **fields: Any) -> dict[str, Any]:
    """Return a transcript in which issue `number` is closed, with `more` calls in front."""
    issue = {"id": number, "state": state, "url": f"https://issues.test/{number}"}
    calls = [
        *more,
        call("get_issue", f"Issue {number}: Broken", id=number),
        call("close_issue", json.dumps(issue), issue, id=number),
        call("log", json.dumps([1, number, 2]), url=f"/issues/{number}/log"),
    ]
    return transcript(**{"vars": {"number": number}, "calls": calls, "text": f"Issue {number} is {state}.", **fields})


def opened(number: int) -> dict[str, Any]:
    """Return the fields of a transcript that begins with a prompt of the server."""
    message = {"role": "user", "content": [{"type": "text", "text": f"Look at issue {number}."}]}
    return {"messages": [message], "given": {"messages": 1}}


def compared(base: list[dict[str, Any]], head: list[dict[str, Any]], **options: Any) -> list[QueryDiff]:
    """Return the differences between the repeats of one query on two sides."""
    repeated = {"q": (len(base), len(head))}
    return list(RunDiff(CompareOptions(**options), repeated=repeated).compare(lines(base), lines(head)))


def test_runs_that_differ_only_in_values_of_variables_are_the_same() -> None:
    """Inputs, results, the server's prompt and the final text may contain other values of the query's variables."""
    assert changes(closing(17, **opened(17)), closing(42, **opened(42)), *ASPECTS) == []


@pytest.mark.parametrize("named", [{"number": 43}, {"other": 42}, {}, {"number": "42"}])
def test_values_that_are_no_pair_differ(named: dict[str, Any]) -> None:
    """Without the value in the variables of both sides, under the same name and of the same type, it is a difference."""
    assert changes(closing(17), closing(42, vars=named))


def test_a_change_beside_other_values_of_variables_is_the_only_one() -> None:
    """What really differs is reported with HEAD's values, and nothing else is."""
    (change,) = changes(closing(17), closing(42, state="open"))
    assert (change.what, change.call) == ("result", 1)
    assert json.loads(as_json({"change": change}))["change"]["differences"] == [
        {"paths": ["state", "state"], "before": "closed", "after": "open"}
    ]
    assert changes(transcript(vars={"id": 17}), transcript(vars={"id": 42}, calls=[call("get", id=42)])) == [
        Change("call_added", None, {"id": 42}, 0, "get")
    ]


def test_calls_are_aligned_by_the_values_of_variables() -> None:
    """A call that was added in front of calls of the same tool is one difference."""
    before = [call("get_issue", "Issue 3", id=3)]
    (change,) = changes(closing(17), closing(42, *before))
    assert (change.what, change.call, change.after) == ("call_added", 0, {"id": 3})


def test_values_are_replaced_before_they_are_scrubbed() -> None:
    """A value of which a pattern scrubs a part is still that of the variable, and so is one in a sorted list."""
    base, head = (transcript(vars={"at": at}, calls=[call("get", f"at {at}")]) for at in ("a:8080", "b:9090"))
    assert changes(base, head, scrubber=Scrubber.of(["port"])) == []
    lists = (17, [3, 17, 5]), (42, [42, 5, 3])
    base, head = (transcript(vars={"id": n}, calls=[call("list", json.dumps(ids))]) for n, ids in lists)
    assert changes(base, head)
    assert changes(base, head, scrubber=Scrubber.of(ignore_order=["calls[*].result"])) == []


def test_a_text_may_differ_by_a_variable_and_by_what_is_scrubbed() -> None:
    """Values of variables count as equal beside values that are scrubbed."""
    base, head = (
        closing(number, call("log", f"localhost:{port} closed issue {number}"))
        for number, port in ((17, 8080), (42, 9090))
    )
    assert changes(base, head, *ASPECTS) != []
    assert changes(base, head, *ASPECTS, scrubber=Scrubber.of(["port"])) == []


def test_repeats_with_other_values_are_one_variant() -> None:
    """Each repeat has another value, and the repeats of HEAD none of BASE's. A new variant is found beside it."""
    base = [closing(10 + repeat, repeat=repeat) for repeat in (1, 2, 3)]
    head = [closing(90 + repeat, repeat=repeat) for repeat in (1, 2, 3, 4)]
    assert compared(base, head, aspects=frozenset(ASPECTS) - {"usage"}) == []
    head[2:] = [closing(90 + repeat, repeat=repeat, state="open") for repeat in (3, 4)]
    (diff,) = compared(base, head)
    (variant,) = diff.variants
    assert (variant.runs, variant.repeat, variant.against) == (2, 3, 1)
    assert [(change.what, change.call) for change in variant.changes] == [("result", 1)]


@pytest.mark.parametrize("recorded", [{"vars": {"number": 17}}, {"steps": [{"phase": "cleanup"}]}])
def test_repeats_may_differ_in_what_is_unique_to_each(recorded: dict[str, Any]) -> None:
    """HEAD has more repeats than BASE, and `{{unique}}` is another text in each of a query with names."""

    def repeat(number: int, **fields: Any) -> dict[str, Any]:
        unique = unique_text("q", number)
        return transcript(
            repeat=number, calls=[call("create", f"Created {unique}", title=f"Broken {unique}")], **fields
        )

    assert compared([repeat(1, **recorded)], [repeat(number, **recorded) for number in (1, 2, 3)]) == []
    assert compared([repeat(1)], [repeat(1), repeat(2)])


def test_values_of_variables_are_not_volatile() -> None:
    """Tries that differ only in them need no rule, nor does a value that looks like a time."""
    now = int(NOW.timestamp())
    tries = [closing(now), closing(now + 60)]
    assert find_volatile(tries, CompareOptions(), NOW) == []
    assert find_volatile([{**one, "vars": {}} for one in tries], CompareOptions(), NOW)


def test_both_runs_side_by_side_show_only_real_differences() -> None:
    """The page marks neither calls nor texts that differ only in values of variables."""
    same = pair_json(closing(17), closing(42), Scrubber())
    assert [one["state"] for one in same["calls"]] == ["same"] * 3
    assert same["text"] == pair_json(closing(17), closing(17), Scrubber())["text"]
    changed = pair_json(closing(17), closing(42, state="open"), Scrubber())
    assert [one["state"] for one in changed["calls"]] == ["same", "changed", "same"]


def test_malformed_variables_are_none() -> None:
    """A transcript whose `vars` is not an object has no variables."""
    found = changes(closing(17, vars=[17]), closing(42))
    assert {change.what for change in found} == {"input", "result"}
