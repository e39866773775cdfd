"""Grading by rubric: requests, verdicts and replays. The judge is a stub, not a model."""

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


def verdict(passed: bool, reason: str = "So it is.") -> Body:
    """Return a verdict in the form that the judge must return."""
    return text(json.dumps({"reason": reason, "passed": passed}))


def answer_with_judge(judge: Callable[[Body], Answer]) -> Callable[[Body], Answer]:
    """Answer the model's requests with one tool call, and the judge's requests with `judge`."""

    def answer(body: Body) -> Answer:
        if body.get("system") == INSTRUCTIONS:
            return judge(json.loads(body["messages"][0]["content"]))
        return calls(("echo", {"text": "hi"})) if len(body["messages"]) == 1 else text("Thank you.")

    return answer


def run_graded(folder: Path, api: MessagesApi, *args: str, key: str | None = "sk-ant-test", **query: Any) -> Result:
    """Run one query with two rubrics against `api`."""
    write_jsonl(folder / "p.jsonl", {"id": "q", "prompt": "Greet me.", "expect": {"judge": [POLITE, SHORT]}, **query})
    env = {"ANTHROPIC_BASE_URL": api.url, **({"ANTHROPIC_API_KEY": key} if key else {})}
    return run_mcprun("batch", "p.jsonl", KINDS, *args, cwd=folder, env=env)


def judge_checks(done: Result) -> list[tuple[bool, str | None, str | None]]:
    """Return `(passed, rubric, message)` of each judge check of the only query."""
    found = done.transcripts[0]["checks"]
    return [(one["passed"], one["rubric"], one["message"]) for one in found if one["check"] == "judge"]


def test_each_rubric_is_graded(tmp_path: Path) -> None:
    """Each rubric is one check, and the transcript records the judge's reason whether the check passed or failed."""
    with MessagesApi(
        answer_with_judge(lambda item: verdict(item["criterion"] == POLITE, f"On {item['criterion']}"))
    ) as api:
        done = run_graded(tmp_path, api)
    assert done.code == 1
    assert judge_checks(done) == [
        (True, POLITE, f"On {POLITE}"),
        (False, SHORT, f"expected '{SHORT}', judged: On {SHORT}"),
    ]
    assert f"expected '{SHORT}', judged: On {SHORT}" in done.stderr
    assert done.record["judge"] == {"kind": "claude", "name": "claude-sonnet-5-5", "chosen": "the run's own model"}
    shown = run_mcprun("show", "latest", "q", cwd=tmp_path).stdout
    assert f"✓ {POLITE}: On {POLITE}" in shown
    assert f"✗ judge: expected '{SHORT}'" in shown


def test_judge_request_contains_the_conversation_as_json(tmp_path: Path) -> None:
    """The judge receives the conversation with its calls and results as JSON, no tools, and an output schema."""
    with MessagesApi(answer_with_judge(lambda _: verdict(True))) as api:
        done = run_graded(tmp_path, api, "--judge-model", "claude-opus-5-5", "--model", "claude-haiku-5-5")
    assert done.code == 0
    *model_bodies, first, _ = (request.body for request in api.requests)
    assert [body["model"] for body in model_bodies] == ["claude-haiku-5-5"] * 2
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


def test_replay_uses_recorded_verdicts(tmp_path: Path) -> None:
    """A replay reuses the recorded verdicts, byte for byte, without a key or a request; a new rubric needs a judge."""
    with MessagesApi(answer_with_judge(lambda item: verdict(item["criterion"] == POLITE))) as api:
        first = run_graded(tmp_path, api, "--out", "first")
        count = len(api.requests)
        replayed = run_graded(tmp_path, api, "--model", "replay:first", key=None)
        assert (replayed.code, replayed.bytes, replayed.record["judge"]["kind"]) == (1, first.bytes, "replay")
        other = run_graded(tmp_path, api, "--model", "replay:first", key=None, expect={"judge": "It rhymes."})
        assert (other.code, other.transcripts[0]["error"]["kind"]) == (3, "not_recorded")
        assert "was not graded in the recording; grade it with --judge-model MODEL" in other.stderr
        assert len(api.requests) == count
        regraded = run_graded(
            tmp_path, api, "--model", "replay:first", "--judge-model", "claude-x", expect={"judge": "It rhymes."}
        )
        assert (regraded.code, api.requests[-1].body["model"]) == (1, "claude-x")
        assert len(api.requests) == count + 1


