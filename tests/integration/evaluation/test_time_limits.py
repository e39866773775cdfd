"""A pattern or schema that would be evaluated for ever costs at most one query, wherever it stands."""

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
from mcprun.evaluation import bounded
from mcprun.runs.redaction import Redactor
from tests.support.bounded_evaluation import OBJECT, PLACES, SERVER, SLOW, bomb, offer, slow
from tests.support.cli import SECONDS, clean_environment, commands, read_jsonl, run_mcprun, script, write_jsonl


async def test_what_takes_too_long_is_the_error_of_its_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the pattern; the queries beside it are done, whatever they wait for meanwhile."""
    monkeypatch.setattr(bounded, "MATCH_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    numbers = range(1, len(PLACES) + 1)
    offer(tmp_path, *numbers)
    queries = [make(number) for number, (make, _) in zip(numbers, PLACES.values(), strict=True)]
    fine = [script(("quick", {}), expect={"text": {"regex": "^D.ne"}}) | {"id": f"fine{n}"} for n in numbers]
    options = mcprun.Options(model="script", elicit="script", fresh_server=True, out=str(tmp_path / "out"))
    run = await mcprun.run_batch([*queries, *fine], SERVER, options)
    found = {one.id: one for one in run.transcripts()}
    assert {f"fine{number}": "passed" for number in numbers} == {
        name: str(one.verdict) for name, one in found.items() if name.startswith("fine")
    }
    for number, (place, (_, begins)) in zip(numbers, PLACES.items(), strict=True):
        error = found[f"q{number}"].error
        assert (place, "match_timeout") == (place, error and str(error.kind))
        assert error
        assert error.message.startswith(begins.format(number)), place
        assert "took longer than 0.05 s" in error.message


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_that_redacts(tmp_path: Path, sent: signal.Signals) -> None:
    """Redaction blocks the event loop; what there is no time to look at is redacted whole."""
    queries = [script(("says", {}), id=f"q{number}") for number in range(30)]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    offer(tmp_path)
    flags = [part for number in range(120) for part in ("--redact", slow(number))]
    process = until_evaluating(tmp_path, "batch", "p.jsonl", SERVER, "--concurrency", "1", "--out", "out", *flags)
    code = stopped(process, sent, times=2 if sent == signal.SIGINT else 1)
    assert code == (143 if sent == signal.SIGTERM else 130)
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["state"] == "interrupted"
    assert len(read_jsonl(tmp_path / "out" / "transcripts.jsonl")) < len(queries)
    assert SLOW not in "".join(file.read_text() for file in (tmp_path / "out").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_init_that_looks_for_values(tmp_path: Path, sent: signal.Signals) -> None:
    """It writes nothing; the patterns of these tools would take a minute. No server runs by then."""
    schema = {f"v{n}": {"type": "string", "pattern": slow(n), "examples": [SLOW] * 3} for n in range(60)}
    tool = {"name": "t", "inputSchema": {**OBJECT, "properties": schema, "required": list(schema)}}
    (tmp_path / "offer").write_text(json.dumps({"tools": [tool]}), encoding="utf-8")
    process = until_evaluating(tmp_path, "init", SERVER, "--no-workflow")
    assert stopped(process, sent, times=1) == (-signal.SIGTERM if sent == signal.SIGTERM else 130)
    assert [file.name for file in tmp_path.iterdir()] == ["offer"]


def until_evaluating(folder: Path, *args: str) -> subprocess.Popen[bytes]:
    """Start a command, and wait until it evaluates a pattern."""
    process = subprocess.Popen(
        [str(Path(commands(), "mcprun")), *args],
        cwd=folder, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not is_evaluating(process.pid) and process.poll() is None:
        pass
    return process


def stopped(process: subprocess.Popen[bytes], sent: signal.Signals, times: int) -> int:
    """Send a signal to a process so many times, and return its exit code."""
    try:
        for _ in range(times):
            process.send_signal(sent)
        return process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()


def is_evaluating(process_id: int) -> bool:
    """Return whether a process that evaluates patterns for this one has taken a fifth of a second by now."""
    for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split():
        with suppress(OSError):
            ticks = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11]  # of 100 a second
            if "evaluation/worker.py" in Path(f"/proc/{child}/cmdline").read_text() and int(ticks) >= 20:
                return True
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_sigterm_cuts_scrubbing_short(tmp_path: Path) -> None:
    """Scrubbing blocks the event loop: patterns that take two minutes for one result end at once all the same."""
    queries = [script(("says", {}), id=f"q{number}") for number in range(3)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    offer(tmp_path, result="before")
    assert run_mcprun("batch", prompts, SERVER, "--out", "recording", cwd=tmp_path).code == 0
    offer(tmp_path)
    flags = [part for number in range(120) for part in ("--scrub", slow(number))]
    command = ("batch", "p.jsonl", SERVER, "--model", "replay:recording", "--concurrency", "1", "--out", "out", *flags)
    assert stopped(until_evaluating(tmp_path, *command), signal.SIGTERM, times=1) == 143
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["state"] == "interrupted"
    assert len(read_jsonl(tmp_path / "out" / "transcripts.jsonl")) < len(queries)


def test_redaction_that_takes_too_long_hides_the_whole_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other texts stay as they are, until the pattern has used up its time; then all are hidden at once."""
    monkeypatch.setattr(bounded, "MATCH_SECONDS", 0.05)
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


