"""Replays: a recording against a live server, and results that differ from the recording."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import EXAMPLE_SERVERS, SERVERS, Result, run_mcprun, script, stdlib_server, write_jsonl
from tests.support.shop import REGRESSION, good, recorded

__all__ = ["good", "recorded"]


def replay(folder: Path, server: str, *flags: str) -> Result:
    """Play the recording back against a version of the shop."""
    prompts = REGRESSION / "regression.jsonl"
    return run_mcprun("batch", prompts, EXAMPLE_SERVERS / server, "--model", "replay:good", *flags, cwd=folder)


def test_the_same_server_does_not_diverge(tmp_path: Path, good: Result) -> None:
    """The same bytes come out, and the summary says that nothing diverged."""
    done = replay(tmp_path, "shop.py", "--on-divergence", "stop")
    assert (done.code, done.bytes, done.record["counts"]["diverged"]) == (0, good.bytes, 0)
    assert "diverged" in done.stdout


@pytest.mark.parametrize(
    ("policy", "code", "verdict", "stop"),
    [("continue", 0, "passed", "end_turn"), ("fail", 1, "failed", "end_turn"), ("stop", 1, "failed", "diverged")],
)
def test_what_becomes_of_a_query_that_diverges(
    tmp_path: Path, good: Result, policy: str, code: int, verdict: str, stop: str
) -> None:
    """Its call is marked and counted; by the policy it goes on, fails, or stops there."""
    done = replay(tmp_path, "shop_free_shipping.py", "--on-divergence", policy)
    one = done.transcripts[1]
    assert (done.code, one["verdict"], one["stop"], one["calls"][0]["diverged"]) == (code, verdict, stop, True)
    assert [other["verdict"] for other in done.transcripts] == ["passed", verdict, "passed"]
    assert done.record["counts"]["diverged"] == 1
    message = [check["message"] for check in one["checks"] if check["check"] == "diverged"]
    assert len(message) == (policy != "continue")
    if message:
        assert message[0].startswith('call 0: total{items: {"apple": 2, "milk": 1}} was recorded with \'{ "goods": 2.1')
        assert '"shipping": 0.0' in message[0]


def test_what_does_not_count(tmp_path: Path, good: Result) -> None:
    """`--ignore` and `--scrub` say what may differ."""
    flags = ("--on-divergence", "fail", "--ignore", "calls[*].result.shipping")
    done = replay(tmp_path, "shop_free_shipping.py", *flags)
    assert (done.code, done.record["counts"]["diverged"]) == (0, 0)


STATS = stdlib_server("""
server = StdlibServer("stats")

@server.tool()
def stats() -> dict:
    "Return some numbers."
    return {"count": 1, "mean": "NaN"}

server.run()
""")


def test_numbers_diverge_by_value(tmp_path: Path) -> None:
    """1.0 does not diverge from 1, nor does NaN, as an older recording has it; true does."""
    (tmp_path / "stats.py").write_text(STATS)
    prompts = write_jsonl(tmp_path / "p.jsonl", *(script(("stats", {}), id=name) for name in "ab"))
    good = run_mcprun("batch", prompts, "stats.py", "--out", "good", cwd=tmp_path)
    edits = ((1.0, math.nan), (True, "NaN"))
    for line, (count, mean) in zip(lines := good.transcripts, edits, strict=True):
        line["calls"][0]["structured"] = {"count": count, "mean": mean}
        line["calls"][0]["content"][0]["text"] = json.dumps({"count": count, "mean": mean})
    write_jsonl(good.run / "transcripts.jsonl", *lines)
    assert "NaN}" in (good.run / "transcripts.jsonl").read_text()
    done = run_mcprun("batch", prompts, "stats.py", "--model", "replay:good", "--out", "again", cwd=tmp_path)
    assert [one["calls"][0]["diverged"] for one in done.transcripts] == [False, True]
    stdout = run_mcprun("diff", "good", "again", "--json", cwd=tmp_path).stdout
    changes = [change for line in stdout.splitlines() for change in json.loads(line).get("changes", ())]
    assert [change["what"] for change in changes] == ["result"]


def test_an_error_in_place_of_a_result_diverges(tmp_path: Path, good: Result) -> None:
    """So does a call of a tool that is gone."""
    done = replay(tmp_path, "shop_renamed.py")
    assert (done.code, done.record["counts"]["diverged"]) == (1, 1)
    assert done.transcripts[0]["calls"][0]["diverged"]


def test_secrets_do_not_diverge(tmp_path: Path) -> None:
    """The recording holds them replaced, and so are live results before they are compared."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {"card": "card-1234"})))
    flags = ("--redact", r"card-\d+", "--out", "good")
    assert run_mcprun("batch", prompts, SERVERS / "raw.py", *flags, cwd=tmp_path).code == 0
    again = ("--model", "replay:good", "--redact", r"card-\d+", "--on-divergence", "fail")
    done = run_mcprun("batch", prompts, SERVERS / "raw.py", *again, cwd=tmp_path)
    assert json.dumps(done.transcripts[0]["calls"][0]["input"]) == '{"card": "[redacted]"}'
    assert (done.code, done.record["counts"]["diverged"]) == (0, 0)


