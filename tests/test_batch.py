"""Whole commands: `mcprun batch` as a user runs it, against real servers, from scripts and recordings."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcprun.schemas import stand_in
from tests.support.cli import PROMPTS, QUICKSTART, SERVERS, clean_environment, normalised, run_mcprun, write_jsonl

RAW = SERVERS / "raw.py"


def script(*calls: tuple[str, dict[str, Any]], text: str = "Done.", **more: Any) -> dict[str, Any]:
    """Make a query whose script makes some calls (if any), all in one turn, and says something."""
    made = [{"tool": tool, "input": arguments} for tool, arguments in calls]
    turns = [{"calls": made}] if made else []
    return {"id": "q", "prompt": "Do it.", "script": [*turns, {"text": text}], **more}


def test_quickstart_passes_and_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """The README's first command runs every query of the quickstart."""
    done = run_mcprun("batch", *QUICKSTART, cwd=tmp_path)
    assert done.code == 0
    assert set(done.verdicts.values()) == {"passed"}
    assert done.stderr.startswith("6 queries; model: script (there is no API key, and every query has a script)\n")
    assert normalised(done.stdout).splitlines() == [
        "passed failed error skipped calls tool errors turns tokens seconds",
        "─",
        "6 0 0 0 9 1 15 none <SECONDS>",
        "outputs/<DATE>-quickstart: transcripts.jsonl, trace.jsonl, run.json, server.log",
    ]


def test_same_bytes_at_any_concurrency_and_from_a_replay(tmp_path: Path) -> None:
    """The same prompts and server give the same transcripts, however many queries run at once."""
    one = run_mcprun("batch", *QUICKSTART, "--concurrency", "1", cwd=tmp_path)
    recorded = one.run
    many = run_mcprun("batch", *QUICKSTART, "--concurrency", "32", cwd=tmp_path)
    replay = run_mcprun("batch", *QUICKSTART, "--model", f"replay:{recorded}", cwd=tmp_path)
    spread = run_mcprun(
        "batch", PROMPTS / "quickstart.jsonl", PROMPTS / "quickstart.py", "--servers", "3", cwd=tmp_path
    )
    first = (recorded / "transcripts.jsonl").read_bytes()
    assert [done.bytes == first for done in (many, replay, spread)] == [True, True, True]
    assert replay.record["model"]["kind"] == "replay"


def test_transcript_tells_the_conversation(tmp_path: Path) -> None:
    """A transcript of one query holds what was said, in order, and nothing twice."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("structured", {"name": "Ada"}), text="She is greeted."))
    transcript = run_mcprun("batch", prompts, SERVERS / "kinds.py", cwd=tmp_path).transcripts[0]
    said = '{\n  "greeting": "Hello, Ada"\n}'
    assert transcript == {
        "schema": 1,
        "id": "q",
        "repeat": 1,
        "verdict": "passed",
        "stop": "end_turn",
        "prompt": "Do it.",
        "system": None,
        "model": "script",
        "messages": [
            {"role": "user", "content": "Do it."},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "call_0", "name": "structured", "input": {"name": "Ada"}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_0", "content": [{"type": "text", "text": said}]}
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "She is greeted."}]},
        ],
        "calls": [
            {
                "turn": 0,
                "tool": "structured",
                "input": {"name": "Ada"},
                "is_error": False,
                "content": [{"type": "text", "text": said}],
                "structured": {"greeting": "Hello, Ada"},
            }
        ],
        "text": "She is greeted.",
        "checks": [
            {"check": "ended", "passed": True, "message": None},
            {"check": "tool_errors", "passed": True, "message": None},
        ],
        "turns": [{"stop_reason": "tool_use", "usage": None}, {"stop_reason": "end_turn", "usage": None}],
        "attempts": 1,
        "usage": None,
        "error": None,
    }


def test_trace_tells_what_happened_in_order(tmp_path: Path) -> None:
    """The trace of one query begins with the server's start and ends with its exit."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "a"})))
    done = run_mcprun("batch", prompts, SERVERS / "kinds.py", cwd=tmp_path)
    assert [event["event"] for event in done.trace] == [
        "server_start", "model_call", "tool_call", "model_call", "attempt_end", "query_end", "server_exit",
    ]  # fmt: skip
    assert done.trace[-1]["died"] is False
    call = done.trace[2]
    assert (call["query"], call["attempt"], call["turn"], call["call"], call["tool"]) == ("q", 1, 0, 0, "echo")
    assert sorted(event["at"] for event in done.trace) == [event["at"] for event in done.trace]


