"""A pattern or schema that would be evaluated forever costs at most one query, wherever it is used."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import mcprun
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.evaluation import evaluator
from mcprun.runs.redaction import Redactor
from tests.support.bounded_evaluation import OBJECT, PLACES, SERVER, SLOW, bomb, offer, slow
from tests.support.cli import SECONDS, clean_environment, commands, read_jsonl, run_mcprun, script, write_jsonl


async def test_an_evaluation_that_times_out_is_the_error_of_its_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluation that times out is the error of its query, and its message names the pattern. Other queries pass."""
    monkeypatch.setattr(evaluator, "MATCH_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    numbers = range(1, len(PLACES) + 1)
    offer(tmp_path, *numbers)
    queries = [make(number) for number, (make, _) in zip(numbers, PLACES.values(), strict=True)]
    fine = [script(("quick", {}), expect={"text": {"regex": "^D.ne"}}) | {"id": f"fine{n}"} for n in numbers]
    options = mcprun.Options(model="script", elicit="script", fresh_server=True, out=str(tmp_path / "out"))
    run = await mcprun.run_batch([*queries, *fine], SERVER, options)
    transcripts = {one.id: one for one in run.transcripts()}
    assert {f"fine{number}": "passed" for number in numbers} == {
        name: str(one.verdict) for name, one in transcripts.items() if name.startswith("fine")
    }
    for number, (place, (_, begins)) in zip(numbers, PLACES.items(), strict=True):
        error = transcripts[f"q{number}"].error
        assert (place, "match_timeout") == (place, error and str(error.kind))
        assert error
        assert error.message.startswith(begins.format(number)), place
        assert "took longer than 0.05 s" in error.message


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_during_redaction(tmp_path: Path, signum: signal.Signals) -> None:
    """A signal ends a run although redaction blocks the event loop.

    Texts that there is no time to search are redacted as a whole.
    """
    queries = [script(("says", {}), id=f"q{number}") for number in range(30)]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    offer(tmp_path)
    flags = [part for number in range(120) for part in ("--redact", slow(number))]
    process = start_until_evaluating(tmp_path, "batch", "p.jsonl", SERVER, "--concurrency", "1", "--out", "out", *flags)
    code = stop(process, signum, times=2 if signum == signal.SIGINT else 1)
    assert code == (143 if signum == signal.SIGTERM else 130)
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["state"] == "interrupted"
    assert len(read_jsonl(tmp_path / "out" / "transcripts.jsonl")) < len(queries)
    assert SLOW not in "".join(file.read_text() for file in (tmp_path / "out").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_init_while_it_generates_values(tmp_path: Path, signum: signal.Signals) -> None:
    """A signal ends `init` while patterns that would take a minute are evaluated, and nothing is written.

    The server has exited by then.
    """
    schema = {f"v{n}": {"type": "string", "pattern": slow(n), "examples": [SLOW] * 3} for n in range(60)}
    tool = {"name": "t", "inputSchema": {**OBJECT, "properties": schema, "required": list(schema)}}
    (tmp_path / "offer").write_text(json.dumps({"tools": [tool]}), encoding="utf-8")
    process = start_until_evaluating(tmp_path, "init", SERVER, "--no-workflow")
    assert stop(process, signum, times=1) == (-signal.SIGTERM if signum == signal.SIGTERM else 130)
    assert [file.name for file in tmp_path.iterdir()] == ["offer"]


def start_until_evaluating(folder: Path, *args: str) -> subprocess.Popen[bytes]:
    """Start a command, and wait until it evaluates a pattern."""
    process = subprocess.Popen(
        [str(Path(commands(), "mcprun")), *args],
        cwd=folder, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not is_evaluating(process.pid) and process.poll() is None:
        pass
    return process


def stop(process: subprocess.Popen[bytes], signum: signal.Signals, times: int) -> int:
    """Send a signal to a process `times` times, and return its exit code."""
    try:
        for _ in range(times):
            process.send_signal(signum)
        return process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()


def is_evaluating(process_id: int) -> bool:
    """Return whether the worker of a process has used at least 0.2 s of CPU time."""
    for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split():
        with suppress(OSError):
            ticks = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11]  # utime, 100 per second
            if "evaluation/worker.py" in Path(f"/proc/{child}/cmdline").read_text() and int(ticks) >= 20:
                return True
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_sigterm_ends_a_run_during_scrubbing(tmp_path: Path) -> None:
    """SIGTERM ends a run although scrubbing one result blocks the event loop for two minutes."""
    queries = [script(("says", {}), id=f"q{number}") for number in range(3)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    offer(tmp_path, result="before")
    assert run_mcprun("batch", prompts, SERVER, "--out", "recording", cwd=tmp_path).code == 0
    offer(tmp_path)
    flags = [part for number in range(120) for part in ("--scrub", slow(number))]
    command = ("batch", "p.jsonl", SERVER, "--model", "replay:recording", "--concurrency", "1", "--out", "out", *flags)
    assert stop(start_until_evaluating(tmp_path, *command), signal.SIGTERM, times=1) == 143
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["state"] == "interrupted"
    assert len(read_jsonl(tmp_path / "out" / "transcripts.jsonl")) < len(queries)


def test_redaction_that_times_out_hides_the_whole_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text on which a pattern times out is redacted as a whole.

    Once the pattern's total time is used up, all texts are.
    """
    monkeypatch.setattr(evaluator, "MATCH_SECONDS", 0.05)
    redactor = Redactor([], [r"sk-\w+", slow(1001)])
    secret = {"t": SLOW, "u": "sk-123 is mine", "v": ["fine"]}
    assert redactor.value(secret) == {"t": "[redacted]", "u": "[redacted] is mine", "v": ["fine"]}
    assert [
        f"--redact {slow(1001)!r} took too long to match; the texts concerned are redacted as a whole"
    ] == redactor.take_warnings()
    assert redactor.take_warnings() == []
    for _ in range(12):
        redactor.text(SLOW)
    assert redactor.text("fine") == "[redacted]"


def test_scrubbing_that_times_out_leaves_the_value_and_warns(tmp_path: Path) -> None:
    """A value on which a pattern times out is not changed, and commands that compare runs warn once per pattern."""
    warning = f"Warning: --scrub {slow(1)!r} took longer than 1 s to match; the values concerned were left unchanged"
    scrubs = ("--scrub", slow(1), "--scrub", "uuid")
    for out in ("one", "two"):
        offer(tmp_path, result=SLOW + out)
        write_jsonl(tmp_path / "p.jsonl", script(("says", {})))
        baseline = ("--baseline", "one", *scrubs) if out == "two" else ()
        done = run_mcprun("batch", "p.jsonl", SERVER, "--out", out, *baseline, cwd=tmp_path)
        assert (int(out == "two"),) * 2 == (done.code, done.stderr.count(warning))
    done = run_mcprun("diff", "one", "two", *scrubs, cwd=tmp_path)
    assert (done.code, done.stderr.count(warning)) == (1, 1)


def test_scrubbing_is_bounded_for_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that times out repeatedly is given up, so that its cost does not grow with the number of values."""
    monkeypatch.setattr(evaluator, "MATCH_SECONDS", 0.05)
    scrubber = Scrubber.of([slow(1002), "uuid"])
    values = [f"{SLOW}{number}" for number in range(10_000)]
    assert values == scrubber.clean(values)
    assert evaluator.timed_out()[slow(1002)] == 11


def test_explosive_patterns_in_options_are_usage_errors(tmp_path: Path) -> None:
    """Patterns that take exponential time on the empty string, or that cannot be compiled, are usage errors."""
    for flag in ("--redact", "--scrub"):
        for pattern in ("((((a?){100}){100}){100}){100}", "a{99999999999999}", "(" * 5000):
            code = run_mcprun("diff" if flag == "--scrub" else "batch", "x", "y", flag, pattern, cwd=tmp_path).code
            assert (flag, pattern, 2) == (flag, pattern, code)


def test_init_generates_queries_for_any_pattern(tmp_path: Path) -> None:
    """`init` generates a value that matches the pattern.

    If there is none, or the search takes too long, the input is empty.
    """
    patterns = {
        "quick": slow(1),
        "never": r"^(x+x+)+y(?!)$",
        "letters": r"^\p{Lu}\p{L}+$",
        "named": r"^(?<year>\d{4})$",
    }
    schemas: dict[str, Any] = {name: {"type": "string", "pattern": pattern} for name, pattern in patterns.items()}
    schemas |= {"bomb": bomb(), "circle": {"anyOf": [{"$ref": "#/properties/v"}]}}
    tools = [
        {"name": name, "inputSchema": {**OBJECT, **(schema if "$defs" in schema else {}), "properties": {"v": schema}, "required": ["v"]}}
        for name, schema in schemas.items()
    ]  # fmt: skip
    (tmp_path / "offer").write_text(json.dumps({"tools": tools}), encoding="utf-8")
    done = run_mcprun("init", SERVER, "--no-workflow", cwd=tmp_path)
    inputs = {query["id"]: query["script"][0]["calls"][0]["input"] for query in read_jsonl(tmp_path / "prompts.jsonl")}
    assert {name: inputs.pop(name) for name in ("bomb", "circle", "never")} == {"bomb": {}, "circle": {}, "never": {}}
    assert inputs == {"letters": {"v": "Example"}, "named": {"v": "0000"}, "quick": {"v": "a"}}
    assert done.code == 0


def test_name_patterns_take_no_exponential_time(tmp_path: Path) -> None:
    """Shell patterns in options, `tools` and `never` are matched in linear time.

    The options are `--filter`, `--allow-tool` and `--deny-tool`.
    """
    stars, name = "*a" * 30 + "b", "a" * 2000
    query = script(("says", {}), expect={"never": [stars]}, tools=["says", stars], tags=[name])
    offer(tmp_path)
    write_jsonl(tmp_path / "p.jsonl", query)
    flags = ["--allow-tool", "says", "--allow-tool", stars, "--deny-tool", stars, "--filter", "q", "--filter", stars]
    assert run_mcprun("batch", "p.jsonl", SERVER, *flags, cwd=tmp_path).code == 0
