"""`batch --verbose` shows each call and retry as it happens, on stderr."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli import QUICKSTART, RAW, run_mcprun, script, write_jsonl
from tests.support.messages_api import Answer, Body, MessagesApi, error, message, turn_of


def activity(stderr: str) -> list[str]:
    """Return the lines of calls, turns and retries, without times."""
    lines = [line for line in stderr.splitlines() if re.match(r"(call|turn|retry) {3,}", line)]
    return [re.sub(r"[\d.]+ (ms|s)\b", "T", line) for line in lines]


def test_each_call_and_query_is_printed(tmp_path: Path) -> None:
    """`-v` prints each call with its query, input and outcome to stderr; stdout and the transcripts stay the same."""
    plain = run_mcprun("batch", *QUICKSTART, cwd=tmp_path)
    verbose = run_mcprun("batch", *QUICKSTART, "-v", cwd=tmp_path)
    assert verbose.code == 0
    lines = activity(verbose.stderr)
    assert len(lines) == 9
    assert "call    add #0  add{a: 2, b: 3}  ok, T" in lines
    assert "call    divide-by-zero #0  divide{a: 12, b: 0}  error, T" in lines
    assert "passed  add  " in verbose.stderr
    assert verbose.transcripts == plain.transcripts
    assert "call  " not in plain.stderr + verbose.stdout


def test_secrets_are_redacted(tmp_path: Path) -> None:
    """The value of `--env` is redacted in the input of a call."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {"key": "s3cret-9f8e7d6c"})))
    done = run_mcprun(
        "batch", "p.jsonl", RAW, "-v", "--env", "KEY=s3cret-9f8e7d6c", "--allow-tool-errors", cwd=tmp_path
    )
    assert 'call    q #0  ok{key: "[redacted]"}' in done.stderr
    assert "s3cret" not in done.stderr + done.stdout


def test_turns_and_retries_name_their_reason(tmp_path: Path) -> None:
    """A request that the API refuses is shown with the reason and the wait, and its turn with the stop reason."""
    seen: list[Body] = []

    def answer(body: Body) -> Answer:
        seen.append(body)
        if len(seen) == 1:
            return error(529, "overloaded_error", "Overloaded", headers={"retry-after-ms": "10"})
        content = {"type": "text", "text": "x"} if turn_of(body) else {"type": "tool_use", "name": "ok", "input": {}}
        return message([content], stop_reason="end_turn" if turn_of(body) else "tool_use")

    write_jsonl(tmp_path / "p.jsonl", {"id": "q", "prompt": "Hello"})
    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = run_mcprun("batch", "p.jsonl", RAW, "--verbose", cwd=tmp_path, env=env)
    assert done.code == 0, done.stderr
    retry, *others = activity(done.stderr)
    assert re.fullmatch(r"retry   q try 1  in T: .*Overloaded.*", retry)
    assert others == ["turn    q 0 tool_use  ok, T", "call    q #0  ok{}  ok, T", "turn    q 1 end_turn  ok, T"]


@pytest.mark.parametrize("flags", [["-q", "-v"], ["-vq"], ["--quiet", "--verbose"]])
def test_quiet_and_verbose_contradict_each_other(flags: list[str], tmp_path: Path) -> None:
    """`--quiet` with `--verbose` is wrong usage."""
    done = run_mcprun("batch", *QUICKSTART, *flags, cwd=tmp_path)
    assert done.code == 2
    assert "Error: --quiet and --verbose can't be combined" in done.stderr


def test_the_command_line_outweighs_the_project(tmp_path: Path) -> None:
    """`-v` resets `quiet` of the project's file, which may also set `verbose`."""
    config = tmp_path / "mcprun.toml"
    config.write_text("quiet = true\n")
    assert len(activity(run_mcprun("batch", *QUICKSTART, "-v", cwd=tmp_path).stderr)) == 9
    config.write_text("verbose = true\n")
    assert len(activity(run_mcprun("batch", *QUICKSTART, cwd=tmp_path).stderr)) == 9
    assert activity(run_mcprun("batch", *QUICKSTART, "-q", cwd=tmp_path).stderr) == []
