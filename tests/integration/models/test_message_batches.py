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


def sizes(api: MessagesApi) -> list[int]:
    """How many requests each batch had."""
    return [len(batch.requests) for batch in api.batches.all]


def test_all_that_wait_make_a_batch(tmp_path: Path) -> None:
    """A wave is one batch, results come in any order, and the transcripts are those of a run without batches."""
    with MessagesApi(two_turns) as api:
        done = ask(tmp_path, api, *FLAGS)
        alone = [one for one in api.requests if one.path.partition("?")[0] == "/v1/messages"]
    with MessagesApi(two_turns) as api_alone:
        usual = ask(tmp_path, api_alone, "--out", "usual", "--concurrency", "1")
    assert (done.code, set(done.verdicts.values()), alone) == (0, {"passed"}, [])
    assert sizes(api) == [5, 5, 2]
    assert untied(done) == untied(usual)
    sent = [event for event in done.trace if event["event"] == "batch_sent"]
    asked = [event for event in done.trace if event["event"] == "batch_asked"]
    assert [event["size"] for event in sent] == [5, 5, 2]
    assert [event["wave"] for event in sent] == [event["wave"] for event in asked]
    assert {(one["query"], one["turn"]) for one in asked[2]["requests"]} == {("q1", 2), ("q3", 2)}
    assert [event["counts"] for event in done.trace if event["event"] == "batch_ended"] == [
        {"succeeded": 5}, {"succeeded": 5}, {"succeeded": 2}
    ]  # fmt: skip
    assert f"Waiting for batch {sent[0]['batch']} (5 requests)" in done.stderr


def untied(run: Result) -> bytes:
    """The bytes of the transcripts, but for the ids of calls, which the stand-in numbers as it is asked."""
    ids = [block["id"] for one in run.transcripts for message in one["messages"] if message["role"] == "assistant"
           for block in message["content"] if block["type"] == "tool_use"]  # fmt: skip
    reported = run.bytes
    for number, name in enumerate(ids):
        reported = reported.replace(name.encode(), f"id-{number}".encode())
    return reported


def test_what_was_not_come_to_is_asked_again(tmp_path: Path) -> None:
    """Requests that expired or were canceled are in the next batch; after three it is the query's error."""
    fates = {"Query 0": "expired", "Query 1": "canceled"}
    with MessagesApi(two_turns) as api:
        api.batches.fate = lambda number, body: fates.get(prompt_of(body)) if number == 0 else None
        done = ask(tmp_path, api, *FLAGS)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert sum(sizes(api)) == 12 + 2
    with MessagesApi(two_turns) as api:
        api.batches.fate = lambda _, __: "expired"
        done = ask(tmp_path, api, *FLAGS[:-1], "never", queries=1)
    assert (done.code, sizes(api)) == (3, [1, 1, 1])
    assert done.transcripts[0]["error"] == {
        "kind": "api_error", "message": "the API did not process the request in 3 batches"
    }  # fmt: skip


def test_an_error_means_what_it_means_alone(tmp_path: Path) -> None:
    """What may pass is tried again by the retries, what the API refuses is the query's error."""
    seen: list[str] = []

    def answer(body: Body) -> Answer:
        seen.append(prompt_of(body))
        if prompt_of(body) == "Query 0" and seen.count("Query 0") == 1:
            return error(529, "overloaded_error", "Overloaded")
        return error(400, "invalid_request_error", "No.") if prompt_of(body) == "Query 1" else two_turns(body)

    with MessagesApi(answer) as api:
        done = ask(tmp_path, api, *FLAGS, "--max-retry-wait", "0.01", queries=3)
    assert done.verdicts == {"q0": "passed", "q1": "error", "q2": "passed"}
    wrong = done.transcripts[1]["error"]
    assert wrong["kind"] == "api_refused"
    assert wrong["message"].startswith("the API refused the request: 400 invalid_request_error: No.")
    assert [event["status"] for event in done.trace if event["event"] == "retry"] == [529]


