"""A run stops when its budget is spent."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import RAW, Result, clean_environment, script, write_jsonl
from tests.support.forks import Forks
from tests.support.messages_api import Answer, Body, MessagesApi, calls, error, message, text, turn_of
from tests.support.prices import priced

MILLION = 1_000_000


def run_with_usage(
    mcprun: Forks, folder: Path, *flags: str, usage: Body | None, resume: bool = False, queries: int = 8
) -> Result:
    """Run queries of two turns one at a time, where each turn reports `usage`."""

    def answer(body: Body) -> Answer:
        content = (
            [{"type": "tool_use", "name": "ok", "input": {}}] if not turn_of(body) else [{"type": "text", "text": "x"}]
        )
        reply = message(content, stop_reason="end_turn" if turn_of(body) else "tool_use")
        return {**reply, "usage": {**usage} if usage else {"input_tokens": None, "output_tokens": None}}

    write_jsonl(folder / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}"} for n in range(queries)))
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        source = ("--resume", "run") if resume else ("p.jsonl", RAW, "--concurrency", "1", "--out", "run")
        return mcprun.run("batch", *source, *flags, cwd=folder, env=env)


TEN = {"input_tokens": 4, "output_tokens": 3, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 1}


def test_token_budget_ends_the_run(mcprun: Forks, tmp_path: Path) -> None:
    """At `--budget-tokens` the run stops within a query, which is skipped; a resume counts the tokens spent before."""
    done = run_with_usage(mcprun, tmp_path, "--budget-tokens", "50", usage=TEN)
    assert done.code == 3
    assert list(done.verdicts.values()) == ["passed"] * 2 + ["skipped"] * 6
    cut, untried = done.transcripts[2:4]
    assert (len(cut["turns"]), len(cut["calls"]), cut["error"]["kind"]) == (1, 1, "budget")
    assert untried["error"]["message"] == "not started: the run has spent 50 of 50 tokens (--budget-tokens)"
    assert "Error: the run has spent 50 of 50 tokens" in done.stderr
    assert "mcprun batch --resume run" in done.stderr
    resumed = run_with_usage(mcprun, tmp_path, "--budget-tokens", "80", usage=TEN, resume=True)
    assert (
        list(resumed.verdicts.values()) == ["passed"] * 3 + ["skipped"] * 5
    )  # the cut query's turn was paid for as well
    completed = run_with_usage(mcprun, tmp_path, "--budget-tokens", "999", usage=TEN, resume=True)
    assert (completed.code, set(completed.verdicts.values())) == (0, {"passed"})
    assert completed.record["counts"]["usage"]["input_tokens"] == 4 * 16


def test_concurrent_queries_share_a_budget(mcprun: Forks, tmp_path: Path) -> None:
    """At concurrency 32, a budget for four replies pays for four: each request reserves its expected tokens."""
    write_jsonl(tmp_path / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}"} for n in range(10, 42)))
    with MessagesApi(lambda _: {**text("x"), "usage": {"input_tokens": 900, "output_tokens": 100}}) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        flags = ("--concurrency", "32", "--budget-tokens", "4000")
        done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env=env)
        assert sum(reply.status == 200 for reply in api.replies) == 4
    assert Counter(done.verdicts.values()) == {"passed": 4, "skipped": 28}
    assert done.record["error"]["message"] == "the run has spent 4,000 of 4,000 tokens (--budget-tokens)"


def test_dollar_budget_ends_the_run(mcprun: Forks, tmp_path: Path) -> None:
    """`--budget-usd` counts each reply at its model's price."""
    cost = priced(input_tokens=4, output_tokens=3, cache_creation_input_tokens=2, cache_read_input_tokens=1)
    done = run_with_usage(mcprun, tmp_path, "--budget-usd", f"{cost * 5.5:.9f}", usage=TEN)
    assert (done.code, list(done.verdicts.values())) == (3, ["passed"] * 3 + ["skipped"] * 5)
    assert " (--budget-usd)" in done.stderr


def test_dollar_budget_counts_one_hour_cache_writes(mcprun: Forks, tmp_path: Path) -> None:
    """A million tokens written to the one-hour cache cost $4, not $2.50; transcript and trace keep the split."""
    split = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": MILLION}
    usage = {**dict.fromkeys(TEN, 0), "cache_creation_input_tokens": MILLION, "cache_creation": split}
    done = run_with_usage(mcprun, tmp_path, "--budget-usd", "3", usage=usage, queries=2)
    assert (done.code, done.transcripts[0]["verdict"]) == (3, "skipped")
    assert "the run has spent $4.0000 of $3.0000 (--budget-usd)" in done.stderr
    assert done.transcripts[0]["usage"]["cache_creation"] == split
    assert [event["usage"]["cache_creation"] for event in done.trace if event["event"] == "model_call"] == [split]


def test_reply_without_usage_counts_its_maximum(mcprun: Forks, tmp_path: Path) -> None:
    """A reply without usage counts with the tokens it may have taken at most, and one warning is printed."""
    done = run_with_usage(mcprun, tmp_path, "--budget-tokens", "3500", "--max-tokens", "1000", usage=None)
    assert list(done.verdicts.values())[:2] == ["passed", "skipped"]
    assert done.stderr.count("reports no token usage") == 1


