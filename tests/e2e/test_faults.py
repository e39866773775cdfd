"""An API that fails from a seed and servers that are killed: nothing is lost or doubled."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.support.cli import SERVERS, Result, write_jsonl
from tests.support.faults import FAULTS, Faulty
from tests.support.forks import Forks
from tests.support.messages_api import Answer, MessagesApi, calls, scripted, text

COUNTING = SERVERS / "counting.py"


QUERIES = 200

KILLED_EACH = 25

RATE = 0.2


def conversations() -> dict[str, list[Answer]]:
    """Two hundred conversations of one to three turns; every input is another, so that calls can be told apart."""
    return {
        f"Query {number}": [*(calls(("add", {"a": number, "b": turn})) for turn in range(number % 3)), text("Done.")]
        for number in range(QUERIES)
    }


def asked(mcprun: Forks, folder: Path, answer: Faulty, *flags: str | int) -> Result:
    """Run the queries against an API that answers like this, and a server that dies."""
    queries = [{"id": f"q{number}", "prompt": prompt} for number, prompt in enumerate(conversations())]
    write_jsonl(folder / "p.jsonl", *queries)
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        server = ("--", str(folder / "calls"), str(KILLED_EACH))
        flags = ("--max-retry-wait", "0.2", "--request-timeout", "3", "--restarts", "99", *flags, *server)
        return mcprun.run("batch", "p.jsonl", COUNTING, *map(str, flags), cwd=folder, env=env)


def test_two_hundred_queries_among_faults(mcprun: Forks, tmp_path: Path) -> None:
    """With 20 % of the requests faulted and the server killed every 25 calls: 200 transcripts, each once, all passed.

    The calls that the server has answered are those that the trace holds with an answer, no more and no less.
    """
    answer = Faulty(scripted(conversations()), seed=2, rate=RATE)
    done = asked(mcprun, tmp_path, answer, "--concurrency", 16)
    assert done.code == 0
    assert [one["id"] for one in done.transcripts] == [f"q{number}" for number in range(QUERIES)]
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
    unanswered = [event["problem"] for event in tool_calls if event["is_error"]]
    assert set(unanswered) <= {"server_died"}
    kills = executed.total() // KILLED_EACH
    assert kills >= 7
    assert len([event for event in done.trace if event["event"] == "server_exit" and event["died"]]) == kills
    restarts = len([event for event in done.trace if event["event"] == "server_restart"])
    assert kills - restarts in (0, 1)  # nobody needs a server any more that dies with the last call of all

    retries = [event for event in done.trace if event["event"] == "retry"]
    assert len(retries) == answer.made.total()
    assert all(event["wait"] <= 0.2 for event in retries)
    statuses = Counter(str(event["status"]) for event in retries if "status" in event)
    assert statuses["429"] == answer.made["429"]
    last = {(one["id"], call["input"]["b"]) for one in done.transcripts for call in one["calls"]}
    assert len(last) == sum(len(turns) - 1 for turns in conversations().values())


def test_the_same_faults_give_the_same_transcripts(mcprun: Forks, tmp_path: Path) -> None:
    """What is retried leaves no mark: but for tokens and attempts, the run is the one of an API without faults."""

    def essence(done: Result) -> list[object]:
        kept = ("id", "verdict", "stop", "text", "calls", "checks", "error")
        return [{key: one[key] for key in kept} for one in done.transcripts]

    (tmp_path / "faulty").mkdir()
    (tmp_path / "sound").mkdir()
    faulty = asked(mcprun, tmp_path / "faulty", Faulty(scripted(conversations()), seed=3, rate=RATE, silent=False))
    sound = asked(mcprun, tmp_path / "sound", Faulty(scripted(conversations()), seed=3, rate=0.0))
    assert essence(faulty) == essence(sound)
