"""`mcprun batch` against real servers, with scripts and recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcprun.tools.api_schema import replacement_name
from tests.support.cli import (
    PROMPTS,
    QUICKSTART,
    RAW,
    SERVERS,
    normalised,
    run_mcprun,
    script,
    write_jsonl,
)


def test_quickstart_passes_and_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """The README's first command passes every query of the quickstart and prints the totals."""
    done = run_mcprun("batch", *QUICKSTART, cwd=tmp_path)
    assert done.code == 0
    assert set(done.verdicts.values()) == {"passed"}
    assert done.stderr.startswith("6 queries; model: script (there is no API key, and every query has a script)\n")
    assert normalised(done.stdout).splitlines() == [
        "passed failed error skipped calls tool errors turns run time",
        "─",
        "6 0 0 0 9 1 15 <DURATION>",
        "Coverage: 4 of 4 tools (100 %), 7 of 7 arguments",
        "outputs/<DATE>-quickstart: transcripts.jsonl, trace.jsonl, run.json, server.log",
    ]


def test_transcripts_are_identical_at_any_concurrency_and_from_a_replay(tmp_path: Path) -> None:
    """The same prompts and server give the same bytes at any concurrency, on several servers and in a replay."""
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


def test_transcript_records_the_conversation(tmp_path: Path) -> None:
    """A transcript records the messages, calls and checks of its query, in order."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("structured", {"name": "Ada"}), text="She is greeted."))
    transcript = run_mcprun("batch", prompts, SERVERS / "kinds.py", cwd=tmp_path).transcripts[0]
    text = '{\n  "greeting": "Hello, Ada"\n}'
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
                    {"type": "tool_result", "tool_use_id": "call_0", "content": [{"type": "text", "text": text}]}
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
                "content": [{"type": "text", "text": text}],
                "structured": {"greeting": "Hello, Ada"},
                "diverged": False,
            }
        ],
        "text": "She is greeted.",
        "checks": [
            {"check": "ended", "passed": True, "message": None, "rubric": None},
            {"check": "tool_errors", "passed": True, "message": None, "rubric": None},
        ],
        "turns": [{"stop_reason": "tool_use", "usage": None}, {"stop_reason": "end_turn", "usage": None}],
        "attempts": 1,
        "usage": None,
        "error": None,
    }


def test_trace_lists_events_in_order(tmp_path: Path) -> None:
    """The trace begins with `run_start` and `server_start`, ends with `server_exit`, and is ordered by time."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("echo", {"text": "a"})))
    done = run_mcprun("batch", prompts, SERVERS / "kinds.py", cwd=tmp_path)
    assert [event["event"] for event in done.trace] == [
        "run_start", "server_start", "model_call", "tool_call", "model_call", "attempt_end", "query_end", "server_exit",
    ]  # fmt: skip
    assert done.trace[-1]["died"] is False
    call = done.trace[3]
    assert (call["query"], call["attempt"], call["turn"], call["call"], call["tool"]) == ("q", 1, 0, 0, "echo")
    assert sorted(event["at"] for event in done.trace) == [event["at"] for event in done.trace]


def test_run_json_describes_a_finished_run(tmp_path: Path) -> None:
    """`run.json` records the arguments, prompts file, model, server with its tools, counts and state."""
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
            "call 0: fails{why: \"x\"} returned an error: 'Error executing tool fails'",
        ),
        (script(("fails", {"why": "x"}), expect={"tool_errors": "allow"}), 0, ""),
        (
            script(("renamed", {"why": "x"}), expect={"tool_errors": "allow"}),
            1,
            "call 0: expected a tool that the server lists, got renamed{why: \"x\"}: 'Unknown tool: renamed'",
        ),
        (
            script(("renamed", {}), expect={"tool_errors": "allow", "calls": [{"tool": "renamed", "is_error": True}]}),
            0,
            "",
        ),
        (script(text="It is 4.", expect={"text": {"contains": "5"}}), 1, "expected text with '5', got 'It is 4.'"),
        (
            script(("echo", {"text": "b"}), expect={"calls": [{"tool": "echo", "input": {"text": "a"}}]}),
            1,
            'expected call 0 differs from call 0, echo{text: "b"}: input.text: expected "a", got "b"',
        ),
        (script(expect={"calls": [{"tool": "echo"}]}), 1, "expected call 0 is missing: echo{}; got no calls"),
        (script(("echo", {"text": "a"}), max_turns=1), 1, "stopped at the limit of 1 turn (the query's `max_turns`)"),
        (
            {"id": "q", "prompt": "x", "script": [
                {"calls": [{"tool": "echo", "input": {"text": "a"}}]},
                {"calls": [{"tool": "echo", "input": {"text": {"$from": 0, "path": "/structuredContent/nope"}}}]},
            ]},
            3,
            "script_error: script, turn 1, call of echo: text: $from 0 /structuredContent/nope: there is no 'nope' in"
            " an object with 'result'",
        ),
    ],
)  # fmt: skip
def test_verdicts_and_exit_codes(tmp_path: Path, query: dict[str, Any], code: int, cause: str) -> None:
    """A failed query exits with 1 and an error with 3, and stderr names the cause."""
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


