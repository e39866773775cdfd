"""`mcprun chat` with lines from a pipe and a stand-in of the API. No model answers here."""

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
    ROOT,
    SERVERS,
    Result,
    normalised,
    read_jsonl,
    run_mcprun,
    script,
    write_jsonl,
)
from tests.support.messages_api import Answer, HttpReply, MessagesApi, calls, error, message, text
from tests.support.messages_stream import Streamed

QUICK = QUICKSTART[1]

ADD = [calls(("add", {"a": 2, "b": 3}), text="One moment."), text("It is 5.")]


def chat(folder: Path, api: MessagesApi, typed: str, *args: str | Path) -> Result:
    """Run a chat in which this is typed."""
    return run_mcprun("chat", *args, cwd=folder, env=environment(api, folder / "state"), input=typed)


def shelf(folder: Path) -> list[str]:
    """Give the calls that reached the shelf."""
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def test_a_chat_reads_as_a_conversation(tmp_path: Path) -> None:
    """What is said, what is called with how it ended, what is answered; then where the run is."""
    with answering({"What is 2 + 3?": ADD}) as api:
        done = chat(tmp_path, api, "What is 2 + 3?\nquit\n", QUICK)
    lines = done.stdout.splitlines()
    assert (done.code, lines[:4]) == (0, ["> What is 2 + 3?", "One moment.", "call 0  add{a: 2, b: 3}", lines[3]])
    assert lines[3].startswith("call 0  ok, ")
    assert lines[4:6] == ["It is 5.", "> quit"]
    assert lines[6].endswith("-chat: transcripts.jsonl, trace.jsonl, run.json, server.log")
    assert "claude-sonnet-5-5 (there is an API key); quickstart 1.0.0: 4 tools" in done.stderr
    assert [request.body["stream"] for request in api.requests] == [True, True]


def test_a_chat_is_a_run_like_any_other(tmp_path: Path) -> None:
    """Each conversation is a query; show, report and diff read it, and a replay of it gives the same bytes."""
    with answering({"Hi": [text("Hello.")], "What is 2 + 3?": ADD, "And now?": [text("Nothing.")]}) as api:
        done = chat(tmp_path, api, "Hi\nWhat is 2 + 3?\n/new\nAnd now?\n/save saved.jsonl\n", QUICK)
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


def test_nobody_goes_on_with_a_chat(tmp_path: Path) -> None:
    """`--resume` says so, and what to do in its place, which works."""
    with answering({"Hi": [text("Hello.")]}) as api:
        done = chat(tmp_path, api, "Hi\nquit\n", RAW, "--out", "talk")
    resumed = run_mcprun("batch", "--resume", "talk", cwd=tmp_path)
    assert (done.code, resumed.code) == (0, 2)
    assert resumed.stderr == (
        "Error: talk is a chat, which can't be resumed; run its questions again with:"
        " mcprun batch talk/prompts.jsonl SERVER\n"
    )
    assert run_mcprun("batch", "talk/prompts.jsonl", RAW, cwd=tmp_path).verdicts == {"chat-1": "passed"}


def test_what_is_saved_runs_without_a_model(tmp_path: Path) -> None:
    """The saved file is valid, its scripts make the calls again, and they are what is expected."""
    with answering({"What is 2 + 3?": ADD, "Read x.": [calls(("read_note", {"note_id": "x"})), text("None.")]}) as api:
        chat(tmp_path, api, "What is 2 + 3?\n/new\nRead x.\n/save saved.jsonl\n", QUICK)
    one, other = read_jsonl(tmp_path / "saved.jsonl")
    assert one["script"] == [
        {"text": "One moment.", "calls": [{"tool": "add", "input": {"a": 2, "b": 3}}]}, {"text": "It is 5."},
    ]  # fmt: skip
    assert one["expect"] == {"calls": [{"tool": "add", "input": {"a": 2, "b": 3}}]}
    assert other["expect"]["tool_errors"] == "allow"
    assert run_mcprun("validate", "saved.jsonl", cwd=tmp_path).code == 0
    done = run_mcprun("batch", "saved.jsonl", QUICK, cwd=tmp_path)
    assert (done.code, set(done.verdicts.values()), done.record["counts"]["calls"]) == (0, {"passed"}, 2)