def test_run_json_tells_what_was_asked_and_what_answered(tmp_path: Path) -> None:
    """`run.json` holds arguments, prompts, model, server with tools, counts, and that it is finished."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "a"})))
    record = run_mcprun("batch", "p.jsonl", SERVERS / "kinds.py", "--limit", "1", cwd=tmp_path).record
    assert record["state"] == "finished"
    assert record["arguments"] == {"prompts": "p.jsonl", "server": str(SERVERS / "kinds.py"), "limit": 1}
    assert record["prompts"]["file"] == prompts.name
    assert record["model"] == {
        "kind": "script",
        "name": "script",
        "chosen": "there is no API key, and every query has a script",
    }
    assert (record["server"]["name"], record["server"]["version"]) == ("kinds", "2.0.0")
    assert "echo" in [tool["name"] for tool in record["server"]["tools"]]
    assert record["counts"]["passed"] == 1


@pytest.mark.parametrize(
    ("query", "code", "cause"),
    [
        (
            script(("fails", {"why": "x"})),
            1,
            "call 0: fails{why: \"x\"} came back as an error: 'Error executing tool fails'",
        ),
        (script(("fails", {"why": "x"}), expect={"tool_errors": "allow"}), 0, ""),
        (script(text="It is 4.", expect={"text": {"contains": "5"}}), 1, "expected text with '5', got 'It is 4.'"),
        (
            script(("echo", {"text": "b"}), expect={"calls": [{"tool": "echo", "input": {"text": "a"}}]}),
            1,
            'call 0: expected echo{text: "a"}, got echo{text: "b"}',
        ),
        (script(expect={"calls": [{"tool": "echo"}]}), 1, "call 0: expected echo{}, got no calls"),
        (script(("echo", {"text": "a"}), max_turns=1), 1, "expected the model to end its turn, got max_turns"),
        (
            {"id": "q", "prompt": "x", "script": [
                {"calls": [{"tool": "echo", "input": {"text": "a"}}]},
                {"calls": [{"tool": "echo", "input": {"text": {"$from": 0, "path": "/structuredContent/nope"}}}]},
            ]},
            3,
            "script_error: script, turn 1, call of echo: $from 0 /structuredContent/nope: there is no 'nope' in"
            " {'result': 'a'}",
        ),
    ],
)  # fmt: skip
def test_verdicts_and_exit_codes(tmp_path: Path, query: dict[str, Any], code: int, cause: str) -> None:
    """A red result names its cause, and failure (1) is not error (3)."""
    prompts = write_jsonl(tmp_path / "p.jsonl", query)
    done = run_mcprun("batch", prompts, SERVERS / "kinds.py", cwd=tmp_path)
    assert done.code == code
    assert cause in done.stderr
    assert done.verdicts == {"q": {0: "passed", 1: "failed", 3: "error"}[code]}


def test_failure_outweighs_error(tmp_path: Path) -> None:
    """A run with a failure and an error exits with 1."""
    died = script(("die", {})) | {"id": "died"}
    failed = script(("ok", {}), expect={"text": {"contains": "no"}}) | {"id": "failed"}
    prompts = write_jsonl(tmp_path / "p.jsonl", failed, died)
    done = run_mcprun("batch", prompts, RAW, "--concurrency", "1", cwd=tmp_path)
    assert (done.code, done.verdicts) == (1, {"failed": "failed", "died": "error"})


def test_allow_tool_errors(tmp_path: Path) -> None:
    """`--allow-tool-errors` lets calls fail."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("fails", {"why": "x"})))
    done = run_mcprun("batch", prompts, SERVERS / "kinds.py", "--allow-tool-errors", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})


