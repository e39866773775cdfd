"""A run that was killed, torn or interrupted resumes to the same result."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.cli import RAW, Result, clean_environment, script, write_jsonl
from tests.support.forks import Forks
from tests.support.resumption import prompts, resumed_part, same, some_queries, whole

__all__ = ["prompts", "whole"]

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

SEED = 20261122


def test_killed_again_and_again(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """A run that is killed each time it goes on comes to its end all the same."""
    chance = random.Random(SEED)
    mcprun.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path, kill=10_500)
    for _ in range(6):
        mcprun.run("batch", "--resume", "run", cwd=tmp_path, kill=chance.randrange(1000, 10_500))
    same(mcprun.run("batch", "--resume", "run", cwd=tmp_path), whole, kills=7)


def test_nothing_left_to_do(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """A finished run is not run again: its totals are counted anew from its files."""
    record = json.loads((whole.run / "run.json").read_bytes())
    lies = record | {"counts": record["counts"] | {"passed": 1000, "failed": 0}}
    (whole.run / "run.json").write_text(json.dumps(lies))
    again = mcprun.run("batch", "--resume", "whole", cwd=tmp_path)
    same(again, whole)
    assert again.record["counts"] == record["counts"]
    assert again.record["server"] == record["server"]
    assert "12 queries, 12 already done; model: script (there is no API key" in again.stderr
    assert [event["event"] for event in resumed_part(again)] == ["run_start"]


def test_errors_are_tried_again_when_asked_for(mcprun: Forks, tmp_path: Path) -> None:
    """What ended in an error stays one, unless `--retry-errors`; arguments that are given now come first."""
    queries = [script(("ok", {})) | {"id": "a"}, script(("die", {})) | {"id": "b"}, script(("ok", {})) | {"id": "c"}]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    first = mcprun.run("batch", "p.jsonl", RAW, "--concurrency", "1", "--out", "run", "--", "", cwd=tmp_path)
    assert first.verdicts == {"a": "passed", "b": "error", "c": "passed"}
    again = mcprun.run("batch", "--resume", "run", "--", "harmless", cwd=tmp_path)
    assert (again.code, again.bytes) == (3, first.bytes)
    retried = mcprun.run(
        "batch", "--resume", "run", "--retry-errors", "--concurrency", "2", "--", "harmless", cwd=tmp_path
    )
    assert retried.code == 0
    assert retried.verdicts == {"a": "passed", "b": "passed", "c": "passed"}
    assert {event["query"] for event in resumed_part(retried) if "query" in event} == {"b"}
    arguments = retried.record["arguments"]
    assert (arguments["concurrency"], arguments["server_args"], arguments["out"]) == (2, ["harmless"], "run")
    assert not {"resume", "retry_errors", "force"} & set(arguments)


def test_what_is_tried_again_is_not_lost_before(mcprun: Forks, tmp_path: Path) -> None:
    """When the server does not even start, an error is what it was, with all that was said and paid before."""
    queries = [script(("ok", {}), id="a"), script(("ok", {}), ("die", {}), id="b"), script(("ok", {}), id="c")]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    first = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path)
    assert first.verdicts == {"a": "passed", "b": "error", "c": "passed"}
    before, counts = first.bytes, first.record["counts"]
    again = mcprun.run("batch", "--resume", "run", "p.jsonl", "false", "--retry-errors", cwd=tmp_path)
    assert (again.code, again.bytes) == (3, before)
    assert (again.record["state"], again.record["counts"]) == ("interrupted", counts)
    assert "Resume with: mcprun batch --resume run" in again.stderr
    retried = mcprun.run("batch", "--resume", "run", "p.jsonl", RAW, "--retry-errors", "--", "harmless", cwd=tmp_path)
    assert (retried.code, set(retried.verdicts.values())) == (0, {"passed"})
    assert not (tmp_path / "run" / "retried.jsonl").exists()


@pytest.fixture
def half(mcprun: Forks, tmp_path: Path, prompts: Path, whole: Result) -> Path:
    """A run of which the first half is done."""
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "half", "--concurrency", "1", cwd=tmp_path)
    lines = done.bytes.splitlines(keepends=True)
    (done.run / "transcripts.jsonl").write_bytes(b"".join(lines[:6]))
    return done.run


def test_changed_prompts_are_refused_by_name(mcprun: Forks, tmp_path: Path, half: Path) -> None:
    """The message names what differs; with `--force`, what still matches is kept and the rest is run."""
    queries = some_queries()
    queries[1]["expect"] = {"text": {"contains": "é1"}}  # done, and changed
    queries[8]["prompt"] = "Do it now."  # not done, and changed
    del queries[2]
    write_jsonl(tmp_path / "p.jsonl", *queries, script(("ok", {}), id="new"))
    before = (half / "transcripts.jsonl").read_bytes()
    refused = mcprun.run("batch", "--resume", "half", cwd=tmp_path)
    assert refused.code == 2
    assert refused.stderr.strip() == (
        "Error: p.jsonl has changed since half was started: 2 changed ('q1', 'q8'), 1 added ('new'), 1 removed ('q2')."
        " Restore it, or use --force to keep only the queries that still match"
    )
    assert (half / "transcripts.jsonl").read_bytes() == before
    forced = mcprun.run("batch", "--resume", "half", "--force", cwd=tmp_path)
    anew = mcprun.run("batch", "p.jsonl", RAW, cwd=tmp_path)
    assert (forced.code, forced.bytes) == (anew.code, anew.bytes)
    tried = {event["query"] for event in resumed_part(forced) if event["event"] == "query_end"}
    assert tried == {"q1", "q6", "q7", "q8", "q9", "says", "broken", "new"}
    assert mcprun.run("batch", "--resume", "half", cwd=tmp_path).code == forced.code  # it is its own file now


def test_what_says_the_same_is_the_same(
    mcprun: Forks, tmp_path: Path, prompts: Path, half: Path, whole: Result
) -> None:
    """Spaces, empty lines and the order of keys change nothing."""
    lines = [json.dumps(dict(reversed(query.items())), indent=None) for query in some_queries()]
    prompts.write_text("\ufeff" + "\r\n\r\n".join(lines), encoding="utf-8")
    again = mcprun.run("batch", "--resume", "half", cwd=tmp_path)
    assert (again.code, again.bytes) == (whole.code, whole.bytes)


def test_more_may_be_selected_and_not_less(mcprun: Forks, tmp_path: Path, prompts: Path, whole: Result) -> None:
    """`--limit` may be raised; lowered, it would throw away what is done."""
    assert mcprun.run("batch", "p.jsonl", RAW, "--limit", "4", "--out", "run", cwd=tmp_path).code == 1
    less = mcprun.run("batch", "--resume", "run", "--limit", "2", cwd=tmp_path)
    assert less.code == 2
    assert "--filter, --limit or --shard exclude queries that run has completed ('q2', 'q3')" in less.stderr
    same(mcprun.run("batch", "--resume", "run", "--limit", "99", cwd=tmp_path), whole)


def test_prompts_of_stdin_are_there_again(mcprun: Forks, tmp_path: Path, prompts: Path, whole: Result) -> None:
    """A run whose prompts came on stdin is resumed without them."""
    lines = prompts.read_text(encoding="utf-8")
    killed = mcprun.run("batch", "-", RAW, "--out", "run", cwd=tmp_path, input=lines, kill=10_500)
    assert killed.code == -signal.SIGKILL
    again = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert (again.code, again.bytes) == (whole.code, whole.bytes)
    assert (tmp_path / "run" / "prompts.jsonl").read_text(encoding="utf-8") == lines


def test_what_is_done_is_not_read_again(mcprun: Forks, tmp_path: Path) -> None:
    """Of a file with the same bytes, only what is left is parsed: ids that were made, blank lines and repeats fit."""
    lines = [json.dumps({"prompt": "again", "script": [{"text": "hi"}]})] * 3 + [json.dumps(script(id="last"))]
    (tmp_path / "p.jsonl").write_bytes(b"\xef\xbb\xbf\n" + "\r\n\n".join(lines).encode())
    whole = mcprun.run("batch", "p.jsonl", RAW, "--out", "whole", "--repeat", "2", cwd=tmp_path)
    mcprun.run("batch", "p.jsonl", RAW, "--out", "run", "--repeat", "2", cwd=tmp_path)
    record = tmp_path / "run" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_bytes()), "state": "started"}))
    kept = whole.bytes.splitlines(keepends=True)
    (tmp_path / "run" / "transcripts.jsonl").write_bytes(b"".join(kept[:1] + kept[2:4]))
    same(mcprun.run("batch", "--resume", "run", cwd=tmp_path), whole)


def test_a_digest_that_differs_is_found(mcprun: Forks, tmp_path: Path) -> None:
    """What is left is held against what was noted of it, also where the whole file is not checked again."""
    write_jsonl(tmp_path / "p.jsonl", script(id="a"), script(id="b"))
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path)
    (done.run / "transcripts.jsonl").write_bytes(done.bytes.splitlines(keepends=True)[0])
    noted = (done.run / "queries.jsonl").read_text().splitlines()
    (done.run / "queries.jsonl").write_text(f'{noted[0]}\n{{"id":"b","digest":"0000000000000000"}}\n')
    again = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert again.code == 3
    assert "p.jsonl changed during the run" in again.stderr


def test_an_expected_null_that_is_added_is_a_change(mcprun: Forks, tmp_path: Path) -> None:
    """The verdict of a query that now expects a result of null is not kept."""
    query = script(("ok", {}), id="a", expect={"calls": [{"tool": "ok"}]})
    write_jsonl(tmp_path / "p.jsonl", query)
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path)
    assert done.verdicts == {"a": "passed"}
    write_jsonl(tmp_path / "p.jsonl", {**query, "expect": {"calls": [{"tool": "ok", "result": None}]}})
    refused = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert refused.code == 2
    assert "1 changed ('a')" in refused.stderr
    forced = mcprun.run("batch", "--resume", "run", "--force", cwd=tmp_path)
    assert forced.verdicts == {"a": "failed"}


def test_scripts_are_asked_for_also_where_the_file_is_known(mcprun: Forks, tmp_path: Path) -> None:
    """Queries without one can't go on with `--model script`, which would have them say nothing, and pass."""
    queries = [script(("ok", {}), id=name) for name in "ab"]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    mcprun.run("batch", "p.jsonl", RAW, "--out", "recorded", cwd=tmp_path)
    write_jsonl(tmp_path / "bare.jsonl", *({"id": query["id"], "prompt": query["prompt"]} for query in queries))
    flags = ("--model", "replay:recorded", "--out", "run")
    done = mcprun.run("batch", "bare.jsonl", RAW, *flags, cwd=tmp_path)
    (done.run / "transcripts.jsonl").write_bytes(done.bytes.splitlines(keepends=True)[0])
    again = mcprun.run("batch", "--resume", "run", "--model", "script", cwd=tmp_path)
    assert again.code == 2
    assert again.stderr.splitlines() == [
        f"bare.jsonl:{line}: script: is missing, but the model is script" for line in (1, 2)
    ]


