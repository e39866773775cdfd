"""A 401 or 403 from the API is an error of one query, or ends the run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from mcprun._util.run_stop import RunStop
from mcprun.models.access_policy import Refusal, RunAccess, Source
from mcprun.runs.events import AttemptRef
from tests.support.cli import RAW, SERVERS, Result, run_mcprun, write_jsonl
from tests.support.messages_api import Answer, Body, MessagesApi, calls, error, prompt_of, text

DENIED = error(403, "permission_error", "Not this one")

MODEL, JUDGE = Source("run", "model"), Source("run", "judge")

OTHER_JUDGE = Source("judge", "judge")


def refusal(
    query: str, source: Source = MODEL, status: int = 403, repeat: int = 1, *, accepted: bool = False
) -> Refusal:
    return Refusal(source, AttemptRef(query, repeat), status, f"no {query}", accepted)


def play(replies: Sequence[Source | Refusal], *, was_granted: bool = False) -> tuple[list[str], set[str], str]:
    """Apply successes and refusals in order.

    Return the refusals that ended the run at once, the queries to run again, and the reason why the run stopped.
    """
    run_stop = RunStop()
    access, ended = RunAccess(run_stop, was_granted=was_granted), []
    for reply in replies:
        if isinstance(reply, Source):
            access.granted(reply)
        elif reported := access.refused(reply):
            ended.append(str(reported))
    return ended, {query for query, _ in run_stop.interrupted}, str(run_stop.reason or "")


A, B, C, D = (refusal(name) for name in "abcd")


@pytest.mark.parametrize(
    ("replies", "ended", "interrupted"),
    [
        ([A], ["no a"], ""),
        ([MODEL, A, B], [], ""),
        ([MODEL, A, B, C], [], "abc"),
        ([MODEL, A, B, C, D], [], "abcd"),  # d was in flight
        ([MODEL, A, B, MODEL, C, D], [], ""),
        ([MODEL, A, B, JUDGE, C, D], [], ""),
        ([MODEL, A, refusal("a", repeat=2), refusal("a", repeat=3), B], [], ""),  # repeats of one query count once
        ([MODEL, refusal("a", JUDGE)], [], ""),
        ([MODEL, refusal("a", JUDGE), MODEL, refusal("b", JUDGE), MODEL, refusal("c", JUDGE)], [], "abc"),
        ([MODEL, refusal("a", JUDGE), JUDGE, refusal("b", JUDGE), MODEL, refusal("c", JUDGE)], [], ""),
        ([MODEL, refusal("a", OTHER_JUDGE)], ["no a"], ""),  # it has its own credentials
        ([refusal("a", accepted=True), B, C], [], "abc"),
    ],
)
def test_three_refusals_in_a_row_after_a_success_end_the_run(
    replies: list[Source | Refusal], ended: list[str], interrupted: str
) -> None:
    """Before the first success, a single refusal ends the run.

    Repeats of a query count once, and refusals of the judge are counted separately.
    """
    reason = f"the API refused 3 queries in a row; the last refusal: no {interrupted[2:3]}"
    assert (ended, set(interrupted), reason if interrupted else "") == play(replies)


@pytest.mark.parametrize(("status", "ended"), [(401, ["no a"]), (403, [])])
def test_success_of_an_earlier_process_does_not_excuse_a_401(status: int, ended: list[str]) -> None:
    """A 401 ends the run despite an earlier success, as the credentials may have changed; a 403 does not."""
    assert ended == play([refusal("a", status=status)], was_granted=True)[0]


def run_queries(
    folder: Path, answer: Callable[[Body], Answer], *args: str, server: Path = RAW, queries: Sequence[Any] = ()
) -> Result:
    """Run queries one at a time, or resume the run with `--resume`, against an API that replies with `answer`."""
    if queries:
        write_jsonl(folder / "p.jsonl", *queries)
    source = (
        ("--resume", "run") if "--resume" in args else ("p.jsonl", str(server), "--out", "run", "--concurrency", "1")
    )
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        return run_mcprun("batch", *source, *(arg for arg in args if arg != "--resume"), cwd=folder, env=env)


def refuse(*parts: str, status: int = 403) -> Callable[[Body], Answer]:
    """Return an answer function that refuses requests with one of `parts` in their messages or model."""

    def answer(body: Body) -> Answer:
        is_refused = any(part in json.dumps([body["messages"], body["model"]]) for part in parts)
        return error(status, "permission_error", "Not this one") if is_refused else text("Fine.")

    return answer


def queries(*prompts: str, **more: Any) -> list[dict[str, Any]]:
    return [{"id": prompt, "prompt": prompt, **more} for prompt in prompts]


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_of_a_querys_own_model_does_not_end_the_run(tmp_path: Path, status: int) -> None:
    """Refusals of a model that only some queries name are their own errors, even before any success."""
    own = queries("one", "two", "three", "four", model="not-mine")
    done = run_queries(tmp_path, refuse("not-mine", status=status), queries=[*own, *queries("five")])
    assert (done.code, list(done.verdicts.values())) == (3, ["error"] * 4 + ["passed"])
    assert done.record["state"] == "finished"
    refused = "the key" if status == 401 else "the model 'not-mine'"
    assert done.transcripts[0]["error"] == {
        "kind": "api_refused",
        "message": f"the API refused {refused}: {status} permission_error: Not this one (request req_010000000000000000000001)",
    }


def test_refusal_after_a_success_is_an_error_of_its_query(tmp_path: Path) -> None:
    """A refused prompt affects no other query, and `--retry-errors` runs it again without ending the run."""
    done = run_queries(tmp_path, refuse("DROP"), queries=queries("one", "DROP 1", "DROP 2", "two", "DROP 3"))
    assert (done.code, list(done.verdicts.values())) == (3, ["passed", "error", "error", "passed", "error"])
    assert (done.record["state"], done.record["error"], "again" in done.record) == ("finished", None, False)
    assert [event["status"] for event in done.trace if event["event"] == "model_call" and "error" in event] == [403] * 3
    filtered = run_queries(tmp_path, refuse("DROP"), "--resume", "--retry-errors", "--filter", "DROP 1")
    assert filtered.code == 2  # the filter excludes completed queries
    resumed = run_queries(tmp_path, refuse("DROP 2"), "--resume", "--retry-errors")
    assert (resumed.code, list(resumed.verdicts.values())) == (3, ["passed", "passed", "error", "passed", "passed"])


def test_three_refused_queries_in_a_row_end_the_run(tmp_path: Path) -> None:
    """No new query starts; exit code, JUnit, stderr and run.json agree, and a resume runs the refused queries again."""
    prompts = ["one", "DROP 0", "two", "DROP 1", "DROP 2", "DROP 3", "three", "four"]
    done = run_queries(tmp_path, refuse("DROP"), "--junit", "junit.xml", queries=queries(*prompts))
    expected = ["passed", "error", "passed", "error", "error", "error", "skipped", "skipped"]
    assert (done.code, list(done.verdicts.values())) == (3, expected)
    message = "the API refused 3 queries in a row; the last refusal: the API refused the key: 403"
    assert done.record["error"]["message"].startswith(message)
    assert (done.record["state"], done.record["error"]["kind"]) == ("interrupted", "api_refused")
    assert done.record["again"] == [["DROP 1", 1], ["DROP 2", 1], ["DROP 3", 1]]
    assert done.stderr.count(message) == 1
    assert done.transcripts[-1]["error"]["message"].startswith(f"not started: {message}")
    assert done.stderr.rstrip().endswith("Resume with: mcprun batch --resume run")
    suite = JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert (suite.errors, suite.skipped, suite.failures) == (4 + 1, 2, 0)  # 4 queries and the run itself
    resumed = run_queries(tmp_path, refuse("DROP 0"), "--resume")
    assert (resumed.code, [one for one, verdict in resumed.verdicts.items() if verdict != "passed"]) == (3, ["DROP 0"])
    assert (resumed.record["state"], resumed.record["error"], "again" in resumed.record) == ("finished", None, False)


def test_refusals_at_the_end_of_the_file_are_run_again(tmp_path: Path) -> None:
    """Three refusals in a row leave the run interrupted even if no query is left to skip.

    A resume that is refused again leaves it interrupted too.
    """
    done = run_queries(tmp_path, refuse("DROP"), queries=queries("one", "DROP 1", "DROP 2", "DROP 3"))
    assert (done.code, done.record["state"], done.record["error"]["kind"]) == (3, "interrupted", "api_refused")
    refused = run_queries(tmp_path, refuse("DROP"), "--resume")
    assert (refused.code, refused.record["state"], len(refused.record["again"])) == (3, "interrupted", 3)
    unauthorized = run_queries(tmp_path, lambda _: error(401, "authentication_error", "Expired"), "--resume")
    assert (unauthorized.code, list(unauthorized.verdicts.values())) == (3, ["passed", "skipped", "error", "error"])
    assert unauthorized.record["again"] == [["DROP 2", 1], ["DROP 3", 1]]
    resumed = run_queries(tmp_path, refuse(), "--resume")
    assert (resumed.code, set(resumed.verdicts.values())) == (0, {"passed"})


def test_queries_in_flight_finish(tmp_path: Path) -> None:
    """Three refusals in a row do not cancel a query in flight, which ends after them and passes."""
    has_begun, transcripts = threading.Event(), tmp_path / "run" / "transcripts.jsonl"

    def answer(body: Body) -> Answer:
        if prompt_of(body) != "slow":
            has_begun.wait(30)
            return DENIED if "DROP" in prompt_of(body) else text("Fine.")
        if len(body["messages"]) == 1:
            return calls(("ok", {}))
        has_begun.set()
        ticks = count()
        while b"DROP 3" not in transcripts.read_bytes() and next(ticks) < 1500:
            threading.Event().wait(0.02)
        return text("Fine.")

    write_jsonl(tmp_path / "p.jsonl", *queries("slow", "DROP 1", "DROP 2", "DROP 3", "never 1", "never 2"))
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = run_mcprun("batch", "p.jsonl", RAW, "--out", "run", "--concurrency", "2", cwd=tmp_path, env=env)
    expected = ["passed", "error", "error", "error", "skipped", "skipped"]
    assert (done.code, list(done.verdicts.values())) == (3, expected)


def test_refused_judge_is_an_error_of_its_query(tmp_path: Path) -> None:
    """Refusals of the judge are counted separately from the model's successes, and the third in a row ends the run."""
    graded = queries("one", "two", "three", "four", expect={"judge": "It is polite."})
    done = run_queries(tmp_path, refuse("claude-grader"), "--judge-model", "claude-grader", queries=graded)
    assert (done.code, list(done.verdicts.values())) == (3, ["error"] * 3 + ["skipped"])
    assert done.transcripts[0]["error"]["message"].startswith(
        "the request to the judge failed: the API refused the model 'claude-grader': 403"
    )
    verdict = text(json.dumps({"reason": "It is.", "passed": True}))
    resumed = run_queries(
        tmp_path, lambda body: verdict if body["model"] == "claude-grader" else text("Fine."), "--resume"
    )
    assert (resumed.code, set(resumed.verdicts.values())) == (0, {"passed"})


