"""Grouping red queries by cause."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.report.cause_message import Template, shared_opening
from mcprun.report.causes import QUERIES, Cause, CauseGroups, CauseKind
from mcprun.runs.transcript import Check, Transcript, Verdict
from tests.support.runs import broken, call, failed, transcript


def tool_error(name: str, tool: str, text: str, **more: Any) -> Transcript:
    """Return a transcript of a query that failed because a call returned an error."""
    check = Check(check="tool_errors", passed=False, message=f"call 0: {tool}{{}} returned an error: {text!r}")
    return transcript(name, call(tool, text, is_error=True), verdict=Verdict.FAILED, checks=[check], **more)


def causes(*red: Transcript) -> list[Cause]:
    groups = CauseGroups()
    for one in red:
        groups.add(one)
    return list(groups.result().causes)


def test_the_same_fault_in_many_queries_is_one_cause() -> None:
    """Amounts and ids in the messages differ; what the messages share is shown."""
    red = [tool_error(f"q{n}", "refund", f"limit exceeded ({n}00 > 100) for ORD-{n}") for n in range(5)]
    (cause,) = causes(*red)
    assert cause == Cause(
        CauseKind.FAILED,
        "refund: limit exceeded (… > 100) for …",
        5,
        ("refund",),
        tuple((f"q{n}", 1) for n in range(QUERIES)),
    )


def test_hundreds_of_failures_become_a_handful_of_causes() -> None:
    """Names, quoted texts, ids and free text differ in each of 595 failures."""
    words = [f"{a}{b}{c}" for a in "abcdefgh" for b in "aeiou" for c in "lmnr"]
    red = [
        failed(f"q{n}", f"expected text with 'Hello {words[n % 160]}', got '{words[-(n % 160)]}'") for n in range(200)
    ]
    red += [tool_error(f"t{n}", "who", f"No such user {words[n % 160]} in region {words[n % 7]}") for n in range(195)]
    red += [
        broken(f"e{n}", "api_error", f"request req_{n}x{n} failed after {n} ms: {words[n % 9]}") for n in range(200)
    ]
    found = causes(*red)
    assert [cause.count for cause in found] == [200, 200, 195]
    assert [cause.message for cause in found] == [
        "expected text with 'Hello …', got …",
        "api_error: request … failed after … ms: …",
        "who: No such user …",
    ]


def test_a_few_causes_are_shown_as_they_are() -> None:
    """Up to five messages are not merged, however alike they are."""
    red = [failed(f"q{n}", f"expected text with {word!r}") for n, word in enumerate(("one", "two", "three"))]
    assert len(causes(*red)) == 3


def test_a_value_that_all_messages_share_is_kept() -> None:
    """A number is replaced only if it differs."""
    red = [tool_error(f"q{n}", "slow", "no answer within 30 s") for n in range(3)]
    assert [cause.message for cause in causes(*red)] == ["slow: no answer within 30 s"]


def test_status_codes_are_different_causes() -> None:
    """A number that names a fault is not a value that varies."""
    red = [broken(f"q{n}", "api_error", f"HTTP {404 + 96 * (n % 2)} for request {n}") for n in range(4)]
    assert [cause.message for cause in causes(*red)] == [
        "api_error: HTTP 404 for request …",
        "api_error: HTTP 500 for request …",
    ]


def test_the_repeats_of_a_query_count_once() -> None:
    """Five red repeats of one query are one query, linked by its first red repeat."""
    red = [tool_error("flaky", "get", "lost", repeat=repeat) for repeat in (2, 3, 5)]
    (cause,) = causes(*red)
    assert (cause.count, cause.queries) == (1, (("flaky", 2),))


def test_the_most_frequent_cause_comes_first_and_the_index_leads_to_it() -> None:
    """The index of each red query is that of its cause, also if its group was merged."""
    rare, frequent = failed("rare", "expected no calls, got call 0, add{}"), []
    groups = CauseGroups()
    groups.add(rare)
    for n in range(9):
        one = tool_error(f"q{n}", "who", f"No such user {'abcdefghi'[n] * 4}")
        frequent.append(one)
        groups.add(one)
    found = groups.result([Cause(CauseKind.STOPPED, "stopped early", 3)])
    assert [cause.count for cause in found.causes] == [3, 9, 1]
    assert {found.index[one.id, 1] for one in frequent} == {1}
    assert found.index["rare", 1] == 2


def test_a_cause_names_the_tools_whose_calls_it_concerns() -> None:
    """A tool that the message names, else all tools that the queries call, the most frequent first."""
    calls = call("search", "x"), call("fetch", "y")
    (named,) = causes(failed("a", "call 1, fetch{}: result: missing", *calls))
    (other, *_) = causes(failed("a", "no text", calls[1]), failed("b", "no text", *calls))
    assert named.tools == ("fetch",)
    assert other.tools == ("fetch", "search")


def test_an_expected_error_is_not_taken_for_the_cause() -> None:
    """The first call was expected to fail; the message names the second."""
    check = Check(check="tool_errors", passed=False, message="call 1: b{} returned an error: 'bad'")
    calls = call("a", "fine", is_error=True), call("b", "bad", is_error=True)
    (cause,) = causes(transcript("q", *calls, verdict=Verdict.FAILED, checks=[check]))
    assert (cause.message, cause.tools) == ("b: bad", ("b",))


def test_a_regression_is_a_cause_of_its_own_unless_a_check_failed() -> None:
    """How the query regressed is the message; of a failed query, it is counted."""
    groups = CauseGroups()
    groups.add(transcript("a"), "regressed: 5/5 → 1/5 passed")
    groups.add(failed("b", "no text"), "regressed: passed → failed")
    first, second = groups.result().causes
    assert (first.kind, first.message) == (CauseKind.REGRESSED, "regressed: 5/5 → 1/5 passed")
    assert (second.kind, second.message, second.regressed) == (CauseKind.FAILED, "no text", 1)


def test_queries_that_only_the_baseline_has_are_one_cause() -> None:
    """They are counted, and are not in the index of the run's queries."""
    found = CauseGroups().result(removed=[("gone", 1), ("gone", 2), ("away", 1)])
    assert [(cause.kind, cause.count) for cause in found.causes] == [(CauseKind.REMOVED, 2)]
    assert not found.index


