"""Steps in the terminal's conversation, in the causes of a red run, and in the commands that reproduce a failure."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from mcprun.cli.commands.call import call as call_command
from mcprun.report.cause_text import details, headline
from mcprun.report.causes import Cause, CauseGroups, CauseKind, failure_kind
from mcprun.report.conversation import conversation, excerpt, laid_out
from mcprun.report.html.conversation import conversation_json
from mcprun.report.reproduce import Commands
from mcprun.report.steps import failing_step, step_problem
from mcprun.report.styles import AMBER
from mcprun.report.text import visible
from mcprun.runs.run_record import IN_PROCESS
from mcprun.runs.transcript import Check, Transcript, Verdict
from mcprun.tools.arguments import parse_arguments
from mcprun.tools.format import ValueFormatter
from tests.support.facts import EVIL, facts
from tests.support.runs import broken
from tests.support.stepped_runs import closed, create_issue, not_set_up, step, still_open


def lines(one: Transcript) -> list[str]:
    return [f"{who}: {what.plain}" for who, what in conversation(one)]


def causes(*red: Transcript) -> list[Cause]:
    groups = CauseGroups()
    for one in red:
        groups.add(one)
    return list(groups.result().causes)


def commands(**arguments: Any) -> Commands:
    record = facts(closed()).record
    recorded = {"prompts": "p.jsonl", "server": "tracker.py", **arguments}
    return Commands.of(record.model_copy(update={"arguments": recorded}), "outputs/r")


def test_steps_are_shown_around_the_conversation() -> None:
    """Each has its name, its input and its result; the values of names come before the first message."""
    assert lines(closed()) == [
        'before.issue: create_issue{title: "Broken u0a1b2c3d4e5"}',
        '→: {"id":17,"status":"open"}',
        "vars: {{number}} = 17",
        "user: Close issue 17.",
        "call 0: close_issue{id: 17}",
        "→: ok",
        "model: Closed.",
        "after.state: get_issue{id: 17}",
        '→: {"status":"closed"}',
        "after[1]: read issue://log",
        "→: 17 closed",
        "cleanup[0]: delete_issue{id: 17}",
        "→: Deleted.",
        "checks: ✓ ended, after.state, after[1]",
    ]


def test_an_empty_line_sets_steps_apart() -> None:
    """A conversation without steps has none."""
    speakers = [str(cell) for cell in laid_out(closed()).columns[0].cells]
    assert [at for at, speaker in enumerate(speakers) if not speaker] == [3, 8, 15]
    plain = closed(steps=[], vars={})
    assert all(str(cell) for cell in laid_out(plain).columns[0].cells)


def test_a_query_that_was_not_set_up_says_that_the_model_was_not_asked() -> None:
    """The failed step is shown with its input and what it returned."""
    assert lines(not_set_up()) == [
        'before.issue: create_issue{title: "Broken"}',
        "error: database is locked",
        "model: (not asked, because a step before the conversation failed)",
        'error: setup: before.issue: expected no error, got "database is locked" (create_issue{title: "Broken"})',
    ]


def test_an_excerpt_has_the_steps() -> None:
    """Reports of failures show what steps returned. The texts are aligned, whatever the names of the steps."""
    lines = excerpt(still_open())
    assert "after.state  get_issue{id: 17}" in lines
    assert "error        Issue 17 is locked" in lines
    assert {line[13:14].isspace() for line in lines} == {False}


def test_only_an_error_that_fails_the_query_is_red() -> None:
    """A step may be expected to fail, and a cleanup only warns. The page unfolds the others."""

    def styles(one: Transcript) -> list[str]:
        return [str(what.style) for who, what in conversation(one) if who == "error"]

    def unfolded(one: Transcript) -> list[str]:
        items = [item for item in conversation_json(one)["items"] if item["kind"] == "steps"]
        return [made["name"] for item in items for made in item["steps"] if made["is_open"]]

    errors = [made.model_copy(update={"is_error": True}) for made in closed().steps]
    assert styles(closed(steps=errors)) == ["", "", "", AMBER]
    assert unfolded(closed(steps=errors)) == ["cleanup[0]"]
    assert styles(not_set_up()) == ["red", AMBER]  # the step, and the error of the query
    assert unfolded(not_set_up()) == ["before.issue"]
    failing = still_open().model_copy(update={"steps": errors})
    assert styles(failing) == ["", "red", "", AMBER]
    assert unfolded(failing) == ["after.state", "cleanup[0]"]


def test_a_failed_check_of_a_step_is_named_once() -> None:
    """Its message begins with the place of the step."""
    assert "check: ✗ after.state: result at /status: expected" in "\n".join(lines(still_open()))


def test_the_text_of_steps_is_untrusted() -> None:
    """Controls in ids, inputs, results and values are escaped."""
    hostile = closed(
        steps=[create_issue(id="a\x1b[2Jb", input={EVIL: EVIL}, content=[{"type": "text", "text": EVIL}])],
        vars={"number": EVIL},
    )  # fmt: skip
    for line in lines(hostile):
        assert visible(line) == line, line


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([{"uri": "issue://log", "text": "17 closed"}], "17 closed"),
        ([{"uri": "issue://log/1", "text": "17 closed"}], "[resource issue://log/1]\n17 closed"),
        ([{"uri": "issue://log", "blob": "AAAA"}], "[resource issue://log, binary]"),
        ([], "(empty)"),
    ],
)
def test_a_read_shows_the_contents_of_the_resource(contents: list[dict[str, Any]], expected: str) -> None:
    """Only contents of another URI, as of a folder, are named by it."""
    one = closed(steps=[step("after", "issue://log", content=contents)])
    assert [what.plain for who, what in conversation(one) if who == "→"][-1] == expected


def test_a_step_that_was_not_sent_fails_no_other_step() -> None:
    """It has a check, which failed, and no result."""
    unsent = Check(check="after[0]", passed=False, message="after[0]: id: $from issue /nope: there is no 'nope'")
    wrong = "after[1]: expected text with 'closed', got '17 open' (resource issue://log)"
    one = closed(checks=[unsent, Check(check="after[1]", passed=False, message=wrong)])
    assert failing_step(one) == one.steps[2]
    assert failing_step(closed(checks=[unsent])) is None


def test_queries_that_were_not_set_up_have_one_cause_that_names_the_tool() -> None:
    """Inputs differ between queries; the cause is what the step returned, and says that it is not the model's."""
    (cause,) = causes(*(not_set_up(name, f"database {name} is locked", name) for name in ("db1", "db2", "db3")))
    assert (cause.kind, cause.tools) == (CauseKind.SETUP, ("create_issue",))
    assert headline(cause) == '3 × setup: create_issue: expected no error, got "database … is locked"'
    assert details(cause) == ("the model was not asked: check the step, the server and its environment; db1, db2, db3")