def test_refused_sampling_is_an_error_of_its_query(tmp_path: Path) -> None:
    """If the API refuses a sampling request, its query ends with an error."""

    def answer(body: Body) -> Answer:
        is_sampled = "tools" not in body
        if is_sampled:
            return DENIED
        return calls(("ponder", {"question": "Why?"})) if len(body["messages"]) == 1 else text("Fine.")

    done = run_queries(
        tmp_path, answer, "--max-sampling", "1", server=SERVERS / "asking.py", queries=queries("one", "two")
    )
    assert (done.code, list(done.verdicts.values())) == (3, ["error", "error"])
    assert done.transcripts[0]["error"]["message"].startswith("the API refused the key: 403")


def test_refused_request_in_a_batch_is_an_error_of_its_query(tmp_path: Path) -> None:
    """An accepted batch counts as a success, whichever of its results is read first."""
    flags = ("--batch-api", "--batch-wait", "600", "--batch-poll", "0.05")
    done = run_queries(tmp_path, refuse("DROP"), *flags, queries=queries("one", "two", "DROP 1"))
    assert (done.code, list(done.verdicts.values())) == (3, ["passed", "passed", "error"])
    assert done.record["state"] == "finished"


def test_chat_continues_after_a_refusal(tmp_path: Path) -> None:
    """A refusal ends a chat only if it is the first request; later messages are still sent."""
    with MessagesApi(refuse("DROP")) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url, "XDG_STATE_HOME": str(tmp_path)}
        typed = "Hi\nDROP 1\nDROP 2\nDROP 3\nAnd now?\n"
        done = run_mcprun("chat", RAW, cwd=tmp_path, env=env, input=typed)
    assert (done.code, done.stdout.count("Fine.")) == (0, 2)
    assert done.stderr.count("the API refused the key: 403") == 3
