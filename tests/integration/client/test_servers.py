"""Servers: every way to specify one, missing servers and failing starts, and the options of a run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import (
    RAW,
    SERVERS,
    run_mcprun,
    script,
    stdlib_server,
    write_jsonl,
)
from tests.support.http_server import http_server

__all__ = ["http_server"]

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


@pytest.mark.parametrize(
    ("server", "code", "message"),
    [
        ("nope.py", 2, "Error: server file not found: nope.py\n"),
        ("./dir/nope", 2, "Error: server file not found: ./dir/nope\n"),
        ("servers.json", 2, "Error: server file not found: servers.json\n"),
        ("no-such-command --flag", 3, "Error: command not found: no-such-command\n"),
        (
            "http://127.0.0.1:9/mcp",
            3,
            "Error: can't connect to http://127.0.0.1:9/mcp: connection refused; check that the server is running and that its"
            " URL is right\n",
        ),
    ],
)
def test_missing_server_is_reported(tmp_path: Path, server: str, code: int, message: str) -> None:
    """A missing file is wrong usage (2). A missing command or an unreachable URL is an error of the server (3)."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, server, cwd=tmp_path)
    assert (done.code, done.stderr.splitlines(keepends=True)[-1]) == (code, message)


@pytest.mark.parametrize(
    ("mode", "message", "stderr"),
    [
        ("exit", "the server exited before it responded", "fatal: DATABASE_URL is not set"),
        ("traceback", "the server exited before it responded", "RuntimeError: fatal: can't even start"),
        ("mute", "the server did not respond within 2 s", "thinking about it"),
        ("no-list", "the server's tool list is invalid: tools is null, not a list", ""),
        ("endless", "the server's tool list has more than 100 pages", ""),
    ],
)
def test_server_that_does_not_start_is_reported(tmp_path: Path, mode: str, message: str, stderr: str) -> None:
    """The run prints one message with the server's stderr, exits with 3, and runs no query."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, RAW, "--connect-timeout", "2", "--", mode, cwd=tmp_path)
    assert done.code == 3
    assert done.stderr.count("Error: ") == 1 + stderr.count("Error: ")
    assert message in done.stderr
    assert stderr in done.stderr
    assert done.verdicts == {"q": "skipped"}
    assert (done.record["state"], done.record["counts"]["skipped"]) == ("interrupted", 1)
    assert "resume" not in done.stderr  # no query has a result


@pytest.mark.parametrize("output", [r"\033[31mfatal:\033[0m no key", r"fatal: no key\n"])
def test_stderr_of_a_failed_start_is_readable(tmp_path: Path, output: str) -> None:
    """Colours are removed from the excerpt, and the server's exit is on a line of its own."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, f"sh -c \"printf '{output}' >&2; exit 3\"", cwd=tmp_path)
    assert done.code == 3
    text = "  fatal: no key\n  [the server exited with code 3]\n"
    assert f"Last lines of the server's stderr:\n{text}" in done.stderr
    assert "\n[the server exited with code 3]\n" in (done.run / "server.log").read_text()


def test_a_server_that_exits_on_the_probe_is_started_as_legacy(tmp_path: Path) -> None:
    """A server that exits when it is probed for newer protocols is started once more without the probe."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    done = run_mcprun("batch", prompts, RAW, "--servers", "3", "--", "exit-on-probe", cwd=tmp_path)
    assert (done.code, done.record["server"]["protocol"]) == (0, "2025-11-25")
    assert (done.run / "server.log").read_text().count("probed") == 1  # the other servers are started without the probe


def test_repeated_cursor_ends_the_list(tmp_path: Path) -> None:
    """A list of tools whose next page is itself is read once."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    done = run_mcprun("batch", prompts, RAW, "--", "same-cursor", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})


def test_scripted_calls_have_unique_ids(tmp_path: Path) -> None:
    """Calls are numbered across all turns, as `$from` counts them."""
    turns = [{"calls": [{"tool": "ok"}, {"tool": "ok"}]}, {"calls": [{"tool": "ok"}]}]
    prompts = write_jsonl(tmp_path / "p.jsonl", script() | {"script": turns})
    transcript = run_mcprun("batch", prompts, RAW, cwd=tmp_path).transcripts[0]
    texts = [message["content"] for message in transcript["messages"] if message["role"] == "assistant"]
    assert [block["id"] for content in texts for block in content] == ["call_0", "call_1", "call_2"]