def test_a_step_that_was_not_sent_has_its_own_message_as_cause() -> None:
    """What the step before it returned, even if an expected error, is not the cause."""
    expected = step("before", "get_issue", "there is no issue 17", is_error=True)
    message = "before[1]: {{number}} has no value"
    one = broken("q", "setup", message, steps=[expected])
    assert [cause.message for cause in causes(one)] == [f"setup: {message}"]


def test_failed_steps_after_the_conversation_are_grouped_by_their_tool() -> None:
    """Queries number and name their steps differently."""
    by_id, by_number = still_open("a"), still_open("b")
    steps = [one.model_copy(update={"id": None, "input": {"id": 18}}) for one in by_number.steps]
    message = 'after[0]: result at /status: expected "closed", got "open" (get_issue{id: 18})'
    unmet = Check(check="after[0]", passed=False, message=message)
    found = causes(by_id, by_number.model_copy(update={"steps": steps, "checks": [unmet]}))
    assert found == [
        Cause(
            CauseKind.FAILED,
            'after: get_issue: result at /status: expected "closed", got "open"',
            2,
            ("get_issue",),
            (("a", 1), ("b", 1)),
        )
    ]


@pytest.mark.parametrize("made", [create_issue(), step("before", f"issue://{'log' * 50}", id="issue")])
def test_the_problem_of_a_step_begins_with_what_it_asked(made: Any) -> None:
    """Its name and its input are left out. Other parentheses remain, and so do messages of other steps."""
    formatter = ValueFormatter()
    asked = formatter.call(made) if made.tool else f"resource {formatter.name(made.resource)}"
    assert step_problem(made, f"before.issue: expected 1 (not 2) ({asked})") == (
        f"{made.tool or made.resource}: expected 1 (not 2)"
    )
    assert step_problem(made, "before[2]: expected 1 (not 2)") == "before[2]: expected 1 (not 2)"
    assert step_problem(made.model_copy(update={"phase": "after"}), f"after.issue: no ({asked})") == (
        f"after: {made.tool or made.resource}: no"
    )


