"""A signal ends a run during the evaluation of a slow pattern, wherever the pattern comes from."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from mcprun._util.json_value import JsonObject
from tests.support.bounded_evaluation import OBJECT, PLACES, SERVER, SLOW, offer, slow
from tests.support.canned_bytes import COMPLETE, server_args, serving
from tests.support.cli import SECONDS, clean_environment, commands, read_jsonl, write_jsonl


@pytest.mark.parametrize("place", PLACES)
def test_a_signal_ends_a_run_that_evaluates(tmp_path: Path, place: str) -> None:
    """The run stops before it has evaluated every pattern, and its files are complete and marked `interrupted`."""
    numbers = range(1, 41)  # 40 s worth
    sent = signal.SIGINT if "match" in place else signal.SIGTERM
    offer(tmp_path, *numbers)
    write_jsonl(tmp_path / "p.jsonl", *(PLACES[place][0](number) for number in numbers))
    run_until_signal(tmp_path, sent, SERVER, len(numbers))


def run_until_signal(folder: Path, sent: signal.Signals, server: str, count: int, *more: str) -> None:
    """Run `p.jsonl`, send `sent` after the first error (SIGINT twice), and check the exit code and the run."""
    command = [str(Path(commands(), "mcprun")), "batch", "p.jsonl", server, "--model", "script", "--elicit", "script"]
    process = subprocess.Popen(
        [*command, "--concurrency", "1", "--out", "out", *more],
        cwd=folder, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr
        assert any(line.startswith("error") for line in process.stderr)  # the next query is being evaluated
        process.send_signal(sent)
        if sent == signal.SIGINT:
            assert any("Ctrl-C again" in line for line in process.stderr)
            process.send_signal(sent)
        process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == (143 if sent == signal.SIGTERM else 130)
    assert json.loads((folder / "out" / "run.json").read_bytes())["state"] == "interrupted"
    transcripts = read_jsonl(folder / "out" / "transcripts.jsonl")
    assert [transcript["id"] for transcript in transcripts][:1] == ["q1"]
    assert len(transcripts) < count // 2


def input_required_result(number: int, era: str) -> JsonObject:
    """Build a 2026-07-28 result that requests input with a form whose pattern is slow to match."""
    form = {"type": "object", "properties": {"a": {"type": "string", "pattern": slow(number)}}}
    input_request = {"method": "elicitation/create", "params": {"message": SLOW, "requestedSchema": form}}
    return {**COMPLETE, "resultType": "input_required", "inputRequests": {"x": input_request}, "requestState": era}


@pytest.mark.parametrize(
    ("transport", "era", "place", "sent"),
    [
        ("stdio", "2026-07-28", "outputSchema", signal.SIGINT),
        ("stdio", "2026-07-28", "requestedSchema", signal.SIGTERM),
        ("http", "legacy", "outputSchema", signal.SIGTERM),
        ("http", "2026-07-28", "outputSchema", signal.SIGTERM),
        ("http", "2026-07-28", "elicit.match", signal.SIGINT),
    ],
)
def test_a_signal_ends_a_run_over_any_transport(
    tmp_path: Path, transport: str, era: str, place: str, sent: signal.Signals
) -> None:
    """A signal ends the evaluation over HTTP and stdio, and in both protocol eras."""
    numbers = range(1, 41)
    make_query = PLACES[place][0]
    queries = [make_query(number) for number in numbers]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    tools: list[JsonObject] = []
    results: dict[str, JsonObject] = {}
    for number in numbers:
        name = f"out{number}" if place == "outputSchema" else f"ask{number}"
        output = {"type": "object", "properties": {"t": {"type": "string", "pattern": slow(number)}}}
        tools.append({"name": name, "inputSchema": OBJECT, **({"outputSchema": output} if "out" in name else {})})
        answer: JsonObject = {"content": [], "structuredContent": {"t": SLOW}}
        results[name] = answer if "out" in name else input_required_result(number, era)
    with serving(server_args(tmp_path, era, results, {"tools/list": [{"tools": tools}]}), transport) as (server, *more):
        run_until_signal(tmp_path, sent, server, len(numbers), *more)
