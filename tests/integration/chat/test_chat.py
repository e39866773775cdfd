"""`mcprun chat` with input from a pipe and a stub of the Messages API."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import threading
from pathlib import Path

import pytest

from tests.support.chats import KEY, SHELF, answering, environment, say, started, until
from tests.support.cli import (
    PROMPTS,
    QUICKSTART,
    RAW,
    SERVERS,
    Result,
    normalised,
    read_jsonl,
    run_mcprun,
    script,
    write_jsonl,
)
from tests.support.documents import code_blocks, page
from tests.support.messages_api import Answer, HttpReply, MessagesApi, calls, error, message, text
from tests.support.messages_stream import Streamed

QUICK = QUICKSTART[1]

ADD = [calls(("add", {"a": 2, "b": 3}), text="One moment."), text("It is 5.")]


def run_chat(folder: Path, api: MessagesApi, typed: str, *args: str | Path) -> Result:
    """Run a chat with `typed` as its input."""
    return run_mcprun("chat", *args, cwd=folder, env=environment(api, folder / "state"), input=typed)


def read_shelf_calls(folder: Path) -> list[str]:
    """Return the calls that reached the server `shelf`."""
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def test_chat_prints_messages_calls_and_replies(tmp_path: Path) -> None:
    """A chat prints the messages, the calls with their outcome, and the replies, then the location of the run."""
    with answering({"What is 2 + 3?": ADD}) as api:
        done = run_chat(tmp_path, api, "What is 2 + 3?\nquit\n", QUICK)
    lines = done.stdout.splitlines()
    assert (done.code, lines[:4]) == (0, ["> What is 2 + 3?", "One moment.", "call 0  add{a: 2, b: 3}", lines[3]])
    assert lines[3].startswith("call 0  ok, ")
    assert lines[4:6] == ["It is 5.", "> quit"]
    assert lines[6].endswith("-chat: transcripts.jsonl, trace.jsonl, run.json, server.log")
    assert "claude-sonnet-5-5 (there is an API key); quickstart 1.0.0: 4 tools" in done.stderr
    assert [request.body["stream"] for request in api.requests] == [True, True]


def test_a_chat_is_a_run_with_a_query_per_conversation(tmp_path: Path) -> None:
    """Each conversation is a query. `show`, `report` and `diff` read the run, and a replay gives the same bytes."""
    with answering({"Hi": [text("Hello.")], "What is 2 + 3?": ADD, "And now?": [text("Nothing.")]}) as api:
        done = run_chat(tmp_path, api, "Hi\nWhat is 2 + 3?\n/new\nAnd now?\n/save saved.jsonl\n", QUICK)
    assert (done.code, done.verdicts) == (0, {"chat-1": "passed", "chat-2": "passed"})
    assert [one["prompt"] for one in done.transcripts] == [["Hi", "What is 2 + 3?"], "And now?"]
    assert done.transcripts[0]["messages"][:-1] == api.requests[2].body["messages"]
    assert (done.record["state"], done.record["counts"]["passed"], done.record["prompts"]["queries"]) == (
        "finished",
        2,
        2,
    )
    assert [event["event"] for event in done.trace].count("exchange_end") == 3
    assert run_mcprun("show", "latest", "chat-1", cwd=tmp_path).stdout.startswith("passed chat-1")
    assert run_mcprun("report", "--html", "r.html", cwd=tmp_path).code == 0
    for prompts in ("saved.jsonl", done.run / "prompts.jsonl"):
        replay = run_mcprun("batch", prompts, QUICK, "--model", f"replay:{done.run}", cwd=tmp_path)
        assert (replay.code, replay.bytes) == (0, done.bytes)
    assert run_mcprun("diff", done.run, "latest", cwd=tmp_path).code == 0


def test_a_chat_cannot_be_resumed(tmp_path: Path) -> None:
    """`--resume` refuses a chat, and the command that its message suggests works."""
    with answering({"Hi": [text("Hello.")]}) as api:
        done = run_chat(tmp_path, api, "Hi\nquit\n", RAW, "--out", "talk")
    resumed = run_mcprun("batch", "--resume", "talk", cwd=tmp_path)
    assert (done.code, resumed.code) == (0, 2)
    assert resumed.stderr == (
        "Error: talk is a chat, which can't be resumed; run its questions again with:"
        " mcprun batch talk/prompts.jsonl SERVER\n"
    )
    assert run_mcprun("batch", "talk/prompts.jsonl", RAW, cwd=tmp_path).verdicts == {"chat-1": "passed"}


def test_saved_queries_run_without_a_model(tmp_path: Path) -> None:
    """The saved file is valid, its scripts repeat the calls, and its expectations are those calls."""
    with answering({"What is 2 + 3?": ADD, "Read x.": [calls(("read_note", {"note_id": "x"})), text("None.")]}) as api:
        run_chat(tmp_path, api, "What is 2 + 3?\n/new\nRead x.\n/save saved.jsonl\n", QUICK)
    one, other = read_jsonl(tmp_path / "saved.jsonl")
    assert one["script"] == [
        {"text": "One moment.", "calls": [{"tool": "add", "input": {"a": 2, "b": 3}}]}, {"text": "It is 5."},
    ]  # fmt: skip
    assert one["expect"] == {"calls": [{"tool": "add", "input": {"a": 2, "b": 3}}]}
    assert other["expect"]["tool_errors"] == "allow"
    assert run_mcprun("validate", "saved.jsonl", cwd=tmp_path).code == 0
    done = run_mcprun("batch", "saved.jsonl", QUICK, cwd=tmp_path)
    assert (done.code, set(done.verdicts.values()), done.record["counts"]["calls"]) == (0, {"passed"}, 2)


def test_save_does_not_replace_a_file_without_an_exclamation_mark(tmp_path: Path) -> None:
    """`/save` refuses a file that exists, and `/save!` replaces it. Before the first reply there is nothing to save."""
    (tmp_path / "mine").write_text("precious")
    with answering({"Hi": [text("Hello.")]}) as api:
        done = run_chat(tmp_path, api, "/save new\nHi\n/save mine\n/save no/such\n", RAW)
        assert (tmp_path / "mine").read_text() == "precious"
        assert not (tmp_path / "new").exists()
        for expected in ("nothing to save", "mine exists: use /save! mine", "can't write no/such"):
            assert expected in done.stderr
        run_chat(tmp_path, api, "Hi\n/save! mine\n", RAW)
    assert [query["prompt"] for query in read_jsonl(tmp_path / "mine")] == ["Hi"]


def test_save_reads_file_names_as_a_shell_does(tmp_path: Path) -> None:
    """Quotes and `~` mean what they do in a shell.

    A file that cannot be written is reported, and the chat continues.
    """
    (tmp_path / "folder").mkdir()
    typed = [
        "Hi", '/save "my file.jsonl"', "/save ~/at home", "/save ~nobody-at-all/x", "/save folder", "/save! folder",
        f"/save {'x' * 300}", "/save a\0b", '/save "my file.jsonl"', "/save! outputs/latest/transcripts.jsonl", '/save "', "/new Ho",
    ]  # fmt: skip
    with answering({"Hi": [text("Hello.")]}) as api:
        env = environment(api, tmp_path / "state") | {"HOME": str(tmp_path)}
        done = run_mcprun("chat", RAW, cwd=tmp_path, env=env, input="\n".join(typed))
    assert (done.code, len(api.requests)) == (0, 1)
    saved = [read_jsonl(tmp_path / name) for name in ("my file.jsonl", "at home")]
    assert [[query["prompt"] for query in queries] for queries in saved] == [["Hi"], ["Hi"]]
    lines = [line for line in done.stderr.splitlines() if re.match("can't|my|.*takes|.*is a file", line)]
    assert lines == [
        "can't write ~nobody-at-all/x: No such file or directory",
        "can't write folder: it is a folder",
        "can't write folder: it is a folder",
        f"can't write {'x' * 300}: File name too long",
        r"can't write a\x00b: a file name can't hold a NUL character",
        "my file.jsonl exists: use /save! my file.jsonl to overwrite it",
        "outputs/latest/transcripts.jsonl is a file of a run: choose another name",
        "/save takes one FILE: close the quotes, and type nothing after them",
        "/new takes no argument; type the first message on the next line",
    ]


def test_an_empty_reply_is_reported(tmp_path: Path) -> None:
    """An empty reply is reported, also after a call. Text before the call is not the reply."""
    conversation: dict[str, list[Answer]] = {
        "Nothing": [message([])],
        "Blank": [text(" \n")],
        "Call": [calls(("ok", {}), text="One moment."), message([])],
        "Both": [calls(("ok", {})), text("Done.")],
    }
    with answering(conversation) as api:
        done = run_chat(tmp_path, api, "Nothing\nBlank\nCall\nBoth\n", RAW)
    assert (done.code, done.stderr.count("The reply is empty.\n")) == (0, 3)
    assert re.search(r"ok, .*\n> Both\n", done.stdout)


def test_a_new_conversation_does_not_include_the_previous_one(tmp_path: Path) -> None:
    """After `/new`, the model is sent only the messages that follow it."""
    with answering({"Hi": [text("Hello.")], "Ho": [text("Yes?")]}) as api:
        run_chat(tmp_path, api, "Hi\n/new\n/new\nHo\n", RAW)
    assert [len(request.body["messages"]) for request in api.requests] == [1, 1]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("/tolls", "unknown command /tolls; did you mean /tools?"),
        ("/xyz", "unknown command /xyz; /help lists all commands"),
        ("/tool", "/tool needs a name"),
        ("/tool nope", "the server has no tool 'nope'"),
        ("/save", "/save needs a file"),
    ],
)
def test_invalid_commands_are_not_sent_to_the_model(tmp_path: Path, typed: str, expected: str) -> None:
    """An invalid command prints what is wrong with it, and no request is sent to the model."""
    with answering({}) as api:
        done = run_chat(tmp_path, api, f"{typed}\n", RAW)
    assert (done.code, api.requests) == (0, [])
    assert expected in done.stderr


def test_tools_are_listed_with_their_permissions(tmp_path: Path) -> None:
    """`/tools` lists the permitted tools, those that need approval and those that are denied.

    `/tool` prints the schema.
    """
    with answering({}) as api:
        done = run_chat(tmp_path, api, "/tools\n/tool burn\n/run\n/help\n", SHELF, "--deny-tool", "die", "--", "calls")
    assert "look{book?: string}" in done.stdout
    assert "need approval: burn\n" in done.stdout
    assert "not allowed: die\n" in done.stdout
    assert '"destructiveHint": true' in done.stdout
    assert "/save FILE" in done.stdout


BURN: dict[str, list[Answer]] = {"Burn it.": [calls(("burn", {"book": "a"}), ("look", {}), ("both", {})), text("Well.")],
                                 "Again.": [calls(("burn", {"book": "b"})), text("Well.")]}  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "args", "sent"),
    [
        ("y\n", (), ["burn a"]),
        ("n\n", (), []),
        ("what?\nyes\n", (), ["burn a"]),
        ("", (), []),
        ("a\nAgain.\n", (), ["burn a", "burn b"]),
        ("y\nAgain.\nn\n", (), ["burn a"]),
        ("Again.\n", ("--ask", "none"), ["burn a", "burn b"]),
    ],
)
def test_destructive_calls_need_approval(tmp_path: Path, answers: str, args: tuple[str, ...], sent: list[str]) -> None:
    """A call to a tool that is marked as destructive is sent only after a yes.

    Other calls, and calls to tools that are also marked read-only, need no approval.
    """
    with answering(BURN) as api:
        done = run_chat(tmp_path, api, f"Burn it.\n{answers}", SHELF, *args, "--", "calls")
    assert done.code == 0
    assert [call for call in read_shelf_calls(tmp_path) if call.startswith("burn")] == sent
    assert {"look", "both"} <= {*read_shelf_calls(tmp_path)}
    refused = [call for call in done.transcripts[0]["calls"] if call["is_error"]]
    assert all(call["content"][0]["text"] == "The user refused this call." for call in refused)
    assert len(refused) == [call["tool"] for call in done.transcripts[0]["calls"]].count("burn") - len(sent)


def test_ask_all_requires_approval_for_every_call(tmp_path: Path) -> None:
    """With `--ask all`, even a call to a read-only tool needs approval."""
    with answering({"Look.": [calls(("look", {})), text("Well.")]}) as api:
        run_chat(tmp_path, api, "Look.\nn\n", SHELF, "--ask", "all", "--", "calls")
    assert read_shelf_calls(tmp_path) == []


def test_refused_calls_are_not_repeated_later(tmp_path: Path) -> None:
    """Neither saved queries nor a replay make a call that the user refused. The replay gives the same bytes."""
    with answering(BURN) as api:
        done = run_chat(tmp_path, api, "Burn it.\nn\n/save saved.jsonl\n", SHELF, "--", "calls")
    replay = run_mcprun("batch", "saved.jsonl", SHELF, "--model", f"replay:{done.run}", "--", "calls", cwd=tmp_path)
    assert (replay.code, replay.bytes) == (0, done.bytes)
    assert run_mcprun("batch", "saved.jsonl", SHELF, "--model", "script", "--", "calls", cwd=tmp_path).code == 0
    assert not any(call.startswith("burn") for call in read_shelf_calls(tmp_path))


def test_refused_calls_do_not_cover(tmp_path: Path) -> None:
    """A refused call never reached the tool, in the chat and in a replay of it. The other calls did."""
    with answering(BURN) as api:
        done = run_chat(tmp_path, api, "Burn it.\nn\n/save saved.jsonl\n", SHELF, "--", "calls")
    replay = run_mcprun("batch", "saved.jsonl", SHELF, "--model", f"replay:{done.run}", "--", "calls", cwd=tmp_path)
    for run in (done.run, replay.run):
        found = json.loads(run_mcprun("coverage", run, "--json", cwd=tmp_path).stdout)
        states = {tool["name"]: tool["state"] for tool in found["tools"]}
        assert (found["unsent"], states["burn"], states["look"]) == ({"burn": 1}, "uncalled", "covered")


def test_a_server_that_dies_is_reported_and_restarted(tmp_path: Path) -> None:
    """The call during which the server dies is returned to the model as an error.

    The conversation continues with a new server.
    """
    conversation = {"Die.": [calls(("die", {}))], "Look.": [calls(("look", {})), text("There.")]}
    with answering(conversation) as api:
        done = run_chat(tmp_path, api, "Die.\nLook.\n", SHELF, "--", "calls")
    assert done.code == 0
    assert (
        "Error: server_died: the connection to the server was lost during die; its stderr ends: fatal: the shelf is empty"
        in done.stderr
    )
    assert "The server died; restarting it (19 restarts left)" in done.stderr
    assert read_shelf_calls(tmp_path) == ["die", "look"]
    contents = api.requests[1].body["messages"][2]["content"][0]
    assert (contents["is_error"], contents["content"][0]["text"]) == (
        True,
        "The connection to the server was lost during this call.",
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(500, "api_error", "Oops"), "Error: api_error: the API failed: 500 api_error: Oops"),
        (
            Streamed(text("one two three"), after=1, error="overloaded_error"),
            "Error: throttled: the response broke off: ",
        ),
        (Streamed(text("one two three"), after=1, breaks=True), "Error: api_error: the response broke off"),
        (HttpReply(200, "event: nonsense\ndata: {\n\n"), "Error: api_error: the API's response can't be read"),
    ],
)
def test_a_failed_request_removes_only_its_own_message(tmp_path: Path, answer: Answer, expected: str) -> None:
    """If the API fails, the message is removed, earlier replies stay, and the next message is answered normally."""
    with answering({"Hi": [text("Hello.")], "Fail.": [answer], "Ho": [text("Yes?")]}) as api:
        done = run_chat(tmp_path, api, "Hi\nFail.\nHo\n", RAW, "--no-retry")
    assert done.code == 0
    assert expected in done.stderr
    assert "Your message was removed from the conversation." in done.stderr
    assert done.transcripts[0]["prompt"] == ["Hi", "Ho"]
    assert [sent["content"] for sent in api.requests[-1].body["messages"]][::2] == ["Hi", "Ho"]


def test_a_response_is_retried_only_if_nothing_was_printed(tmp_path: Path) -> None:
    """A response that fails before its first word is retried. One that fails later is not."""
    attempts: list[int] = []

    def answer(body: dict[str, object]) -> Answer:
        attempts.append(1)
        return Streamed(text("one two three"), after=0 if len(attempts) == 1 else 1, error="overloaded_error")

    with MessagesApi(answer) as api:
        done = run_chat(tmp_path, api, "Hi\n", RAW, "--max-retry-wait", "0.01")
    assert (len(attempts), done.code, done.verdicts) == (2, 3, {"chat-1": "error"})
    assert "one two" in done.stdout
    assert "retrying in" in done.stderr


def test_a_refused_key_ends_the_chat(tmp_path: Path) -> None:
    """A rejected API key ends the chat with one message, and is the error of the run."""
    with answering({}) as api:
        env = environment(api, tmp_path) | {"ANTHROPIC_API_KEY": "sk-ant-wrong"}
        done = run_mcprun("chat", RAW, cwd=tmp_path, env=env, input="Hi\nHo\n")
    assert (done.code, len(api.requests), done.record["error"]["kind"]) == (3, 1, "api_refused")
    assert done.stderr.count("the API refused the key") == 1


@pytest.mark.parametrize("args", [(), ("--model", "script"), ("--model", "replay:good")])
def test_a_chat_needs_a_model(tmp_path: Path, args: tuple[str, ...]) -> None:
    """Without a key, and with a script or a recording, no run is created, and the message says how to go on."""
    write_jsonl(tmp_path / "p.jsonl", script())
    run_mcprun("batch", "p.jsonl", RAW, "--out", "good", cwd=tmp_path)
    done = run_mcprun("chat", RAW, *args, "--out", "run", cwd=tmp_path, input="Hi\n")
    assert (done.code, (tmp_path / "run").exists()) == (2, False)
    assert "set ANTHROPIC_API_KEY" in done.stderr
    assert "--base-url" in done.stderr


def test_a_server_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    """A server that does not start exits with 3, its stderr is quoted, and `latest` does not change."""
    before = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", script()), RAW, cwd=tmp_path)
    with answering({}) as api:
        done = run_chat(tmp_path, api, "Hi\n", RAW, "--", "exit")
    assert done.code == 3
    assert "fatal: DATABASE_URL is not set" in done.stderr
    assert (tmp_path / "outputs" / "latest").resolve() == before.run.resolve()


def test_a_chat_without_messages_is_finished(tmp_path: Path) -> None:
    """A chat without messages exits with 0, and `latest` does not point to it."""
    with answering({}) as api:
        done = run_chat(tmp_path, api, "\n  \nexit\n", RAW)
    assert (done.code, done.record["state"]) == (0, "finished")
    assert not (tmp_path / "outputs" / "latest").exists()


def test_control_characters_are_escaped_and_secrets_redacted(tmp_path: Path) -> None:
    """Control characters of models and tools are escaped.

    A secret that is split across two chunks is neither printed nor written.
    """
    secret, evil = "hush-hush-hush", "\x1b[2J\x07[red]\u202e"
    with answering({"Hi": [calls(("echo", {"text": evil})), text(f"{evil} and {secret}!")]}) as api:
        done = run_chat(tmp_path, api, "Hi\n/save s\n", SERVERS / "kinds.py", "--env", f"PASSWORD={secret}")
    assert r"\x1b[2J\x07[red]\u202e and [redacted]!" in done.stdout
    for shown in (done.stdout, done.stderr):
        assert not any(character in shown for character in "\x1b\x07\u202e")
    written = b"".join(file.read_bytes() for file in [*done.run.iterdir(), tmp_path / "s"])
    assert secret.encode() not in written
    assert KEY.encode() not in written


@pytest.mark.parametrize(
    ("stop", "content", "expected"),
    [
        ("max_tokens", [{"type": "text", "text": "I wo"}], "The reply was cut short: max_tokens."),
        ("max_tokens", [{"type": "tool_use", "name": "look", "input": {}}], "The reply was cut short: max_tokens."),
        ("refusal", [], "The reply was cut short: refusal."),
    ],
)
def test_a_conversation_continues_after_a_truncated_reply(
    tmp_path: Path, stop: str, content: list[dict[str, object]], expected: str
) -> None:
    """After a truncated reply, the API accepts the next request. A truncated call is not made."""
    with answering({"Go.": [message(content, stop_reason=stop)], "And?": [text("Yes.")]}) as api:
        done = run_chat(tmp_path, api, "Go.\nAnd?\n/save s\n", SHELF, "--", "calls")
    assert (done.code, read_shelf_calls(tmp_path), len(api.replies)) == (0, [], 2)
    assert expected in done.stderr
    assert api.replies[-1].status == 200
    assert run_mcprun("batch", "s", SHELF, "--model", "script", "--", "calls", cwd=tmp_path).code == 0


def test_max_turns_limits_each_reply(tmp_path: Path) -> None:
    """`--max-turns` applies to each message. At the limit, the reply ends and the conversation continues."""
    turn = calls(("look", {}))
    with answering({"Go.": [turn, turn], "And?": [turn, text("Yes.")]}) as api:
        done = run_chat(tmp_path, api, "Go.\nAnd?\n", SHELF, "--max-turns", "2", "--", "calls")
    assert (done.code, done.transcripts[0]["text"]) == (0, "Yes.")
    assert "The reply was cut short: max_turns. You can continue the conversation." in done.stderr


def test_an_interrupt_stops_the_reply_and_not_the_chat(tmp_path: Path) -> None:
    """An interrupt removes the unfinished exchange, and the next message is answered normally."""
    received = threading.Event()

    def wait() -> None:
        received.set()
        api.closed.wait(60)

    slow = Streamed(text("never to be heard to its end"), after=2, wait=wait)
    with answering({"Slow.": [slow], "Hi": [text("Hello.")]}) as api, started(api, tmp_path, RAW) as process:
        say(process, "Slow.")
        assert received.wait(60)
        process.send_signal(signal.SIGINT)
        say(process, "Hi")
        assert "Hello." in until(process, "Hello.")
        say(process, "quit")
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Stopped. Your message was removed from the conversation." in stderr
    (transcript,) = read_jsonl(tmp_path / "outputs" / "latest" / "transcripts.jsonl")
    assert transcript["prompt"] == "Hi"


def test_an_interrupted_call_is_an_error_result(tmp_path: Path) -> None:
    """An interrupted call stays in the conversation with a result that says the user stopped it.

    Neither `/save` nor a replay repeats it.
    """
    conversation = {"Wait.": [calls(("look", {}), ("wait", {}))], "Hi": [text("Hello.")]}
    with answering(conversation) as api, started(api, tmp_path, SHELF, "--", tmp_path / "calls") as process:
        say(process, "Wait.")
        until(process, "call 0  ok")
        process.send_signal(signal.SIGINT)
        say(process, "Hi")
        until(process, "Hello.")
        say(process, "/save s")
        say(process, "quit")
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, "Stopped. You can continue the conversation." in stderr) == (0, True)
    results = api.requests[-1].body["messages"][2]["content"]
    assert [block["content"][0]["text"] for block in results] == ["look: done", "The user stopped this call."]
    (line,) = read_jsonl(tmp_path / "s")
    assert line["expect"]["calls"] == [{"tool": "look", "input": {}}]
    replay = run_mcprun("batch", "s", SHELF, "--model", "replay:latest", "--", "calls", cwd=tmp_path)
    assert (replay.code, read_shelf_calls(tmp_path)) == (0, ["look", "wait", "look"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_an_idle_chat(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """A signal between replies ends the chat, and its run is finished."""
    with answering({"Hi": [text("Hello.")]}) as api, started(api, tmp_path, RAW) as process:
        say(process, "Hi")
        until(process, "Hello.")
        say(process, "/run")
        until(process, "outputs/")
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == code
    assert json.loads((tmp_path / "outputs" / "latest" / "run.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("protocol", ["legacy", "2026-07-28"])
def test_elicitations_of_a_chat_are_repeated_by_scripts_and_replays(tmp_path: Path, protocol: str) -> None:
    """The response to an elicitation is printed and saved. Scripts and replays give the server the same response."""
    server, flags = SERVERS / "asking.py", ("--protocol", protocol)
    with answering(
        {"Wish.": [calls(("wish", {})), text("Noted.")], "More.": [calls(("wish", {})), text("So.")]}
    ) as api:
        done = run_chat(tmp_path, api, "Wish.\nMore.\n/save s\n", server, "--elicit", "defaults", *flags)
    assert "Server request: elicitation: Any wishes?; response: accept" in done.stderr
    assert [call["structured"]["result"] for call in done.transcripts[0]["calls"]] == ["breakfast: True, floor: 2"] * 2
    assert len(done.transcripts[0]["asked"]) == 2
    for model in ("script", f"replay:{done.run}"):
        rerun = run_mcprun("batch", "s", server, "--model", model, *flags, cwd=tmp_path)
        assert (rerun.code, rerun.transcripts[0]["asked"]) == (0, done.transcripts[0]["asked"])
    assert rerun.bytes == done.bytes


def test_the_documented_example(tmp_path: Path) -> None:
    """The output of a chat is the one in docs/chat.md, and the commands of that page succeed."""
    (shown, commands) = (code_blocks(page("chat"), kind)[0] for kind in ("text", "sh"))
    typed = "".join(f"{line[2:]}\n" for line in shown.splitlines() if line.startswith("> "))
    shutil.copy(PROMPTS / "quickstart.py", tmp_path / "server.py")
    begin, rerun = (shlex.split(line)[1:] for line in commands.splitlines())
    answer = [calls(("add", {"a": 2, "b": 3}), text="Let me add that up."), text("It is 5.")]
    with answering({"What is 2 + 3?": answer}) as api:
        done = run_mcprun(*begin, cwd=tmp_path, env=environment(api, tmp_path / "state"), input=typed)
    (note,) = [line for line in shown.splitlines() if line.startswith("saved")]
    printed, expected = (normalised(text).splitlines() for text in (done.stdout, shown))
    assert printed == [line for line in expected if line != note]
    assert note in done.stderr.splitlines()
    assert run_mcprun(*rerun, cwd=tmp_path).code == 0