def test_nothing_is_replaced_unless_it_is_said(tmp_path: Path) -> None:
    """`/save` leaves a file that is there, `/save!` replaces it; before anything was answered there is nothing to save."""
    (tmp_path / "mine").write_text("precious")
    with answering({"Hi": [text("Hello.")]}) as api:
        done = chat(tmp_path, api, "/save new\nHi\n/save mine\n/save no/such\n", RAW)
        assert (tmp_path / "mine").read_text() == "precious"
        assert not (tmp_path / "new").exists()
        for words in ("nothing to save", "mine exists: use /save! mine", "can't write no/such"):
            assert words in done.stderr
        chat(tmp_path, api, "Hi\n/save! mine\n", RAW)
    assert [query["prompt"] for query in read_jsonl(tmp_path / "mine")] == ["Hi"]


def test_files_are_saved_by_any_name(tmp_path: Path) -> None:
    """Quotes and `~` mean what they do in a shell. What cannot be written is told, and the chat goes on."""
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


def test_an_empty_reply_is_told(tmp_path: Path) -> None:
    """Also one after a call; what was said before the call is no reply."""
    conversation: dict[str, list[Answer]] = {
        "Nothing": [message([])],
        "Blank": [text(" \n")],
        "Call": [calls(("ok", {}), text="One moment."), message([])],
        "Both": [calls(("ok", {})), text("Done.")],
    }
    with answering(conversation) as api:
        done = chat(tmp_path, api, "Nothing\nBlank\nCall\nBoth\n", RAW)
    assert (done.code, done.stderr.count("The reply is empty.\n")) == (0, 3)
    assert re.search(r"ok, .*\n> Both\n", done.stdout)


def test_a_new_conversation_knows_nothing_of_the_last(tmp_path: Path) -> None:
    """After `/new` the model is sent what was said since."""
    with answering({"Hi": [text("Hello.")], "Ho": [text("Yes?")]}) as api:
        chat(tmp_path, api, "Hi\n/new\n/new\nHo\n", RAW)
    assert [len(request.body["messages"]) for request in api.requests] == [1, 1]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/tolls", "unknown command /tolls; did you mean /tools?"),
        ("/xyz", "unknown command /xyz; /help lists all commands"),
        ("/tool", "/tool needs a name"),
        ("/tool nope", "the server has no tool 'nope'"),
        ("/save", "/save needs a file"),
    ],
)
def test_wrong_commands_are_told_and_never_said(tmp_path: Path, typed: str, words: str) -> None:
    """A command that is none says what is meant, and the model hears nothing of it."""
    with answering({}) as api:
        done = chat(tmp_path, api, f"{typed}\n", RAW)
    assert (done.code, api.requests) == (0, [])
    assert words in done.stderr


def test_the_tools_are_listed_with_what_is_permitted(tmp_path: Path) -> None:
    """`/tools` lists what may be used, names what is asked about and what may not be used; `/tool` shows the schema."""
    with answering({}) as api:
        done = chat(tmp_path, api, "/tools\n/tool burn\n/run\n/help\n", SHELF, "--deny-tool", "die", "--", "calls")
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
def test_destructive_calls_are_asked_about(
    tmp_path: Path, answers: str, args: tuple[str, ...], sent: list[str]
) -> None:
    """Nothing that is marked as destructive is sent without a yes; other calls, and read-only ones, are not asked about."""
    with answering(BURN) as api:
        done = chat(tmp_path, api, f"Burn it.\n{answers}", SHELF, *args, "--", "calls")
    assert done.code == 0
    assert [call for call in shelf(tmp_path) if call.startswith("burn")] == sent
    assert {"look", "both"} <= {*shelf(tmp_path)}
    refused = [call for call in done.transcripts[0]["calls"] if call["is_error"]]
    assert all(call["content"][0]["text"] == "The user refused this call." for call in refused)
    assert len(refused) == [call["tool"] for call in done.transcripts[0]["calls"]].count("burn") - len(sent)