def test_a_check_of_a_step_that_was_not_sent_names_no_other_tool() -> None:
    """Even if another step failed after it."""
    unsent = Check(check="after[0]", passed=False, message="after[0]: {{x}} has no value")
    one = still_open().model_copy(update={"checks": [unsent, *still_open().checks]})
    assert [(cause.message, cause.tools) for cause in causes(one)] == [("after[0]: {{x}} has no value", ())]


def test_the_kind_of_a_failure_is_that_of_the_error_or_the_check() -> None:
    """JUnit and TAP have it."""
    assert failure_kind(not_set_up()) == "setup"
    assert failure_kind(still_open()) == "after.state"


def test_the_failing_step_is_the_last_before_or_the_first_unmet_after() -> None:
    """An error of another kind, and a check of the conversation, are no step's."""
    assert failing_step(not_set_up()) == not_set_up().steps[0]
    assert failing_step(still_open()) == still_open().steps[1]
    unmet = [Check(check="calls", passed=False, message="no call")]
    assert failing_step(closed(verdict=Verdict.FAILED, checks=unmet)) is None
    died = {"kind": "server_died", "message": "exited"}
    assert failing_step(closed(verdict=Verdict.ERROR, checks=[], error=died)) is None


def test_the_command_of_a_failing_step_calls_the_tool_with_its_input() -> None:
    """It has the options of the server and of calls, and comes before the commands of the query."""
    given = commands(call_timeout=5, python="py", filters=["x"], server_args=["--db", "a b"], max_turns=3)
    first, *others = given.of_query(still_open())
    assert first == "mcprun call tracker.py --call-timeout 5 --python py get_issue '{\"id\": 17}' -- --db 'a b'"
    assert others == given.both("forgetful")
    assert given.of_query(closed()) == given.both("close")


def test_any_input_is_one_word_of_the_command() -> None:
    """`mcprun call` reads the tool and the input from it as they were."""
    made = create_issue(tool="it's", input={"title": f"it's ${EVIL}"}, content=[], is_error=True)
    command = commands().step(not_set_up().model_copy(update={"steps": [made]}))
    context = call_command.make_context("call", shlex.split(command)[2:], variables={}, files=[])
    assert context.params["tool"] == made.tool
    assert parse_arguments(context.params["arguments"], {}) == made.input


@pytest.mark.parametrize(
    "made",
    [
        step("before", "issue://log", is_error=True),
        create_issue(input={"token": "[redacted]"}),
        create_issue(input={"text": "x" * 5000}),
        create_issue(tool="--help"),
    ],
    ids=["a read", "a secret", "a long input", "a flag"],
)
def test_a_step_that_no_command_can_repeat_has_none(made: Any) -> None:
    """The commands of the query remain."""
    one = not_set_up().model_copy(update={"steps": [made]})
    assert commands().of_query(one) == commands().both("no-issue")


@pytest.mark.parametrize("server", ["http://[redacted]@h/mcp", "", f"tracker{IN_PROCESS}"])
def test_a_server_that_no_command_can_start_has_no_command_of_a_step(server: str) -> None:
    """A secret in the server's name is not recorded."""
    assert commands(server=server).step(not_set_up()) == ""