async def test_a_wave_does_not_wait_for_a_long_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `--batch-wait` it goes out without the query that is still at work, which here waits for just that."""
    server, went_out = MCPServer("slow"), threading.Event()

    @server.tool()
    async def ok(n: int) -> str:
        """Come back for an even number when the odd one's next turn was sent."""
        if n == 0:
            await asyncio.to_thread(went_out.wait)
        return "ok"

    def answer(body: Body) -> Answer:
        if prompt_of(body) == "Query 1" and turn_of(body) == 1:
            went_out.set()
        return two_turns(body)

    monkeypatch.chdir(tmp_path)
    with MessagesApi(answer) as api:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
        limits = mcprun.Limits(batch_wait=0.05, batch_poll=0.05, call_seconds=20)
        options = mcprun.Options(base_url=api.url, batch_api=True, limits=limits)
        run = await mcprun.run_batch(["Query 0", "Query 1"], server, options)
        went_out.set()
    assert run.record.exit_code == 0  # else the call had ended in its time-out
    assert sizes(api)[:2] == [2, 1]


def test_looks_and_results_are_asked_for_again(tmp_path: Path) -> None:
    """A look that fails, and results that break off in the middle, cost no request a second time."""
    with MessagesApi(two_turns) as api:
        api.batches.faults = {
            "look": ["500", "drop", "reset", "truncate"],
            "results": ["500", "truncate", "drop", "reset", "truncate"],
        }
        done = ask(tmp_path, api, *FLAGS, "--no-retry")
    assert api.batches.faults == {"look": [], "results": []}
    assert (done.code, set(done.verdicts.values()), sizes(api)) == (0, {"passed"}, [5, 5, 2])
    assert len([event for event in done.trace if event["event"] == "retry" and "query" not in event]) == 9


END_STATES = "has ended (2 succeeded), but its results could not be read in 12 tries: the API's response can't be read: malformed results: 1"


@pytest.mark.parametrize("is_archived", [False, True])
def test_results_that_can_not_be_read_are_given_up(tmp_path: Path, is_archived: bool) -> None:
    """The others are taken; the error says that the batch has ended, and `--resume` reads it without paying again.

    Only once the API has deleted the results are they requested anew.
    """
    with MessagesApi(two_turns) as api:
        api.batches.looks = 1
        api.batches.faults = {"results": ["garbage"] * 12}
        done = ask(tmp_path, api, *FLAGS[:-3], "0.01", "--out", "run", "--max-retry-wait", "0.01", queries=2)
        assert (done.code, done.verdicts, sizes(api)) == (3, {"q0": "passed", "q1": "error"}, [2, 1])
        reported = done.transcripts[1]["error"]
        assert (reported["kind"], END_STATES in reported["message"]) == ("api_error", True)
        first = api.batches.all[0].id
        left = f"batch {first} has ended (2 succeeded), but 1 results were not read: use --resume to fetch them"
        assert (done.stderr.count(left), "pending" in done.stderr) == (1, False)
        api.batches.faults = {"results": ["garbage"] * 12}
        same = ask(tmp_path, api, "--resume", "run", "--retry-errors", queries=2)
        assert (same.code, END_STATES in same.transcripts[1]["error"]["message"], sizes(api)) == (3, True, [2, 1])
        api.batches.all[0].is_archived = is_archived
        again = ask(tmp_path, api, "--resume", "run", "--retry-errors", queries=2)
    assert (again.code, sizes(api)) == (0, [2, 1, 1, 1] + [1] * is_archived)
    assert again.stderr.count("the API did not find the results of batch") == is_archived


