"""Routed runs: the model is asked once per query, and no call is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mcprun as public
from mcprun import Run
from mcprun.analysis.routing.measure import measure_routing
from tests.support.cli import SERVERS, Result, write_jsonl
from tests.support.forks import Forks
from tests.support.messages_api import Body, MessagesApi, calls, prompt_of, text

TRACKER = SERVERS / "tracker.py"
CALLS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "close": [("close_issue", {"id": 1})],
    "wrong tool": [("delete_issue", {"id": 1})],
    "wrong input": [("get_issue", {"id": 2})],
    "several": [("get_issue", {"id": 1}), ("delete_issue", {"id": 1})],
    "nothing": [],
    "chatty": [("create_issue", {"title": "Hi"})],
}


def query(name: str, *expected: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a query with this prompt that expects these calls."""
    return {"id": name.replace(" ", "-"), "prompt": name, "expect": {"calls": list(expected)}, **more}


QUERIES = [
    query("close", {"tool": "close_issue", "input": {"id": 1}, "result": "ok"}),
    query("wrong tool", {"tool": "close_issue", "input": {"id": 1}}),
    query("wrong input", {"tool": "get_issue", "input": {"id": 1}}),
    query("several", {"tool": "get_issue"}),
    query("nothing"),
    query("chatty"),
    {"id": "ungraded", "prompt": "nothing"},
    query(
        "stateful",
        {"tool": "close_issue"},
        before=[{"id": "issue", "tool": "create_issue", "input": {"title": "x"}}],
        vars={"number": {"$from": "issue", "path": "/id"}},
    ),
]


def answer(body: Body) -> Body:
    """Answer a request with the planted calls of its prompt."""
    planted = CALLS[prompt_of(body)]
    return calls(*planted) if planted else text("There is nothing to do.")


def route(mcprun: Forks, folder: Path, api: MessagesApi, *flags: str, queries: Any = QUERIES) -> Result:
    """Route queries against the tracker, which logs each call to `log`."""
    env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
    prompts, model = write_jsonl(folder / "p.jsonl", *queries), ("--model", "claude-test")
    return mcprun.run(
        "batch", prompts, TRACKER, *model, "--route", *flags, "--", f"log={folder / 'log'}", cwd=folder, env=env
    )


def test_the_model_is_asked_once_and_no_call_is_made(mcprun: Forks, tmp_path: Path) -> None:
    """The API gets one request per graded query, the server no call, and the matrix is the planted one."""
    with MessagesApi(answer) as api:
        done = route(mcprun, tmp_path, api)
    assert (done.code, len(api.requests)) == (1, 6), done.stderr
    assert not (tmp_path / "log").exists()
    assert [event for event in done.trace if event["event"] in ("tool_call", "step")] == []
    assert done.verdicts == {
        "close": "passed", "wrong-tool": "failed", "wrong-input": "failed", "several": "passed", "nothing": "passed",
        "chatty": "failed", "ungraded": "skipped", "stateful": "skipped",
    }  # fmt: skip
    assert (done.record["state"], done.record["counts"]["ungraded"], done.record["counts"]["calls"]) == (
        "finished",
        2,
        0,
    )
    routing = measure_routing(Run.read(str(done.run)))
    cells = {(row[0], column[0]): count for (row, column), count in routing.matrix.cells.items()}
    assert cells == {
        ("close_issue", "close_issue"): 1,
        ("close_issue", "delete_issue"): 1,
        ("get_issue", "get_issue"): 1,
        ("get_issue", "several"): 1,
        ("none", "none"): 1,
        ("none", "create_issue"): 1,
    }
    assert (routing.matrix.passed, routing.ungraded, dict(routing.unused)) == (3, 2, {"result": 1})
    shown = " ".join(done.stdout.split())
    assert "Routing: 3 of 6 (50 %) right, 95 % interval 19 to 81 %" in shown
    assert "inputs right given the tool: 2 of 3 (67 %)" in shown
    assert "not graded: 2 queries" in shown
    assert "not checked, since no call is made: result of 1 query" in shown
    assert "Coverage" not in shown


