"""Turns sent through Message Batches, against a local stand-in of that API. No model answers here."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer

import mcprun
from mcprun.models.prices import price
from mcprun.runs.transcript import Usage
from tests.support.batch_api import FLAGS, SEARCHING, WAITING, ask, end_all, start_run, started, two_turns
from tests.support.batches_api import Batch
from tests.support.cli import RAW, Result, run_mcprun, script, write_jsonl
from tests.support.messages_api import Answer, Body, MessagesApi, error, prompt_of, text, turn_of


def batch_sizes(api: MessagesApi) -> list[int]:
    """Return the number of requests in each batch."""
    return [len(batch.requests) for batch in api.batches.all]


def test_waiting_turns_are_sent_as_one_batch(tmp_path: Path) -> None:
    """All waiting turns form one batch, results may be in any order, and transcripts equal those without batches."""
    with MessagesApi(two_turns) as api:
        done = ask(tmp_path, api, *FLAGS)
        single_requests = [one for one in api.requests if one.path.partition("?")[0] == "/v1/messages"]
    with MessagesApi(two_turns) as unbatched_api:
        unbatched = ask(tmp_path, unbatched_api, "--out", "usual", "--concurrency", "1")
    assert (done.code, set(done.verdicts.values()), single_requests) == (0, {"passed"}, [])
    assert batch_sizes(api) == [5, 5, 2]
    assert without_call_ids(done) == without_call_ids(unbatched)
    sent = [event for event in done.trace if event["event"] == "batch_sent"]
    recorded = [event for event in done.trace if event["event"] == "batch_asked"]
    assert [event["size"] for event in sent] == [5, 5, 2]
    assert [event["wave"] for event in sent] == [event["wave"] for event in recorded]
    assert {(one["query"], one["turn"]) for one in recorded[2]["requests"]} == {("q1", 2), ("q3", 2)}
    assert [event["counts"] for event in done.trace if event["event"] == "batch_ended"] == [
        {"succeeded": 5}, {"succeeded": 5}, {"succeeded": 2}
    ]  # fmt: skip
    assert f"Waiting for batch {sent[0]['batch']} (5 requests)" in done.stderr


def without_call_ids(run: Result) -> bytes:
    """Return the bytes of the transcripts with call ids replaced, as the stand-in numbers them by arrival."""
    ids = [block["id"] for one in run.transcripts for message in one["messages"] if message["role"] == "assistant"
           for block in message["content"] if block["type"] == "tool_use"]  # fmt: skip
    reported = run.bytes
    for number, name in enumerate(ids):
        reported = reported.replace(name.encode(), f"id-{number}".encode())
    return reported


def test_expired_and_canceled_requests_are_sent_again(tmp_path: Path) -> None:
    """Expired or canceled requests are in the next batch; after three batches the query ends with an error."""
    fates = {"Query 0": "expired", "Query 1": "canceled"}
    with MessagesApi(two_turns) as api:
        api.batches.fate = lambda number, body: fates.get(prompt_of(body)) if number == 0 else None
        done = ask(tmp_path, api, *FLAGS)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert sum(batch_sizes(api)) == 12 + 2
    with MessagesApi(two_turns) as api:
        api.batches.fate = lambda _, __: "expired"
        done = ask(tmp_path, api, *FLAGS[:-1], "never", queries=1)
    assert (done.code, batch_sizes(api)) == (3, [1, 1, 1])
    assert done.transcripts[0]["error"] == {
        "kind": "api_error", "message": "the API did not process the request in 3 batches"
    }  # fmt: skip


def test_errors_in_a_batch_are_handled_like_single_ones(tmp_path: Path) -> None:
    """A temporary error is retried, and a refusal is an error of its query, as without batches."""
    prompts: list[str] = []

    def answer(body: Body) -> Answer:
        prompts.append(prompt_of(body))
        if prompt_of(body) == "Query 0" and prompts.count("Query 0") == 1:
            return error(529, "overloaded_error", "Overloaded")
        return error(400, "invalid_request_error", "No.") if prompt_of(body) == "Query 1" else two_turns(body)

    with MessagesApi(answer) as api:
        done = ask(tmp_path, api, *FLAGS, "--max-retry-wait", "0.01", queries=3)
    assert done.verdicts == {"q0": "passed", "q1": "error", "q2": "passed"}
    wrong = done.transcripts[1]["error"]
    assert wrong["kind"] == "api_refused"
    assert wrong["message"].startswith("the API refused the request: 400 invalid_request_error: No.")
    assert [event["status"] for event in done.trace if event["event"] == "retry"] == [529]


async def test_batch_wait_bounds_the_wait_for_a_long_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `--batch-wait` the batch is sent without the query whose tool call is still running."""
    server, was_sent = MCPServer("slow"), threading.Event()

    @server.tool()
    async def ok(n: int) -> str:
        """Return for an even number once the odd one's next turn was sent."""
        if n == 0:
            await asyncio.to_thread(was_sent.wait)
        return "ok"

    def answer(body: Body) -> Answer:
        if prompt_of(body) == "Query 1" and turn_of(body) == 1:
            was_sent.set()
        return two_turns(body)

    monkeypatch.chdir(tmp_path)
    with MessagesApi(answer) as api:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
        limits = mcprun.Limits(batch_wait=0.05, batch_poll=0.05, call_seconds=20)
        options = mcprun.Options(base_url=api.url, batch_api=True, limits=limits)
        run = await mcprun.run_batch(["Query 0", "Query 1"], server, options)
        was_sent.set()
    assert run.record.exit_code == 0  # otherwise the call timed out
    assert batch_sizes(api)[:2] == [2, 1]