def test_every_call_can_be_asked_about(tmp_path: Path) -> None:
    """With `--ask all` even a tool that only reads waits for a yes."""
    with answering({"Look.": [calls(("look", {})), text("Well.")]}) as api:
        chat(tmp_path, api, "Look.\nn\n", SHELF, "--ask", "all", "--", "calls")
    assert shelf(tmp_path) == []


def test_what_was_refused_is_never_made_later(tmp_path: Path) -> None:
    """Neither the saved queries nor a replay make a call that the user refused; the replay gives the same bytes."""
    with answering(BURN) as api:
        done = chat(tmp_path, api, "Burn it.\nn\n/save saved.jsonl\n", SHELF, "--", "calls")
    replay = run_mcprun("batch", "saved.jsonl", SHELF, "--model", f"replay:{done.run}", "--", "calls", cwd=tmp_path)
    assert (replay.code, replay.bytes) == (0, done.bytes)
    assert run_mcprun("batch", "saved.jsonl", SHELF, "--model", "script", "--", "calls", cwd=tmp_path).code == 0
    assert not any(call.startswith("burn") for call in shelf(tmp_path))


def test_a_server_that_dies_is_told_and_started_again(tmp_path: Path) -> None:
    """The call that met its end is an error that the model is told, and the conversation goes on with a new server."""
    conversation = {"Die.": [calls(("die", {}))], "Look.": [calls(("look", {})), text("There.")]}
    with answering(conversation) as api:
        done = chat(tmp_path, api, "Die.\nLook.\n", SHELF, "--", "calls")
    assert done.code == 0
    assert (
        "Error: server_died: the connection to the server was lost during die; its stderr ends: fatal: the shelf is empty"
        in done.stderr
    )
    assert "The server died; restarting it (19 restarts left)" in done.stderr
    assert shelf(tmp_path) == ["die", "look"]
    contents = api.requests[1].body["messages"][2]["content"][0]
    assert (contents["is_error"], contents["content"][0]["text"]) == (True, "The server went away during this call.")