def test_allow_tool_errors_lets_calls_fail(tmp_path: Path) -> None:
    """With `--allow-tool-errors`, a query passes although its call fails."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("fails", {"why": "x"})))
    done = run_mcprun("batch", prompts, SERVERS / "kinds.py", "--allow-tool-errors", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})


def test_failed_calls_are_returned_to_the_model_as_errors(tmp_path: Path) -> None:
    """JSON-RPC errors, invalid results, results that violate the output schema and timeouts are returned to the model as error results.

    The conversation continues after each of them.
    """
    calls: list[tuple[str, dict[str, Any]]] = [
        (tool, {}) for tool in ("refuse", "invalid", "liar", "hang", "unheard-of", "ok", "latin", "sorry")
    ]
    prompts = write_jsonl(tmp_path / "p.jsonl", script(*calls, text="Went on.", expect={"tool_errors": "allow"}))
    done = run_mcprun("batch", prompts, RAW, "--call-timeout", "0.5", cwd=tmp_path)
    transcript = done.transcripts[0]
    assert (done.code, transcript["text"]) == (0, "Went on.")
    result_texts = [[item["text"] for item in call["content"]] for call in transcript["calls"]]
    assert result_texts[0] == ["not today"]
    assert result_texts[1][0].startswith("The server sent an invalid result: ")
    assert result_texts[2][0] == "n is many"
    assert result_texts[2][1].startswith("The result does not fit the tool's own output schema: ")
    assert result_texts[3] == ["No answer from hang within 0.5 s."]
    assert result_texts[4] == ['["unheard-of", {}]']
    assert result_texts[6:] == [["caf\ufffd"], ["I can't"]]
    assert [call["is_error"] for call in transcript["calls"]] == [True, True, True, True, False, False, False, True]
    results = transcript["messages"][2]["content"]
    assert [block.get("is_error", False) for block in results] == [True, True, True, True, False, False, False, True]
    problems = {event["tool"]: event.get("problem") for event in done.trace if event["event"] == "tool_call"}
    assert problems == {
        "refuse": "json-rpc error -32603", "invalid": "invalid result", "liar": "output schema",
        "hang": "timeout", "unheard-of": None, "ok": None, "latin": None, "sorry": None,
    }  # fmt: skip


def test_a_query_whose_server_dies_is_an_error(tmp_path: Path) -> None:
    """A query whose server dies is an error with the server's exit code and last lines of stderr.

    Other queries pass.
    """
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("die", {})) | {"id": "a"}, script(("ok", {})) | {"id": "b"})
    done = run_mcprun("batch", prompts, RAW, cwd=tmp_path)
    assert (done.code, done.verdicts) == (3, {"a": "error", "b": "passed"})
    stderr_tail = "fatal: out of cheese\n[the server exited with code 3]"
    assert done.transcripts[0]["error"] == {
        "kind": "server_died",
        "message": f"the connection to the server was lost during die; its stderr ends: {stderr_tail}",
    }
    assert done.transcripts[0]["attempts"] == 3
    assert (done.run / "server.log").read_text().startswith(stderr_tail)
    assert [event["died"] for event in done.trace if event["event"] == "server_exit"] == [True] * 3


def test_fresh_server_starts_a_server_for_each_attempt(tmp_path: Path) -> None:
    """With `--fresh-server`, each attempt has its own server, and a query that kills it does not affect the next."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("die", {})) | {"id": "a"}, script(("ok", {})) | {"id": "b"})
    done = run_mcprun("batch", prompts, RAW, "--fresh-server", cwd=tmp_path)
    assert done.verdicts == {"a": "error", "b": "passed"}
    assert len([event for event in done.trace if event["event"] == "server_start"]) == 3 + 1


def test_servers_share_the_queries(tmp_path: Path) -> None:
    """`--servers 3` starts three servers, and each receives calls."""
    queries = [script(("ok", {})) | {"id": f"q{number}"} for number in range(12)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", prompts, RAW, "--servers", "3", cwd=tmp_path)
    assert done.code == 0
    assert {event["server"] for event in done.trace if event["event"] == "tool_call"} == {1, 2, 3}


def test_several_user_messages_are_one_conversation(tmp_path: Path) -> None:
    """The messages in `prompts` are sent one after the other, each after the reply to the previous one."""
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


def test_a_script_without_final_text_ends_its_turn(tmp_path: Path) -> None:
    """A script that ends with calls stops with `end_turn` and an empty text."""
    query = {"id": "q", "prompt": "x", "script": [{"calls": [{"tool": "ok"}]}]}
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query), RAW, cwd=tmp_path)
    assert (done.code, done.transcripts[0]["stop"], done.transcripts[0]["text"]) == (0, "end_turn", "")


def test_names_that_the_api_does_not_accept_are_mapped(tmp_path: Path) -> None:
    """Calls work with tool names and property keys outside the API's alphabet.

    Warnings name what was changed or left out.
    """
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
    assert used[1:] == ["keys", replacement_name("x" * 200, 128, "-")]
    assert used[0].startswith("files_read_all_")
    warnings = "\n".join(odd.record["server"]["warnings"])
    for named in (
        "'broken' is left out",
        "'plain' is listed twice",
        "'either': the schema's",
        "'keys': the property key",
    ):
        assert named in warnings
    assert "Warning: tool 'broken' is left out" in odd.stderr


def test_all_pages_of_tools_are_listed_and_sorted(tmp_path: Path) -> None:
    """The tools of all pages are listed, sorted by name."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("tool-00-1", {})))
    done = run_mcprun("batch", prompts, RAW, "--", "pages", cwd=tmp_path)
    names = [tool["name"] for tool in done.record["server"]["tools"]]
    assert names == [f"tool-{page:02}-{number}" for page in range(4) for number in (1, 2)]


def test_a_query_may_call_only_its_own_tools(tmp_path: Path) -> None:
    """A call to a tool outside the query's `tools` is refused and does not reach the server."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), ("refuse", {}), tools=["re*"]))
    done = run_mcprun("batch", prompts, RAW, "--allow-tool-errors", cwd=tmp_path)
    result_texts = [call["content"][0]["text"] for call in done.transcripts[0]["calls"]]
    assert result_texts == ["The tool ok is not allowed here.", "not today"]
