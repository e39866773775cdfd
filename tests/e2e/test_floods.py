"""Time limits hold while a server sends messages at full speed. These tests wait for real deadlines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import write_jsonl
from tests.support.floods import SERVER, against
from tests.support.forks import Forks


@pytest.mark.parametrize(
    "what",
    [
        "pings",
        "requests",
        "elicitations",
        "messages",
        "bad-messages",
        "changes",
        "progress",
        "stderr",
        "lines",
    ],
)
def test_a_call_ends_in_time_while_its_server_floods(mcprun: Forks, tmp_path: Path, what: str) -> None:
    """The flooded call meets its `--call-timeout`, the other query passes, and the trace records only part of the flood."""
    done = against(mcprun, tmp_path, what, "--call-timeout", "2", "--query-timeout", "20", "--run-timeout", "60")
    assert done.verdicts == {"flood": "failed", "calm": "passed"}
    text = done.transcripts[0]["calls"][0]["content"][0]["text"]
    assert text.startswith("No answer from flood within 2 s")
    assert len(done.trace) < 400
    assert done.record["state"] == "finished"


def test_an_endless_line_is_a_lost_connection(mcprun: Forks, tmp_path: Path) -> None:
    """mcprun stops reading a line that exceeds the size limit, and the query ends in an error."""
    done = against(mcprun, tmp_path, "endless", "--max-result-bytes", "1024", "--restarts", "0")
    assert done.verdicts == {"flood": "error", "calm": "passed"}
    assert "without a newline" in done.transcripts[0]["error"]["message"]


@pytest.mark.parametrize(("what", "stream"), [("stdout", "stdout"), ("stdin", "stdin"), ("both", "stdout")])
def test_a_server_that_closes_a_pipe_but_keeps_running_is_an_error(
    mcprun: Forks, tmp_path: Path, what: str, stream: str
) -> None:
    """mcprun ends a server that closes stdin or stdout, and both the error and `server.log` name the closed pipe."""
    calls = [{"calls": [{"tool": "flood"}]}] * 2
    write_jsonl(tmp_path / "p.jsonl", {"id": "q", "prompt": "Call.", "script": [*calls, {"text": "Done."}]})
    flags = ("--model", "script", "--restarts", "2" if what == "stdout" else "0", "--call-timeout", "30")
    done = mcprun.run("batch", "p.jsonl", SERVER, *flags, "--", what, "call", cwd=tmp_path)
    text = f"the server closed its {stream} but kept running"
    assert (done.code, done.transcripts[0]["error"]["kind"]) == (3, "server_died")
    assert f"[{text}]" in (done.run / "server.log").read_text()
    if what == "stdout":
        assert done.transcripts[0]["error"]["message"] == f"the connection to the server was lost during flood: {text}"


def test_a_server_that_closes_stdout_during_initialize_is_an_error(mcprun: Forks, tmp_path: Path) -> None:
    """The message says that the server closed its stdout but kept running, not that it exited."""
    done = against(mcprun, tmp_path, "stdout", when="initialize")
    assert done.code == 3
    assert (
        "Error: the connection was lost before the server responded: the server closed its stdout but kept running ("
        in done.stderr
    )