@pytest.mark.parametrize(
    ("answer", "words"),
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
def test_an_api_that_fails_costs_one_message(tmp_path: Path, answer: Answer, words: str) -> None:
    """The message is taken back, what was answered before stays, and the next one is answered as if nothing had been."""
    with answering({"Hi": [text("Hello.")], "Fail.": [answer], "Ho": [text("Yes?")]}) as api:
        done = chat(tmp_path, api, "Hi\nFail.\nHo\n", RAW, "--no-retry")
    assert done.code == 0
    assert words in done.stderr
    assert "Your message was removed from the conversation." in done.stderr
    assert done.transcripts[0]["prompt"] == ["Hi", "Ho"]
    assert [sent["content"] for sent in api.requests[-1].body["messages"]][::2] == ["Hi", "Ho"]


def test_only_what_nobody_has_heard_is_asked_for_again(tmp_path: Path) -> None:
    """An answer that fails before its first word is asked for again; one that was begun is not."""
    tried: list[int] = []

    def answer(body: dict[str, object]) -> Answer:
        tried.append(1)
        return Streamed(text("one two three"), after=0 if len(tried) == 1 else 1, error="overloaded_error")

    with MessagesApi(answer) as api:
        done = chat(tmp_path, api, "Hi\n", RAW, "--max-retry-wait", "0.01")
    assert (len(tried), done.code, done.verdicts) == (2, 3, {"chat-1": "error"})
    assert "one two" in done.stdout
    assert "retrying in" in done.stderr


def test_a_refused_key_ends_the_chat(tmp_path: Path) -> None:
    """What no message could get past is one error, and the run says so."""
    with answering({}) as api:
        env = environment(api, tmp_path) | {"ANTHROPIC_API_KEY": "sk-ant-wrong"}
        done = run_mcprun("chat", RAW, cwd=tmp_path, env=env, input="Hi\nHo\n")
    assert (done.code, len(api.requests), done.record["error"]["kind"]) == (3, 1, "api_refused")
    assert done.stderr.count("the API refused the key") == 1


@pytest.mark.parametrize("args", [(), ("--model", "script"), ("--model", "replay:good")])
def test_nobody_to_talk_to(tmp_path: Path, args: tuple[str, ...]) -> None:
    """Without a key, and with a script or a recording, nothing is begun; the message says how to go on."""
    write_jsonl(tmp_path / "p.jsonl", script())
    run_mcprun("batch", "p.jsonl", RAW, "--out", "good", cwd=tmp_path)
    done = run_mcprun("chat", RAW, *args, "--out", "run", cwd=tmp_path, input="Hi\n")
    assert (done.code, (tmp_path / "run").exists()) == (2, False)
    assert "set ANTHROPIC_API_KEY" in done.stderr
    assert "--base-url" in done.stderr


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    """It is one message with the server's own words, exit 3, and `latest` stays what it was."""
    with answering({}) as api:
        done = chat(tmp_path, api, "Hi\n", RAW, "--", "exit")
    assert done.code == 3
    assert "fatal: DATABASE_URL is not set" in done.stderr
    assert not (tmp_path / "outputs" / "latest").exists()


def test_a_chat_in_which_nothing_is_said(tmp_path: Path) -> None:
    """It ends well, and is not what `latest` names."""
    with answering({}) as api:
        done = chat(tmp_path, api, "\n  \nexit\n", RAW)
    assert (done.code, done.record["state"]) == (0, "finished")
    assert not (tmp_path / "outputs" / "latest").exists()


def test_strangers_do_not_reach_the_terminal_and_secrets_neither(tmp_path: Path) -> None:
    """Controls of models and tools are made visible; a secret that comes in two pieces is never shown, nor written."""
    secret, evil = "hush-hush-hush", "\x1b[2J\x07[red]\u202e"
    with answering({"Hi": [calls(("echo", {"text": evil})), text(f"{evil} and {secret}!")]}) as api:
        done = chat(tmp_path, api, "Hi\n/save s\n", SERVERS / "kinds.py", "--env", f"PASSWORD={secret}")
    assert r"\x1b[2J\x07[red]\u202e and [redacted]!" in done.stdout
    for shown in (done.stdout, done.stderr):
        assert not any(character in shown for character in "\x1b\x07\u202e")
    written = b"".join(file.read_bytes() for file in [*done.run.iterdir(), tmp_path / "s"])
    assert secret.encode() not in written
    assert KEY.encode() not in written


@pytest.mark.parametrize(
    ("stop", "content", "words"),
    [
        ("max_tokens", [{"type": "text", "text": "I wo"}], "The reply was cut short: max_tokens."),
        ("max_tokens", [{"type": "tool_use", "name": "look", "input": {}}], "The reply was cut short: max_tokens."),
        ("refusal", [], "The reply was cut short: refusal."),
    ],
)
def test_a_conversation_goes_on_after_an_answer_that_was_cut_short(
    tmp_path: Path, stop: str, content: list[dict[str, object]], words: str
) -> None:
    """The API takes what is sent next, and a call that was not whole was never made."""
    with answering({"Go.": [message(content, stop_reason=stop)], "And?": [text("Yes.")]}) as api:
        done = chat(tmp_path, api, "Go.\nAnd?\n/save s\n", SHELF, "--", "calls")
    assert (done.code, shelf(tmp_path), len(api.replies)) == (0, [], 2)
    assert words in done.stderr
    assert api.replies[-1].status == 200
    assert run_mcprun("batch", "s", SHELF, "--model", "script", "--", "calls", cwd=tmp_path).code == 0


def test_the_limits_of_a_query_are_those_of_an_answer(tmp_path: Path) -> None:
    """Each message may take `--max-turns`; where they are used up, the answer ends and the conversation does not."""
    turn = calls(("look", {}))
    with answering({"Go.": [turn, turn], "And?": [turn, text("Yes.")]}) as api:
        done = chat(tmp_path, api, "Go.\nAnd?\n", SHELF, "--max-turns", "2", "--", "calls")
    assert (done.code, done.transcripts[0]["text"]) == (0, "Yes.")
    assert "The reply was cut short: max_turns. You can continue the conversation." in done.stderr


def test_an_interrupt_stops_the_answer_and_not_the_chat(tmp_path: Path) -> None:
    """What was half said is taken back; the next message is answered as if nothing had been."""
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


def test_an_interrupted_call_is_an_error_that_the_model_is_told(tmp_path: Path) -> None:
    """A call that was sent happened: it stays, with a result that says who stopped it, and is not replayed."""
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
    assert (replay.code, shelf(tmp_path)) == (0, ["look", "wait", "look"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_chat_that_waits(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Where there is nothing to stop but the chat, it ends; what was answered is a finished run."""
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
def test_what_the_server_asks_in_a_chat_is_answered_when_it_is_run_again(tmp_path: Path, protocol: str) -> None:
    """A form that was filled in is told, and stands in what is saved: scripts and replays give the server the same."""
    server, flags = SERVERS / "asking.py", ("--protocol", protocol)
    with answering(
        {"Wish.": [calls(("wish", {})), text("Noted.")], "More.": [calls(("wish", {})), text("So.")]}
    ) as api:
        done = chat(tmp_path, api, "Wish.\nMore.\n/save s\n", server, "--elicit", "defaults", *flags)
    assert "Server request: elicitation: Any wishes?; response: accept" in done.stderr
    assert [call["structured"]["result"] for call in done.transcripts[0]["calls"]] == ["breakfast: True, floor: 2"] * 2
    assert len(done.transcripts[0]["asked"]) == 2
    for model in ("script", f"replay:{done.run}"):
        again = run_mcprun("batch", "s", server, "--model", model, *flags, cwd=tmp_path)
        assert (again.code, again.transcripts[0]["asked"]) == (0, done.transcripts[0]["asked"])
    assert again.bytes == done.bytes


def test_the_readmes_example(tmp_path: Path) -> None:
    """What the README shows of a chat is what it prints, and its commands run as they stand."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## By hand")[2]
    (shown, commands) = (re.findall(rf"```{kind}\n(.*?)```", readme, re.DOTALL)[0] for kind in ("text", "sh"))
    typed = "".join(f"{line[2:]}\n" for line in shown.splitlines() if line.startswith("> "))
    shutil.copy(PROMPTS / "quickstart.py", tmp_path / "server.py")
    begin, again = (shlex.split(line)[1:] for line in commands.splitlines())
    answer = [calls(("add", {"a": 2, "b": 3}), text="Let me add that up."), text("It is 5.")]
    with answering({"What is 2 + 3?": answer}) as api:
        done = run_mcprun(*begin, cwd=tmp_path, env=environment(api, tmp_path / "state"), input=typed)
    (note,) = [line for line in shown.splitlines() if line.startswith("saved")]
    printed, expected = (normalised(text).splitlines() for text in (done.stdout, shown))
    assert printed == [line for line in expected if line != note]
    assert note in done.stderr.splitlines()
    assert run_mcprun(*again, cwd=tmp_path).code == 0
