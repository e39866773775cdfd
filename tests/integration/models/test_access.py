"""A 401 or 403 of the API costs one query, or ends the run."""

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


def play(notes: Sequence[Source | Refusal], *, was_granted: bool = False) -> tuple[list[str], set[str], str]:
    """Play successes and refusals. Return what ended the run at once, the queries to run again, and why it stopped."""
    run_stop = RunStop()
    access, ended = RunAccess(run_stop, was_granted=was_granted), []
    for note in notes:
        if isinstance(note, Source):
            access.granted(note)
        elif reported := access.refused(note):
            ended.append(str(reported))
    return ended, {query for query, _ in run_stop.interrupted}, str(run_stop.reason or "")


A, B, C, D = (refusal(name) for name in "abcd")


@pytest.mark.parametrize(
    ("notes", "ended", "again"),
    [
        ([A], ["no a"], ""),
        ([MODEL, A, B], [], ""),
        ([MODEL, A, B, C], [], "abc"),
        ([MODEL, A, B, C, D], [], "abcd"),  # one that was in flight
        ([MODEL, A, B, MODEL, C, D], [], ""),
        ([MODEL, A, B, JUDGE, C, D], [], ""),
        ([MODEL, A, refusal("a", repeat=2), refusal("a", repeat=3), B], [], ""),  # of two queries only
        ([MODEL, refusal("a", JUDGE)], [], ""),
        ([MODEL, refusal("a", JUDGE), MODEL, refusal("b", JUDGE), MODEL, refusal("c", JUDGE)], [], "abc"),
        ([MODEL, refusal("a", JUDGE), JUDGE, refusal("b", JUDGE), MODEL, refusal("c", JUDGE)], [], ""),
        ([MODEL, refusal("a", OTHER_JUDGE)], ["no a"], ""),  # which has credentials of its own
        ([refusal("a", accepted=True), B, C], [], "abc"),
    ],
)
def test_three_refusals_in_a_row_after_a_success_end_the_run(
    notes: list[Source | Refusal], ended: list[str], again: str
) -> None:
    """Before the first success one does; repeats of a query count once, and the judge has a row of its own."""
    reason = f"the API refused 3 queries in a row; the last refusal: no {again[2:3]}"
    assert (ended, set(again), reason if again else "") == play(notes)


@pytest.mark.parametrize(("status", "ended"), [(401, ["no a"]), (403, [])])
def test_a_success_of_an_earlier_process_says_nothing_about_new_credentials(status: int, ended: list[str]) -> None:
    """A 403 is about the request, a 401 about the credentials, which may be others now."""
    assert ended == play([refusal("a", status=status)], was_granted=True)[0]


def ask(
    folder: Path, answer: Callable[[Body], Answer], *args: str, server: Path = RAW, queries: Sequence[Any] = ()
) -> Result:
    """Run queries one after the other, or go on with a run, against an API that answers so."""
    if queries:
        write_jsonl(folder / "p.jsonl", *queries)
    what = ("--resume", "run") if "--resume" in args else ("p.jsonl", str(server), "--out", "run", "--concurrency", "1")
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        return run_mcprun("batch", *what, *(one for one in args if one != "--resume"), cwd=folder, env=env)


def refusing(*parts: str, status: int = 403) -> Callable[[Body], Answer]:
    """Refuse what holds one of these texts in its messages or its model, as a firewall or a provider does."""

    def answer(body: Body) -> Answer:
        is_refused = any(part in json.dumps([body["messages"], body["model"]]) for part in parts)
        return error(status, "permission_error", "Not this one") if is_refused else text("Fine.")

    return answer


def queries(*prompts: str, **more: Any) -> list[dict[str, Any]]:
    return [{"id": prompt, "prompt": prompt, **more} for prompt in prompts]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_a_querys_own_model_is_its_error(tmp_path: Path, status: int) -> None:
    """However many there are, and though nothing has succeeded before: the run goes on."""
    own = queries("one", "two", "three", "four", model="not-mine")
    done = ask(tmp_path, refusing("not-mine", status=status), queries=[*own, *queries("five")])
    assert (done.code, list(done.verdicts.values())) == (3, ["error"] * 4 + ["passed"])
    assert done.record["state"] == "finished"
    what = "the key" if status == 401 else "the model 'not-mine'"
    assert done.transcripts[0]["error"] == {
        "kind": "api_refused",
        "message": f"the API refused {what}: {status} permission_error: Not this one (request req_010000000000000000000001)",
    }


def test_a_refusal_after_a_success_is_the_error_of_its_query(tmp_path: Path) -> None:
    """A prompt that a firewall refuses costs no other one; a resumed run tries it again without ending either."""
    done = ask(tmp_path, refusing("DROP"), queries=queries("one", "DROP 1", "DROP 2", "two", "DROP 3"))
    assert (done.code, list(done.verdicts.values())) == (3, ["passed", "error", "error", "passed", "error"])
    assert (done.record["state"], done.record["error"], "again" in done.record) == ("finished", None, False)
    assert [event["status"] for event in done.trace if event["event"] == "model_call" and "error" in event] == [403] * 3
    same = ask(tmp_path, refusing("DROP"), "--resume", "--retry-errors", "--filter", "DROP 1")
    assert same.code == 2  # which leaves out what is done
    again = ask(tmp_path, refusing("DROP 2"), "--resume", "--retry-errors")
    assert (again.code, list(again.verdicts.values())) == (3, ["passed", "passed", "error", "passed", "passed"])


