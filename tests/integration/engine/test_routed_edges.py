"""Routed runs at their edges: batches, shards, decoys that can't be offered, and what the model's definitions cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcprun import Run
from mcprun.analysis.routing.measure import measure_routing
from tests.support.cli import SERVERS, Result, write_jsonl
from tests.support.forks import Forks
from tests.support.messages_api import Body, MessagesApi, calls, message, prompt_of

TRACKER = SERVERS / "tracker.py"
CLOSE = {"tool": "close_issue", "input": {"id": 1}}
SCHEMA = {"type": "object"}


def query(name: str, **more: Any) -> dict[str, Any]:
    """Return a query that expects close_issue."""
    return {"id": name, "prompt": name, "expect": {"calls": [CLOSE]}, **more}


def ungraded(name: str) -> dict[str, Any]:
    """Return a query that expects nothing."""
    return {"id": name, "prompt": name}


def close(body: Body) -> Body:
    """Answer with a call of close_issue, and tokens of which nearly all are those of definitions."""
    return {**calls(("close_issue", {"id": 1})), "usage": {"input_tokens": 1_000}}


def route(mcprun: Forks, folder: Path, api: MessagesApi, prompts: str, *flags: str) -> Result:
    """Route the queries of a file against the tracker."""
    env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
    return mcprun.run("batch", prompts, TRACKER, "--model", "claude-test", "--route", *flags, cwd=folder, env=env)


def snapshot(path: Path, *tools: dict[str, Any]) -> str:
    """Write a snapshot of these tools, and return its name."""
    path.write_text(json.dumps({"schema": 1, "protocol": "2025-11-25", "tools": tools}))
    return path.name


def test_a_suite_is_one_batch(mcprun: Forks, tmp_path: Path) -> None:
    """With --batch-api, there is one batch with a request for each graded query."""
    write_jsonl(tmp_path / "p.jsonl", *(query(f"q{n}") for n in range(5)), ungraded("u"))
    with MessagesApi(close) as api:
        done = route(mcprun, tmp_path, api, "p.jsonl", "--batch-api")
    assert done.code == 0, done.stderr
    assert [len(batch.requests) for batch in api.batches.all] == [5]


def test_definitions_and_decoys_have_a_cost(mcprun: Forks, tmp_path: Path) -> None:
    """The tokens are estimated from the usage; those of decoys are apart. Scripts have none."""
    write_jsonl(tmp_path / "p.jsonl", query("q", script=[{"text": "no"}]), ungraded("u") | {"script": [{"text": "no"}]})
    decoys = snapshot(tmp_path / "d.json", {"name": "find", "inputSchema": SCHEMA, "description": "x" * 2_000})
    with MessagesApi(close) as api:
        plain = route(mcprun, tmp_path, api, "p.jsonl", "--out", "plain")
        crowded = route(mcprun, tmp_path, api, "p.jsonl", "--out", "crowded", "--decoys", decoys)
    costs = [measure_routing(Run.read(str(done.run))).definitions for done in (plain, crowded)]
    assert [(cost.requests, cost.decoys_per_request == 0) for cost in costs] == [(1, True), (1, False)]
    tokens = costs[1].per_request or 0, costs[1].decoys_per_request or 0
    assert 1_000 >= tokens[0] > tokens[1] > 600
    assert "tokens per request\n" in plain.stdout
    assert f"definitions: {tokens[0]:,} tokens per request, of which decoys {tokens[1]:,}" in crowded.stdout
    shown = f"{tokens[0]:,} tokens per request, of which decoys {tokens[1]:,}"
    assert mcprun.run("report", "crowded", "--html", "c.html", "--markdown", "c.md", cwd=tmp_path).code == 0
    assert [shown in (tmp_path / name).read_text() for name in ("c.html", "c.md")] == [True, True]
    recorded = {"per_request": tokens[0], "decoys_per_request": tokens[1]}
    assert crowded.record["route"]["outcome"]["definitions"] == recorded
    scripted = mcprun.run("batch", "p.jsonl", TRACKER, "--route", "--model", "script", cwd=tmp_path)
    assert "definitions" not in scripted.stdout
    assert scripted.record["route"]["outcome"]["definitions"] is None


def test_a_shard_may_have_nothing_to_grade(mcprun: Forks, tmp_path: Path) -> None:
    """It passes, and the merged run counts its queries once. If no shard has any, they can't be merged."""
    write_jsonl(tmp_path / "some.jsonl", query("q"), ungraded("a"), ungraded("b"))
    write_jsonl(tmp_path / "none.jsonl", ungraded("a"), ungraded("b"))
    with MessagesApi(close) as api:
        for number in (1, 2, 3):
            done = route(mcprun, tmp_path, api, "some.jsonl", "--shard", f"{number}/3", "--out", f"s{number}")
            assert done.code == 0, done.stderr
        for number in (1, 2):
            assert route(mcprun, tmp_path, api, "none.jsonl", "--shard", f"{number}/2", "--out", f"n{number}").code == 0
        assert len(api.requests) == 1
    merged = mcprun.run("merge", "s1", "s2", "s3", "--out", "merged", cwd=tmp_path)
    assert (merged.code, merged.record["counts"]["passed"], merged.record["counts"]["ungraded"]) == (0, 1, 2)
    listed = mcprun.run("runs", ".", cwd=tmp_path).stdout
    assert "  1 passed, 2 not graded\n    routed; prompts: some.jsonl" in listed
    nothing = mcprun.run("merge", "n1", "n2", "--out", "nothing", cwd=tmp_path)
    assert (nothing.code, (tmp_path / "nothing").exists()) == (2, False)
    assert "there is nothing to grade" in nothing.stderr


