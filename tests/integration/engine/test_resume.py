"""Resuming a killed, torn or interrupted run gives the same result as an uninterrupted run."""

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
from tests.support.resumption import lines_until_half, prompts, resumed_part, same, some_queries, whole

__all__ = ["prompts", "whole"]

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

SEED = 20261122


def test_run_killed_repeatedly_is_completed(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """A run that is killed during each of six resumes is completed by the seventh."""
    rng = random.Random(SEED)
    point = lines_until_half(mcprun, tmp_path)
    mcprun.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path, kill=point)
    for _ in range(6):
        mcprun.run("batch", "--resume", "run", cwd=tmp_path, kill=rng.randrange(1000, point))
    same(mcprun.run("batch", "--resume", "run", cwd=tmp_path), whole, kills=7)


def test_resuming_a_finished_run_recounts_its_totals(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """Resuming a finished run runs no query, and recounts the totals from its transcripts."""
    record = json.loads((whole.run / "run.json").read_bytes())
    wrong = record | {"counts": record["counts"] | {"passed": 1000, "failed": 0}}
    (whole.run / "run.json").write_text(json.dumps(wrong))
    resumed = mcprun.run("batch", "--resume", "whole", cwd=tmp_path)
    same(resumed, whole)
    assert resumed.record["counts"] == record["counts"]
    assert resumed.record["server"] == record["server"]
    assert "12 queries, 12 already done; model: script (there is no API key" in resumed.stderr
    assert [event["event"] for event in resumed_part(resumed)] == ["run_start"]


def test_retry_errors_runs_failed_queries_again(mcprun: Forks, tmp_path: Path) -> None:
    """Queries that ended with an error run again only with `--retry-errors`; arguments passed now take precedence."""
    queries = [script(("ok", {})) | {"id": "a"}, script(("die", {})) | {"id": "b"}, script(("ok", {})) | {"id": "c"}]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    first = mcprun.run("batch", "p.jsonl", RAW, "--concurrency", "1", "--out", "run", "--", "", cwd=tmp_path)
    assert first.verdicts == {"a": "passed", "b": "error", "c": "passed"}
    resumed = mcprun.run("batch", "--resume", "run", "--", "harmless", cwd=tmp_path)
    assert (resumed.code, resumed.bytes) == (3, first.bytes)
    retried = mcprun.run(
        "batch", "--resume", "run", "--retry-errors", "--concurrency", "2", "--", "harmless", cwd=tmp_path
    )
    assert retried.code == 0
    assert retried.verdicts == {"a": "passed", "b": "passed", "c": "passed"}
    assert {event["query"] for event in resumed_part(retried) if "query" in event} == {"b"}
    arguments = retried.record["arguments"]
    assert (arguments["concurrency"], arguments["server_args"], arguments["out"]) == (2, ["harmless"], "run")
    assert not {"resume", "retry_errors", "force"} & set(arguments)


def test_retry_keeps_old_errors_if_the_server_does_not_start(mcprun: Forks, tmp_path: Path) -> None:
    """If the server does not start, `--retry-errors` leaves the transcripts and counts unchanged."""
    queries = [script(("ok", {}), id="a"), script(("ok", {}), ("die", {}), id="b"), script(("ok", {}), id="c")]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    first = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path)
    assert first.verdicts == {"a": "passed", "b": "error", "c": "passed"}
    before, counts = first.bytes, first.record["counts"]
    failed = mcprun.run("batch", "--resume", "run", "p.jsonl", "false", "--retry-errors", cwd=tmp_path)
    assert (failed.code, failed.bytes) == (3, before)
    assert (failed.record["state"], failed.record["counts"]) == ("interrupted", counts)
    assert "Resume with: mcprun batch --resume run" in failed.stderr
    retried = mcprun.run("batch", "--resume", "run", "p.jsonl", RAW, "--retry-errors", "--", "harmless", cwd=tmp_path)
    assert (retried.code, set(retried.verdicts.values())) == (0, {"passed"})
    assert not (tmp_path / "run" / "retried.jsonl").exists()


@pytest.fixture
def half(mcprun: Forks, tmp_path: Path, prompts: Path, whole: Result) -> Path:
    """Write a run with transcripts of only its first six queries."""
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "half", "--concurrency", "1", cwd=tmp_path)
    lines = done.bytes.splitlines(keepends=True)
    (done.run / "transcripts.jsonl").write_bytes(b"".join(lines[:6]))
    return done.run