def test_failed_polls_and_results_are_requested_again(tmp_path: Path) -> None:
    """A failed poll, or results that break off, are requested again without sending any request twice."""
    with MessagesApi(two_turns) as api:
        api.batches.faults = {
            "look": ["500", "drop", "reset", "truncate"],
            "results": ["500", "truncate", "drop", "reset", "truncate"],
        }
        done = ask(tmp_path, api, *FLAGS, "--no-retry")
    assert api.batches.faults == {"look": [], "results": []}
    assert (done.code, set(done.verdicts.values()), batch_sizes(api)) == (0, {"passed"}, [5, 5, 2])
    assert len([event for event in done.trace if event["event"] == "retry" and "query" not in event]) == 9


UNREADABLE = "has ended (2 succeeded), but its results could not be read in 12 tries: the API's response can't be read: malformed results: 1"


@pytest.mark.parametrize("is_archived", [False, True])
def test_unreadable_results_are_an_error_and_can_be_resumed(tmp_path: Path, is_archived: bool) -> None:
    """An unreadable result is its query's error, and `--resume` reads it again without paying again.

    Only if the API has deleted the results is the request sent again.
    """
    with MessagesApi(two_turns) as api:
        api.batches.looks = 1
        api.batches.faults = {"results": ["garbage"] * 12}
        done = ask(tmp_path, api, *FLAGS[:-3], "0.01", "--out", "run", "--max-retry-wait", "0.01", queries=2)
        assert (done.code, done.verdicts, batch_sizes(api)) == (3, {"q0": "passed", "q1": "error"}, [2, 1])
        reported = done.transcripts[1]["error"]
        assert (reported["kind"], UNREADABLE in reported["message"]) == ("api_error", True)
        first = api.batches.all[0].id
        unread = f"batch {first} has ended (2 succeeded), but 1 results were not read: use --resume to fetch them"
        assert (done.stderr.count(unread), "pending" in done.stderr) == (1, False)
        api.batches.faults = {"results": ["garbage"] * 12}
        unread_again = ask(tmp_path, api, "--resume", "run", "--retry-errors", queries=2)
        assert (unread_again.code, UNREADABLE in unread_again.transcripts[1]["error"]["message"], batch_sizes(api)) == (
            3,
            True,
            [2, 1],
        )
        api.batches.all[0].is_archived = is_archived
        resumed = ask(tmp_path, api, "--resume", "run", "--retry-errors", queries=2)
    assert (resumed.code, batch_sizes(api)) == (0, [2, 1, 1, 1] + [1] * is_archived)
    assert resumed.stderr.count("the API did not find the results of batch") == is_archived