def test_transcripts_hold_the_requested_calls(mcprun: Forks, tmp_path: Path) -> None:
    """The calls are under `routed`, by the server's names, and a check says what was expected."""
    with MessagesApi(answer) as api:
        done = route(mcprun, tmp_path, api, "--filter", "wrong-*")
    first, second = done.transcripts
    assert first["routed"] == [{"tool": "delete_issue", "input": {"id": 1}}]
    assert first["checks"][0]["message"] == "expected a call to close_issue, got delete_issue{id: 1}"
    assert second["checks"][0]["message"] == "input.id: expected 1, got 2 (get_issue{id: 2})"
    assert (first["calls"], first["attempts"], len(first["turns"])) == ([], 1, 1)


def test_scripts_and_replays_give_their_first_turn(mcprun: Forks, tmp_path: Path) -> None:
    """Without a model, the first turn of the script or of the recording is graded."""
    script = [{"calls": [{"tool": "create_issue", "input": {"title": "{{title}}"}}]}, {"text": "Done."}]
    expected = {"tool": "create_issue", "input": {"title": "New {{unique}}"}}
    value = query("create", expected, script=script, vars={"title": "New {{unique}}"}, cleanup=["wait"])
    prompts = write_jsonl(tmp_path / "p.jsonl", value)
    routed = mcprun.run("batch", prompts, TRACKER, "--route", "--out", "routed", cwd=tmp_path)
    assert (routed.code, routed.verdicts) == (0, {"create": "passed"})
    value["cleanup"] = ["create_issue"]
    write_jsonl(prompts, value)
    assert mcprun.run("batch", prompts, TRACKER, "--out", "whole", cwd=tmp_path).code == 0
    for run in ("routed", "whole"):
        again = mcprun.run("batch", prompts, TRACKER, "--route", "--model", f"replay:{run}", cwd=tmp_path)
        assert (again.code, again.transcripts[0]["routed"]) == (0, routed.transcripts[0]["routed"])


def test_decoys_are_offered_beside_the_tools_of_the_server(mcprun: Forks, tmp_path: Path) -> None:
    """Tools of a snapshot are in the request; those with a name of the server's get another one."""
    snapshot = {"schema": 1, "protocol": "2025-11-25", "tools": [
        {"name": "get_issue", "inputSchema": {"type": "object"}},
        {"name": "find_issue", "inputSchema": {"type": "object"}},
    ]}  # fmt: skip
    (tmp_path / "other.json").write_text(json.dumps(snapshot))
    with MessagesApi(lambda body: calls(("find_issue", {"q": "x"}))) as api:
        done = route(mcprun, tmp_path, api, "--decoys", "other.json", "--filter", "close", "--allow-tool", "close_*")
    assert [tool["name"] for tool in api.requests[0].body["tools"]] == ["close_issue", "decoy_get_issue", "find_issue"]
    assert done.transcripts[0]["routed"] == [{"tool": "find_issue", "input": {"q": "x"}, "decoy": True}]
    assert len(done.record["route"]["decoys"]) == 2


@pytest.mark.parametrize(
    ("flags", "queries", "message"),
    [
        (["--route"], [QUERIES[6]], "--route: there is nothing to grade: no selected query of p.jsonl has expect.calls"),
        (["--decoys", "x.json"], QUERIES, "--decoys needs --route"),
        (["--route", "--require", "add"], QUERIES, "--route makes no calls, so --min-coverage and --require can't be met"),
        (["--route", "--decoys", "x.json"], QUERIES, "x.json"),
    ],
)  # fmt: skip
def test_what_cannot_be_routed_is_refused(
    mcprun: Forks, tmp_path: Path, flags: list[str], queries: list[Any], message: str
) -> None:
    """Nothing is run, and the exit code is 2."""
    write_jsonl(tmp_path / "p.jsonl", *queries)
    env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}
    done = mcprun.run("batch", "p.jsonl", TRACKER, "--model", "claude-test", *flags, cwd=tmp_path, env=env)
    assert (done.code, (tmp_path / "outputs").exists()) == (2, False)
    assert message in done.stderr


def test_a_routed_run_is_resumed_as_one(mcprun: Forks, tmp_path: Path) -> None:
    """A finished routed run has nothing left to do, although queries were skipped."""
    with MessagesApi(answer) as api:
        done = route(mcprun, tmp_path, api)
        count = len(api.requests)
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        resumed = mcprun.run("batch", "--resume", str(done.run), cwd=tmp_path, env=env)
    assert (resumed.code, len(api.requests), resumed.bytes) == (1, count, done.bytes)