def test_changed_prompts_are_refused_by_name(mcprun: Forks, tmp_path: Path, half: Path) -> None:
    """The message names the queries that differ; `--force` keeps those that still match and runs the others."""
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
    fresh = mcprun.run("batch", "p.jsonl", RAW, cwd=tmp_path)
    assert (forced.code, forced.bytes) == (fresh.code, fresh.bytes)
    tried = {event["query"] for event in resumed_part(forced) if event["event"] == "query_end"}
    assert tried == {"q1", "q6", "q7", "q8", "q9", "says", "broken", "new"}
    # `--force` recorded the changed file, so that it matches now.
    assert mcprun.run("batch", "--resume", "half", cwd=tmp_path).code == forced.code


def test_formatting_of_the_prompts_file_is_ignored(
    mcprun: Forks, tmp_path: Path, prompts: Path, half: Path, whole: Result
) -> None:
    """A BOM, CRLF, blank lines and the order of keys do not count as a change of the prompts file."""
    lines = [json.dumps(dict(reversed(query.items())), indent=None) for query in some_queries()]
    prompts.write_text("\ufeff" + "\r\n\r\n".join(lines), encoding="utf-8")
    resumed = mcprun.run("batch", "--resume", "half", cwd=tmp_path)
    assert (resumed.code, resumed.bytes) == (whole.code, whole.bytes)


def test_resume_may_raise_limit_but_not_lower_it(mcprun: Forks, tmp_path: Path, prompts: Path, whole: Result) -> None:
    """`--limit` may be raised; lowering it would drop completed queries and is refused."""
    assert mcprun.run("batch", "p.jsonl", RAW, "--limit", "4", "--out", "run", cwd=tmp_path).code == 1
    less = mcprun.run("batch", "--resume", "run", "--limit", "2", cwd=tmp_path)
    assert less.code == 2
    assert "--filter, --limit or --shard exclude queries that run has completed ('q2', 'q3')" in less.stderr
    same(mcprun.run("batch", "--resume", "run", "--limit", "99", cwd=tmp_path), whole)


def test_prompts_from_stdin_are_kept_for_a_resume(mcprun: Forks, tmp_path: Path, prompts: Path, whole: Result) -> None:
    """A run whose prompts came from stdin resumes from its own copy, `prompts.jsonl`."""
    lines = prompts.read_text(encoding="utf-8")
    point = lines_until_half(mcprun, tmp_path)
    killed = mcprun.run("batch", "-", RAW, "--out", "run", cwd=tmp_path, input=lines, kill=point)
    assert killed.code == -signal.SIGKILL
    resumed = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert (resumed.code, resumed.bytes) == (whole.code, whole.bytes)
    assert (tmp_path / "run" / "prompts.jsonl").read_text(encoding="utf-8") == lines


def test_resume_reads_only_the_remaining_queries(mcprun: Forks, tmp_path: Path) -> None:
    """A resume parses only the remaining lines of an unchanged file.

    Generated ids, blank lines and repeats still match.
    """
    lines = [json.dumps({"prompt": "again", "script": [{"text": "hi"}]})] * 3 + [json.dumps(script(id="last"))]
    (tmp_path / "p.jsonl").write_bytes(b"\xef\xbb\xbf\n" + "\r\n\n".join(lines).encode())
    uninterrupted = mcprun.run("batch", "p.jsonl", RAW, "--out", "whole", "--repeat", "2", cwd=tmp_path)
    mcprun.run("batch", "p.jsonl", RAW, "--out", "run", "--repeat", "2", cwd=tmp_path)
    record = tmp_path / "run" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_bytes()), "state": "started"}))
    recorded = uninterrupted.bytes.splitlines(keepends=True)
    (tmp_path / "run" / "transcripts.jsonl").write_bytes(b"".join(recorded[:1] + recorded[2:4]))
    same(mcprun.run("batch", "--resume", "run", cwd=tmp_path), uninterrupted)