def test_any_number_of_different_messages_is_bounded() -> None:
    """Thousands of messages with nothing in common are one cause of the check."""
    alphabet = str.maketrans("0123456789", "abcdefghij")
    red = [failed(f"q{n}", f"{n} {n * 7} {n * 13}".translate(alphabet)) for n in range(3_000)]
    assert [(cause.count, cause.message) for cause in causes(*red)] == [(3_000, "calls: …")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("order 7f3e at 10:20:30", "order … at …"),
        ("at 2026-11-30T10:20:30.123Z it failed", "at … it failed"),
        ("id 6f1c2a30-aaaa-bbbb-cccc-0123456789ab", "id …"),
        ("took 1.25 s of 3,000 ms", "took … s of … ms"),
        ("exited with code 3", "exited with code 3"),
        ("file_7.txt not found", "….txt not found"),
    ],
)
def test_values_are_found(text: str, message: str) -> None:
    """Ids, numbers and times are replaced; the numbers of faults are not."""
    template = Template.of(text)
    assert "".join(part for fixed in template.fixed for part in (fixed, "…"))[:-1] == message


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [("a b c", "a b d", "a b …"), ("a b", "a b", "a b"), ("a", "b", "…"), ("a …", "a b", "a …"), ("", "x", "…")],
)
def test_the_words_that_messages_share_are_kept(one: str, other: str, shared: str) -> None:
    """What follows the shared words is replaced once."""
    assert shared_opening(one, other) == shared