def test_scrubbing_that_takes_too_long_leaves_the_value_and_warns(tmp_path: Path) -> None:
    """So does each command that compares runs, once for each pattern."""
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
    """A pattern that takes too long is given up, and does not cost its time again for each value."""
    monkeypatch.setattr(bounded, "MATCH_SECONDS", 0.05)
    scrubber = Scrubber.of([slow(1002), "uuid"])
    values = [f"{SLOW}{number}" for number in range(10_000)]
    assert values == scrubber.clean(values)
    assert bounded.timed_out()[slow(1002)] == 11


def test_options_that_match_the_empty_text_for_ever_are_refused(tmp_path: Path) -> None:
    """They are usage errors, as are those that can't be compiled for any reason."""
    for flag in ("--redact", "--scrub"):
        for pattern in ("((((a?){100}){100}){100}){100}", "a{99999999999999}", "(" * 5000):
            code = run_mcprun("diff" if flag == "--scrub" else "batch", "x", "y", flag, pattern, cwd=tmp_path).code
            assert (flag, pattern, 2) == (flag, pattern, code)


def test_first_queries_are_made_whatever_the_patterns_are(tmp_path: Path) -> None:
    """A value is made that fits; where there is none, or it takes too long to find out, that is said."""
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
    made = {query["id"]: query["script"][0]["calls"][0]["input"] for query in read_jsonl(tmp_path / "prompts.jsonl")}
    assert {name: made.pop(name) for name in ("bomb", "circle", "never")} == {"bomb": {}, "circle": {}, "never": {}}
    assert made == {"letters": {"v": "Example"}, "named": {"v": "0000"}, "quick": {"v": "a"}}
    assert done.code == 0


def test_name_patterns_take_no_exponential_time(tmp_path: Path) -> None:
    """`--filter`, `--allow-tool`, `--deny-tool`, `tools` and `never` are shell patterns, which Python matches in linear time."""
    stars, name = "*a" * 30 + "b", "a" * 2000
    query = script(("says", {}), expect={"never": [stars]}, tools=["says", stars], tags=[name])
    offer(tmp_path)
    write_jsonl(tmp_path / "p.jsonl", query)
    flags = ["--allow-tool", "says", "--allow-tool", stars, "--deny-tool", stars, "--filter", "q", "--filter", stars]
    assert run_mcprun("batch", "p.jsonl", SERVER, *flags, cwd=tmp_path).code == 0