def test_budget_usd_requires_the_prices_package(tmp_path: Path) -> None:
    """Without genai-prices, `--budget-usd` is refused before anything runs, and the message names the extra."""
    write_jsonl(tmp_path / "p.jsonl", script())
    hidden = "import sys; sys.modules['genai_prices'] = None; from mcprun.cli import main; main()"
    command = [sys.executable, "-c", hidden, "batch", "p.jsonl", str(RAW), "--budget-usd", "1"]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "Error: --budget-usd needs prices: pip install 'mcprun[prices]'\n"


def test_replay_spends_no_budget(mcprun: Forks, tmp_path: Path) -> None:
    """A replay repeats the recorded usage, but spends nothing of a budget."""
    run_with_usage(mcprun, tmp_path, usage=TEN, queries=3)
    done = mcprun.run("batch", "p.jsonl", RAW, "--model", "replay:run", "--budget-tokens", "1", cwd=tmp_path)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})


def test_max_failures_ends_the_run(mcprun: Forks, tmp_path: Path) -> None:
    """Failures and errors both count towards `--max-failures`; afterwards no query starts."""
    queries = [script(("ok", {}), id=f"q{number}") for number in range(9)]
    queries[1]["expect"] = {"text": {"contains": "no"}}
    queries[3]["script"] = [{"calls": [{"tool": "die"}]}]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--concurrency", "1", "--max-failures", "2", "--out", "run")
    done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path)
    assert (done.code, list(done.verdicts.values())) == (1, ["passed", "failed", "passed", "error"] + ["skipped"] * 5)
    assert "Error: 2 queries did not pass (limit `--max-failures 2`)" in done.stderr
    assert mcprun.run("batch", "--resume", "run", cwd=tmp_path).bytes == done.bytes
    resumed = mcprun.run("batch", "--resume", "run", "--max-failures", "3", cwd=tmp_path)
    assert list(resumed.verdicts.values()) == ["passed", "failed", "passed", "error"] + ["passed"] * 5


@pytest.mark.parametrize(("limit", "stop", "count"), [(5, "end_turn", 5), (4, "max_calls", 2)])
def test_query_with_too_many_calls_fails(mcprun: Forks, tmp_path: Path, limit: int, stop: str, count: int) -> None:
    """A query that exceeds `--max-calls` fails, and none of that turn's calls is made."""
    turns: list[dict[str, Any]] = [{"calls": [{"tool": "ok"}] * 2}, {"calls": [{"tool": "ok"}] * 3}, {"text": "x"}]
    write_jsonl(tmp_path / "p.jsonl", {"id": "q", "prompt": "x", "script": turns})
    done = mcprun.run("batch", "p.jsonl", RAW, "--max-calls", str(limit), cwd=tmp_path)
    (one,) = done.transcripts
    assert (one["stop"], len(one["calls"])) == (stop, count)
    assert one["verdict"] == ("passed" if stop == "end_turn" else "failed")


def test_requests_in_flight_finish_when_the_budget_is_spent(mcprun: Forks, tmp_path: Path) -> None:
    """Requests in flight when the budget is spent finish, and their replies are recorded."""
    write_jsonl(tmp_path / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}"} for n in range(4)))
    with MessagesApi(lambda body: text("x") if turn_of(body) else calls(("ok", {}))) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        flags = ("--concurrency", "4", "--budget-tokens", "1")
        done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env=env)
    assert set(done.verdicts.values()) == {"skipped"}
    assert all(len(one["turns"]) <= 1 for one in done.transcripts)
    assert any(one["calls"] for one in done.transcripts)


def test_throttled_requests_are_not_sent_after_the_budget_is_spent(mcprun: Forks, tmp_path: Path) -> None:
    """Requests that are waiting for the rate limit when the budget is spent are never sent."""
    write_jsonl(tmp_path / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}"} for n in range(12)))
    counter = Counter[str]()

    def answer(body: Body) -> Answer:
        counter["all"] += 1
        first = counter["all"] <= 12
        return error(429, "rate_limit_error", "Slow down", headers={"retry-after-ms": "200"}) if first else content

    content = {**text("x"), "usage": {"input_tokens": 10, "output_tokens": 10}}
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        flags = ("--concurrency", "12", "--budget-tokens", "20")
        done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env=env)
        paid = sum(reply.status == 200 for reply in api.replies)
    assert (done.code, set(done.verdicts.values())) == (3, {"passed", "skipped"})
    assert paid <= 6  # those that were in flight together; half of twelve, since the API had throttled


def test_resume_counts_replies_of_skipped_queries(mcprun: Forks, tmp_path: Path) -> None:
    """A resume also counts replies to queries that were cut off and left no usage in a transcript."""
    first = run_with_usage(mcprun, tmp_path, "--budget-tokens", "15", usage=TEN)
    assert list(first.verdicts.values())[:2] == ["passed", "skipped"]
    resumed = run_with_usage(mcprun, tmp_path, usage=TEN, resume=True)
    assert (resumed.code, resumed.bytes.count(b"passed") - first.bytes.count(b"passed"), resumed.trace[-1]["event"]) == (
        3, 0, "server_exit"
    )  # fmt: skip


def test_negative_usage_is_an_error(mcprun: Forks, tmp_path: Path) -> None:
    """A reply with a negative token count is an error of the API."""
    done = run_with_usage(mcprun, tmp_path, "--no-retry", usage={"input_tokens": -5, "output_tokens": 5}, queries=1)
    assert done.transcripts[0]["error"]["kind"] == "api_error"