def test_every_kind_of_trouble_is_told_to_the_model(tmp_path: Path) -> None:
    """Errors, invalid results and silence come back as error results, and the conversation goes on."""
    calls: list[tuple[str, dict[str, Any]]] = [
        (tool, {}) for tool in ("refuse", "invalid", "liar", "hang", "unheard-of", "ok", "latin", "sorry")
    ]
    prompts = write_jsonl(tmp_path / "p.jsonl", script(*calls, text="Went on.", expect={"tool_errors": "allow"}))
    done = run_mcprun("batch", prompts, RAW, "--call-timeout", "0.5", cwd=tmp_path)
    transcript = done.transcripts[0]
    assert (done.code, transcript["text"]) == (0, "Went on.")
    told = [[item["text"] for item in call["content"]] for call in transcript["calls"]]
    assert told[0] == ["not today"]
    assert told[1][0].startswith("The server sent an invalid result: ")
    assert told[2][0] == "n is many"
    assert told[2][1].startswith("The result does not fit the tool's own output schema: ")
    assert told[3] == ["No answer from hang within 0.5 s."]
    assert told[4] == ['["unheard-of", {}]']
    assert told[6:] == [["caf\ufffd"], ["I can't"]]
    assert [call["is_error"] for call in transcript["calls"]] == [True, True, True, True, False, False, False, True]
    results = transcript["messages"][2]["content"]
    assert [block.get("is_error", False) for block in results] == [True, True, True, True, False, False, False, True]
    problems = {event["tool"]: event.get("problem") for event in done.trace if event["event"] == "tool_call"}
    assert problems == {
        "refuse": "json-rpc error -32603", "invalid": "invalid result", "liar": "output schema",
        "hang": "timeout", "unheard-of": None, "ok": None, "latin": None, "sorry": None,
    }  # fmt: skip


def test_a_server_that_dies_is_an_error_and_never_a_pass(tmp_path: Path) -> None:
    """The query that kills its server is an error that tells the exit code and the last words; others pass."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("die", {})) | {"id": "a"}, script(("ok", {})) | {"id": "b"})
    done = run_mcprun("batch", prompts, RAW, cwd=tmp_path)
    assert (done.code, done.verdicts) == (3, {"a": "error", "b": "passed"})
    last_words = "fatal: out of cheese\n[the server exited with code 3]"
    assert done.transcripts[0]["error"] == {
        "kind": "server_died",
        "message": f"the server went away during die; its stderr ends: {last_words}",
    }
    assert done.transcripts[0]["attempts"] == 3
    assert (done.run / "server.log").read_text().startswith(last_words)
    assert [event["died"] for event in done.trace if event["event"] == "server_exit"] == [True] * 3


def test_fresh_server_gives_every_query_its_own(tmp_path: Path) -> None:
    """With `--fresh-server`, a query that kills its server does not touch the next one."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("die", {})) | {"id": "a"}, script(("ok", {})) | {"id": "b"})
    done = run_mcprun("batch", prompts, RAW, "--fresh-server", cwd=tmp_path)
    assert done.verdicts == {"a": "error", "b": "passed"}
    assert len([event for event in done.trace if event["event"] == "server_start"]) == 3 + 1


def test_servers_spread_the_queries(tmp_path: Path) -> None:
    """`--servers 3` starts three servers, and all of them get calls."""
    queries = [script(("ok", {})) | {"id": f"q{number}"} for number in range(12)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", prompts, RAW, "--servers", "3", cwd=tmp_path)
    assert done.code == 0
    assert {event["server"] for event in done.trace if event["event"] == "tool_call"} == {1, 2, 3}


def test_several_user_messages_are_one_conversation(tmp_path: Path) -> None:
    """`prompts` are played one after the other, each answered before the next."""
    query = {
        "id": "q",
        "prompts": ["One?", "Two?"],
        "script": [{"text": "1"}, {"calls": [{"tool": "ok"}]}, {"text": "2"}],
    }
    transcript = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query), RAW, cwd=tmp_path).transcripts[0]
    assert [message["role"] for message in transcript["messages"]] == [
        "user", "assistant", "user", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert (transcript["prompt"], transcript["text"], len(transcript["turns"])) == (["One?", "Two?"], "2", 3)


def test_a_script_of_calls_alone_ends_by_itself(tmp_path: Path) -> None:
    """A script need not say anything after its calls."""
    query = {"id": "q", "prompt": "x", "script": [{"calls": [{"tool": "ok"}]}]}
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query), RAW, cwd=tmp_path)
    assert (done.code, done.transcripts[0]["stop"], done.transcripts[0]["text"]) == (0, "end_turn", "")


