"""With a faulty API and servers that are killed, no query and no call is lost or repeated."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.support.cli import SERVERS, Result, write_jsonl
from tests.support.faults import FAULTS, Faulty
from tests.support.forks import Forks
from tests.support.messages_api import Answer, MessagesApi, calls, scripted, text

pytestmark = pytest.mark.usefixtures("each_transport")

COUNTING = SERVERS / "counting.py"


QUERIES = 200

CALLS_PER_SERVER = 25

RATE = 0.2


def conversations() -> dict[str, list[Answer]]:
    """Return 200 conversations of one to three turns. All inputs differ, so that each call is identifiable."""
    return {
        f"Query {number}": [*(calls(("add", {"a": number, "b": turn})) for turn in range(number % 3)), text("Done.")]
        for number in range(QUERIES)
    }


def run_queries(mcprun: Forks, folder: Path, answer: Faulty, *flags: str | int) -> Result:
    """Run the queries against an API with this `answer` and a server that exits every `CALLS_PER_SERVER` calls."""
    queries = [{"id": f"q{number}", "prompt": prompt} for number, prompt in enumerate(conversations())]
    write_jsonl(folder / "p.jsonl", *queries)
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        server = ("--", str(folder / "calls"), str(CALLS_PER_SERVER))
        flags = ("--max-retry-wait", "0.2", "--request-timeout", "3", "--restarts", "99", *flags, *server)
        return mcprun.run("batch", "p.jsonl", COUNTING, *map(str, flags), cwd=folder, env=env)


def test_two_hundred_queries_pass_despite_faults(mcprun: Forks, tmp_path: Path) -> None:
    """With 20 % faulty requests and a server killed every 25 calls, each of 200 queries has one passed transcript.

    The calls that the server executed are exactly those that have a result in the trace.
    """
    answer = Faulty(scripted(conversations()), seed=2, rate=RATE)
    done = run_queries(mcprun, tmp_path, answer, "--concurrency", 16)
    assert done.code == 0
    assert [transcript["id"] for transcript in done.transcripts] == [f"q{number}" for number in range(QUERIES)]
    assert set(done.verdicts.values()) == {"passed"}
    assert set(answer.made) == set(FAULTS)

    executed = Counter((tmp_path / "calls").read_text().splitlines())
    tool_calls = [event for event in done.trace if event["event"] == "tool_call"]
    answered = Counter(
        f"add {json.dumps(event['input'], sort_keys=True, separators=(',', ':'))}"
        for event in tool_calls
        if not event["is_error"]
    )
    assert executed == answered
    problems = [event["problem"] for event in tool_calls if event["is_error"]]
    assert set(problems) <= {"server_died"}
    kills = executed.total() // CALLS_PER_SERVER
    assert kills >= 7
    assert len([event for event in done.trace if event["event"] == "server_exit" and event["died"]]) == kills
    restarts = len([event for event in done.trace if event["event"] == "server_restart"])
    assert kills - restarts in (0, 1)  # a server that dies on the very last call is not restarted

    retries = [event for event in done.trace if event["event"] == "retry"]
    assert len(retries) == answer.made.total()
    assert all(event["wait"] <= 0.2 for event in retries)
    statuses = Counter(str(event["status"]) for event in retries if "status" in event)
    assert statuses["429"] == answer.made["429"]
    calls_in_transcripts = {
        (transcript["id"], call["input"]["b"]) for transcript in done.transcripts for call in transcript["calls"]
    }
    assert len(calls_in_transcripts) == sum(len(turns) - 1 for turns in conversations().values())


def test_retried_faults_do_not_change_the_transcripts(mcprun: Forks, tmp_path: Path) -> None:
    """Apart from tokens and attempts, a run with retried faults equals a run without faults."""

    def stable_fields(done: Result) -> list[object]:
        names = ("id", "verdict", "stop", "text", "calls", "checks", "error")
        return [{key: transcript[key] for key in names} for transcript in done.transcripts]

    (tmp_path / "faulty").mkdir()
    (tmp_path / "sound").mkdir()
    faulty = run_queries(
        mcprun, tmp_path / "faulty", Faulty(scripted(conversations()), seed=3, rate=RATE, silent=False)
    )
    healthy = run_queries(mcprun, tmp_path / "sound", Faulty(scripted(conversations()), seed=3, rate=0.0))
    assert stable_fields(faulty) == stable_fields(healthy)
