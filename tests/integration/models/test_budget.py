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


def spending(
    mcprun: Forks, folder: Path, *flags: str, usage: Body | None, resume: bool = False, queries: int = 8
) -> Result:
    """Run queries of two turns, each of which takes so many tokens, one query after the other."""

    def answer(body: Body) -> Answer:
        content = (
            [{"type": "tool_use", "name": "ok", "input": {}}] if not turn_of(body) else [{"type": "text", "text": "x"}]
        )
        reply = message(content, stop_reason="end_turn" if turn_of(body) else "tool_use")
        return {**reply, "usage": {**usage} if usage else {"input_tokens": None, "output_tokens": None}}

    write_jsonl(folder / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}"} for n in range(queries)))
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        what = ("--resume", "run") if resume else ("p.jsonl", RAW, "--concurrency", "1", "--out", "run")
        return mcprun.run("batch", *what, *flags, cwd=folder, env=env)


TEN = {"input_tokens": 4, "output_tokens": 3, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 1}


def test_a_budget_of_tokens(mcprun: Forks, tmp_path: Path) -> None:
    """It ends the run in the middle of a query, which is told and not counted as tried; a resume counts what was spent."""
    done = spending(mcprun, tmp_path, "--budget-tokens", "50", usage=TEN)
    assert done.code == 3
    assert list(done.verdicts.values()) == ["passed"] * 2 + ["skipped"] * 6
    cut, untried = done.transcripts[2:4]
    assert (len(cut["turns"]), len(cut["calls"]), cut["error"]["kind"]) == (1, 1, "budget")
    assert untried["error"]["message"] == "not started: the run has spent 50 of 50 tokens (--budget-tokens)"
    assert "Error: the run has spent 50 of 50 tokens" in done.stderr
    assert "mcprun batch --resume run" in done.stderr
    again = spending(mcprun, tmp_path, "--budget-tokens", "80", usage=TEN, resume=True)
    assert (
        list(again.verdicts.values()) == ["passed"] * 3 + ["skipped"] * 5
    )  # the cut query's turn was paid for as well
    whole = spending(mcprun, tmp_path, "--budget-tokens", "999", usage=TEN, resume=True)
    assert (whole.code, set(whole.verdicts.values())) == (0, {"passed"})
    assert whole.record["counts"]["usage"]["input_tokens"] == 4 * 16


def test_lanes_share_a_budget(mcprun: Forks, tmp_path: Path) -> None:
    """At concurrency 32 a budget for four replies pays four: each reserves what it is expected to take."""
    write_jsonl(tmp_path / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}"} for n in range(10, 42)))
    with MessagesApi(lambda _: {**text("x"), "usage": {"input_tokens": 900, "output_tokens": 100}}) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        flags = ("--concurrency", "32", "--budget-tokens", "4000")
        done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env=env)
        assert sum(reply.status == 200 for reply in api.replies) == 4
    assert Counter(done.verdicts.values()) == {"passed": 4, "skipped": 28}
    assert done.record["error"]["message"] == "the run has spent 4,000 of 4,000 tokens (--budget-tokens)"


def test_a_budget_of_dollars(mcprun: Forks, tmp_path: Path) -> None:
    """It is counted with each model's own price."""
    cost = priced(input_tokens=4, output_tokens=3, cache_creation_input_tokens=2, cache_read_input_tokens=1)
    done = spending(mcprun, tmp_path, "--budget-usd", f"{cost * 5.5:.9f}", usage=TEN)
    assert (done.code, list(done.verdicts.values())) == (3, ["passed"] * 3 + ["skipped"] * 5)
    assert " (--budget-usd)" in done.stderr


def test_a_budget_of_dollars_counts_the_hour_in_the_cache(mcprun: Forks, tmp_path: Path) -> None:
    """A reply that wrote a million tokens for an hour costs $4 and not $2.50; the transcript and the trace keep the split."""
    split = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": MILLION}
    usage = {**dict.fromkeys(TEN, 0), "cache_creation_input_tokens": MILLION, "cache_creation": split}
    done = spending(mcprun, tmp_path, "--budget-usd", "3", usage=usage, queries=2)
    assert (done.code, done.transcripts[0]["verdict"]) == (3, "skipped")
    assert "the run has spent $4.0000 of $3.0000 (--budget-usd)" in done.stderr
    assert done.transcripts[0]["usage"]["cache_creation"] == split
    assert [event["usage"]["cache_creation"] for event in done.trace if event["event"] == "model_call"] == [split]


def test_tokens_that_nobody_counted(mcprun: Forks, tmp_path: Path) -> None:
    """A reply without usage counts with all that it may have taken, and is warned of once."""
    done = spending(mcprun, tmp_path, "--budget-tokens", "3500", "--max-tokens", "1000", usage=None)
    assert list(done.verdicts.values())[:2] == ["passed", "skipped"]
    assert done.stderr.count("reports no token usage") == 1


def test_prices_that_are_not_installed(tmp_path: Path) -> None:
    """`--budget-usd` without the package is refused before anything runs, and says what to install."""
    write_jsonl(tmp_path / "p.jsonl", script())
    hidden = "import sys; sys.modules['genai_prices'] = None; from mcprun.cli import main; main()"
    command = [sys.executable, "-c", hidden, "batch", "p.jsonl", str(RAW), "--budget-usd", "1"]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "Error: --budget-usd needs prices: pip install 'mcprun[prices]'\n"