def test_odd_tools_are_mapped_and_what_cannot_be_sent_is_named(tmp_path: Path) -> None:
    """Names and keys outside the API's alphabet work, and warnings name what was changed or left out."""
    query = script(("files.read/all", {"path": "/"}), ("keys", {"user id": "7", "$filter": {"é": 1}}), ("x" * 200, {}))
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query), RAW, cwd=tmp_path, env={})
    assert done.code == 0
    odd = run_mcprun("batch", "p.jsonl", RAW, "--", "odd", cwd=tmp_path)
    assert odd.code == 0
    calls = odd.transcripts[0]["calls"]
    assert [(call["tool"], call["input"]) for call in calls] == [
        ("files.read/all", {"path": "/"}),
        ("keys", {"user id": "7", "$filter": {"é": 1}}),
        ("x" * 200, {}),
    ]
    used = [block["name"] for block in odd.transcripts[0]["messages"][1]["content"]]
    assert used[1:] == ["keys", stand_in("x" * 200, 128, "-")]
    assert used[0].startswith("files_read_all_")
    warnings = "\n".join(odd.record["server"]["warnings"])
    for named in (
        "'broken' is left out",
        "'plain' is listed twice",
        "'either': the schema's",
        "'keys': the API is sent the property key",
    ):
        assert named in warnings
    assert "Warning: tool 'broken' is left out" in odd.stderr


def test_all_pages_of_tools_are_listed_and_sorted(tmp_path: Path) -> None:
    """Tools are read page by page and sorted by name."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("tool-00-1", {})))
    done = run_mcprun("batch", prompts, RAW, "--", "pages", cwd=tmp_path)
    names = [tool["name"] for tool in done.record["server"]["tools"]]
    assert names == [f"tool-{page:02}-{number}" for page in range(4) for number in (1, 2)]


def test_tools_of_a_query_are_all_it_may_use(tmp_path: Path) -> None:
    """A call outside the query's own `tools` is refused, and never reaches the server."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), ("refuse", {}), tools=["re*"]))
    done = run_mcprun("batch", prompts, RAW, "--allow-tool-errors", cwd=tmp_path)
    told = [call["content"][0]["text"] for call in done.transcripts[0]["calls"]]
    assert told == ["The tool ok is not allowed here.", "not today"]


# What can go wrong before anything runs. ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "code", "message"),
    [
        ("nope.py", 2, "Error: there is no server file nope.py\n"),
        ("./dir/nope", 2, "Error: there is no server file ./dir/nope\n"),
        ("servers.json", 2, "Error: there is no server file servers.json\n"),
        ("no-such-command --flag", 3, "Error: command not found: no-such-command\n"),
        (
            "http://127.0.0.1:9/mcp",
            3,
            "Error: can't connect to http://127.0.0.1:9/mcp: All connection attempts failed\n",
        ),
    ],
)
def test_a_server_that_is_not_there(tmp_path: Path, server: str, code: int, message: str) -> None:
    """A path that is not there is wrong usage, everything else an error of the server."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, server, cwd=tmp_path)
    assert (done.code, done.stderr.splitlines(keepends=True)[-1]) == (code, message)


@pytest.mark.parametrize(
    ("mode", "message", "stderr"),
    [
        ("exit", "the server exited before it answered", "fatal: DATABASE_URL is not set"),
        ("traceback", "the server exited before it answered", "RuntimeError: fatal: can't even start"),
        ("mute", "the server did not answer within 2 s", "thinking about it"),
        ("no-schema", "the server's tool list is invalid: tools.0.inputSchema", ""),
        ("endless", "the server's tool list does not end: 100 pages were read", ""),
    ],
)
def test_a_server_that_does_not_start(tmp_path: Path, mode: str, message: str, stderr: str) -> None:
    """One message with the server's own stderr, exit 3, and no query is tried."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, RAW, "--connect-timeout", "2", "--", mode, cwd=tmp_path)
    assert done.code == 3
    assert done.stderr.count("Error: ") == 1 + stderr.count("Error: ")
    assert message in done.stderr
    assert stderr in done.stderr
    assert done.transcripts == []
    assert done.record["state"] == "interrupted"


