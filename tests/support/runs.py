"""Build transcripts and traces, and write run directories, without running queries."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mcprun._util.json_io import dumps
from mcprun.runs.run_record import ModelRecord, PromptsRecord, RepeatsRecord, RunRecord, ServerRecord
from mcprun.runs.totals import RunTotals
from mcprun.runs.transcript import Call, Check, ErrorInfo, Transcript, Turn, Verdict

JsonObject = dict[str, Any]


def call(tool: str, *content: JsonObject | str, turn: int = 0, **more: Any) -> Call:
    """Return a call. A string in `content` becomes a text block."""
    blocks = [{"type": "text", "text": item} if isinstance(item, str) else item for item in content]
    return Call(turn=turn, tool=tool, **{"input": {}, "is_error": False, "content": blocks, **more})


def transcript(name: str, *calls: Call, text: str = "Done.", prompt: str = "Do it.", **more: Any) -> Transcript:
    """Return a transcript with these calls, if any, in its first turn, and a final turn with `text`."""
    uses = [
        {"type": "tool_use", "id": f"call_{n}", "name": one.tool, "input": one.input} for n, one in enumerate(calls)
    ]
    results = [{"type": "tool_result", "tool_use_id": use["id"]} for use in uses]
    called = [{"role": "assistant", "content": uses}, {"role": "user", "content": results}] if uses else []
    message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    turns = [Turn(stop_reason="tool_use")] * bool(uses) + [Turn(stop_reason="end_turn")]
    plain = {
        "id": name, "verdict": Verdict.PASSED, "stop": "end_turn", "prompt": prompt, "model": "script",
        "messages": [{"role": "user", "content": prompt}, *called, message], "calls": list(calls), "text": text,
        "checks": [Check(check="ended", passed=True)], "turns": turns,
    }  # fmt: skip
    return Transcript.model_validate({**plain, **more})


def failed(name: str, message: str, *calls: Call, **more: Any) -> Transcript:
    """Return a transcript with a failed check."""
    checks = [Check(check="ended", passed=True), Check(check="calls", passed=False, message=message)]
    return transcript(name, *calls, verdict=Verdict.FAILED, checks=checks, **more)


def broken(name: str, kind: str, message: str, *calls: Call, **more: Any) -> Transcript:
    """Return a transcript of a query that ended in an error."""
    error = ErrorInfo.model_validate({"kind": kind, "message": message})
    return transcript(name, *calls, verdict=Verdict.ERROR, stop="error", checks=[], error=error, **more)


def event(name: str, milliseconds: int, **more: Any) -> JsonObject:
    """Return an event of the trace, `milliseconds` after the first."""
    minutes, rest = divmod(milliseconds, 60_000)
    at = f"2026-11-22T{10 + minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}Z"
    where = {"repeat": 1, "attempt": 1} if "query" in more else {}
    return {"event": name, "at": at, **where, **more}


def trace_of(transcripts: Iterable[Transcript], milliseconds: int = 40) -> list[JsonObject]:
    """Return the trace of a run in which the calls of each query ran concurrently.

    They took a multiple of `milliseconds` that depends on the query.
    """
    events = [event("run_start", 0, queries=1, done=0, model="script", chosen="a test")]
    for number, one in enumerate(transcripts):
        begin = 10 * number
        where = {"query": one.id, "repeat": one.repeat}
        events.append(event("model_call", begin + 5, **where, turn=0, seconds=0.005, model="script"))
        length = milliseconds * (1 + number % 7)
        events += [
            event(
                "tool_call", begin + 5 + length, **where, turn=0, seconds=length / 1000, call=index, tool=made.tool,
                input=made.input, is_error=made.is_error, log_offset=0,
            )
            for index, made in enumerate(one.calls)
        ]  # fmt: skip
        end = begin + 10 + length
        events.append(event("model_call", end, **where, turn=1, seconds=0.005, model="script"))
        events.append(event("attempt_end", end, **where, seconds=(end - begin) / 1000, waited=0.0, stop=one.stop))
        events.append(event("query_end", end, **where, seconds=(end - begin) / 1000, verdict=one.verdict))
    return events


def write_run(
    path: Path,
    transcripts: Iterable[Transcript],
    trace: Iterable[JsonObject] | None = None,
    log: str = "",
    repeats: Iterable[RepeatsRecord] = (),
    **more: Any,
) -> Path:
    """Write a run directory, with a trace unless it is None; `more` overrides fields of `run.json`."""
    path.mkdir()
    tally, count = RunTotals(), 0
    with (path / "transcripts.jsonl").open("w", encoding="utf-8") as stream:
        for one in transcripts:
            tally.add(one)
            count += 1
            stream.write(dumps(one.line()) + "\n")
    record = {
        "state": "finished", "started": "2026-11-22T10:00:00.000Z", "seconds": 1.5, "arguments": {"server": "shop.py"},
        "prompts": PromptsRecord(file="prompts/shop.jsonl", sha256="0" * 64, queries=count, runs=count),
        "model": ModelRecord(kind="script", name="script", chosen="a test"), "limits": {}, "versions": {},
        "server": ServerRecord(name="shop", version="1.0", protocol="2026-07-28", tools=[]),
        "counts": tally.counts(), "repeats": list(repeats),
    }  # fmt: skip
    run = RunRecord.model_validate({**record, **more})
    (path / "run.json").write_text(json.dumps(run.line()), encoding="utf-8")
    (path / "server.log").write_text(log, encoding="utf-8")
    if trace is not None:
        (path / "trace.jsonl").write_text("".join(dumps(one) + "\n" for one in trace), encoding="utf-8")
    return path