def test_servers_and_fresh_server_cannot_be_combined(tmp_path: Path) -> None:
    """Queries cannot both share servers and get a fresh one each."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, RAW, "--servers", "2", "--fresh-server", cwd=tmp_path)
    assert done.code == 2
    assert "--servers and --fresh-server cannot be combined: --fresh-server starts one for each query" in done.stderr


def test_a_variable_of_the_shell_that_a_server_lacks_is_named(tmp_path: Path) -> None:
    """The message names `--env` for a variable that the server's stderr names and that is set in this shell.

    This applies to a server that does not start, to one that dies later, and to a failed call.
    """
    (tmp_path / "early.py").write_text("import os\nos.environ['TRACKER_TOKEN']\n")
    (tmp_path / "late.py").write_text(
        stdlib_server("import os\nTOKEN = 'TRACKER_TOKEN'\nserver = StdlibServer('s')\n@server.tool()\ndef call() -> str:\n"
            "    print('KeyError', repr(TOKEN), file=sys.stderr, flush=True) if TOKEN not in os.environ else None\n"
            "    return os.environ[TOKEN]\n@server.tool()\ndef die() -> str:\n"
            "    print('TRACKER_TOKEN is not set', file=sys.stderr, flush=True)\n    os._exit(1)\nserver.run()\n")
    )  # fmt: skip
    advice = "TRACKER_TOKEN is set in this shell, but servers get a clean environment: pass --env TRACKER_TOKEN"
    env = {"TRACKER_TOKEN": "s3cr3t"}
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("die", {}), id="die"), script(("call", {}), id="call"))
    early = run_mcprun("batch", prompts, "early.py", cwd=tmp_path, env=env)
    assert f"Error: the server exited before it responded: early.py; {advice}\n" in early.stderr
    late = run_mcprun("batch", prompts, "late.py", "--concurrency", "1", cwd=tmp_path, env=env)
    assert f"lost during die; {advice}" in late.stderr
    assert f"Warning: a call failed, and {advice}\n" in late.stderr
    given = run_mcprun("batch", prompts, "late.py", "--env", "TRACKER_TOKEN", cwd=tmp_path, env=env)
    assert (advice in given.stderr, given.verdicts["call"]) == (False, "passed")
    assert advice not in run_mcprun("batch", prompts, "early.py", cwd=tmp_path).stderr


def test_a_project_s_environment_runs_its_servers(tmp_path: Path) -> None:
    """A `.py` server runs with the `.venv` of its project, and an import error names that Python and `--python`."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "the one of the project" >&2\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "server.py").write_text("import no_such_module\n")
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, "src/server.py", cwd=tmp_path)
    assert (done.run / "server.log").read_text().startswith("the one of the project\n")
    assert done.stderr.endswith("\n  ModuleNotFoundError: No module named 'no_such_module'\n")
    advice = f"it was started with {python}: install the module there, or name another Python with --python"
    assert f"Error: the server exited before it responded: src/server.py; {advice}\n" in done.stderr


def test_the_active_virtual_environment_runs_python_servers(tmp_path: Path) -> None:
    """A `.py` server runs with the Python of `VIRTUAL_ENV`, which may differ from mcprun's."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "the active one" >&2\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    done = run_mcprun("batch", prompts, RAW, cwd=tmp_path, env={"VIRTUAL_ENV": str(tmp_path / "venv")})
    assert done.code == 0
    assert "the active one" in (done.run / "server.log").read_text()


def test_configured_env_and_cwd_reach_the_server(tmp_path: Path) -> None:
    """A configured server gets its `env` and `cwd`, and only a minimum of mcprun's own environment."""
    (tmp_path / "inner").mkdir()
    entry = {
        "command": sys.executable,
        "args": [str(SERVERS / "environment.py")],
        "env": {"COLOUR": "blue"},
        "cwd": str(tmp_path / "inner"),
    }
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path, env={"MY_SECRET": "s3cret"})
    log = (done.run / "server.log").read_text()
    assert done.code == 0
    assert "'COLOUR': 'blue'" in log
    assert f"in {tmp_path / 'inner'}" in log
    assert "s3cret" not in log
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry | {"cwd": "nowhere"}}}))
    missing = run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path)
    assert (missing.code, missing.stderr.splitlines()[-1]) == (
        3,
        "Error: the server's working directory does not exist: nowhere",
    )