def test_a_server_that_exits_on_the_probe_is_started_as_legacy(tmp_path: Path) -> None:
    """A server that can't bear the probe for newer protocols is started once more without it."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    done = run_mcprun("batch", prompts, RAW, "--servers", "3", "--", "exit-on-probe", cwd=tmp_path)
    assert (done.code, done.record["server"]["protocol"]) == (0, "2025-11-25")
    assert (done.run / "server.log").read_text().count("probed") == 1  # what was learnt serves the other servers


def test_a_cursor_that_comes_again_ends_the_list(tmp_path: Path) -> None:
    """A server whose pages point to themselves is read once."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    done = run_mcprun("batch", prompts, RAW, "--", "same-cursor", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})


def test_calls_of_a_script_have_ids_of_their_own(tmp_path: Path) -> None:
    """Calls are numbered over all turns, as `$from` counts them."""
    turns = [{"calls": [{"tool": "ok"}, {"tool": "ok"}]}, {"calls": [{"tool": "ok"}]}]
    prompts = write_jsonl(tmp_path / "p.jsonl", script() | {"script": turns})
    transcript = run_mcprun("batch", prompts, RAW, cwd=tmp_path).transcripts[0]
    said = [message["content"] for message in transcript["messages"] if message["role"] == "assistant"]
    assert [block["id"] for content in said for block in content] == ["call_0", "call_1", "call_2"]


def test_flags_that_contradict_each_other(tmp_path: Path) -> None:
    """Sharing servers and starting a fresh one for each query can't both be had."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, RAW, "--servers", "2", "--fresh-server", cwd=tmp_path)
    assert done.code == 2
    assert "--servers shares servers among queries and --fresh-server does not: choose one" in done.stderr


def test_the_active_virtual_environment_runs_python_servers(tmp_path: Path) -> None:
    """A `.py` server runs on the Python of `VIRTUAL_ENV`, which may be another than mcprun's."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "the active one" >&2\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    done = run_mcprun("batch", prompts, RAW, cwd=tmp_path, env={"VIRTUAL_ENV": str(tmp_path / "venv")})
    assert done.code == 0
    assert "the active one" in (done.run / "server.log").read_text()


def test_environment_and_folder_of_a_configuration(tmp_path: Path) -> None:
    """`env` and `cwd` of a configured server reach it, and of mcprun's own environment only the bare minimum."""
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
    lost = run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path)
    assert (lost.code, lost.stderr.splitlines()[-1]) == (3, "Error: the server's working folder is not there: nowhere")


def test_no_model_names_the_three_ways_on(tmp_path: Path) -> None:
    """Without a key and with a query that has no script, one line says what to do."""
    prompts = write_jsonl(tmp_path / "p.jsonl", "Hello?")
    done = run_mcprun("batch", prompts, RAW, cwd=tmp_path)
    assert done.code == 2
    assert len(done.stderr.splitlines()) == 1
    for way in ("ANTHROPIC_API_KEY", "script", "--model replay:RUN"):
        assert way in done.stderr


def test_a_named_model_without_a_key_is_refused(tmp_path: Path) -> None:
    """Nothing is run when Claude is asked for and there is no key."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", prompts, RAW, "--model", "claude-sonnet-5-5", cwd=tmp_path)
    assert done.code == 2
    assert "the model claude-sonnet-5-5 needs an API key" in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_missing_scripts_are_listed(tmp_path: Path) -> None:
    """`--model script` refuses a file in which a selected query has none, by line."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(), "Hello?")
    done = run_mcprun("batch", "p.jsonl", RAW, "--model", "script", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "p.jsonl:2: script: is missing, and the model is script\n")
    chosen = run_mcprun("batch", prompts, RAW, "--model", "script", "--filter", "q", cwd=tmp_path)
    assert chosen.verdicts == {"q": "passed"}


def test_a_query_that_was_not_recorded_is_an_error(tmp_path: Path) -> None:
    """Replaying a query that the recording lacks, or has with another prompt, says so."""
    first = script() | {"id": "a"}
    write_jsonl(tmp_path / "p.jsonl", first)
    recorded = run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path).run
    write_jsonl(tmp_path / "p.jsonl", first | {"prompt": "Other?"}, first | {"id": "b"})
    done = run_mcprun("batch", "p.jsonl", RAW, "--model", f"replay:{recorded}", cwd=tmp_path)
    assert (done.code, done.verdicts) == (3, {"a": "error", "b": "error"})
    assert [transcript["error"]["kind"] for transcript in done.transcripts] == ["not_recorded", "not_recorded"]
    assert "a was recorded for another prompt: 'Do it.'" in done.stderr