def test_invalid_batch_responses_are_survived(tmp_path: Path) -> None:
    """An invalid poll is repeated, a batch with an unknown id is searched for, and an unreadable list is skipped."""
    with MessagesApi(two_turns) as api:
        api.batches.faults = {
            "create": ["garbage"],
            "look": ["garbage", None, None, "garbage"],
            "list": ["garbage", None],
        }
        done = ask(tmp_path, api, *FLAGS, "--max-retry-wait", "0.01", queries=2)
    assert (done.code, set(done.verdicts.values()), batch_sizes(api)) == (0, {"passed"}, [2, 2, 1])
    with MessagesApi(two_turns) as api:
        api.batches.faults = {"look": ["garbage"] * 60}
        done = ask(tmp_path, api, *FLAGS[:-3], "0.001", "--out", "lost", queries=2)
        assert (done.code, set(done.verdicts.values()), batch_sizes(api)) == (3, {"error"}, [2])
        batch = api.batches.all[0].id
        message = f"60 polls of batch {batch} in a row failed; it may be pending or have ended: the API's response"
        assert done.transcripts[0]["error"]["message"].startswith(message)
        assert f"batch {batch} (2 requests) is still pending" in done.stderr
        resumed = ask(tmp_path, api, "--resume", "lost", "--retry-errors", queries=2)
    assert (resumed.code, batch_sizes(api)) == (0, [2, 2, 1])


@pytest.mark.parametrize("place", ["create", "look", "results"])
def test_refused_batch_ends_the_run_and_can_be_resumed(tmp_path: Path, place: str) -> None:
    """After a success, the refusal of a batch refuses all its queries; a resume pays for no request twice."""
    with MessagesApi(two_turns) as api:
        api.batches.looks = 1
        api.batches.faults = {
            place: [None, None, "403"] if place == "look" else [None, "403"]
        }  # results are preceded by a poll
        done = ask(tmp_path, api, *FLAGS)
        assert (done.code, set(done.verdicts.values()), done.record["state"]) == (3, {"error"}, "interrupted"), (
            done.stderr
        )
        assert done.record["error"]["message"].startswith("the API refused 3 queries in a row")
        assert len(done.record["again"]) == 5
        resumed = ask(tmp_path, api, "--resume", "run")
    assert (resumed.code, set(resumed.verdicts.values())) == (0, {"passed"})
    assert batch_sizes(api) == [5, 5, 2]  # the stand-in creates the batch it refuses, and mcprun finds it


def test_batch_with_an_unknown_id_is_found(tmp_path: Path) -> None:
    """It is found in the API's list, next to another batch of the same size that belongs to another run."""
    with MessagesApi(two_turns) as api:
        api.batches.on_request = lambda what, batch: (
            api.batches.all.append(expired_copy(batch)) if what == "create" else None
        )
        api.batches.faults = {"create": ["drop"], "list": ["500"]}
        done = ask(tmp_path, api, *FLAGS, "--max-retry-wait", "0.01", queries=2)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert batch_sizes(api) == [2, 2, 2, 2, 1, 1]
    assert f"waiting for batch {api.batches.all[0].id}, which may be one whose id is unknown" in done.stderr
    sent = [event["batch"] for event in done.trace if event["event"] == "batch_sent"]
    assert sent == [batch.id for batch in api.batches.all[2::2]]


def expired_copy(batch: Batch) -> Batch:
    """Return a batch of the same size and time from another run, in which each request has expired."""
    other = Batch(batch.id.replace("_01", "_02"), {f"other-{name}": {} for name in batch.requests}, 0, "ended")
    other.results = [{"custom_id": name, "result": {"type": "expired"}} for name in other.requests]
    return other


def test_batch_is_found_after_a_kill_before_its_id_arrived(tmp_path: Path) -> None:
    """The batch is in the trace before it is sent: a resume finds it by that and pays for no request twice."""
    killed = threading.Event()
    with MessagesApi(two_turns) as api:

        def kill(*_: Any) -> None:
            if not killed.is_set():
                process.kill()
                process.wait()
                killed.set()

        api.batches.on_request = kill
        process = start_run(tmp_path, api)
        process.communicate()
        assert killed.is_set()
        end_all(api)
        done = ask(tmp_path, api, "--resume", "run")
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert batch_sizes(api) == [5, 5, 2]


def test_batch_that_is_too_large_is_split(tmp_path: Path) -> None:
    """A batch that the API rejects as too large is split, whatever limit mcprun assumes."""
    with MessagesApi(two_turns) as api:
        api.batches.max_bytes = 3000
        done = ask(tmp_path, api, *FLAGS, queries=8)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert max(batch_sizes(api)) < 8


def test_batch_queries_bounds_queries_in_flight(tmp_path: Path) -> None:
    """`--batch-queries` bounds the number of queries that wait for a batch."""
    with MessagesApi(two_turns) as api:
        done = ask(tmp_path, api, *FLAGS, "--batch-queries", "2", "--concurrency", "1")
    assert (done.code, max(batch_sizes(api))) == (0, 2)