def test_missing_model_names_the_three_options(tmp_path: Path) -> None:
    """If there is no API key and a query has no script, a one-line error names the options."""
    prompts = write_jsonl(tmp_path / "p.jsonl", "Hello?")
    done = run_mcprun("batch", prompts, RAW, cwd=tmp_path)
    assert done.code == 2
    assert len(done.stderr.splitlines()) == 1
    for option in ("ANTHROPIC_API_KEY", "script", "--model replay:RUN"):
        assert option in done.stderr


def test_a_named_model_without_a_key_is_refused(tmp_path: Path) -> None:
    """A Claude model without an API key is an error, and nothing is run."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, RAW, "--model", "claude-sonnet-5-5", cwd=tmp_path)
    assert done.code == 2
    assert "the model claude-sonnet-5-5 needs an API key" in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_missing_scripts_are_listed(tmp_path: Path) -> None:
    """`--model script` refuses a file in which a selected query has no script, and reports its line."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(), "Hello?")
    done = run_mcprun("batch", "p.jsonl", RAW, "--model", "script", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "p.jsonl:2: script: is missing, but the model is script\n")
    filtered = run_mcprun("batch", prompts, RAW, "--model", "script", "--filter", "q", cwd=tmp_path)
    assert filtered.verdicts == {"q": "passed"}


def test_a_query_that_was_not_recorded_is_an_error(tmp_path: Path) -> None:
    """Replaying a query that the recording lacks, or has with another prompt, is an error that says so."""
    first = script() | {"id": "a"}
    write_jsonl(tmp_path / "p.jsonl", first)
    recorded = run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path).run
    write_jsonl(tmp_path / "p.jsonl", first | {"prompt": "Other?"}, first | {"id": "b"})
    done = run_mcprun("batch", "p.jsonl", RAW, "--model", f"replay:{recorded}", cwd=tmp_path)
    assert (done.code, done.verdicts) == (3, {"a": "error", "b": "error"})
    assert [transcript["error"]["kind"] for transcript in done.transcripts] == ["not_recorded", "not_recorded"]
    assert "a was recorded with another prompt: see mcprun show " in done.stderr
    assert f"not_recorded: b is not in the recording {recorded}" in done.stderr
    write_jsonl(tmp_path / "p.jsonl", first)
    repeated = run_mcprun("batch", "p.jsonl", RAW, "--model", f"replay:{recorded}", "--repeat", "2", cwd=tmp_path)
    assert f"not_recorded: repeat 2 of a is not in the recording {recorded}" in repeated.stderr


def test_filter_and_limit_select_queries(tmp_path: Path) -> None:
    """`--filter` matches ids and tags, `--limit` keeps the first matches, and an empty selection is wrong usage."""
    queries = [script(tags=["even"] if number % 2 == 0 else []) | {"id": f"q{number}"} for number in range(6)]
    write_jsonl(tmp_path / "p.jsonl", *queries)

    def run_ids(*flags: str) -> list[str]:
        return list(run_mcprun("batch", "p.jsonl", RAW, *flags, cwd=tmp_path).verdicts)

    assert run_ids("--filter", "even") == ["q0", "q2", "q4"]
    assert run_ids("--filter", "even", "--limit", "2") == ["q0", "q2"]
    assert run_ids("--filter", "q[13]", "--filter", "q5") == ["q1", "q3", "q5"]
    unmatched = run_mcprun("batch", "p.jsonl", RAW, "--filter", "odd", cwd=tmp_path)
    assert (unmatched.code, unmatched.stderr) == (
        2,
        "Error: nothing to run: none of the 6 queries in p.jsonl matches odd\n",
    )


def test_prompts_from_stdin_are_copied_to_the_run(tmp_path: Path) -> None:
    """`-` reads stdin, and the run has a copy, since stdin cannot be read twice."""
    line = json.dumps(script())
    done = run_mcprun("batch", "-", RAW, cwd=tmp_path, input=line)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert (done.run / "prompts.jsonl").read_text() == line
    assert done.run.name.endswith("-stdin")


def test_out_must_not_hold_a_run(tmp_path: Path) -> None:
    """`--out` names the folder of a run, and a folder that already holds one is not written to."""
    write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", "p.jsonl", RAW, "--out", "here/it/is", cwd=tmp_path)
    assert (done.code, done.run) == (0, tmp_path / "here" / "it" / "is")
    second = run_mcprun("batch", "p.jsonl", RAW, "--out", "here/it/is", cwd=tmp_path)
    assert second.code == 2
    assert second.stderr.splitlines()[-1].startswith("Error: here/it/is already holds a run: choose another --out")


