"""Running a prompts file in shards and merging them into one run."""

from __future__ import annotations

import json
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import RAW, Result, script, stdlib_server, write_jsonl
from tests.support.forks import Forks

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

SERVER = stdlib_server("""
import sys
server = StdlibServer("says")

@server.tool()
def say(word: str) -> str:
    print(f"heard {word}", file=sys.stderr, flush=True)
    if word == "bad":
        raise ValueError(word)
    return word
server.run()
""")

WORDS = ("one", "two", "bad", "four", "five", "six", "seven")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a server that logs each word to stderr, and seven queries, one failing and one repeated."""
    (tmp_path / "says.py").write_text(SERVER)
    queries = [script(("say", {"word": word}), id=word) for word in WORDS]
    queries[3]["repeat"] = 3
    write_jsonl(tmp_path / "p.jsonl", *queries)
    return tmp_path


def run_shards(mcprun: Forks, cwd: Path, of: int, *flags: str) -> list[Result]:
    """Run all shards, the last one first, into the folders `1`, `2`, …; return them in order."""
    done = [
        mcprun.run("batch", "p.jsonl", "says.py", "--shard", f"{n}/{of}", "--out", str(n), *flags, cwd=cwd)
        for n in range(of, 0, -1)
    ]
    return done[::-1]


def test_merged_shards_equal_an_unsharded_run(mcprun: Forks, folder: Path) -> None:
    """Transcripts are identical byte for byte, counts and rates are equal, and each event occurs once, in order."""
    unsharded = mcprun.run("batch", "p.jsonl", "says.py", "--out", "whole", cwd=folder)
    parts = run_shards(mcprun, folder, 3)
    assert [one.record["prompts"]["shard"] for one in parts] == ["1/3", "2/3", "3/3"]
    assert [one.record["counts"]["passed"] for one in parts] == [5, 2, 1]
    merged = mcprun.run("merge", "3", "1", "2", "--out", "merged", cwd=folder)
    assert (merged.code, unsharded.code) == (1, 1)
    assert merged.bytes == unsharded.bytes
    for key in ("state", "counts", "repeats", "prompts", "server", "limits"):
        assert merged.record[key] == unsharded.record[key], key
    assert merged.record["arguments"] | {"out": "whole"} == unsharded.record["arguments"]
    assert (merged.run / "queries.jsonl").read_bytes() == (unsharded.run / "queries.jsonl").read_bytes()
    times = [event["at"] for event in merged.trace]
    assert times == sorted(times)
    assert len(times) == sum(len(one.trace) for one in parts)


def test_killed_merge_can_be_repeated(mcprun: Forks, folder: Path) -> None:
    """After a kill at any point, the same `mcprun merge` command gives the same bytes."""
    run_shards(mcprun, folder, 2)
    complete = mcprun.run("merge", "1", "2", "--out", "whole", cwd=folder)
    lines = mcprun.lines("merge", "1", "2", "--out", "counted", cwd=folder)
    for number, point in enumerate(range(lines // 2, lines, lines // 16)):
        run = f"killed-{number}"
        killed = mcprun.run("merge", "1", "2", "--out", run, cwd=folder, kill=point)
        assert killed.code in (-signal.SIGKILL, complete.code)
        if not (folder / run / "run.json").exists():
            repeated = mcprun.run("merge", "1", "2", "--out", run, cwd=folder)
            assert (repeated.code, repeated.stderr) == (complete.code, complete.stderr)
        assert (folder / run / "transcripts.jsonl").read_bytes() == complete.bytes


def test_merged_events_refer_to_their_server_and_log(mcprun: Forks, folder: Path) -> None:
    """Servers and workers are renumbered, and each log offset points to the output of its server in the merged log."""
    run_shards(mcprun, folder, 2, "--concurrency", "1", "--servers", "2")
    merged = mcprun.run("merge", "1", "2", "--out", "merged", cwd=folder)
    started = [event["server"] for event in merged.trace if event["event"] == "server_start"]
    assert sorted(started) == [1, 2, 3, 4]
    assert {event["worker"] for event in merged.trace if event["event"] == "query_end"} == {0, 1}
    log = (merged.run / "server.log").read_bytes()
    calls = [event for event in merged.trace if event["event"] == "tool_call"]
    assert len(calls) == len(WORDS) + 2
    assert all(log[event["log_offset"] :].startswith(f"heard {event['input']['word']}\n".encode()) for event in calls)


def test_merged_run_can_be_used_like_any_run(mcprun: Forks, folder: Path) -> None:
    """A merged run becomes `latest`, and can be reported, diffed, blessed and replayed."""
    run_shards(mcprun, folder, 2)
    merged = mcprun.run("merge", "1", "2", "--junit", "j.xml", cwd=folder)
    assert merged.run.parent == folder / "outputs"
    assert (folder / "j.xml").read_text().count("<testcase") == len(WORDS) + 2
    assert mcprun.run("bless", "latest", "base", cwd=folder).code == 0
    replayed = mcprun.run(
        "batch", "p.jsonl", "says.py", "--model", "replay:base", "--baseline", "base", "--shard", "2/2", cwd=folder
    )
    assert (replayed.code, sorted(replayed.verdicts)) == (0, ["four", "six", "two"])
    assert mcprun.run("diff", "base", "latest", "--json", cwd=folder).code == 1  # a shard has only some of the queries
    assert mcprun.run("report", merged.run, "--html", "r.html", cwd=folder).code == 0


def test_missing_shard_can_be_run_after_a_partial_merge(mcprun: Forks, folder: Path) -> None:
    """`--partial` merges into an interrupted run, and resuming it gives the bytes of an unsharded run."""
    unsharded = mcprun.run("batch", "p.jsonl", "says.py", "--out", "whole", cwd=folder)
    run_shards(mcprun, folder, 3)
    refused = mcprun.run("merge", "1", "2", "--out", "merged", cwd=folder)
    assert (refused.code, refused.stderr) == (2, "Error: missing shards: 3/3; use --partial to merge without them\n")
    partial = mcprun.run("merge", "1", "2", "--out", "merged", "--partial", cwd=folder)
    assert (partial.code, partial.record["state"]) == (3, "interrupted")
    assert partial.stdout.splitlines()[-1] == "ERROR: shards are missing"
    assert "mcprun batch --resume merged" in partial.stderr
    resumed = mcprun.run("batch", "--resume", "merged", cwd=folder)
    assert (resumed.code, resumed.bytes) == (1, unsharded.bytes)


def test_killed_shard_is_named(mcprun: Forks, folder: Path) -> None:
    """A killed shard is refused with the command that resumes it; `--partial` uses its complete transcripts."""
    run_shards(mcprun, folder, 2)
    record = json.loads((folder / "2/run.json").read_text())
    (folder / "2/run.json").write_text(json.dumps(record | {"state": "started", "counts": None, "finished": None}))
    lines = (folder / "2/transcripts.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "2/transcripts.jsonl").write_bytes(lines[-1] + lines[0][:40])
    refused = mcprun.run("merge", "1", "2", cwd=folder)
    assert (refused.code, "2 is not finished: resume it (mcprun batch --resume 2)" in refused.stderr) == (2, True)
    partial = mcprun.run("merge", "1", "2", "--partial", cwd=folder)
    assert list(partial.verdicts) == ["one", "bad", "five", "six", "seven"]


def test_shards_of_different_runs_are_refused(mcprun: Forks, folder: Path) -> None:
    """The message names both folders and the first difference, and nothing is written."""
    numbers = count()

    def run(*flags: Any, prompts: str = "p.jsonl", server: Any = "says.py") -> str:
        out = f"run{next(numbers)}"
        assert mcprun.run("batch", prompts, server, *flags, "--out", out, cwd=folder).code in (0, 1)
        return out

    def merge_error(*runs: str) -> str:
        done = mcprun.run("merge", *runs, "--out", "merged", cwd=folder)
        assert (done.code, (folder / "merged").exists()) == (2, False)
        return done.stderr.removeprefix("Error: ").strip()

    first = run("--shard", "1/2")
    unsharded = run()
    assert merge_error(unsharded) == f"{unsharded} is not a shard: create one with mcprun batch --shard I/N"
    duplicate = run("--shard", "1/2")
    assert merge_error(first, duplicate) == f"{first} and {duplicate} are both shard 1/2"
    third = run("--shard", "3/3")
    assert (
        merge_error(first, third)
        == f"{first} and {third} are not shards of the same run: the number of shards differs (1/2 and 3/3)"
    )
    filtered = run("--shard", "2/2", "--filter", "f*")
    assert merge_error(first, filtered) == f"{first} and {filtered} are not shards of the same run: --filter differs"
    repeated = run("--shard", "2/2", "--repeat", "2")
    assert merge_error(first, repeated) == f"{first} and {repeated} are not shards of the same run: --repeat differs"
    replayed = run("--shard", "2/2", "--model", f"replay:{unsharded}")
    assert merge_error(first, replayed).endswith(f"the model differs (script and replay:{unsharded})")
    write_jsonl(folder / "q.jsonl", *(script(("ok", {}), id=str(number)) for number in range(3)))
    other = run("--shard", "2/2", prompts="q.jsonl", server=RAW)
    assert merge_error(first, other).endswith("the prompts file p.jsonl differs")
    (folder / "says.py").write_text(SERVER.replace("def say(word: str)", "def say(word: str, loud: bool = False)"))
    changed = run("--shard", "2/2")
    assert merge_error(first, changed).endswith("the server's tools differ (changed: say)")


def test_shards_with_different_options_are_refused(mcprun: Forks, folder: Path) -> None:
    """Each differing option that influences a verdict is named; a default equals the same value passed explicitly."""
    mcprun.run("batch", "p.jsonl", "says.py", "--shard", "1/2", "--out", "one", "--max-turns", "25", cwd=folder)
    mcprun.run("batch", "p.jsonl", "says.py", "--shard", "2/2", "--out", "two", "--repeat", "1", cwd=folder)
    assert mcprun.run("merge", "one", "two", "--out", "merged", cwd=folder).code == 1
    record = json.loads((folder / "two/run.json").read_text())

    def merge_error(**changed: Any) -> str:
        arguments = {**record["arguments"], **changed.pop("arguments", {})}
        limits = {**record["limits"], **changed.pop("limits", {})}
        server = {**record["server"], **changed.pop("server", {})}
        edited = {**record, "arguments": arguments, "limits": limits, "server": server, **changed}
        (folder / "two/run.json").write_text(json.dumps(edited))
        done = mcprun.run("merge", "one", "two", "--out", "refused", cwd=folder)
        assert ((folder / "refused").exists(), done.code) == (
            not done.stderr.startswith("Error"),
            1 if not done.stderr else 2,
        )
        return done.stderr.removeprefix("Error: one and two are not shards of the same run: ").strip()

    flags = {
        "allow_tool_errors": True, "read_only": True, "pass_rate": 0.5, "allow_tool": ["s*"], "deny_tool": ["s*"],
        "on_divergence": "fail", "scrub": ["uuid"], "ignore": ["calls"], "ignore_order": ["calls"], "system": "Be kind.", "effort": "low",
        "thinking": "disabled", "tool_choice": "any", "bare_api": True, "elicit": "defaults", "fresh_server": True,
        "protocol": "legacy",
    }  # fmt: skip
    for name, value in flags.items():
        assert merge_error(arguments={name: value}) == f"--{name.replace('_', '-')} differs"
    assert merge_error(arguments={"roots": ["x"]}) == "--root differs"
    assert merge_error(arguments={"server_args": ["x"]}) == "the server's command line differs"
    for name, flag in (("max_turns", "--max-turns"), ("call_seconds", "--call-timeout")):
        assert merge_error(limits={name: 7}).startswith(f"{flag} differs ({record['limits'][name]} and ")
    assert merge_error(server={"name": "other"}).startswith("the server differs (says ")
    assert merge_error(arguments={"server": "other.py"}) == "the server differs (says.py and other.py)"
    assert merge_error(arguments={"env": ["A=[redacted]"]}) == "the names in --env or --header differ"
    assert merge_error(versions={**record["versions"], "mcprun": "0"}).startswith("the version of mcprun differs (")
    same = {"server": "/home/other/machine/says.py", "concurrency": 3, "redact": ["x"]}
    assert merge_error(arguments=same, limits={"concurrency": 3, "run_seconds": 5.0, "max_failures": 9}) == ""


def test_resume_refuses_changed_verdict_options(mcprun: Forks, folder: Path) -> None:
    """An option that influences verdicts cannot change in a resume; with `--force`, all queries run again."""
    done = mcprun.run("batch", "p.jsonl", "says.py", "--out", "run", cwd=folder)
    for flag, *value in (["--allow-tool-errors"], ["--read-only"], ["--deny-tool", "x"], ["--on-divergence", "fail"]):
        refused = mcprun.run("batch", "--resume", "run", flag, *value, cwd=folder)
        message = f"Error: {flag} has changed since run was started, and its verdicts depend on it: "
        assert (refused.code, refused.stderr.startswith(message)) == (2, True)
    assert mcprun.run("batch", "--resume", "run", "--scrub", "uuid", "--pass-rate", "1", cwd=folder).bytes == done.bytes
    forced = mcprun.run("batch", "--resume", "run", "--allow-tool-errors", "--force", cwd=folder)
    assert (forced.code, forced.verdicts["bad"], len(forced.transcripts)) == (0, "passed", len(WORDS) + 2)


def test_shard_without_queries_is_refused(mcprun: Forks, folder: Path) -> None:
    """A shard without queries exits with 2, so that a run without queries never passes."""
    done = mcprun.run("batch", "p.jsonl", "says.py", "--limit", "2", "--shard", "3/3", cwd=folder)
    message = "nothing to run: p.jsonl has fewer selected queries than there are shards (3/3)"
    assert (done.code, done.stderr) == (2, f"Error: {message}\n")


def test_prompts_from_stdin_are_kept_in_the_merged_run(mcprun: Forks, folder: Path) -> None:
    """Prompts from stdin are kept in each shard and in the merged run."""
    queries = (folder / "p.jsonl").read_bytes()
    for number in (1, 2):
        mcprun.run("batch", "-", "says.py", "--shard", f"{number}/2", "--out", str(number), cwd=folder, input=queries)
    merged = mcprun.run("merge", "1", "2", "--out", "merged", cwd=folder)
    assert (merged.run / "prompts.jsonl").read_bytes() == queries