def test_filter_and_limit(tmp_path: Path) -> None:
    """`--filter` takes ids and tags, `--limit` the first of what is left, and nothing left is wrong usage."""
    queries = [script(tags=["even"] if number % 2 == 0 else []) | {"id": f"q{number}"} for number in range(6)]
    write_jsonl(tmp_path / "p.jsonl", *queries)

    def ids(*flags: str) -> list[str]:
        return list(run_mcprun("batch", "p.jsonl", RAW, *flags, cwd=tmp_path).verdicts)

    assert ids("--filter", "even") == ["q0", "q2", "q4"]
    assert ids("--filter", "even", "--limit", "2") == ["q0", "q2"]
    assert ids("--filter", "q[13]", "--filter", "q5") == ["q1", "q3", "q5"]
    nothing = run_mcprun("batch", "p.jsonl", RAW, "--filter", "odd", cwd=tmp_path)
    assert (nothing.code, nothing.stderr) == (2, "Error: nothing to run: of the 6 queries in p.jsonl, none fits odd\n")


def test_prompts_from_stdin_are_kept(tmp_path: Path) -> None:
    """`-` reads stdin, and the run keeps a copy, since stdin can't be read again."""
    line = json.dumps(script())
    done = run_mcprun("batch", "-", RAW, cwd=tmp_path, input=line)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert (done.run / "prompts.jsonl").read_text() == line
    assert done.run.name.endswith("-stdin")


def test_out_must_be_empty(tmp_path: Path) -> None:
    """`--out` names the folder of a run, and a folder that holds something is not written to."""
    write_jsonl(tmp_path / "p.jsonl", script())
    done = run_mcprun("batch", "p.jsonl", RAW, "--out", "here/it/is", cwd=tmp_path)
    assert (done.code, done.run) == (0, tmp_path / "here" / "it" / "is")
    again = run_mcprun("batch", "p.jsonl", RAW, "--out", "here/it/is", cwd=tmp_path)
    assert again.code == 2
    assert again.stderr.splitlines()[-1].startswith("Error: here/it/is is not empty")


def test_quiet_prints_only_what_did_not_pass(tmp_path: Path) -> None:
    """`--quiet` says nothing about a good run, and names what failed in a bad one."""
    good = script() | {"id": "good"}
    bad = good | {"id": "bad", "expect": {"text": {"contains": "ho"}}}
    write_jsonl(tmp_path / "p.jsonl", good, bad)
    silent = run_mcprun("batch", "p.jsonl", RAW, "--quiet", "--filter", "good", cwd=tmp_path)
    assert (silent.code, silent.stdout, silent.stderr) == (0, "", "")
    loud = run_mcprun("batch", "p.jsonl", RAW, "--quiet", cwd=tmp_path)
    assert (loud.code, loud.stdout) == (1, "")
    assert "failed  bad" in loud.stderr
    assert "good" not in loud.stderr


def test_long_runs_print_progress_in_steps(tmp_path: Path) -> None:
    """More than 200 queries print a line every twentieth part, and each that did not pass."""
    queries = [script() | {"id": f"q{number}"} for number in range(400)]
    queries[7]["expect"] = {"text": {"contains": "ho"}}
    write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path)
    assert sum("/400: " in line for line in done.stderr.splitlines()) == 20
    assert "failed  q7" in done.stderr
    assert "400/400: 399 passed, 1 failed" in done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_javascript_server(tmp_path: Path) -> None:
    """A `.js` file runs under node."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("add", {"a": 2, "b": 3})))
    done = run_mcprun("batch", prompts, SERVERS / "calculator.js", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["calls"][0]["content"]) == (0, [{"type": "text", "text": "5"}])


def test_a_command_line_and_its_arguments(tmp_path: Path) -> None:
    """A command line is split as a shell splits words, and `--` adds to it."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("tool-00-1", {})))
    line = f"'{sys.executable}' '{RAW}'"
    assert run_mcprun("batch", prompts, f"{line} pages", cwd=tmp_path).code == 0
    assert run_mcprun("batch", prompts, line, "--", "pages", cwd=tmp_path).code == 0


def test_a_client_configuration(tmp_path: Path) -> None:
    """`FILE.json#name` takes a server as Claude Desktop and others write it, variables included."""
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
        "Error: mcp.json has 2 servers: choose one, such as mcp.json#raw\n",
        "Error: mcp.json has no server 'x'; it has raw, other\n",
        "Error: mcp.json#other needs the environment variable UNSET_VARIABLE, which is not set\n",
    ]


