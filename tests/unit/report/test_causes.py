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


REASONS = (
    "limit exceeded (5 > 2)",
    "the database is locked",
    "permission denied for bob",
    "no such order: A-1",
    "the currency must be EUR",
    "the payment service refused the connection",
)


@pytest.mark.parametrize("queries", [6, 600])
@pytest.mark.parametrize("lead", ["", "Error executing tool refund: "])
def test_different_faults_of_one_tool_are_not_merged(queries: int, lead: str) -> None:
    """Not even if there are more than a few, or if the library begins all errors of a tool with the same words."""
    red = [tool_error(f"q{n}", "refund", f"{lead}{REASONS[n % 6]}") for n in range(queries)]
    assert [(cause.message, cause.count) for cause in causes(*red)] == [
        (f"refund: {lead}{reason}", queries // 6) for reason in REASONS
    ]


def test_rare_faults_of_one_tool_are_one_cause_beside_the_frequent_ones() -> None:
    """A fault of a tenth of the red queries keeps its row."""
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    red = [tool_error(f"f{n}", "refund", "the database is locked") for n in range(30)]
    red += [tool_error(f"r{n}", "refund", f"{word} is not {word[::-1]} today") for n, word in enumerate(words)]
    assert [(cause.message, cause.count) for cause in causes(*red)] == [
        ("refund: the database is locked", 30),
        ("refund: …", 10),
    ]


@pytest.mark.parametrize("lead", ["", "Error executing tool {}: "])
def test_one_fault_of_many_tools_is_one_cause(lead: str) -> None:
    """The tools are listed beside it; their names in the message are left out."""
    tools = [f"{name}_{what}" for name in ("get", "list", "find") for what in ("order", "item", "store")]
    red = [tool_error(f"q{n}", tool, f"{lead.format(tool)}the database is locked") for n, tool in enumerate(tools)]
    (cause,) = causes(*red)
    assert (cause.message, cause.count) == (f"{lead.format('…')}the database is locked", 9)
    assert cause.tools == tuple(tools[:5])


@pytest.mark.parametrize("lead", ["MCP error -", "status=", "[Errno ", "code (", "error "])
def test_numbers_that_name_a_fault_are_kept_however_they_are_written(lead: str) -> None:
    """An id in the same place is a value."""
    red = [tool_error(f"q{n}", "get", f"{lead}{400 + n % 2} for {n}") for n in range(4)]
    assert [cause.count for cause in causes(*red)] == [2, 2]
    ids = [tool_error(f"q{n}", "get", f"{lead}{n}f{n}7a9 for it") for n in range(4)]
    assert [cause.count for cause in causes(*ids)] == [4]


def test_messages_of_numbers_only_name_their_check() -> None:
    """A message of which nothing is the same says at least which check failed."""
    assert [cause.message for cause in causes(*(failed(f"q{n}", str(n)) for n in range(9)))] == ["calls: …"]


def test_an_error_without_a_text_says_so_and_structured_ones_are_readable() -> None:
    """Letters outside ASCII are not escaped."""
    check = Check(check="tool_errors", passed=False, message="call 0: get{} returned an error: ''")
    blank = transcript("a", call("get", " ", is_error=True), verdict=Verdict.FAILED, checks=[check])
    structured = call("get", is_error=True, structured={"grund": "zu groß"})
    other = transcript("b", structured, verdict=Verdict.FAILED, checks=[check])
    assert [cause.message for cause in causes(blank, other)] == [
        "get: an error without a text",
        'get: {"grund": "zu groß"}',
    ]


def test_a_tool_is_named_only_by_a_whole_word() -> None:
    """`get` is no part of `get_order`, `get.order` or `target`."""
    calls = call("get", "x"), call("get_order", "y")
    for message in ("call 1, get_order{}: result: missing", "the target: get_order."):
        (cause,) = causes(failed("a", message, *calls))
        assert cause.tools == ("get_order",)


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


def test_a_server_that_died_is_named_by_its_exception() -> None:
    """Of the stderr in an error, the line of the exception says why; a text without one stays whole."""
    trace = "Traceback (most recent call last):\n  File \"s.py\", line 12, in export\nKeyError: 'xlsx'\n[exited with code 3]"
    lost = "the connection to the server was lost during export"
    assert [cause.message for cause in causes(broken("a", "server_died", f"{lost}; its stderr ends: {trace}"))] == [
        f"server_died: {lost}: KeyError: 'xlsx'"
    ]
    assert [cause.message for cause in causes(broken("a", "server_died", f"{lost}; its stderr ends: no space"))] == [
        f"server_died: {lost}; its stderr ends: no space"
    ]