def test_answers_that_are_no_batch(tmp_path: Path) -> None:
    """A look is made again; a batch that was sent is searched for, and a list that can't be read is done without."""
    with MessagesApi(two_turns) as api:
        api.batches.faults = {
            "create": ["garbage"],
            "look": ["garbage", None, None, "garbage"],
            "list": ["garbage", None],
        }
        done = ask(tmp_path, api, *FLAGS, "--max-retry-wait", "0.01", queries=2)
    assert (done.code, set(done.verdicts.values()), sizes(api)) == (0, {"passed"}, [2, 2, 1])
    with MessagesApi(two_turns) as api:
        api.batches.faults = {"look": ["garbage"] * 60}
        done = ask(tmp_path, api, *FLAGS[:-3], "0.001", "--out", "lost", queries=2)
        assert (done.code, set(done.verdicts.values()), sizes(api)) == (3, {"error"}, [2])
        batch = api.batches.all[0].id
        message = f"60 polls of batch {batch} in a row failed; it may be pending or have ended: the API's response"
        assert done.transcripts[0]["error"]["message"].startswith(message)
        assert f"batch {batch} (2 requests) is still pending" in done.stderr
        again = ask(tmp_path, api, "--resume", "lost", "--retry-errors", queries=2)
    assert (again.code, sizes(api)) == (0, [2, 2, 1])


@pytest.mark.parametrize("place", ["create", "look", "results"])
def test_a_batch_that_is_refused_ends_the_run_and_is_resumed(tmp_path: Path, place: str) -> None:
    """After a success, all queries of a wave are refused at once; what is paid for is not paid for again."""
    with MessagesApi(two_turns) as api:
        api.batches.looks = 1
        api.batches.faults = {place: [None, None, "403"] if place == "look" else [None, "403"]}  # results look first
        done = ask(tmp_path, api, *FLAGS)
        assert (done.code, set(done.verdicts.values()), done.record["state"]) == (3, {"error"}, "interrupted"), (
            done.stderr
        )
        assert done.record["error"]["message"].startswith("the API refused 3 queries in a row")
        assert len(done.record["again"]) == 5
        again = ask(tmp_path, api, "--resume", "run")
    assert (again.code, set(again.verdicts.values())) == (0, {"passed"})
    assert sizes(api) == [5, 5, 2]  # the stand-in makes a batch that it refuses, and it is found


def test_a_batch_whose_id_did_not_arrive_is_found(tmp_path: Path) -> None:
    """It is among those that the API lists, behind another one that fits as well and holds nothing of this run."""
    with MessagesApi(two_turns) as api:
        api.batches.on_request = lambda what, batch: api.batches.all.append(others(batch)) if what == "create" else None
        api.batches.faults = {"create": ["drop"], "list": ["500"]}
        done = ask(tmp_path, api, *FLAGS, "--max-retry-wait", "0.01", queries=2)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert sizes(api) == [2, 2, 2, 2, 1, 1]
    assert f"waiting for batch {api.batches.all[0].id}, which may be one whose id is unknown" in done.stderr
    sent = [event["batch"] for event in done.trace if event["event"] == "batch_sent"]
    assert sent == [batch.id for batch in api.batches.all[2::2]]


def others(batch: Batch) -> Batch:
    """Another run's batch of the same size and time, in which each request has expired."""
    other = Batch(batch.id.replace("_01", "_02"), {f"other-{name}": {} for name in batch.requests}, 0, "ended")
    other.results = [{"custom_id": name, "result": {"type": "expired"}} for name in other.requests]
    return other


def test_killed_before_the_id_arrived(tmp_path: Path) -> None:
    """The wave stands in the trace before it is sent: who goes on finds its batch by that, and pays nothing twice."""
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
    assert sizes(api) == [5, 5, 2]


def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    """The API's own bound comes before what is known of it here."""
    with MessagesApi(two_turns) as api:
        api.batches.max_bytes = 3000
        done = ask(tmp_path, api, *FLAGS, queries=8)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert max(sizes(api)) < 8


def test_no_more_than_so_many_are_in_flight(tmp_path: Path) -> None:
    """`--batch-queries` bounds those that wait."""
    with MessagesApi(two_turns) as api:
        done = ask(tmp_path, api, *FLAGS, "--batch-queries", "2", "--concurrency", "1")
    assert (done.code, max(sizes(api))) == (0, 2)


