"""Judging by a rubric: requests, verdicts and replays. No model judges here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcprun.engine.grading import INSTRUCTIONS, SCHEMA
from mcprun.runs.run import Run
from tests.support.cli import SERVERS, Result, run_mcprun, script, write_jsonl
from tests.support.messages_api import Answer, Body, MessagesApi, calls, error, message, text

KINDS = SERVERS / "kinds.py"

POLITE, SHORT = "The answer is polite.", "The answer has at most three words."


def judged(passed: bool, reason: str = "So it is.") -> Body:
    """A verdict, as the judge is asked to give it."""
    return text(json.dumps({"reason": reason, "passed": passed}))


def answers(judge: Callable[[Body], Answer]) -> Callable[[Body], Answer]:
    """Call a tool and answer when asked as the assistant; as the judge, say what is given."""

    def answer(body: Body) -> Answer:
        if body.get("system") == INSTRUCTIONS:
            return judge(json.loads(body["messages"][0]["content"]))
        return calls(("echo", {"text": "hi"})) if len(body["messages"]) == 1 else text("Thank you.")

    return answer


def ask(folder: Path, api: MessagesApi, *args: str, key: str | None = "sk-ant-test", **query: Any) -> Result:
    """Run one query with a judge."""
    write_jsonl(folder / "p.jsonl", {"id": "q", "prompt": "Greet me.", "expect": {"judge": [POLITE, SHORT]}, **query})
    env = {"ANTHROPIC_BASE_URL": api.url, **({"ANTHROPIC_API_KEY": key} if key else {})}
    return run_mcprun("batch", "p.jsonl", KINDS, *args, cwd=folder, env=env)


def checks(done: Result) -> list[tuple[bool, str | None, str | None]]:
    """Give what the judge said of the only query."""
    found = done.transcripts[0]["checks"]
    return [(one["passed"], one["rubric"], one["message"]) for one in found if one["check"] == "judge"]


def test_each_rubric_is_graded(tmp_path: Path) -> None:
    """One check a rubric, with the reason in the transcript whether it held or not."""
    with MessagesApi(answers(lambda item: judged(item["criterion"] == POLITE, f"On {item['criterion']}"))) as api:
        done = ask(tmp_path, api)
    assert done.code == 1
    assert checks(done) == [
        (True, POLITE, f"On {POLITE}"),
        (False, SHORT, f"expected '{SHORT}', judged: On {SHORT}"),
    ]
    assert f"expected '{SHORT}', judged: On {SHORT}" in done.stderr
    assert done.record["judge"] == {"kind": "claude", "name": "claude-sonnet-5-5", "chosen": "the run's own model"}
    shown = run_mcprun("show", "latest", "q", cwd=tmp_path).stdout
    assert f"✓ {POLITE}: On {POLITE}" in shown
    assert f"✗ judge: expected '{SHORT}'" in shown


def test_what_the_judge_is_asked(tmp_path: Path) -> None:
    """The conversation with its calls and results, as JSON; no tools, and an answer of a fixed form."""
    with MessagesApi(answers(lambda _: judged(True))) as api:
        done = ask(tmp_path, api, "--judge-model", "claude-opus-5-5", "--model", "claude-haiku-5-5")
    assert done.code == 0
    *asked, first, _ = (request.body for request in api.requests)
    assert [body["model"] for body in asked] == ["claude-haiku-5-5"] * 2
    assert (first["model"], first["system"], "tools" in first) == ("claude-opus-5-5", INSTRUCTIONS, False)
    assert first["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert json.loads(first["messages"][0]["content"]) == {
        "criterion": POLITE,
        "conversation": [
            {"user": "Greet me."},
            {"call": "echo", "input": {"text": "hi"}, "result": "hi"},
            {"assistant": "Thank you."},
        ],
        "last answer": "Thank you.",
    }
    events = [event for event in done.trace if event["event"] == "judge_call"]
    assert [(event["rubric"], event["stop_reason"]) for event in events] == [(POLITE, "end_turn"), (SHORT, "end_turn")]
    assert len(list(Run.read(str(done.run)).replies())) == len(api.requests)  # what a budget counts when it is resumed


def test_a_replay_asks_nobody(tmp_path: Path) -> None:
    """It says what was said of the same words, byte for byte, without a key; another rubric was not recorded."""
    with MessagesApi(answers(lambda item: judged(item["criterion"] == POLITE))) as api:
        first = ask(tmp_path, api, "--out", "first")
        count = len(api.requests)
        again = ask(tmp_path, api, "--model", "replay:first", key=None)
        assert (again.code, again.bytes, again.record["judge"]["kind"]) == (1, first.bytes, "replay")
        other = ask(tmp_path, api, "--model", "replay:first", key=None, expect={"judge": "It rhymes."})
        assert (other.code, other.transcripts[0]["error"]["kind"]) == (3, "not_recorded")
        assert "was not graded in the recording; grade it with --judge-model MODEL" in other.stderr
        assert len(api.requests) == count
        anew = ask(
            tmp_path, api, "--model", "replay:first", "--judge-model", "claude-x", expect={"judge": "It rhymes."}
        )
        assert (anew.code, api.requests[-1].body["model"]) == (1, "claude-x")
        assert len(api.requests) == count + 1


def test_nobody_has_judged_what_diverged(tmp_path: Path) -> None:
    """A server that answers otherwise makes another conversation, of which the recorded verdict says nothing."""
    with MessagesApi(answers(lambda _: judged(True))) as api:
        ask(tmp_path, api, "--out", "first")
    line = json.loads((tmp_path / "first" / "transcripts.jsonl").read_text())
    line["calls"][0] |= {"content": [{"type": "text", "text": "something else"}], "structured": None}
    write_jsonl(tmp_path / "first" / "transcripts.jsonl", line)
    done = run_mcprun("batch", "p.jsonl", KINDS, "--model", "replay:first", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["error"]["kind"]) == (3, "not_recorded")
    assert "call 0 diverged from the graded recording" in done.stderr
    ungraded = run_mcprun("batch", "p.jsonl", KINDS, "--model", "replay:first", "--judge-model", "none", cwd=tmp_path)
    assert (ungraded.code, checks(ungraded)) == (0, [])


def test_without_a_key(tmp_path: Path) -> None:
    """Nothing is run that could not be graded, unless it is said that it need not be; then no check claims that it was."""
    with MessagesApi(answers(lambda _: judged(True))) as api:
        query = script(id="q", expect={"judge": POLITE})
        refused = ask(tmp_path, api, key=None, **query)
        assert (refused.code, refused.transcripts if refused.run.exists() else []) == (2, [])
        assert "queries that a model grades (expect.judge): 1, but there is no API key" in refused.stderr
        done = ask(tmp_path, api, "--judge-model", "none", key=None, **query)
        assert (done.code, checks(done), done.record["judge"], api.requests) == (0, [], None, [])
        graded = ask(tmp_path, api, "--model", "script", **query)
        assert (graded.code, checks(graded)) == (0, [(True, POLITE, "So it is.")])
        assert graded.record["judge"]["chosen"] == "there is an API key"


def test_no_verdict_is_no_pass(tmp_path: Path) -> None:
    """A judge that says something else is asked once more; then the query has an error, and not a verdict."""
    with MessagesApi(answers(lambda _: text("I'd rather not."))) as api:
        done = ask(tmp_path, api, expect={"judge": POLITE})
    assert (done.code, done.verdicts, len(api.requests)) == (3, {"q": "error"}, 4)
    assert 'the judge claude-sonnet-5-5 returned no verdict; it replied "I\'d rather not."' in done.stderr


@pytest.mark.parametrize(
    ("answer", "flags", "expected"),
    [
        (error(500, "api_error", "Broken"), ("--no-retry",), "api_error: the request to the judge failed"),
        (error(404, "not_found_error", "model: x"), (), "the API has no model 'claude-sonnet-5-5' (--judge-model)"),
        (message([], stop_reason="refusal"), (), "returned no verdict; it replied 'refusal'"),
    ],
)
def test_a_judge_that_can_not_be_asked(tmp_path: Path, answer: Answer, flags: tuple[str, ...], expected: str) -> None:
    """Its errors are the query's, or the run's when no query could be graded: never a pass."""
    with MessagesApi(answers(lambda _: answer)) as api:
        done = ask(tmp_path, api, *flags)
    assert (done.code, expected in done.stderr) == (3, True)


def test_an_answer_that_was_cut_short_is_not_graded(tmp_path: Path) -> None:
    """It fails for that, and nobody is asked."""
    with MessagesApi(lambda _: message([{"type": "text", "text": "Dear"}], stop_reason="max_tokens")) as api:
        done = ask(tmp_path, api)
    assert (done.code, len(api.requests), checks(done)) == (1, 1, [])


def test_judging_is_paid_from_the_budget(tmp_path: Path) -> None:
    """What a judge costs counts."""
    with MessagesApi(answers(lambda _: judged(True) | {"usage": {"input_tokens": 10**6, "output_tokens": 1}})) as api:
        done = ask(tmp_path, api, "--budget-tokens", "900000")
    assert (done.code, done.verdicts, len(api.requests)) == (3, {"q": "skipped"}, 3)
    assert "the run has spent 1,0" in done.stderr