async def test_concurrency_bounds_tool_calls_between_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All queries wait for the same batch, but only `--concurrency` of them call tools at once."""
    server, barrier, at_once = MCPServer("pairs"), asyncio.Barrier(2), [0, 0]

    @server.tool()
    async def ok(n: int) -> str:
        """Return once two calls are running."""
        at_once[0] += 1
        at_once[1] = max(at_once)
        await barrier.wait()
        at_once[0] -= 1
        return "ok"

    monkeypatch.chdir(tmp_path)
    with MessagesApi(two_turns) as api:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
        limits = mcprun.Limits(concurrency=2, batch_wait=600, batch_poll=0.05, call_seconds=20)
        options = mcprun.Options(base_url=api.url, batch_api=True, limits=limits)
        run = await mcprun.run_batch(["Query 0", "Query 2", "Query 4", "Query 6"], server, options)
    assert (run.record.exit_code, batch_sizes(api), at_once) == (0, [4, 4], [0, 2])


def test_query_timeout_excludes_waiting_for_a_batch(tmp_path: Path) -> None:
    """A query's timeout that is shorter than its batch takes does not end the query."""
    with MessagesApi(lambda _: text("Done.")) as api:
        api.batches.looks = 11
        done = ask(tmp_path, api, *FLAGS, "--batch-poll", "0.3", "--query-timeout", "1.5", queries=2)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert all(event["waited"] > 1.5 for event in done.trace if event["event"] == "attempt_end")


def test_pending_batch_is_not_sent_again_after_a_kill(tmp_path: Path) -> None:
    """A resume waits for the pending batch instead of sending it again, and completes the run."""
    with MessagesApi(two_turns) as api:
        keep_pending(api)
        process = started(tmp_path, api)
        process.kill()
        process.communicate()
        end_all(api)
        done = ask(tmp_path, api, "--resume", "run")
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert batch_sizes(api) == [5, 5, 2]


def test_results_of_earlier_batches_are_not_paid_twice(tmp_path: Path) -> None:
    """A resume after a kill during the second batch requests no result of the first one again, and counts it once."""
    with MessagesApi(two_turns) as api:
        api.batches.fate = lambda number, _: keep_pending(api) if number == 0 else None
        process = started(tmp_path, api, output=(WAITING, WAITING))
        process.kill()
        process.communicate()
        end_all(api)
        done = ask(tmp_path, api, "--resume", "run", "--budget-tokens", "1000000")
        requests = [params for batch in api.batches.all for params in batch.requests.values()]
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert batch_sizes(api) == [5, 5, 2]
    assert len({str(body["messages"]) for body in requests}) == len(requests)
    replies = [(event["batch"], event["request_id"]) for event in done.trace if event["event"] == "model_call"
               and "batch" in event]  # fmt: skip
    assert len(set(replies)) == 12


def keep_pending(api: MessagesApi) -> None:
    """Keep every new batch pending."""
    api.batches.looks = 1_000_000


def test_second_interrupt_cancels_the_batch(tmp_path: Path) -> None:
    """A second Ctrl-C cancels the run's pending batch, but not one that may belong to another run.

    A resume sends the canceled requests again.
    """
    with MessagesApi(two_turns) as api:
        keep_pending(api)
        api.batches.max_bytes = 3000  # so that two are sent
        api.batches.faults = {"create": [None, "drop"]}
        was_polled = threading.Event()
        api.batches.on_request = lambda what, one: (
            was_polled.set() if (what, one) == ("look", api.batches.all[0]) else None
        )
        process = started(tmp_path, api, "--max-retry-wait", "0.01", output=(WAITING, SEARCHING))
        assert was_polled.wait(60)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert process.stderr.readline().startswith("Stopping: pending batches continue at the API.")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
        other, batch = api.batches.all
        is_pending = [one.status == "in_progress" for one in (batch, other)]  # a canceled batch ends when it is polled
        assert (process.returncode, is_pending) == (130, [False, True])
        assert f"batch {batch.id} ({len(batch.requests)} requests) was cancelled" in stderr
        assert other.id not in stderr
        api.batches.max_bytes = 256_000_000
        end_all(api)
        assert ask(tmp_path, api, "--resume", "run").code == 0
    assert sum(batch_sizes(api)) == 12 + len(batch.requests)