@pytest.mark.parametrize(
    ("tools", "problem"),
    [
        ([], "has no tools to offer"),
        ([{"name": "x"}], "the tool 'x' has no inputSchema"),
        ([{"name": "x", "inputSchema": 5}], "the tool 'x' has no inputSchema"),
        ([{"name": "x", "inputSchema": SCHEMA, "description": 5}], "the description of the tool 'x' must be a string"),
    ],
)
def test_decoys_that_cannot_be_offered_are_refused(
    mcprun: Forks, tmp_path: Path, tools: list[dict[str, Any]], problem: str
) -> None:
    """Nothing is run, and the message names the snapshot and the tool."""
    write_jsonl(tmp_path / "p.jsonl", query("q"))
    decoys = snapshot(tmp_path / "d.json", *tools)
    with MessagesApi(close) as api:
        done = route(mcprun, tmp_path, api, "p.jsonl", "--decoys", decoys)
    assert (done.code, len(api.requests), (tmp_path / "outputs").exists()) == (2, 0, False)
    assert "--decoys d.json" in done.stderr
    assert problem in " ".join(done.stderr.split())


def test_a_routed_run_is_replayed_only_as_one(mcprun: Forks, tmp_path: Path) -> None:
    """Its turns would make calls that were never made, and there are no results to go on with."""
    script = [{"calls": [CLOSE]}, {"text": "Done."}]
    prompts = write_jsonl(tmp_path / "p.jsonl", query("q", script=script))
    assert mcprun.run("batch", prompts, TRACKER, "--route", "--out", "routed", cwd=tmp_path).code == 0
    replayed = "batch", prompts, TRACKER, "--model", "replay:routed"
    assert mcprun.run(*replayed, "--route", cwd=tmp_path).code == 0
    done = mcprun.run(*replayed, "--out", "whole", cwd=tmp_path)
    assert (done.code, (tmp_path / "whole").exists()) == (2, False)
    assert "replay it with --route" in " ".join(done.stderr.split())


def test_a_run_is_resumed_with_its_decoys(mcprun: Forks, tmp_path: Path) -> None:
    """The snapshot may be gone, and its decoys are those of run.json."""
    write_jsonl(tmp_path / "p.jsonl", query("a"), query("b"))
    decoys = snapshot(tmp_path / "d.json", {"name": "find", "inputSchema": SCHEMA})
    wrong = calls(("find", {}))
    with MessagesApi(lambda _: wrong) as api:
        flags = ["--decoys", decoys, "--max-failures", "1", "--concurrency", "1", "--out", "run"]
        assert route(mcprun, tmp_path, api, "p.jsonl", *flags).code == 1
        (tmp_path / decoys).unlink()
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        resumed = mcprun.run("batch", "--resume", "run", "--max-failures", "9", cwd=tmp_path, env=env)
    assert (resumed.code, resumed.verdicts) == (1, {"a": "failed", "b": "failed"}), resumed.stderr
    assert all(one["routed"] == [{"tool": "find", "input": {}, "decoy": True}] for one in resumed.transcripts)


def test_decoys_of_a_project_are_for_routed_runs(mcprun: Forks, tmp_path: Path) -> None:
    """A run that makes its calls leaves them out; decoys on its command line are refused."""
    script = [{"calls": [CLOSE]}, {"text": "Done."}]
    prompts = write_jsonl(tmp_path / "p.jsonl", query("q", script=script))
    snapshot(tmp_path / "d.json", {"name": "find", "inputSchema": SCHEMA})
    (tmp_path / "mcprun.toml").write_text('decoys = ["d.json"]\n')
    done = mcprun.run("batch", prompts, TRACKER, cwd=tmp_path)
    assert done.code != 2, done.stderr
    refused = mcprun.run("batch", prompts, TRACKER, "--decoys", "d.json", cwd=tmp_path)
    assert (refused.code, "--decoys needs --route" in refused.stderr) == (2, True)


def test_odd_first_turns_are_graded(mcprun: Forks, tmp_path: Path) -> None:
    """A turn that is cut short or refused fails; thinking and the API's tools are no calls; a typo has a suggestion."""
    use = {"type": "tool_use", "name": "close_issue", "input": {"id": 1}}
    turns = {
        "cut": message([use], stop_reason="max_tokens"),
        "refused": message([{"type": "text", "text": "No."}], stop_reason="refusal"),
        "thinking": message([{"type": "thinking", "thinking": "Hm."}, use], stop_reason="tool_use"),
        "paused": message([{"type": "server_tool_use", "name": "web_search", "input": {}}], stop_reason="pause_turn"),
        "typo": calls(("close_issue", {"id": 1})),
    }
    queries = [query(name) for name in turns if name != "typo"]
    write_jsonl(tmp_path / "p.jsonl", *queries, query("typo") | {"expect": {"calls": [{"tool": "clos_issue"}]}})
    with MessagesApi(lambda body: turns[prompt_of(body)]) as api:
        done = route(mcprun, tmp_path, api, "p.jsonl")
    assert len(api.requests) == len(turns)
    failed = {"cut": "failed", "refused": "failed", "paused": "failed", "typo": "failed"}
    assert done.verdicts == {**failed, "thinking": "passed"}
    messages = {one["id"]: one["checks"][-1]["message"] for one in done.transcripts}
    assert messages["paused"] == "expected a call to close_issue, got no call"
    assert messages["typo"].endswith("(the server has no tool 'clos_issue'; did you mean 'close_issue'?)")