def test_one_process_at_a_time(tmp_path: Path, mcprun: Forks) -> None:
    """While one mcprun is at work on a run, a second one is refused; when it is gone, however it went, it is not."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="a"), script(("hang", {}), id="b"))
    command = [sys.executable, "-m", "mcprun", "batch", str(prompts), str(RAW), "--out", "run", "--concurrency", "1"]
    first = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True)
    assert first.stderr
    while not first.stderr.readline().startswith("passed  a"):
        assert first.poll() is None
    transcripts = (tmp_path / "run" / "transcripts.jsonl").read_bytes()
    second = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert second.code == 2
    assert second.stderr.strip() == "Error: another mcprun process is writing run: wait until it has ended"
    assert (tmp_path / "run" / "transcripts.jsonl").read_bytes() == transcripts
    first.kill()
    first.communicate(timeout=60)
    third = mcprun.run("batch", "--resume", "run", "--call-timeout", "0.1", cwd=tmp_path)
    assert third.verdicts == {"a": "passed", "b": "failed"}


def test_a_run_that_is_interrupted_goes_on(tmp_path: Path, mcprun: Forks) -> None:
    """After a SIGTERM the command that is printed does the rest, as if there had been none."""
    queries = [script(("ok", {}), id="a"), script(("hang", {}), id="b"), script(("ok", {}), id="c")]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    command = [sys.executable, "-m", "mcprun", "batch", "p.jsonl", str(RAW), "--concurrency", "1"]
    first = subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert first.stderr
    while not first.stderr.readline().startswith("passed  a"):
        assert first.poll() is None
    first.terminate()
    output = first.communicate(timeout=60)[1]
    assert first.returncode == 128 + signal.SIGTERM
    resume = output.splitlines()[-1].removeprefix("Resume with: mcprun ").split()
    assert resume[:2] == ["batch", "--resume"]
    again = mcprun.run(*resume, "--call-timeout", "0.1", cwd=tmp_path)
    anew = mcprun.run("batch", prompts, RAW, "--call-timeout", "0.1", cwd=tmp_path)
    assert (again.code, again.bytes) == (anew.code, anew.bytes)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--resume", "nope"], "there is no run at nope or outputs/nope"),
        (["--resume", "latest"], "there is no run in outputs/ yet: create one with mcprun batch"),
        (
            ["--resume", "whole", "--out", "b"],
            "--out can't be combined with --resume: a run continues in its own directory",
        ),
        (["p.jsonl", RAW, "--retry-errors"], "--retry-errors and --force require --resume RUN"),
        (
            ["p.jsonl", RAW, "--out", "whole"],
            "whole already holds a run: choose another --out, or continue it with --resume",
        ),
    ],
)
def test_wrong_usage(mcprun: Forks, tmp_path: Path, whole: Result, args: list[str | Path], message: str) -> None:
    """What can't be resumed says why, and touches nothing."""
    (tmp_path / "outputs" / "latest").unlink()
    again = mcprun.run("batch", *args, cwd=tmp_path)
    assert (again.code, message in again.stderr) == (2, True)
    assert (whole.run / "transcripts.jsonl").read_bytes() == whole.bytes