def test_three_queries_in_a_row_end_the_run_and_resume_runs_them_again(tmp_path: Path) -> None:
    """Nothing new starts; exit code, JUnit, the last lines and run.json agree, and the rest is skipped."""
    prompts = ["one", "DROP 0", "two", "DROP 1", "DROP 2", "DROP 3", "three", "four"]
    done = ask(tmp_path, refusing("DROP"), "--junit", "junit.xml", queries=queries(*prompts))
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
    assert (suite.errors, suite.skipped, suite.failures) == (4 + 1, 2, 0)  # and the run itself
    again = ask(tmp_path, refusing("DROP 0"), "--resume")
    assert (again.code, [one for one, verdict in again.verdicts.items() if verdict != "passed"]) == (3, ["DROP 0"])
    assert (again.record["state"], again.record["error"], "again" in again.record) == ("finished", None, False)


def test_a_row_at_the_end_of_the_file_is_run_again_as_well(tmp_path: Path) -> None:
    """Nothing is left to skip, and the run is not finished all the same; a resumed one that is refused again neither."""
    done = ask(tmp_path, refusing("DROP"), queries=queries("one", "DROP 1", "DROP 2", "DROP 3"))
    assert (done.code, done.record["state"], done.record["error"]["kind"]) == (3, "interrupted", "api_refused")
    same = ask(tmp_path, refusing("DROP"), "--resume")
    assert (same.code, same.record["state"], len(same.record["again"])) == (3, "interrupted", 3)
    cut = ask(tmp_path, lambda _: error(401, "authentication_error", "Expired"), "--resume")
    assert (cut.code, list(cut.verdicts.values())) == (3, ["passed", "skipped", "error", "error"])
    assert cut.record["again"] == [["DROP 2", 1], ["DROP 3", 1]]
    again = ask(tmp_path, refusing(), "--resume")
    assert (again.code, set(again.verdicts.values())) == (0, {"passed"})


def test_queries_in_flight_finish(tmp_path: Path) -> None:
    """Three refusals in a row cancel nothing that is paid for: a query that has begun before ends after them."""
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


def test_a_judge_that_is_refused_is_the_error_of_its_query(tmp_path: Path) -> None:
    """The model is answered between: the judge has a row of its own, and the run ends with the third."""
    judged = queries("one", "two", "three", "four", expect={"judge": "It is polite."})
    done = ask(tmp_path, refusing("claude-grader"), "--judge-model", "claude-grader", queries=judged)
    assert (done.code, list(done.verdicts.values())) == (3, ["error"] * 3 + ["skipped"])
    assert done.transcripts[0]["error"]["message"].startswith(
        "the request to the judge failed: the API refused the model 'claude-grader': 403"
    )
    verdict = text(json.dumps({"reason": "It is.", "passed": True}))
    again = ask(tmp_path, lambda body: verdict if body["model"] == "claude-grader" else text("Fine."), "--resume")
    assert (again.code, set(again.verdicts.values())) == (0, {"passed"})


def test_sampling_that_is_refused_is_the_error_of_its_query(tmp_path: Path) -> None:
    """The server hears of it, and the query does not go on as if nothing had happened."""

    def answer(body: Body) -> Answer:
        is_sampled = "tools" not in body
        if is_sampled:
            return DENIED
        return calls(("ponder", {"question": "Why?"})) if len(body["messages"]) == 1 else text("Fine.")

    done = ask(tmp_path, answer, "--max-sampling", "1", server=SERVERS / "asking.py", queries=queries("one", "two"))
    assert (done.code, list(done.verdicts.values())) == (3, ["error", "error"])
    assert done.transcripts[0]["error"]["message"].startswith("the API refused the key: 403")


def test_a_batch_whose_key_was_accepted_refuses_single_requests(tmp_path: Path) -> None:
    """Whichever result is read first: the batch itself is a success."""
    flags = ("--batch-api", "--batch-wait", "600", "--batch-poll", "0.05")
    done = ask(tmp_path, refusing("DROP"), *flags, queries=queries("one", "two", "DROP 1"))
    assert (done.code, list(done.verdicts.values())) == (3, ["passed", "passed", "error"])
    assert done.record["state"] == "finished"


def test_a_chat_goes_on_after_a_refusal(tmp_path: Path) -> None:
    """Later messages of the same conversation are sent; only a first request that is refused ends the chat."""
    with MessagesApi(refusing("DROP")) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url, "XDG_STATE_HOME": str(tmp_path)}
        typed = "Hi\nDROP 1\nDROP 2\nDROP 3\nAnd now?\n"
        done = run_mcprun("chat", RAW, cwd=tmp_path, env=env, input=typed)
    assert (done.code, done.stdout.count("Fine.")) == (0, 2)
    assert done.stderr.count("the API refused the key: 403") == 3