def test_quiet_prints_only_failures(tmp_path: Path) -> None:
    """`--quiet` prints nothing for a passing run, and only the causes of another, the next commands and the last line."""
    good = script() | {"id": "good"}
    bad = good | {"id": "bad", "expect": {"text": {"contains": "ho"}}}
    write_jsonl(tmp_path / "p.jsonl", good, bad)
    passing = run_mcprun("batch", "p.jsonl", RAW, "--quiet", "--filter", "good", cwd=tmp_path)
    assert (passing.code, passing.stdout, passing.stderr) == (0, "", "")
    failing = run_mcprun("batch", "p.jsonl", RAW, "--quiet", cwd=tmp_path)
    _, *causes, show, again, last = failing.stdout.splitlines()
    assert (failing.code, last) == (1, "FAILED: 1 failed")
    assert causes == ["Why it is red", "● 1 × expected text with 'ho', got 'Done.'", "  bad"]
    assert show == f"Next: mcprun show outputs/{failing.run.name} bad"
    assert again.strip() == f"mcprun batch p.jsonl {RAW} --model script --filter bad"
    assert failing.stderr == ""


def test_long_runs_print_progress_in_steps(tmp_path: Path) -> None:
    """Above 200 queries, a run prints a line per twentieth and one for each query that did not pass."""
    queries = [script() | {"id": f"q{number}"} for number in range(400)]
    queries[7]["expect"] = {"text": {"contains": "ho"}}
    write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path)
    assert sum("/400: " in line for line in done.stderr.splitlines()) == 20
    assert "failed  q7" in done.stderr
    assert "400/400: 399 passed, 1 failed" in done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_server_runs_under_node(tmp_path: Path) -> None:
    """A `.js` file runs under Node.js."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("add", {"a": 2, "b": 3})))
    done = run_mcprun("batch", prompts, SERVERS / "calculator.js", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["calls"][0]["content"]) == (0, [{"type": "text", "text": "5"}])


def test_command_line_is_split_like_in_a_shell(tmp_path: Path) -> None:
    """A command line is split as a shell splits words, and the arguments after `--` are appended."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("tool-00-1", {})))
    line = f"'{sys.executable}' '{RAW}'"
    assert run_mcprun("batch", prompts, f"{line} pages", cwd=tmp_path).code == 0
    assert run_mcprun("batch", prompts, line, "--", "pages", cwd=tmp_path).code == 0


def test_client_configuration_selects_a_server(tmp_path: Path) -> None:
    """`FILE.json#name` selects a server from the configuration of clients such as Claude Desktop.

    Variables are expanded.
    """
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("tool-00-1", {})))
    servers = {
        "raw": {"command": sys.executable, "args": [str(RAW), "${MODE:-odd}"]},
        "other": {"command": sys.executable, "args": ["${UNSET_VARIABLE}"]},
    }
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    done = run_mcprun("batch", prompts, "mcp.json#raw", cwd=tmp_path, env={"MODE": "pages"})
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    messages = [
        run_mcprun("batch", prompts, name, cwd=tmp_path).stderr for name in ("mcp.json", "mcp.json#x", "mcp.json#other")
    ]
    assert messages == [
        "Error: mcp.json has 2 servers; select one, such as mcp.json#raw\n",
        "Error: mcp.json has no server 'x'; it has raw, other\n",
        "Error: mcp.json: mcpServers.other.args[0]: ${UNSET_VARIABLE} needs the environment variable UNSET_VARIABLE, which is not set\n",
    ]