def test_query_with_a_different_digest_is_detected(mcprun: Forks, tmp_path: Path) -> None:
    """A remaining query is compared with its recorded digest even if the whole file is not checked again."""
    write_jsonl(tmp_path / "p.jsonl", script(id="a"), script(id="b"))
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path)
    (done.run / "transcripts.jsonl").write_bytes(done.bytes.splitlines(keepends=True)[0])
    digests = (done.run / "queries.jsonl").read_text().splitlines()
    (done.run / "queries.jsonl").write_text(f'{digests[0]}\n{{"id":"b","digest":"0000000000000000"}}\n')
    resumed = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert resumed.code == 3
    assert "p.jsonl changed during the run" in resumed.stderr


def test_adding_an_expected_null_is_a_change(mcprun: Forks, tmp_path: Path) -> None:
    """Adding `"result": null` to an expected call invalidates the query's verdict."""
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


def test_resume_with_model_script_requires_scripts(mcprun: Forks, tmp_path: Path) -> None:
    """`--model script` is refused if queries have no script, even if the prompts file is unchanged."""
    queries = [script(("ok", {}), id=name) for name in "ab"]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    mcprun.run("batch", "p.jsonl", RAW, "--out", "recorded", cwd=tmp_path)
    write_jsonl(tmp_path / "bare.jsonl", *({"id": query["id"], "prompt": query["prompt"]} for query in queries))
    flags = ("--model", "replay:recorded", "--out", "run")
    done = mcprun.run("batch", "bare.jsonl", RAW, *flags, cwd=tmp_path)
    (done.run / "transcripts.jsonl").write_bytes(done.bytes.splitlines(keepends=True)[0])
    resumed = mcprun.run("batch", "--resume", "run", "--model", "script", cwd=tmp_path)
    assert resumed.code == 2
    assert resumed.stderr.splitlines() == [
        f"bare.jsonl:{line}: script: is missing, but the model is script" for line in (1, 2)
    ]


def test_run_is_written_by_one_process_at_a_time(tmp_path: Path, mcprun: Forks) -> None:
    """A resume is refused while another process writes the run, and succeeds after that process was killed."""
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


def test_run_interrupted_by_sigterm_can_be_resumed(tmp_path: Path, mcprun: Forks) -> None:
    """After a SIGTERM, the printed command completes the run to the same bytes as an uninterrupted run."""
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
    resumed = mcprun.run(*resume, "--call-timeout", "0.1", cwd=tmp_path)
    fresh = mcprun.run("batch", prompts, RAW, "--call-timeout", "0.1", cwd=tmp_path)
    assert (resumed.code, resumed.bytes) == (fresh.code, fresh.bytes)


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
def test_invalid_resume_is_refused(
    mcprun: Forks, tmp_path: Path, whole: Result, args: list[str | Path], message: str
) -> None:
    """An invalid combination exits with 2, names the reason, and changes no file."""
    (tmp_path / "outputs" / "latest").unlink()
    done = mcprun.run("batch", *args, cwd=tmp_path)
    assert (done.code, message in done.stderr) == (2, True)
    assert (whole.run / "transcripts.jsonl").read_bytes() == whole.bytes


def test_arguments_with_secrets_must_be_passed_again(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """A server URL with a password is recorded redacted, and a resume names the argument to pass again."""
    record = json.loads((whole.run / "run.json").read_bytes())
    record["arguments"]["server"] = "https://[redacted]@127.0.0.1:1/mcp"
    (whole.run / "run.json").write_text(json.dumps(record))
    resumed = mcprun.run("batch", "--resume", "whole", cwd=tmp_path)
    assert resumed.code == 2
    message = "SERVER (after PROMPTS) of this run contains a secret and was not recorded: pass it again"
    assert message in resumed.stderr
    same(mcprun.run("batch", "--resume", "whole", "p.jsonl", RAW, cwd=tmp_path), whole)


def test_flag_replaces_its_recorded_opposite(mcprun: Forks, tmp_path: Path, prompts: Path) -> None:
    """`--retries` replaces a recorded `--no-retry`, `--servers` a recorded `--fresh-server`, and vice versa."""
    flags = ("--no-retry", "--fresh-server", "--limit", "1", "--out", "run")
    assert mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path).code == 0
    resumed = mcprun.run("batch", "--resume", "run", "--retries", "4", "--servers", "2", cwd=tmp_path)
    assert (resumed.code, resumed.record["limits"]["retries"]) == (0, 4)
    assert not {"no_retry", "fresh_server"} & set(resumed.record["arguments"])
    reverted = mcprun.run("batch", "--resume", "run", "--no-retry", "--fresh-server", cwd=tmp_path)
    assert (reverted.code, reverted.record["limits"]["retries"]) == (0, 0)
    assert not {"retries", "servers"} & set(reverted.record["arguments"])