async def test_no_more_than_so_many_use_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All wait for the same batch, but only `--concurrency` of them call tools at once, and those do."""
    server, two, at_once = MCPServer("pairs"), asyncio.Barrier(2), [0, 0]

    @server.tool()
    async def ok(n: int) -> str:
        """Come back when there are two."""
        at_once[0] += 1
        at_once[1] = max(at_once)
        await two.wait()
        at_once[0] -= 1
        return "ok"

    monkeypatch.chdir(tmp_path)
    with MessagesApi(two_turns) as api:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
        limits = mcprun.Limits(concurrency=2, batch_wait=600, batch_poll=0.05, call_seconds=20)
        options = mcprun.Options(base_url=api.url, batch_api=True, limits=limits)
        run = await mcprun.run_batch(["Query 0", "Query 2", "Query 4", "Query 6"], server, options)
    assert (run.record.exit_code, sizes(api), at_once) == (0, [4, 4], [0, 2])


def test_waiting_for_a_batch_is_off_the_clock(tmp_path: Path) -> None:
    """A query's deadline that is shorter than a batch takes does not end it."""
    with MessagesApi(lambda _: text("Done.")) as api:
        api.batches.looks = 11
        done = ask(tmp_path, api, *FLAGS, "--batch-poll", "0.3", "--query-timeout", "1.5", queries=2)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert all(event["waited"] > 1.5 for event in done.trace if event["event"] == "attempt_end")


def test_killed_while_a_batch_is_pending(tmp_path: Path) -> None:
    """What is pending is not sent a second time: the run that goes on waits for it, and ends as any other."""
    with MessagesApi(two_turns) as api:
        end_none(api)
        process = started(tmp_path, api)
        process.kill()
        process.communicate()
        end_all(api)
        done = ask(tmp_path, api, "--resume", "run")
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert sizes(api) == [5, 5, 2]


def test_what_earlier_batches_brought_is_not_paid_twice(tmp_path: Path) -> None:
    """Killed in the second wave, a run asks nothing of the first one again; budgets count it once."""
    with MessagesApi(two_turns) as api:
        api.batches.fate = lambda number, _: end_none(api) if number == 0 else None
        process = started(tmp_path, api, output=(WAITING, WAITING))
        process.kill()
        process.communicate()
        end_all(api)
        done = ask(tmp_path, api, "--resume", "run", "--budget-tokens", "1000000")
        asked = [params for batch in api.batches.all for params in batch.requests.values()]
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert sizes(api) == [5, 5, 2]
    assert len({str(body["messages"]) for body in asked}) == len(asked)
    replies = [(event["batch"], event["request_id"]) for event in done.trace if event["event"] == "model_call"
               and "batch" in event]  # fmt: skip
    assert len(set(replies)) == 12


def end_none(api: MessagesApi) -> None:
    """From now on, no new batch ends."""
    api.batches.looks = 1_000_000


def test_a_second_interrupt_cancels_the_batch(tmp_path: Path) -> None:
    """Ctrl-C twice gives up what is pending, but not what may be another run's; who goes on asks it again."""
    with MessagesApi(two_turns) as api:
        end_none(api)
        api.batches.max_bytes = 3000  # so that two are sent
        api.batches.faults = {"create": [None, "drop"]}
        looked = threading.Event()
        api.batches.on_request = lambda what, one: looked.set() if (what, one) == ("look", api.batches.all[0]) else None
        process = started(tmp_path, api, "--max-retry-wait", "0.01", output=(WAITING, SEARCHING))
        assert looked.wait(60)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert process.stderr.readline().startswith("Stopping: pending batches continue at the API.")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
        other, batch = api.batches.all
        assert (process.returncode, batch.status, other.status) == (130, "canceling", "in_progress")
        assert f"batch {batch.id} ({len(batch.requests)} requests) was cancelled" in stderr
        assert other.id not in stderr
        api.batches.max_bytes = 256_000_000
        end_all(api)
        assert ask(tmp_path, api, "--resume", "run").code == 0
    assert sum(sizes(api)) == 12 + len(batch.requests)