def test_where_a_long_result_diverges(tmp_path: Path) -> None:
    """The message shows what differs, however far on it stands, and in what where no text does."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {"x": "word " * 200})))
    done = run_mcprun("batch", prompts, SERVERS / "raw.py", "--out", "good", cwd=tmp_path)
    (recorded,) = done.transcripts
    (call,) = recorded["calls"]
    again = ("batch", prompts, SERVERS / "raw.py", "--model", "replay:good", "--on-divergence", "fail")
    for change, expected in (
        ({"content": [{"type": "text", "text": call["content"][0]["text"] + "!"}]}, """word "}]!', got '…"""),
        ({"structured": {"n": 1}}, '"structured": {"n": 1}}, got …'),
    ):
        write_jsonl(done.run / "transcripts.jsonl", {**recorded, "calls": [{**call, **change}]})
        (checks,) = (one["checks"] for one in run_mcprun(*again, cwd=tmp_path).transcripts)
        (message,) = (check["message"] for check in checks if check["check"] == "diverged")
        assert expected in message


def damaged(recorded: dict[str, Any], how: str) -> dict[str, Any]:
    """Take something from a recorded transcript of two turns, in which a call is made."""
    turns, calls, messages = (recorded[key] for key in ("turns", "calls", "messages"))
    match how:
        case "no messages":
            return {**recorded, "messages": []}
        case "no last message":
            return {**recorded, "messages": messages[:-1]}
        case "no last turn":
            return {**recorded, "turns": turns[:-1]}
        case "neither":
            return {**recorded, "messages": messages[:-2], "turns": turns[:-1]}
        case "no call":
            return {**recorded, "calls": []}
        case "one call more":
            return {**recorded, "calls": [*calls, *calls]}
        case "no content":
            return {**recorded, "messages": [{"role": message["role"]} for message in messages]}
    return {**recorded, "given": {"messages": 99, "diverged": False}}


DAMAGES = {
    "no messages": "turns of the model: 2, messages of the model: 0",
    "no last message": "turns of the model: 2, messages of the model: 1",
    "no last turn": "turns of the model: 1, messages of the model: 2",
    "neither": "has no turn 1 (turns: 1, stop: ",
    "no call": "calls in turn 0: 1, calls recorded: 0",
    "one call more": "calls in turn 0: 1, calls recorded: 2",
    "no content": "the message of turn 0 is not a list of content blocks",
    "given": "99 messages from the server, but only 4 in all",
}


def test_a_recording_that_lacks_something_is_an_error_of_its_query(tmp_path: Path) -> None:
    """It says what was expected, what there is, and what to do; the other queries are played."""
    names = [*DAMAGES, "whole"]
    prompts = write_jsonl(tmp_path / "p.jsonl", *(script(("ok", {}), id=name) for name in names))
    done = run_mcprun("batch", prompts, SERVERS / "raw.py", "--out", "good", cwd=tmp_path)
    (tmp_path / "good" / "queries.jsonl").unlink()
    write_jsonl(
        done.run / "transcripts.jsonl",
        *(damaged(one, one["id"]) if one["id"] != "whole" else one for one in done.transcripts),
    )
    again = run_mcprun("batch", prompts, SERVERS / "raw.py", "--model", "replay:good", cwd=tmp_path)
    assert (again.code, again.verdicts) == (3, {name: "error" if name != "whole" else "passed" for name in names})
    assert "Traceback" not in again.stderr
    for one in again.transcripts[:-1]:
        assert one["error"]["kind"] == "not_recorded"
        assert DAMAGES[one["id"]] in one["error"]["message"]
    assert "; record the query again, or replay another run" in again.transcripts[0]["error"]["message"]