def test_a_recording_costs_nothing(mcprun: Forks, tmp_path: Path) -> None:
    """A replay repeats the tokens of its recording, and has no budget to spend."""
    spending(mcprun, tmp_path, usage=TEN, queries=3)
    done = mcprun.run("batch", "p.jsonl", RAW, "--model", "replay:run", "--budget-tokens", "1", cwd=tmp_path)
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})


def test_too_many_failures(mcprun: Forks, tmp_path: Path) -> None:
    """Failures and errors count alike; what is in flight then ends by itself, and no more is started."""
    queries = [script(("ok", {}), id=f"q{number}") for number in range(9)]
    queries[1]["expect"] = {"text": {"contains": "no"}}
    queries[3]["script"] = [{"calls": [{"tool": "die"}]}]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--concurrency", "1", "--max-failures", "2", "--out", "run")
    done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path)
    assert (done.code, list(done.verdicts.values())) == (1, ["passed", "failed", "passed", "error"] + ["skipped"] * 5)
    assert "Error: queries that did not pass: 2 (--max-failures 2)" in done.stderr
    assert mcprun.run("batch", "--resume", "run", cwd=tmp_path).bytes == done.bytes
    again = mcprun.run("batch", "--resume", "run", "--max-failures", "3", cwd=tmp_path)
    assert list(again.verdicts.values()) == ["passed", "failed", "passed", "error"] + ["passed"] * 5


@pytest.mark.parametrize(("limit", "stop", "made"), [(5, "end_turn", 5), (4, "max_calls", 2)])
def test_too_many_calls(mcprun: Forks, tmp_path: Path, limit: int, stop: str, made: int) -> None:
    """A query that asks for more calls than it may make fails, and none of that turn's calls is made."""
    turns: list[dict[str, Any]] = [{"calls": [{"tool": "ok"}] * 2}, {"calls": [{"tool": "ok"}] * 3}, {"text": "x"}]
    write_jsonl(tmp_path / "p.jsonl", {"id": "q", "prompt": "x", "script": turns})
    done = mcprun.run("batch", "p.jsonl", RAW, "--max-calls", str(limit), cwd=tmp_path)
    (one,) = done.transcripts
    assert (one["stop"], len(one["calls"])) == (stop, made)
    assert one["verdict"] == ("passed" if stop == "end_turn" else "failed")


def test_a_budget_lets_paid_requests_end(mcprun: Forks, tmp_path: Path) -> None:
    """What is in flight when the budget is met still counts: its answers are paid for."""
    write_jsonl(tmp_path / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}"} for n in range(4)))
    with MessagesApi(lambda body: text("x") if turn_of(body) else calls(("ok", {}))) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        flags = ("--concurrency", "4", "--budget-tokens", "1")
        done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env=env)
    assert set(done.verdicts.values()) == {"skipped"}
    assert all(len(one["turns"]) <= 1 for one in done.transcripts)
    assert any(one["calls"] for one in done.transcripts)


def test_what_waits_for_its_turn_is_not_asked_any_more(mcprun: Forks, tmp_path: Path) -> None:
    """Requests that a rate limit holds back when the budget is spent are never sent."""
    write_jsonl(tmp_path / "p.jsonl", *({"id": f"q{n}", "prompt": f"Query {n}"} for n in range(12)))
    seen = Counter[str]()

    def answer(body: Body) -> Answer:
        seen["all"] += 1
        first = seen["all"] <= 12
        return error(429, "rate_limit_error", "Slow down", headers={"retry-after-ms": "200"}) if first else content

    content = {**text("x"), "usage": {"input_tokens": 10, "output_tokens": 10}}
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        flags = ("--concurrency", "12", "--budget-tokens", "20")
        done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env=env)
        paid = sum(reply.status == 200 for reply in api.replies)
    assert (done.code, set(done.verdicts.values())) == (3, {"passed", "skipped"})
    assert paid <= 6  # those that were in flight together; half of twelve, since the API had throttled


def test_a_resume_remembers_what_was_spent(mcprun: Forks, tmp_path: Path) -> None:
    """Also on queries that were cut off, which leave no transcript to count."""
    first = spending(mcprun, tmp_path, "--budget-tokens", "15", usage=TEN)
    assert list(first.verdicts.values())[:2] == ["passed", "skipped"]
    again = spending(mcprun, tmp_path, usage=TEN, resume=True)
    assert (again.code, again.bytes.count(b"passed") - first.bytes.count(b"passed"), again.trace[-1]["event"]) == (
        3, 0, "server_exit"
    )  # fmt: skip


def test_tokens_below_nothing_are_no_answer(mcprun: Forks, tmp_path: Path) -> None:
    """A count that would give money back is one that can't be read."""
    done = spending(mcprun, tmp_path, "--no-retry", usage={"input_tokens": -5, "output_tokens": 5}, queries=1)
    assert done.transcripts[0]["error"]["kind"] == "api_error"