def test_latest_names_a_run_killed_before_its_first_query_ended(mcprun: Forks, tmp_path: Path, prompts: Path) -> None:
    """`--resume latest` continues a run that was killed before its first query ended."""
    assert mcprun.run("batch", "p.jsonl", RAW, "--limit", "1", cwd=tmp_path).code == 0
    lines = mcprun.lines("batch", "p.jsonl", RAW, "--out", "counted", cwd=tmp_path)
    (tmp_path / "counted").rename(tmp_path / "gone")
    for at in range(lines // 10, lines, lines // 50):  # the first kill after the trace was started
        name = f"run-{at}"
        killed = mcprun.run("batch", "p.jsonl", RAW, "--out", name, cwd=tmp_path, kill=at)
        assert killed.code == -signal.SIGKILL
        if (tmp_path / name / "trace.jsonl").exists() and (tmp_path / name / "trace.jsonl").read_bytes():
            break
    assert (tmp_path / name / "transcripts.jsonl").read_bytes() == b""
    resumed = mcprun.run("batch", "--resume", "latest", cwd=tmp_path)
    assert (resumed.run, len(resumed.transcripts)) == (tmp_path / name, 12)


def test_transcripts_without_run_json_are_not_overwritten(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """A new run is refused in a folder that has transcripts but no `run.json`."""
    (whole.run / "run.json").unlink()
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    assert (done.code, "whole is not empty" in done.stderr) == (2, True)
    assert (whole.run / "transcripts.jsonl").read_bytes() == whole.bytes


def test_resume_keeps_redacting(mcprun: Forks, tmp_path: Path) -> None:
    """A resume applies the recorded `--redact` patterns and new ones.

    A pattern that matches itself was not recorded, and must be passed again.
    """
    queries = [script(("ok", {"is": f"hunter2-{name} and card-1234"}), id=name) for name in "abc"]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--redact", r"hunter\d-[a-z]", "--limit", "1", "--out", "run")
    assert mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path).code == 0
    resumed = mcprun.run("batch", "--resume", "run", "--limit", "2", "--redact", r"card-\d+", cwd=tmp_path)
    assert resumed.code == 0
    assert resumed.transcripts[1]["calls"][0]["input"] == {"is": "[redacted] and [redacted]"}
    flags = ("--redact", "hunter2-[a-z]*", "--limit", "1", "--out", "itself")
    assert mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path).code == 0
    resumed = mcprun.run("batch", "--resume", "itself", "--limit", "2", cwd=tmp_path)
    assert (resumed.code, "--redact of this run contains a secret and was not recorded" in resumed.stderr) == (2, True)


def test_resume_from_another_folder_names_the_original_one(
    mcprun: Forks, tmp_path: Path, half: Path, whole: Result
) -> None:
    """If the prompts file is not found, the message names the folder in which the run was started."""
    other = tmp_path / "other"
    other.mkdir()
    resumed = mcprun.run("batch", "--resume", half, cwd=other)
    assert resumed.code == 2
    assert resumed.stderr == f"Error: there is no prompts file p.jsonl (the run was started in {tmp_path})\n"
    resumed = mcprun.run("batch", "--resume", half, tmp_path / "p.jsonl", cwd=other)
    assert (resumed.code, resumed.bytes) == (whole.code, whole.bytes)


def test_prompts_from_a_named_pipe_are_kept_for_a_resume(
    mcprun: Forks, tmp_path: Path, prompts: Path, whole: Result
) -> None:
    """A run whose prompts came from a named pipe resumes from its own copy; the pipe is empty by then."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(prompts.read_bytes()))
    writer.start()
    point = lines_until_half(mcprun, tmp_path)
    killed = mcprun.run("batch", "pipe", RAW, "--out", "run", cwd=tmp_path, kill=point)
    writer.join()
    assert killed.code == -signal.SIGKILL
    resumed = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert (resumed.code, resumed.bytes) == (whole.code, whole.bytes)
