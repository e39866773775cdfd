"""`run.json` holds every tool that any session of a run listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Result, run_mcprun, script, write_jsonl
from tests.support.growing_server import GROWING_SERVER


def run_growing(path: Path, *queries: dict[str, Any], arguments: tuple[str, ...] = ()) -> Result:
    (path / "server.py").write_text(GROWING_SERVER)
    write_jsonl(path / "p.jsonl", *queries)
    return run_mcprun("batch", "p.jsonl", "server.py", *arguments, cwd=path)


def names(done: Result) -> tuple[list[str], list[str]]:
    """Return the names of the tools that the first session listed, and of those that only others did."""
    server = done.record["server"]
    return [tool["name"] for tool in server["tools"]], [tool["name"] for tool in server.get("later_tools", [])]


ECHO = ("echo", {"text": "a"})
FIRST = ["die", "echo", "grow", "start_1"]


def queries_of(count: int) -> list[dict[str, Any]]:
    return [script(ECHO, id=f"q{number}") for number in range(count)]


def test_run_with_one_list_records_no_others(tmp_path: Path) -> None:
    """A server that lists the same tools in every session has no later tools."""
    done = run_growing(tmp_path, *queries_of(2))
    assert names(done) == (FIRST, [])
    assert "later_tools" not in done.record["server"]
    assert "tools_listed" not in [event["event"] for event in done.trace]


def test_tools_of_fresh_servers_add_up(tmp_path: Path) -> None:
    """With `--fresh-server`, a tool that only the server of one query lists is recorded. The trace names each list."""
    done = run_growing(tmp_path, *queries_of(3), arguments=("--fresh-server", "--concurrency", "1"))
    assert names(done) == (FIRST, ["start_2", "start_3"])
    listed = [event for event in done.trace if event["event"] == "tools_listed"]
    assert [event["names"][-1] for event in listed] == ["start_2", "start_3"]


@pytest.mark.parametrize("protocol", ["legacy", "2026-07-28"])
def test_tools_that_a_server_adds_are_recorded(tmp_path: Path, protocol: str) -> None:
    """A tool that appears with `notifications/tools/list_changed` is recorded."""
    queries = [script(("grow", {}), id="grow"), script(ECHO, id="next")]
    done = run_growing(tmp_path, *queries, arguments=("--concurrency", "1", "--protocol", protocol))
    assert names(done) == (FIRST, ["grown_1"])


def test_tools_of_several_servers_and_of_a_restarted_one_add_up(tmp_path: Path) -> None:
    """`--servers` and a restart each list tools of their own."""
    queries = [script(("die", {}), id="die", expect={"tool_errors": "allow"}), script(ECHO, id="next")]
    done = run_growing(tmp_path, *queries, arguments=("--servers", "2", "--concurrency", "1"))
    first, later = names(done)
    assert first == FIRST
    assert {"start_2", "start_3"} <= {*later}


def test_resumed_run_keeps_the_tools_of_the_process_before(tmp_path: Path) -> None:
    """The tools that only the interrupted process saw stay in the record."""
    queries = [script(("grow", {}), id="grow"), *queries_of(2)]
    begun = run_growing(tmp_path, *queries, arguments=("--max-failures", "1", "--concurrency", "1"))
    assert names(begun) == (FIRST, ["grown_1"])
    lines = (begun.run / "transcripts.jsonl").read_bytes().splitlines(keepends=True)
    (begun.run / "transcripts.jsonl").write_bytes(lines[0])
    record = (begun.run / "run.json").read_text().replace('"state": "finished"', '"state": "started"')
    (begun.run / "run.json").write_text(record)
    resumed = run_mcprun("batch", "--resume", begun.run, cwd=tmp_path)
    first, later = names(resumed)
    assert (first, sorted(later)) == (["die", "echo", "grow", "start_2"], ["grown_1", "start_1"])


def test_merged_run_has_the_tools_of_all_shards(tmp_path: Path) -> None:
    """`merge` adds up what the servers of all shards listed."""
    for number in (1, 2):
        queries = [script(("grow", {}), id="grow"), *queries_of(3)]
        arguments = ("--shard", f"{number}/2", "--out", f"shard{number}", "--concurrency", "1")
        (tmp_path / "starts").mkdir(exist_ok=True)
        for file in (tmp_path / "starts").iterdir():
            file.unlink()
        run_growing(tmp_path, *queries, arguments=arguments)
    merged = run_mcprun("merge", "shard1", "shard2", "--out", "merged", cwd=tmp_path)
    assert merged.code == 0, merged.stderr
    assert names(Result(0, "", "", tmp_path / "merged")) == (FIRST, ["grown_1"])