def test_run_json_has_the_outcome_and_merge_adds_it_up(mcprun: Forks, tmp_path: Path) -> None:
    """The outcome of merged shards is that of the whole run, and `measure_routing` returns the same."""
    queries = [
        {"id": f"q{n}", "prompt": "x", "expect": {"calls": [{"tool": "get_issue"}]},
         "script": [{"calls": [{"tool": "get_issue" if n % 3 else "close_issue", "input": {"id": n}}]}, {"text": "Done."}]}
        for n in range(9)
    ]  # fmt: skip
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries, QUERIES[6] | {"script": [{"text": "Hi."}]})
    whole = mcprun.run("batch", prompts, TRACKER, "--route", "--out", "whole", cwd=tmp_path)
    for shard in (1, 2):
        flags = ("--shard", f"{shard}/2", "--out", f"part-{shard}", "--junit", f"{shard}.xml")
        mcprun.run("batch", prompts, TRACKER, "--route", *flags, cwd=tmp_path)
    mcprun.run("merge", "part-1", "part-2", "--out", "merged", cwd=tmp_path)
    outcomes = {name: read_outcome(tmp_path / name) for name in ("whole", "part-1", "part-2", "merged")}
    assert outcomes["merged"] == outcomes["whole"]
    assert (whole.code, outcomes["whole"]["ungraded"], outcomes["whole"]["unused"]) == (1, 1, {})
    assert outcomes["whole"]["matrix"] == [
        {"expected": "get_issue", "called": "close_issue", "count": 3},
        {"expected": "get_issue", "called": "get_issue", "count": 6},
    ]
    accuracy = outcomes["whole"]["accuracy"]
    assert (accuracy["done"], accuracy["total"]) == (6, 9)
    assert sum(outcomes[f"part-{shard}"]["accuracy"]["total"] for shard in (1, 2)) == 9
    routing = public.measure_routing(tmp_path / "merged")
    assert (routing.matrix.accuracy.interval, routing.matrix.passed) == (tuple(accuracy["interval"]), 6)


def test_an_unfinished_merge_has_no_outcome(mcprun: Forks, tmp_path: Path) -> None:
    """With `--partial`, the outcome of the first shard is not taken for that of the run."""
    script = [{"calls": [{"tool": "get_issue", "input": {"id": 1}}]}, {"text": "Done."}]
    queries = [query(f"q{n}", {"tool": "get_issue"}, script=script) for n in range(6)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    mcprun.run("batch", prompts, TRACKER, "--route", "--shard", "1/2", "--out", "part", cwd=tmp_path)
    mcprun.run("merge", "part", "--partial", "--out", "merged", cwd=tmp_path)
    assert read_outcome(tmp_path / "part")["errors"] == 0
    assert read_outcome(tmp_path / "merged") is None


def read_outcome(run: Path) -> Any:
    """Return what `run.json` holds under `route.outcome`."""
    return json.loads((run / "run.json").read_text())["route"]["outcome"]


def test_only_a_routed_run_has_a_routing(mcprun: Forks, tmp_path: Path) -> None:
    """The message says how to make one."""
    prompts = write_jsonl(tmp_path / "p.jsonl", {"id": "a", "prompt": "x", "script": [{"text": "Hi."}]})
    mcprun.run("batch", prompts, TRACKER, "--out", "whole", cwd=tmp_path)
    with pytest.raises(public.UsageError, match="is not a routed run: make one with mcprun batch --route"):
        public.measure_routing(tmp_path / "whole")
    with pytest.raises(public.UsageError, match="run must be a run or its folder, not a list"):
        public.measure_routing([])  # type: ignore[arg-type]


def test_a_baseline_of_some_queries_has_no_outcome(mcprun: Forks, tmp_path: Path) -> None:
    """The outcome of a whole run is kept; it does not hold for transcripts of two runs."""
    script = [{"calls": [{"tool": "get_issue", "input": {"id": 1}}]}, {"text": "Done."}]
    prompts = write_jsonl(
        tmp_path / "p.jsonl", *(query(f"q{n}", {"tool": "get_issue"}, script=script) for n in range(3))
    )
    mcprun.run("batch", prompts, TRACKER, "--route", "--out", "run", cwd=tmp_path)
    mcprun.run("bless", "run", "base", cwd=tmp_path)
    assert read_outcome(tmp_path / "base")["accuracy"]["done"] == 3
    mcprun.run("bless", "run", "base", "--only", "q1", cwd=tmp_path)
    assert read_outcome(tmp_path / "base") is None
    assert public.measure_routing(tmp_path / "base").matrix.passed == 3