def test_budgets_count_half_the_price(tmp_path: Path) -> None:
    """What stops a run at the full price does not stop one whose turns cost half; one more wave does."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    queries = (*FLAGS[:-1],)

    def answer(_: Body) -> Answer:
        return {**text("x"), "usage": usage}

    whole = price("claude-sonnet-5-5", Usage(**usage))
    assert whole
    for share, code in ((0.9, 0), (0.4, 3)):
        with MessagesApi(answer) as api:
            done = ask(
                tmp_path,
                api,
                *queries,
                f"run-{share}",
                "--batch-queries",
                "1",
                "--budget-usd",
                str(whole * share),
                queries=2,
            )
        assert done.code == code, done.stderr


def test_a_budget_makes_no_more_batches_and_gives_the_final_sum(tmp_path: Path) -> None:
    """Turns and judge requests that wait for the budget go out together, and spend it by one request more at most."""
    usage = {"input_tokens": 100, "output_tokens": 500}

    def answer(body: Body) -> Answer:
        is_judge = "output_config" in body
        return {**text('{"reason": "fine", "passed": true}' if is_judge else "Done."), "usage": usage}

    cost = (price("claude-sonnet-5-5", Usage(**usage)) or 0) / 2
    with MessagesApi(answer) as api:
        flags = (*FLAGS, "--budget-usd", f"{8.5 * cost:f}")
        done = ask(tmp_path, api, *flags, expect={"judge": "It is fine."}, queries=20)
    assert (done.code, sum(sizes(api)), len(sizes(api))) == (3, 9, 3)
    message = f"the run has spent ${9 * cost:,.4f} of ${8.5 * cost:,.4f} (--budget-usd)"
    assert (done.record["error"]["message"], done.stderr.count(message)) == (message, 1)


@pytest.mark.parametrize("model", ["script", "replay:whole", "bedrock:claude"])
def test_only_claude_is_asked_in_batches(tmp_path: Path, model: str) -> None:
    """Scripts and recordings cost nothing, and providers have other batches: refused before anything runs."""
    write_jsonl(tmp_path / "p.jsonl", script())
    run_mcprun("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    env = {"AWS_BEARER_TOKEN_BEDROCK": "any", "AWS_REGION": "any"}
    done = run_mcprun("batch", "p.jsonl", RAW, "--model", model, "--batch-api", cwd=tmp_path, env=env)
    assert done.code == 2
    assert done.stderr == (
        f"Error: --batch-api needs Claude at Anthropic's own API, but the model is {model} (asked for)\n"
    )


def test_a_bare_api_has_no_batches(tmp_path: Path) -> None:
    """What every endpoint knows does not hold them: to ask for both is refused."""
    write_jsonl(tmp_path / "p.jsonl", script())
    flags = ("--model", "local", "--batch-api", "--bare-api")
    done = run_mcprun("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env={"ANTHROPIC_API_KEY": "any"})
    assert done.code == 2
    assert done.stderr.startswith("Error: --bare-api and --batch-api cannot be combined")


def test_servers_may_not_ask_the_model(tmp_path: Path) -> None:
    """A call can't wait for a batch: to ask for both is refused."""
    write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", "p.jsonl", RAW, "--batch-api", "--max-sampling", "3", cwd=tmp_path)
    assert done.code == 2
    assert "--max-sampling can't be combined with --batch-api" in done.stderr


def test_a_judge_waits_for_batches_as_well(tmp_path: Path) -> None:
    """It is asked by the same client, and its requests are in batches like the turns."""

    def answer(body: Body) -> Answer:
        is_judge = "output_config" in body
        return text('{"reason": "fine", "passed": true}') if is_judge else text("Done.")

    with MessagesApi(answer) as api:
        done = ask(tmp_path, api, *FLAGS, expect={"judge": "It is fine."})
    assert (done.code, sizes(api)) == (0, [5, 5])


def test_the_share_that_was_read_from_the_cache(tmp_path: Path) -> None:
    """It stands in the totals of every run that counted tokens."""
    with MessagesApi(two_turns) as api:
        done = ask(tmp_path, api, "--out", "run", queries=2)
    shown = run_mcprun("show", "run", cwd=tmp_path)
    usage = done.record["counts"]["usage"]
    share = usage["cache_read_input_tokens"] / (sum(usage.values()) - usage["output_tokens"])
    for expected in (done.stdout, shown.stdout):
        assert " cached input " in expected
        assert f" {share:.0%} " in expected
