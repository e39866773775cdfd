"""Steps that mcprun makes itself around the conversation: `before`, `after` and `cleanup`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest

from tests.support.cli import SERVERS, Result, clean_environment, write_jsonl
from tests.support.forks import Forks
from tests.support.messages_api import MessagesApi, calls, text, turn_of

TRACKER = SERVERS / "tracker.py"
NUMBER = {"$from": "issue", "path": "/structuredContent/id"}
CREATE = {"id": "issue", "tool": "create_issue", "input": {"title": "Broken {{unique}}"}}
DELETE = {"tool": "delete_issue", "input": {"id": NUMBER}}


def closing(name: str = "close", **changed: Any) -> dict[str, Any]:
    """Return a query that closes an issue which a step has created; `changed` keys that are None are left out."""
    query = {
        "id": name,
        "before": [CREATE],
        "vars": {"number": NUMBER},
        "prompt": "Close issue {{number}}.",
        "script": [{"calls": [{"tool": "close_issue", "input": {"id": "{{number}}"}}]}, {"text": "Closed {{number}}."}],
        "expect": {
            "calls": [{"tool": "close_issue", "input": {"id": "{{number}}"}}],
            "text": {"contains": "{{number}}"},
        },
        "after": [
            {"id": "stored", "tool": "get_issue", "input": {"id": NUMBER}, "result": {"status": "closed"}},
            {"resource": "issue://log", "text": {"contains": "{{number}} closed"}},
        ],
        "cleanup": [DELETE],
    }
    return {key: value for key, value in (query | changed).items() if value is not None}


def run(
    mcprun: Forks, folder: Path, *queries: Any, flags: tuple[str, ...] = (), server: tuple[str, ...] = ()
) -> Result:
    """Run queries against the tracker; `server` are its arguments."""
    prompts = write_jsonl(folder / "p.jsonl", *queries)
    return mcprun.run("batch", prompts, TRACKER, *flags, "--", *server, cwd=folder)


def checks_of(done: Result) -> dict[str, bool]:
    """Return whether each check of the only query held."""
    (transcript,) = done.transcripts
    return {check["check"]: check["passed"] for check in transcript["checks"]}


def lines_of(file: Path) -> list[str]:
    """Return the first words of the lines that the tracker logged."""
    return [line.split()[0] for line in file.read_text().splitlines()]


def test_steps_set_up_verify_and_remove_the_state_of_a_query(mcprun: Forks, tmp_path: Path) -> None:
    """The model gets the values of names, and its calls are recorded apart from the steps."""
    done = run(mcprun, tmp_path, closing(), server=(f"log={tmp_path / 'log'}",))
    assert done.code == 0, done.stderr
    (transcript,) = done.transcripts
    number = transcript["vars"]["number"]
    assert transcript["prompt"] == "Close issue {{number}}."
    assert transcript["messages"][0]["content"] == f"Close issue {number}."
    assert transcript["text"] == f"Closed {number}."
    assert [(call["tool"], call["input"]) for call in transcript["calls"]] == [("close_issue", {"id": number})]
    assert [(step["phase"], step.get("tool") or step["resource"]) for step in transcript["steps"]] == [
        ("before", "create_issue"),
        ("after", "get_issue"),
        ("after", "issue://log"),
        ("cleanup", "delete_issue"),
    ]
    assert checks_of(done) == dict.fromkeys(
        ["ended", "tool_errors", "calls", "text.contains", "after.stored", "after[1]"], True
    )
    assert lines_of(tmp_path / "log") == ["create", "close", "delete"]
    events = [(one["phase"], one["step"], one.get("skipped")) for one in done.trace if one["event"] == "step"]
    assert events == [("before", 0, None), ("after", 0, None), ("after", 1, None), ("cleanup", 0, None)]


def test_a_server_that_stores_nothing_fails_only_the_steps_after(mcprun: Forks, tmp_path: Path) -> None:
    """A server that answers "ok" and stores nothing passes without `after`, and fails with it."""
    assert run(mcprun, tmp_path, closing(after=None), server=("lazy",)).code == 0
    done = run(mcprun, tmp_path, closing(), server=("lazy",))
    assert (done.code, checks_of(done)["calls"]) == (1, True)
    assert {name: held for name, held in checks_of(done).items() if not held} == {
        "after.stored": False,
        "after[1]": False,
    }
    (transcript,) = done.transcripts
    messages = [check["message"] for check in transcript["checks"] if not check["passed"]]
    assert messages[0].startswith('after.stored: result.status: expected "closed", got "open" (get_issue{id: ')
    assert messages[1].startswith("after[1]: expected text with ")


@pytest.mark.parametrize(
    ("before", "problem"),
    [
        ({"tool": "create_issue", "input": {"title": ""}}, "before[0]: expected no error, got 'Error executing tool create_issue: an issue needs a title' (create_issue{title: \"\"})"),
        ({"tool": "create_issue", "input": {"title": "a"}, "result": {"status": "closed"}}, 'before[0]: result.status: expected "closed", got "open" (create_issue{title: "a"})'),
        ({"tool": "get_issue", "input": {"id": 1}, "is_error": False, "id": "old"}, "before.old: expected no error, got 'Error executing tool get_issue: there is no issue 1' (get_issue{id: 1})"),
        ({"tool": "create_issue", "input": {"title": "a"}, "is_error": True}, "before[0]: expected an error, got "),
        ({"tool": "nope"}, "before[0]: expected no error, got "),
        ({"resource": "issue://nope"}, "before[0]: expected no error, got "),
    ],
)  # fmt: skip
def test_a_failing_step_before_is_an_error_of_the_setup(
    mcprun: Forks, tmp_path: Path, before: dict[str, Any], problem: str
) -> None:
    """The query ends with an error of kind `setup`, and the model is not asked."""
    done = run(mcprun, tmp_path, closing(before=[before, CREATE]))
    assert done.code == 3
    (transcript,) = done.transcripts
    assert (transcript["verdict"], transcript["error"]["kind"], transcript["turns"]) == ("error", "setup", [])
    assert problem in transcript["error"]["message"]
    assert [step["phase"] for step in transcript["steps"]] == ["before"]  # the cleanup has no value for its $from
    assert "{{number}}" not in str(transcript["messages"])
    skipped = [one["skipped"] for one in done.trace if one["event"] == "step" and "skipped" in one]
    assert skipped == ["id: $from issue: no result with this id"]


def test_a_cleanup_that_asks_for_a_part_that_a_result_lacks_is_a_warning(mcprun: Forks, tmp_path: Path) -> None:
    """A mistake in a path would leave behind what the query made. That a call failed is no reason to warn."""
    mistaken = {"tool": "delete_issue", "input": {"id": {"$from": "issue", "path": "/structuredContent/nr"}}}
    failed = {"id": "none", "tool": "get_issue", "input": {"id": 999}, "is_error": True}
    silent = {"tool": "delete_issue", "input": {"id": {"$from": "none", "path": "/structuredContent/id"}}}
    done = run(mcprun, tmp_path, closing(before=[CREATE, failed], cleanup=[mistaken, silent]))
    assert done.code == 0
    (warning,) = [one["message"] for one in done.trace if one["event"] == "warning"]
    assert warning.startswith(
        "close: cleanup[0]: not sent: id: $from issue /structuredContent/nr: there is no 'nr' in "
    )


def test_a_name_without_a_value_is_an_error_of_the_setup(mcprun: Forks, tmp_path: Path) -> None:
    """A result without the value that a name needs is named, with the result."""
    query = closing(vars={"number": {"$from": "issue", "path": "/nope"}})
    (transcript,) = run(mcprun, tmp_path, query).transcripts
    assert transcript["error"]["kind"] == "setup"
    assert transcript["error"]["message"].startswith("vars.number: $from issue /nope: there is no 'nope' in ")
    assert [step["phase"] for step in transcript["steps"]] == ["before", "cleanup"]


def test_requests_of_the_server_during_a_step_use_no_answer_of_the_query(mcprun: Forks, tmp_path: Path) -> None:
    """They are answered as `--elicit` says, and are not among what the server asked during the conversation."""
    book = {"tool": "book", "input": {"room": "7"}}
    refused = {**book, "text": {"contains": "nobody: decline"}}
    query = {
        "id": "q",
        "before": [refused],
        "prompt": "x",
        "elicit": [{"content": {"name": "Ann"}}],
        "script": [{"calls": [book]}, {"text": "y"}],
        "expect": {"calls": [{**book, "result": {"result": {"$regex": "^Ann"}}}]},
        "after": [refused],
        "cleanup": [refused],
    }
    done = mcprun.run("batch", write_jsonl(tmp_path / "p.jsonl", query), SERVERS / "asking.py", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert [(one["kind"], one["answer"]["action"]) for one in done.transcripts[0]["asked"]] == [
        ("elicitation", "accept")
    ]
    assert not [one for one in done.trace if one["event"] == "warning"]


def test_a_read_may_have_to_fail(mcprun: Forks, tmp_path: Path) -> None:
    """`is_error` checks that the server has a resource no more, as it does for calls."""
    reads = [{"id": uri, "resource": f"issue://{uri}", "is_error": True} for uri in ("nope", "log")]
    done = run(mcprun, tmp_path, closing(after=reads))
    assert (checks_of(done)["after.nope"], checks_of(done)["after.log"]) == (True, False)
    assert done.transcripts[0]["checks"][-1]["message"].startswith("after.log: expected an error, got ")


def test_a_name_may_be_a_whole_uri(mcprun: Forks, tmp_path: Path) -> None:
    """A value that is no URI is an error of the setup, or fails the step that reads it."""
    read = {"resource": "{{uri}}", "text": {"contains": "closed"}}
    good = closing("good", vars={"number": NUMBER, "uri": "issue://log"}, resources=["{{uri}}"], after=[read])
    bad = closing("bad", vars={"number": NUMBER, "uri": "log"}, after=[read])
    worse = closing("worse", vars={"number": NUMBER, "uri": "log"}, resources=["{{uri}}"])
    done = run(mcprun, tmp_path, good, bad, worse)
    assert done.verdicts == {"good": "passed", "bad": "failed", "worse": "error"}
    by_id = {one["id"]: one for one in done.transcripts}
    problem = "must be a URI with a scheme, such as file:///notes.txt"
    assert by_id["bad"]["checks"][-1]["message"] == f"after[0]: resource: {problem}"
    assert by_id["worse"]["error"]["message"] == f"the query can't be asked with these values: resources.0: {problem}"


def test_a_pattern_that_times_out_is_named_with_its_step(mcprun: Forks, tmp_path: Path) -> None:
    """A slow pattern is an error of kind `match_timeout` in every part."""
    echo = {"id": "slow", "tool": "create_issue", "input": {"title": "a" * 40 + "!"}}
    slow = {**echo, "text": {"regex": "(a+)+$"}}
    name = {"v": {"$from": "slow", "path": "/structuredContent/title", "match": "(a+)+$"}}
    parts: dict[str, dict[str, Any]] = {
        "after.slow": {"vars": {"v": 1}, "after": [slow]},
        "before.slow": {"before": [slow]},
        "vars.v": {"before": [echo], "vars": name},
    }
    queries = [{"id": what, "prompt": "x", "script": [{"text": "y"}], **part} for what, part in parts.items()]
    errors = {one["id"]: one["error"] for one in run(mcprun, tmp_path, *queries).transcripts}
    assert {error["kind"] for error in errors.values()} == {"match_timeout"}
    assert all(error["message"].startswith(f"{what}: the pattern '(a+)+$'") for what, error in errors.items())


def test_names_are_recorded_as_they_were_declared(mcprun: Forks, tmp_path: Path) -> None:
    """Their order does not depend on when they got their values."""
    done = run(mcprun, tmp_path, closing(vars={"number": NUMBER, "one": 1}))
    assert list(done.transcripts[0]["vars"]) == ["number", "one"]


def test_an_interrupted_query_waits_for_no_cleanup(mcprun: Forks, tmp_path: Path) -> None:
    """The error of a query that timed out names the call, also if the server died in the cleanup."""
    query = closing(
        script=[{"calls": [{"tool": "wait"}]}],
        timeout=0.2,
        expect=None,
        cleanup=[{"tool": "get_issue", "input": {"id": 1}}],
    )
    (transcript,) = run(mcprun, tmp_path, query, server=("die",)).transcripts
    assert transcript["error"]["message"] == "timed out after 0.2 s in call 0, `wait` (the query's `timeout`)"


def test_cleanup_runs_after_an_error_and_a_timeout(mcprun: Forks, tmp_path: Path) -> None:
    """However the conversation ends, the cleanup runs, and its failure is only a warning."""
    log = tmp_path / "log"
    slow = closing("slow", script=[{"calls": [{"tool": "wait"}]}], timeout=0.2, expect=None)
    wrong = closing(
        "wrong", script=[{"calls": [{"tool": "close_issue", "input": {"id": {"$from": "issue", "path": "/nope"}}}]}]
    )
    twice = closing("twice", cleanup=[DELETE, DELETE])
    done = run(mcprun, tmp_path, slow, wrong, twice, flags=("--concurrency", "1"), server=(f"log={log}",))
    assert {one["id"]: (one["verdict"], (one["error"] or {}).get("kind")) for one in done.transcripts} == {
        "slow": ("error", "query_timeout"),
        "wrong": ("error", "script_error"),
        "twice": ("passed", None),
    }
    assert lines_of(log).count("create") == lines_of(log).count("delete") == 3
    (warning,) = [one["message"] for one in done.trace if one["event"] == "warning"]
    assert warning.startswith(
        "twice: cleanup[1]: expected no error, got 'Error executing tool delete_issue: there is no issue "
    )


def test_steps_count_towards_no_limit_and_may_use_any_tool(mcprun: Forks, tmp_path: Path) -> None:
    """Neither limits of calls nor patterns of tools concern steps."""
    expect = {"max_calls": 1, "max_turns": 2, "never": ["create_issue", "get_issue"]}
    query = closing(expect=expect, tools=["close_*"])
    done = run(mcprun, tmp_path, query, flags=("--max-calls", "1", "--deny-tool", "get_issue"))
    assert (done.code, checks_of(done)["after.stored"]) == (0, True)
    assert done.record["counts"]["calls"] == 1


def test_a_step_that_may_write_is_refused_in_a_read_only_run(mcprun: Forks, tmp_path: Path) -> None:
    """With `--read-only`, a step of a tool that is not marked as read-only ends the command before any query."""
    log = tmp_path / "log"
    reading = closing(
        "read", before=None, vars={"number": 1}, after=[{"tool": "get_issue", "input": {"id": 1}}], cleanup=None
    )
    done = run(mcprun, tmp_path, reading, closing(), flags=("--read-only",), server=(f"log={log}",))
    assert (done.code, log.exists()) == (2, False)
    assert "--read-only: close, before[0]: the server does not mark create_issue as read-only" in done.stderr
    done = run(mcprun, tmp_path, reading, flags=("--read-only",))
    assert checks_of(done)["after[0]"] is False  # there is no issue 1, but it was asked


def test_a_dead_server_is_a_reason_to_skip_the_cleanup(mcprun: Forks, tmp_path: Path) -> None:
    """Every attempt runs the steps before again. If the server died, its cleanup is skipped with a warning."""
    log = tmp_path / "log"
    done = run(mcprun, tmp_path, closing(), server=("die", f"log={log}"))
    (transcript,) = done.transcripts
    assert (transcript["error"]["kind"], transcript["attempts"]) == ("server_died", 3)
    assert lines_of(log) == ["create", "close"] * 3
    warnings = {one["message"] for one in done.trace if one["event"] == "warning"}
    assert "close: the cleanup was skipped, since the connection to the server was lost" in warnings


def test_transcripts_are_the_same_at_any_concurrency(mcprun: Forks, tmp_path: Path) -> None:
    """With ids that depend only on the call, or a fresh server, the same bytes are written at any concurrency."""
    after = [{"tool": "get_issue", "input": {"id": NUMBER}, "result": {"status": "closed"}}]
    queries = [closing(f"q{number}", repeat=2, after=after) for number in range(6)]
    alone = run(mcprun, tmp_path, *queries, flags=("--concurrency", "1"))
    together = run(mcprun, tmp_path, *queries, flags=("--concurrency", "8"))
    assert (alone.code, together.code, alone.bytes) == (0, 0, together.bytes)
    titles = {one["steps"][0]["input"]["title"] for one in alone.transcripts}
    assert len(titles) == 12
    flags = ("--fresh-server",)
    alone = run(mcprun, tmp_path, *queries, flags=(*flags, "--concurrency", "1"), server=("from=7",))
    together = run(mcprun, tmp_path, *queries, flags=(*flags, "--concurrency", "8"), server=("from=7",))
    assert (alone.code, together.code, alone.bytes) == (0, 0, together.bytes)


def test_a_model_never_sees_steps(mcprun: Forks, tmp_path: Path) -> None:
    """The requests hold the prompt with values, and no step; steps after refer to the model's calls by number."""
    query = closing(
        script=None, expect=None, after=[{"tool": "get_issue", "input": {"id": {"$from": 0, "path": "/id"}}}]
    )
    query |= {"vars": {"title": "Broken {{unique}}"}, "prompt": "Create {{title}}."}
    answers = [calls(("create_issue", {"title": "Mine"})), text("Done.")]
    with MessagesApi(lambda body: answers[turn_of(body)]) as api:
        prompts = write_jsonl(tmp_path / "p.jsonl", query)
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = mcprun.run("batch", prompts, TRACKER, "--model", "claude-test", cwd=tmp_path, env=env)
    assert done.code == 0, done.stderr
    first = api.requests[0].body["messages"]
    (transcript,) = done.transcripts
    assert transcript["vars"] == {"title": transcript["steps"][0]["input"]["title"]}
    assert first == [{"role": "user", "content": f"Create {transcript['vars']['title']}."}]
    assert transcript["steps"][1]["input"] == {"id": transcript["calls"][0]["structured"]["id"]}


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]])
def test_cleanup_runs_when_the_run_is_interrupted(tmp_path: Path, signals: list[signal.Signals]) -> None:
    """Ctrl-C lets the query finish; a second one and SIGTERM cancel it. In all cases its cleanup runs."""
    if sys.platform == "win32":
        pytest.skip("signals and files of POSIX systems")
    query = closing(
        script=[{"calls": [{"tool": "wait"}]}], expect=None, timeout=1 if signals == [signal.SIGINT] else 60
    )
    write_jsonl(tmp_path / "p.jsonl", query, closing("next"))
    log = tmp_path / "log"
    os.mkfifo(log)
    pipe = os.fdopen(os.open(log, os.O_RDWR))  # open for writing too, so that it has no end
    changes: SimpleQueue[str] = SimpleQueue()
    Thread(target=lambda: deque(map(changes.put, pipe), 0), daemon=True).start()
    command = [
        sys.executable,
        "-m",
        "mcprun",
        "batch",
        "p.jsonl",
        str(TRACKER),
        "--concurrency",
        "1",
        "--",
        f"log={log}",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True, preexec_fn=_interruptible
    )
    assert process.stderr
    assert [changes.get(timeout=60).split()[0] for _ in range(2)] == ["create", "wait"]
    for number in signals:
        process.send_signal(number)
        while not process.stderr.readline().startswith(("Stopping", "Cancelling")):
            assert process.poll() is None
    assert changes.get(timeout=60).startswith("delete")
    process.communicate(timeout=60)
    assert process.returncode == (130 if signals[0] is signal.SIGINT else 128 + signal.SIGTERM)


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