def test_arguments_with_secrets_must_be_given_again(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """Of a URL with a password only the rest is kept, and a resume says what it needs."""
    record = json.loads((whole.run / "run.json").read_bytes())
    record["arguments"]["server"] = "https://[redacted]@127.0.0.1:1/mcp"
    (whole.run / "run.json").write_text(json.dumps(record))
    again = mcprun.run("batch", "--resume", "whole", cwd=tmp_path)
    assert again.code == 2
    message = "SERVER (after PROMPTS) of this run contains a secret and was not recorded: pass it again"
    assert message in again.stderr
    same(mcprun.run("batch", "--resume", "whole", "p.jsonl", RAW, cwd=tmp_path), whole)


def test_flags_that_are_given_now_do_away_with_their_opposites(mcprun: Forks, tmp_path: Path, prompts: Path) -> None:
    """`--retries` with a run begun with `--no-retry`, `--servers` with one of `--fresh-server`, and the other way round."""
    flags = ("--no-retry", "--fresh-server", "--limit", "1", "--out", "run")
    assert mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path).code == 0
    again = mcprun.run("batch", "--resume", "run", "--retries", "4", "--servers", "2", cwd=tmp_path)
    assert (again.code, again.record["limits"]["retries"]) == (0, 4)
    assert not {"no_retry", "fresh_server"} & set(again.record["arguments"])
    back = mcprun.run("batch", "--resume", "run", "--no-retry", "--fresh-server", cwd=tmp_path)
    assert (back.code, back.record["limits"]["retries"]) == (0, 0)
    assert not {"retries", "servers"} & set(back.record["arguments"])