@pytest.mark.parametrize("http_server", [("streamable-http",)], indirect=True)
def test_streamable_http_server_is_reached_by_url(tmp_path: Path, http_server: int) -> None:
    """A URL names a running server, and the run redacts its credentials and query string."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "over the wire"})))
    done = run_mcprun("batch", prompts, f"http://user:pass@127.0.0.1:{http_server}/mcp?key=abc", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["calls"][0]["content"][0]["text"]) == (0, "over the wire")
    assert done.record["arguments"]["server"] == f"http://[redacted]@127.0.0.1:{http_server}/mcp?[redacted]"


@pytest.mark.parametrize("http_server", [("streamable-http",)], indirect=True)
def test_calls_at_a_url_are_limited_by_concurrency_only(tmp_path: Path, http_server: int) -> None:
    """150 queries in flight are 150 calls in flight, although httpx2 opens at most 100 connections by default."""
    calls = 150
    queries = (script(("meet", {"calls": calls}), id=f"q{number}") for number in range(calls))
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--concurrency", str(calls), "--call-timeout", "20", "--quiet")
    done = run_mcprun("batch", prompts, f"http://127.0.0.1:{http_server}/mcp", *flags, cwd=tmp_path)
    assert (done.code, {*done.verdicts.values()}) == (0, {"passed"}), done.stdout


@pytest.mark.parametrize("http_server", [("sse",)], indirect=True)
def test_configured_sse_server_uses_the_sse_transport(tmp_path: Path, http_server: int) -> None:
    """A configured server of type `sse` is reached over the legacy transport."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "by event"})))
    entry = {"type": "sse", "url": f"http://127.0.0.1:{http_server}/sse"}
    (tmp_path / "mcp.json").write_text(json.dumps({"servers": {"it": entry}}))
    done = run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["calls"][0]["content"][0]["text"]) == (0, "by event")


@pytest.mark.parametrize(
    ("http_server", "kind", "path"),
    [(("streamable-http", "t0ken"), "http", "/mcp"), (("sse", "t0ken"), "sse", "/sse")],
    indirect=["http_server"],
)
def test_configured_headers_are_sent_and_redacted(tmp_path: Path, http_server: int, kind: str, path: str) -> None:
    """`headers` are sent with every request, and their values are in no file.

    Without them the server refuses the connection.
    """
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "let in"})))
    entry = {"type": kind, "url": f"http://127.0.0.1:{http_server}{path}", "headers": {"authorization": "Bearer t0ken"}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
    done = run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert not any(b"t0ken" in file.read_bytes() for file in done.run.iterdir())
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry | {"headers": {}}}}))
    assert run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path).code == 3
    flagged = run_mcprun("batch", prompts, "mcp.json", "--header", "Authorization: Bearer t0ken", cwd=tmp_path)
    assert flagged.code == 0
    assert flagged.record["arguments"]["header"] == ["Authorization: [redacted]"]


@pytest.mark.parametrize("http_server", [("streamable-http", "broken")], indirect=True)
def test_an_http_error_is_the_result_of_its_call(tmp_path: Path, http_server: int) -> None:
    """An HTTP error fails the query, unless `--allow-tool-errors` is set."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "x"})))
    url = f"http://127.0.0.1:{http_server}/mcp"
    done = run_mcprun("batch", prompts, url, cwd=tmp_path)
    assert (done.code, done.verdicts) == (1, {"q": "failed"})
    assert done.transcripts[0]["calls"][0]["content"][0]["text"] == "HTTP 502 Bad Gateway: out of order"
    assert run_mcprun("batch", prompts, url, "--allow-tool-errors", cwd=tmp_path).code == 0


def test_closing_a_server_does_not_count_against_its_query(tmp_path: Path) -> None:
    """A fresh server that does not exit by itself is ended, and its query, which was finished, passes."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), timeout=1.5))
    done = run_mcprun("batch", prompts, RAW, "--fresh-server", "--", "lingers", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})