def test_recorded_verdict_does_not_apply_to_a_diverged_call(tmp_path: Path) -> None:
    """If a call diverged from the recording, its verdict is not reused and the query ends with `not_recorded`."""
    with MessagesApi(answer_with_judge(lambda _: verdict(True))) as api:
        run_graded(tmp_path, api, "--out", "first")
    line = json.loads((tmp_path / "first" / "transcripts.jsonl").read_text())
    line["calls"][0] |= {"content": [{"type": "text", "text": "something else"}], "structured": None}
    write_jsonl(tmp_path / "first" / "transcripts.jsonl", line)
    done = run_mcprun("batch", "p.jsonl", KINDS, "--model", "replay:first", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["error"]["kind"]) == (3, "not_recorded")
    assert "call 0 diverged from the graded recording" in done.stderr
    ungraded = run_mcprun("batch", "p.jsonl", KINDS, "--model", "replay:first", "--judge-model", "none", cwd=tmp_path)
    assert (ungraded.code, judge_checks(ungraded)) == (0, [])


def test_rubrics_without_a_key_are_refused(tmp_path: Path) -> None:
    """Without an API key, rubrics are refused before anything runs.

    With `--judge-model none` they are skipped, and the transcript has no judge check.
    """
    with MessagesApi(answer_with_judge(lambda _: verdict(True))) as api:
        query = script(id="q", expect={"judge": POLITE})
        refused = run_graded(tmp_path, api, key=None, **query)
        assert (refused.code, refused.transcripts if refused.run.exists() else []) == (2, [])
        assert "queries that a model grades (expect.judge): 1, but there is no API key" in refused.stderr
        done = run_graded(tmp_path, api, "--judge-model", "none", key=None, **query)
        assert (done.code, judge_checks(done), done.record["judge"], api.requests) == (0, [], None, [])
        graded = run_graded(tmp_path, api, "--model", "script", **query)
        assert (graded.code, judge_checks(graded)) == (0, [(True, POLITE, "So it is.")])
        assert graded.record["judge"]["chosen"] == "there is an API key"


def test_judge_without_a_verdict_is_an_error(tmp_path: Path) -> None:
    """A judge that returns no verdict is requested once more; then the query ends with an error."""
    with MessagesApi(answer_with_judge(lambda _: text("I'd rather not."))) as api:
        done = run_graded(tmp_path, api, expect={"judge": POLITE})
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
def test_failed_judge_request_is_an_error(
    tmp_path: Path, answer: Answer, flags: tuple[str, ...], expected: str
) -> None:
    """A judge request that fails makes the query, or the run, end with an error and exit code 3."""
    with MessagesApi(answer_with_judge(lambda _: answer)) as api:
        done = run_graded(tmp_path, api, *flags)
    assert (done.code, expected in done.stderr) == (3, True)


def test_truncated_answer_is_not_graded(tmp_path: Path) -> None:
    """An answer that stopped at `max_tokens` fails, and no request goes to the judge."""
    with MessagesApi(lambda _: message([{"type": "text", "text": "Dear"}], stop_reason="max_tokens")) as api:
        done = run_graded(tmp_path, api)
    assert (done.code, len(api.requests), judge_checks(done)) == (1, 1, [])


def test_judge_requests_count_towards_the_budget(tmp_path: Path) -> None:
    """The tokens of judge requests count towards `--budget-tokens`."""
    with MessagesApi(
        answer_with_judge(lambda _: verdict(True) | {"usage": {"input_tokens": 10**6, "output_tokens": 1}})
    ) as api:
        done = run_graded(tmp_path, api, "--budget-tokens", "900000")
    assert (done.code, done.verdicts, len(api.requests)) == (3, {"q": "skipped"}, 3)
    assert "the run has spent 1,0" in done.stderr