@pytest.fixture
def http_server(request: pytest.FixtureRequest) -> Iterator[int]:
    """Start the echo server over HTTP and give its port."""
    with subprocess.Popen(
        [sys.executable, SERVERS / "over_http.py", *request.param], stdout=subprocess.PIPE, env=clean_environment()
    ) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("http_server", [("streamable-http",)], indirect=True)
def test_streamable_http(tmp_path: Path, http_server: int) -> None:
    """A URL is a server that runs already, and what may be secret in it is not kept."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "over the wire"})))
    done = run_mcprun("batch", prompts, f"http://user:pass@127.0.0.1:{http_server}/mcp?key=abc", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["calls"][0]["content"][0]["text"]) == (0, "over the wire")
    assert done.record["arguments"]["server"] == f"http://127.0.0.1:{http_server}/mcp"


@pytest.mark.parametrize("http_server", [("sse",)], indirect=True)
def test_sse_by_configuration(tmp_path: Path, http_server: int) -> None:
    """A configuration of type `sse` speaks the legacy transport."""
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
def test_headers_of_a_configuration(tmp_path: Path, http_server: int, kind: str, path: str) -> None:
    """`headers` go with every request, and their values are in no file; without them the server refuses."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "let in"})))
    entry = {"type": kind, "url": f"http://127.0.0.1:{http_server}{path}", "headers": {"authorization": "Bearer t0ken"}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
    done = run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    assert not any(b"t0ken" in file.read_bytes() for file in done.run.iterdir())
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry | {"headers": {}}}}))
    assert run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path).code == 3


@pytest.mark.parametrize("http_server", [("streamable-http", "broken")], indirect=True)
def test_a_server_that_answers_with_http_errors_is_an_error_and_never_a_pass(tmp_path: Path, http_server: int) -> None:
    """Nobody answered the call: that is no error of the tool, and allowing those does not make it pass."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "x"})))
    done = run_mcprun("batch", prompts, f"http://127.0.0.1:{http_server}/mcp", "--allow-tool-errors", cwd=tmp_path)
    assert (done.code, done.verdicts) == (3, {"q": "error"})
    assert done.transcripts[0]["error"]["kind"] == "server_died"


def test_closing_a_server_does_not_count_against_its_query(tmp_path: Path) -> None:
    """A fresh server that will not go is ended, and the query that was done with it has passed."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), timeout=1.5))
    done = run_mcprun("batch", prompts, RAW, "--fresh-server", "--", "lingers", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})


@pytest.mark.parametrize("mode", ["dotted", "dotted-and-more", "dotted-no-more"])
def test_a_replay_calls_tools_by_the_servers_own_names(tmp_path: Path, mode: str) -> None:
    """What a name stood for when it was recorded is what is called, whatever tools the server has by now."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("a.b", {"user id": 1})))
    recorded = run_mcprun("batch", prompts, RAW, "--", "dotted", cwd=tmp_path)
    replay = run_mcprun("batch", prompts, RAW, "--model", f"replay:{recorded.run}", "--", mode, cwd=tmp_path)
    call = replay.transcripts[0]["calls"][0]
    assert (call["tool"], call["input"]) == ("a.b", {"user id": 1})
    assert call["content"][0]["text"] == '["a.b", {"user id": 1}]'


def test_arguments_that_are_no_json_are_told_to_the_model(tmp_path: Path) -> None:
    """Half a surrogate pair and endless nesting never reach the server, which lives on; nor is the run lost."""
    deep: Any = 1
    for _ in range(280):
        deep = [deep]
    query = script(("ok", {"x": "\ud800"}), ("ok", {"x": deep}), ("ok", {"x": 1}))
    prompts = write_jsonl(tmp_path / "p.jsonl", query)
    done = run_mcprun("batch", prompts, RAW, "--allow-tool-errors", cwd=tmp_path)
    told = [call["content"][0]["text"] for call in done.transcripts[0]["calls"]]
    assert (done.code, told) == (
        0,
        [
            "The arguments can't be sent: text with half of a surrogate pair.",
            "The arguments can't be sent: nested more than 200 deep.",
            '["ok", {"x": 1}]',
        ],
    )