@pytest.mark.parametrize("mode", ["dotted", "dotted-and-more", "dotted-no-more"])
def test_a_replay_calls_tools_by_the_servers_own_names(tmp_path: Path, mode: str) -> None:
    """A replay calls the tool that the name meant when it was recorded, whatever tools the server has now."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("a.b", {"user id": 1})))
    recorded = run_mcprun("batch", prompts, RAW, "--", "dotted", cwd=tmp_path)
    replay = run_mcprun("batch", prompts, RAW, "--model", f"replay:{recorded.run}", "--", mode, cwd=tmp_path)
    call = replay.transcripts[0]["calls"][0]
    assert (call["tool"], call["input"]) == ("a.b", {"user id": 1})
    assert call["content"][0]["text"] == '["a.b", {"user id": 1}]'


def test_arguments_that_cannot_be_sent_are_reported_to_the_model(tmp_path: Path) -> None:
    """Arguments that are nested too deeply never reach the server. The server and the run go on."""
    deep: Any = 1
    for _ in range(280):
        deep = [deep]
    query = script(("ok", {"x": deep}), ("ok", {"x": 1}))
    prompts = write_jsonl(tmp_path / "p.jsonl", query)
    done = run_mcprun("batch", prompts, RAW, "--allow-tool-errors", cwd=tmp_path)
    result_texts = [call["content"][0]["text"] for call in done.transcripts[0]["calls"]]
    assert (done.code, result_texts) == (
        0,
        [
            "The arguments can't be sent: nested more than 200 deep.",
            '["ok", {"x": 1}]',
        ],
    )


@pytest.mark.parametrize(
    ("levels", "problem"),
    [
        (450, "script: turn 0: an input is nested more than 400 deep"),
        (600, "line: not JSON: nested too deeply (more than 500 levels)"),
    ],
)
def test_a_script_that_is_nested_too_deeply_is_refused(tmp_path: Path, levels: int, problem: str) -> None:
    """`validate` and `batch` report a script that is nested too deeply as an invalid line."""
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="a"), script(("ok", {"x": deep}), id="deep"))
    for command in (("validate", "p.jsonl"), ("batch", "p.jsonl", RAW)):
        done = run_mcprun(*command, cwd=tmp_path)
        assert (done.code, done.stderr) == (2, f"p.jsonl:2: {problem}\n")


def test_noise_on_stdout_is_reported(tmp_path: Path) -> None:
    """Non-protocol output, the commonest mistake of server authors, causes a plain warning, and the run goes on."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    done = run_mcprun("batch", prompts, RAW, "--", "noise", cwd=tmp_path)
    assert done.code == 0
    assert "Warning: the server wrote non-protocol output to stdout; log to stderr instead: Server is" in done.stderr
    assert "Server is listening!" in next(event["text"] for event in done.trace if event["event"] == "noise")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["p.jsonl", "localhost:8765/mcp"], "Error: SERVER looks like a URL: write http://localhost:8765/mcp\n"),
        (["p.jsonl", "http://[::1"], "Error: http://[::1 is not an http:// or https:// URL with a host\n"),
        (["p.jsonl", "http://token@[::1"], "Error: [redacted] is not an http:// or https:// URL with a host\n"),
        (["p.jsonl", "http://[::1", "--", "a"], "Error: http://[::1 is a URL; arguments after -- apply only to a server that mcprun starts\n"),
        (["p.jsonl", ""], "Error: SERVER is empty; pass a server file, a command line, a URL or FILE.json#name\n"),
        (["p.jsonl", "server.py --x"], "Error: pass the server's arguments after --: server.py -- ARGUMENTS\n"),
        (["p.jsonl", "server.ts"], "Error: cannot run server.ts; pass a command line such as \"npx tsx server.ts\"\n"),
        (["p.jsonl", "."], "Error: . is a folder; pass a server file, a command line, a URL or FILE.json#name\n"),
        (["p.jsonl", "mcp.json"], "Error: mcp.json: servers.it.args[0]: ${input:key} can't be resolved: mcprun never prompts; write ${env:NAME}, and set that variable\n"),
        (["p.jsonl", "broken.json"], "Error: broken.json:1:13: not valid JSON: extra data\n"),
        (["p.jsonl", "server.py", "--model", "replay:"], "Error: --model replay: names no run; use --model replay:RUN, such as replay:latest\n"),
        (["p.jsonl", "server.py", "--base-url", "http://x"], "Error: --base-url needs an API key: set ANTHROPIC_API_KEY (to any value, if the endpoint needs none), or use --model script\n"),
        (["p.jsonl", "server.py", "--model", "reply:latest"], "Error: there is no model reply:latest; did you mean replay:latest?\n"),
        (["p.jsonl", "server.py", "--model", "scipt"], "Error: there is no model scipt; did you mean script?\n"),
        (["p.jsonl", "server.py", "--model", "openai:gpt-4"], "Error: Claude's API has no model openai:gpt-4: the providers are bedrock:NAME, vertex:NAME and foundry:NAME; any other endpoint needs --base-url\n"),
        (["server.py", "p.jsonl"], "Error: PROMPTS comes before SERVER: mcprun batch p.jsonl server.py\n"),
        (["npx -y some-server", "p.jsonl"], "Error: PROMPTS comes before SERVER: mcprun batch p.jsonl 'npx -y some-server'\n"),
        (["http://me:s3cret@x/mcp?k=v", "p.jsonl"], "Error: PROMPTS comes before SERVER: mcprun batch p.jsonl 'http://[redacted]@x/mcp?[redacted]'\n"),
        (["server.py", "server.py"], "Error: server.py is a server file: PROMPTS, a JSONL or YAML file, comes before SERVER\n"),
        (["p.jsonl", "server.py", "--base-url", "http://[x"], "Error: --base-url needs an API key: "),
        *(
            (["p.jsonl", "server.py", flag, value], f"Error: Invalid value for '{flag}': ")
            for flag in ("--call-timeout", "--pass-rate", "--budget-usd")
            for value in ("nan", "inf", "-inf", "-1")
        ),
        (["p.jsonl", "server.py", "--pass-rate", "1.5"], "Error: Invalid value for '--pass-rate': "),
    ],
)  # fmt: skip
def test_wrong_usage_says_what_to_do(tmp_path: Path, args: list[str], message: str) -> None:
    """Wrong usage exits with 2 and one message, and nothing is run."""
    write_jsonl(tmp_path / "p.jsonl", script())
    for name in ("server.py", "server.ts"):
        (tmp_path / name).touch()
    (tmp_path / "mcp.json").write_text('{"servers": {"it": {"command": "x", "args": ["${input:key}"]}}}')
    (tmp_path / "broken.json").write_text("{} /* no */ 1")
    done = run_mcprun("batch", *args, cwd=tmp_path)
    stderr = done.stderr[done.stderr.index("Error: ") :]
    assert (done.code, stderr[: len(message)]) == (2, message)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("value", ["nul\0nul", "half \ud800"])
