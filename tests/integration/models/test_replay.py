"""Replays against a live server, and results that differ from the recording."""

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
    """Replay the recording against a version of the shop."""
    prompts = REGRESSION / "regression.jsonl"
    return run_mcprun("batch", prompts, EXAMPLE_SERVERS / server, "--model", "replay:good", *flags, cwd=folder)


def test_unchanged_server_does_not_diverge(tmp_path: Path, good: Result) -> None:
    """The transcripts are the same bytes, and the summary counts no divergence."""
    done = replay(tmp_path, "shop.py", "--on-divergence", "stop")
    assert (done.code, done.bytes, done.record["counts"]["diverged"]) == (0, good.bytes, 0)
    assert "diverged" in done.stdout


@pytest.mark.parametrize(
    ("policy", "code", "verdict", "stop"),
    [("continue", 0, "passed", "end_turn"), ("fail", 1, "failed", "end_turn"), ("stop", 1, "failed", "diverged")],
)
def test_on_divergence_decides_what_happens_to_a_query(
    tmp_path: Path, good: Result, policy: str, code: int, verdict: str, stop: str
) -> None:
    """A diverged call is marked and counted; by `--on-divergence` its query continues, fails, or stops there."""
    done = replay(tmp_path, "shop_free_shipping.py", "--on-divergence", policy)
    one = done.transcripts[1]
    assert (done.code, one["verdict"], one["stop"], one["calls"][0]["diverged"]) == (code, verdict, stop, True)
    assert [other["verdict"] for other in done.transcripts] == ["passed", verdict, "passed"]
    assert done.record["counts"]["diverged"] == 1
    message = [check["message"] for check in one["checks"] if check["check"] == "diverged"]
    assert len(message) == (policy != "continue")
    if message:
        call = 'call 0: total{items: {"apple": 2, "milk": 1}}'
        assert message[0].startswith(f"{call} differs from the recording: shipping: recorded ")


def test_ignored_difference_does_not_diverge(tmp_path: Path, good: Result) -> None:
    """A difference excluded by `--ignore` does not count as diverged."""
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


def test_numbers_are_compared_by_value(tmp_path: Path) -> None:
    """1.0 equals 1, and NaN in an older recording equals the string NaN; true does not equal 1."""
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


def test_call_of_a_removed_tool_diverges(tmp_path: Path, good: Result) -> None:
    """A call of a tool that the server no longer has counts as diverged."""
    done = replay(tmp_path, "shop_renamed.py")
    assert (done.code, done.record["counts"]["diverged"]) == (1, 1)
    assert done.transcripts[0]["calls"][0]["diverged"]


def test_redacted_values_do_not_diverge(tmp_path: Path) -> None:
    """Live results are redacted before they are compared with the redacted recording."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {"card": "card-1234"})))
    flags = ("--redact", r"card-\d+", "--out", "good")
    assert run_mcprun("batch", prompts, SERVERS / "raw.py", *flags, cwd=tmp_path).code == 0
    replay_flags = ("--model", "replay:good", "--redact", r"card-\d+", "--on-divergence", "fail")
    done = run_mcprun("batch", prompts, SERVERS / "raw.py", *replay_flags, cwd=tmp_path)
    assert json.dumps(done.transcripts[0]["calls"][0]["input"]) == '{"card": "[redacted]"}'
    assert (done.code, done.record["counts"]["diverged"]) == (0, 0)


def test_message_shows_where_a_long_result_diverges(tmp_path: Path) -> None:
    """The message shows the differing part, however far into the result it is, and whether it is structured."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {"x": "word " * 200})))
    done = run_mcprun("batch", prompts, SERVERS / "raw.py", "--out", "good", cwd=tmp_path)
    (recorded,) = done.transcripts
    (call,) = recorded["calls"]
    replay_command = ("batch", prompts, SERVERS / "raw.py", "--model", "replay:good", "--on-divergence", "fail")
    for change, expected in (
        ({"content": [{"type": "text", "text": call["content"][0]["text"] + "!"}]}, """word "}]!', got '…"""),
        ({"structured": {"n": 1}}, '"structured": {"n": 1}}, got …'),
    ):
        write_jsonl(done.run / "transcripts.jsonl", {**recorded, "calls": [{**call, **change}]})
        (checks,) = (one["checks"] for one in run_mcprun(*replay_command, cwd=tmp_path).transcripts)
        (message,) = (check["message"] for check in checks if check["check"] == "diverged")
        assert expected in message


def damage(recorded: dict[str, Any], how: str) -> dict[str, Any]:
    """Return a copy of a recorded transcript of two turns and one call, damaged as named by `how`."""
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
    "neither": "expected turn 1 of neither, counted from 0, but its recording in good has 1 turn (stop: ",
    "no call": "calls in turn 0: 1, calls recorded: 0",
    "one call more": "calls in turn 0: 1, calls recorded: 2",
    "no content": "the message of turn 0 is not a list of content blocks",
    "given": "99 messages from the server, but only 4 in all",
}