def test_budget_counts_batch_requests_at_half_price(tmp_path: Path) -> None:
    """A budget of 90% of a reply's full price pays for two replies in batches, and one of 40% for one."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    flags = (*FLAGS[:-1],)

    def answer(_: Body) -> Answer:
        return {**text("x"), "usage": usage}

    full_price = price("claude-sonnet-5-5", Usage(**usage))
    assert full_price
    for share, code in ((0.9, 0), (0.4, 3)):
        with MessagesApi(answer) as api:
            done = ask(
                tmp_path,
                api,
                *flags,
                f"run-{share}",
                "--batch-queries",
                "1",
                "--budget-usd",
                str(full_price * share),
                queries=2,
            )
        assert done.code == code, done.stderr


def test_budget_is_spent_in_few_batches_and_reported_in_total(tmp_path: Path) -> None:
    """Turns and judge requests that wait for the budget share batches, and exceed it by at most one request."""
    usage = {"input_tokens": 100, "output_tokens": 500}

    def answer(body: Body) -> Answer:
        is_judge = "output_config" in body
        return {**text('{"reason": "fine", "passed": true}' if is_judge else "Done."), "usage": usage}

    cost = (price("claude-sonnet-5-5", Usage(**usage)) or 0) / 2
    with MessagesApi(answer) as api:
        flags = (*FLAGS, "--budget-usd", f"{8.5 * cost:f}")
        done = ask(tmp_path, api, *flags, expect={"judge": "It is fine."}, queries=20)
    assert (done.code, sum(batch_sizes(api)), len(batch_sizes(api))) == (3, 9, 3)
    message = f"the run has spent ${9 * cost:,.4f} of ${8.5 * cost:,.4f} (--budget-usd)"
    assert (done.record["error"]["message"], done.stderr.count(message)) == (message, 1)


@pytest.mark.parametrize("model", ["script", "replay:whole", "bedrock:claude"])
def test_batch_api_requires_anthropics_own_api(tmp_path: Path, model: str) -> None:
    """`--batch-api` with a script, a replay or another provider is refused before anything runs."""
    write_jsonl(tmp_path / "p.jsonl", script())
    run_mcprun("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    env = {"AWS_BEARER_TOKEN_BEDROCK": "any", "AWS_REGION": "any"}
    done = run_mcprun("batch", "p.jsonl", RAW, "--model", model, "--batch-api", cwd=tmp_path, env=env)
    assert done.code == 2
    assert done.stderr == (
        f"Error: --batch-api needs Claude at Anthropic's own API, but the model is {model} (requested)\n"
    )


def test_batch_api_cannot_be_combined_with_bare_api(tmp_path: Path) -> None:
    """`--batch-api` with `--bare-api` is refused, as other endpoints have no batches."""
    write_jsonl(tmp_path / "p.jsonl", script())
    flags = ("--model", "local", "--batch-api", "--bare-api")
    done = run_mcprun("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env={"ANTHROPIC_API_KEY": "any"})
    assert done.code == 2
    assert done.stderr.startswith("Error: --bare-api and --batch-api cannot be combined")


def test_batch_api_cannot_be_combined_with_sampling(tmp_path: Path) -> None:
    """`--batch-api` with `--max-sampling` is refused, as a tool call cannot wait for a batch."""
    write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", "p.jsonl", RAW, "--batch-api", "--max-sampling", "3", cwd=tmp_path)
    assert done.code == 2
    assert "--max-sampling can't be combined with --batch-api" in done.stderr


def test_judge_requests_are_batched(tmp_path: Path) -> None:
    """Judge requests are sent in batches like the turns."""

    def answer(body: Body) -> Answer:
        is_judge = "output_config" in body
        return text('{"reason": "fine", "passed": true}') if is_judge else text("Done.")

    with MessagesApi(answer) as api:
        done = ask(tmp_path, api, *FLAGS, expect={"judge": "It is fine."})
    assert (done.code, batch_sizes(api)) == (0, [5, 5])


def test_totals_show_the_share_of_cached_input(tmp_path: Path) -> None:
    """The totals of a run show the share of input tokens that was read from the cache."""
    with MessagesApi(two_turns) as api:
        done = ask(tmp_path, api, "--out", "run", queries=2)
    shown = run_mcprun("show", "run", cwd=tmp_path)
    usage = done.record["counts"]["usage"]
    share = usage["cache_read_input_tokens"] / (sum(usage.values()) - usage["output_tokens"])
    for expected in (done.stdout, shown.stdout):
        assert " cached input " in expected
        assert f" {100 * share:.0f} % " in expected