def test_invalid_environment_variable_prevents_the_start(tmp_path: Path, value: str) -> None:
    """A configured variable that the system does not accept is reported as a failed start of the server."""
    entry = {"command": "python", "args": [str(SERVERS / "raw.py")], "env": {"IT": value}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", script()), "mcp.json", cwd=tmp_path)
    assert (done.code, done.record["error"]["kind"]) == (3, "server_start")
    assert "Error: can't connect to mcp.json#it: " in done.stderr


@pytest.mark.parametrize(
    ("args", "has_hint"),
    [
        (("batch", "p.jsonl", "npx", "-y", "some-server"), True),
        (("batch", "p.jsonl", "node", "server.js"), True),
        (("tools", "server.py", "--xyz"), True),
        (("chat", "npx", "-y", "some-server"), True),
        (("batch", "p.jsonl", "server.py", "--concurency", "2"), False),
        (("diff", "-y"), False),
    ],
)
def test_unquoted_command_line_gets_a_hint(tmp_path: Path, args: tuple[str, ...], has_hint: bool) -> None:
    """If unknown arguments and options may be a server's, the error adds how to pass them."""
    done = run_mcprun(*args, cwd=tmp_path)
    message = '. Quote a server\'s command line ("npx -y some-server"), or put its arguments after --\n'
    assert (done.code, done.stderr.endswith(message)) == (2, has_hint)


@pytest.mark.parametrize("place", ["import", "lifespan", "tool"])
def test_a_missing_variable_is_named_for_servers_of_the_sdk(tmp_path: Path, place: str) -> None:
    """A long traceback, such as the SDK prints of a tool that fails, does not hide the name."""
    reading = 'os.environ["TRACKER_TOKEN"]'
    at = {name: reading if name == place else "None" for name in ("import", "lifespan", "tool")}
    (tmp_path / "s.py").write_text(f"""
import os
from contextlib import asynccontextmanager

from mcp.server.mcpserver import MCPServer

{at["import"]}


@asynccontextmanager
async def lifespan(server):
    {at["lifespan"]}
    yield {{}}


server = MCPServer("tracker", lifespan=lifespan)


@server.tool()
def issues() -> str:
    return str({at["tool"]})


server.run()
""")
    write_jsonl(tmp_path / "p.jsonl", script(("issues", {})))
    given = ("batch", "p.jsonl", "s.py", "--connect-timeout", "60", "--call-timeout", "60")
    done = run_mcprun(*given, cwd=tmp_path, env={"TRACKER_TOKEN": "hunter2"})
    assert (
        "TRACKER_TOKEN is set in this shell, but servers get a clean environment: pass --env TRACKER_TOKEN"
        in done.stderr
    )
    assert (done.code, "hunter2" in done.stdout + done.stderr) == (1 if place == "tool" else 3, False)