def test_latest_is_the_run_that_was_killed(mcprun: Forks, tmp_path: Path, prompts: Path) -> None:
    """Even before its first query has ended, it is the one that `--resume latest` goes on with."""
    assert mcprun.run("batch", "p.jsonl", RAW, "--limit", "1", cwd=tmp_path).code == 0
    lines = mcprun.lines("batch", "p.jsonl", RAW, "--out", "counted", cwd=tmp_path)
    (tmp_path / "counted").rename(tmp_path / "gone")
    for at in range(lines // 10, lines, lines // 50):  # the first moment at which the run has begun
        name = f"run-{at}"
        killed = mcprun.run("batch", "p.jsonl", RAW, "--out", name, cwd=tmp_path, kill=at)
        assert killed.code == -signal.SIGKILL
        if (tmp_path / name / "trace.jsonl").exists() and (tmp_path / name / "trace.jsonl").read_bytes():
            break
    assert (tmp_path / name / "transcripts.jsonl").read_bytes() == b""
    again = mcprun.run("batch", "--resume", "latest", cwd=tmp_path)
    assert (again.run, len(again.transcripts)) == (tmp_path / name, 12)


def test_a_folder_that_lost_its_record_loses_no_more(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """Transcripts without a `run.json` are somebody's: no new run is written over them."""
    (whole.run / "run.json").unlink()
    again = mcprun.run("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    assert (again.code, "whole is not empty" in again.stderr) == (2, True)
    assert (whole.run / "transcripts.jsonl").read_bytes() == whole.bytes


def test_redaction_is_not_lost_on_the_way(mcprun: Forks, tmp_path: Path) -> None:
    """A resume hides what the run has hidden, and what it is told to hide; a pattern that hides itself is asked for."""
    queries = [script(("ok", {"is": f"hunter2-{name} and card-1234"}), id=name) for name in "abc"]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--redact", r"hunter\d-[a-z]", "--limit", "1", "--out", "run")
    assert mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path).code == 0
    again = mcprun.run("batch", "--resume", "run", "--limit", "2", "--redact", r"card-\d+", cwd=tmp_path)
    assert again.code == 0
    assert again.transcripts[1]["calls"][0]["input"] == {"is": "[redacted] and [redacted]"}
    flags = ("--redact", "hunter2-[a-z]*", "--limit", "1", "--out", "itself")
    assert mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path).code == 0
    again = mcprun.run("batch", "--resume", "itself", "--limit", "2", cwd=tmp_path)
    assert (again.code, "--redact of this run contains a secret and was not recorded" in again.stderr) == (2, True)


def test_from_another_folder(mcprun: Forks, tmp_path: Path, half: Path, whole: Result) -> None:
    """A resume that does not find the prompts says where the run was begun."""
    other = tmp_path / "other"
    other.mkdir()
    again = mcprun.run("batch", "--resume", half, cwd=other)
    assert again.code == 2
    assert again.stderr == f"Error: there is no prompts file p.jsonl (the run was started in {tmp_path})\n"
    again = mcprun.run("batch", "--resume", half, tmp_path / "p.jsonl", cwd=other)
    assert (again.code, again.bytes) == (whole.code, whole.bytes)


def test_prompts_of_a_pipe_are_there_again(mcprun: Forks, tmp_path: Path, prompts: Path, whole: Result) -> None:
    """So are those of a named pipe, which is empty when the run goes on."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(prompts.read_bytes()))
    writer.start()
    killed = mcprun.run("batch", "pipe", RAW, "--out", "run", cwd=tmp_path, kill=10_500)
    writer.join()
    assert killed.code == -signal.SIGKILL
    again = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert (again.code, again.bytes) == (whole.code, whole.bytes)