def test_incomplete_recording_is_an_error_of_its_query(tmp_path: Path) -> None:
    """The message names what was expected, what was found and what to do; the other queries are replayed."""
    names = [*DAMAGES, "whole"]
    prompts = write_jsonl(tmp_path / "p.jsonl", *(script(("ok", {}), id=name) for name in names))
    done = run_mcprun("batch", prompts, SERVERS / "raw.py", "--out", "good", cwd=tmp_path)
    (tmp_path / "good" / "queries.jsonl").unlink()
    write_jsonl(
        done.run / "transcripts.jsonl",
        *(damage(one, one["id"]) if one["id"] != "whole" else one for one in done.transcripts),
    )
    replayed = run_mcprun("batch", prompts, SERVERS / "raw.py", "--model", "replay:good", cwd=tmp_path)
    assert (replayed.code, replayed.verdicts) == (3, {name: "error" if name != "whole" else "passed" for name in names})
    assert "Traceback" not in replayed.stderr
    for one in replayed.transcripts[:-1]:
        assert one["error"]["kind"] == "not_recorded"
        assert DAMAGES[one["id"]] in one["error"]["message"]
    assert "; record the query again, or replay another run" in replayed.transcripts[0]["error"]["message"]


CREATED = {"$from": "issue", "path": "/structuredContent/id"}
READING = {
    "id": "read", "before": [{"id": "issue", "tool": "create_issue", "input": {"title": "Broken {{unique}}"}}],
    "vars": {"number": CREATED}, "prompt": "Close and read issue {{number}}.",
    "script": [
        {"calls": [{"tool": "close_issue", "input": {"id": "{{number}}"}}]},
        {"calls": [{"tool": "get_issue", "input": {"id": "{{number}}"}}]},
        {"text": "Issue {{number}} is closed."},
    ],
    "expect": {"calls": [{"tool": "close_issue"}, {"tool": "get_issue", "input": {"id": "{{number}}"}}]},
    "after": [{"tool": "get_issue", "input": {"id": CREATED}, "result": {"status": "closed"}}],
}  # fmt: skip


def read_issue(folder: Path, *flags: str, server: tuple[str, ...]) -> Result:
    """Run or replay the query against the tracker, with its arguments `server`."""
    prompts = write_jsonl(folder / "p.jsonl", READING)
    return run_mcprun("batch", prompts, SERVERS / "tracker.py", *flags, "--", *server, cwd=folder)


def test_a_replay_against_a_server_with_other_ids_is_green(tmp_path: Path) -> None:
    """Calls are sent with the live id. Results, the comparison and the baseline differ only by it, which is no change.

    The replay is not blind: an issue that stays open diverges.
    """
    recorded = read_issue(tmp_path, "--out", "base", server=("from=100",))
    policy = ("--model", "replay:base", "--on-divergence", "fail", "--baseline", "base")
    done = read_issue(tmp_path, *policy, "--out", "head", server=("from=500",))
    assert (recorded.code, done.code, done.record["counts"]["diverged"]) == (0, 0, 0)
    assert [call["input"] for call in done.transcripts[0]["calls"]] == [{"id": 500}, {"id": 500}]
    assert [one["vars"] for one in (*recorded.transcripts, *done.transcripts)] == [{"number": 100}, {"number": 500}]
    compared = run_mcprun("diff", "base", "head", "--text", cwd=tmp_path)
    assert (compared.code, compared.stdout) == (0, "1 unchanged\n")
    lazy = read_issue(tmp_path, *policy, "--out", "lazy", server=("from=500", "lazy"))
    message = next(check["message"] for check in lazy.transcripts[0]["checks"] if check["check"] == "diverged")
    assert message.endswith('differs from the recording: status: recorded "closed", got "open"')
    changed = run_mcprun("diff", "base", "lazy", cwd=tmp_path)
    assert changed.code == 1
    lines = [line.strip() for line in changed.stdout.splitlines()]
    assert [line for line in lines if line[:1] in ("+", "-")] == ["- status: closed", "+ status: open"]


def test_repeats_of_a_query_with_variables_are_the_same_variant(tmp_path: Path) -> None:
    """Each repeat creates its own issue, and the runs have different numbers of repeats."""
    for name, count, server in (("base", "2", "from=100"), ("head", "3", "from=500")):
        assert read_issue(tmp_path, "--repeat", count, "--out", name, server=(server,)).code == 0
    compared = run_mcprun("diff", "base", "head", "--text", cwd=tmp_path)
    assert (compared.code, compared.stdout) == (0, "1 unchanged\n")
