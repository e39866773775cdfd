"""The pure parts of a chat: streamed text, secrets in pieces, interrupted turns, saved queries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.chat.repair import Checkpoint, close_interrupted_turn
from mcprun.chat.save import query_from_conversation
from mcprun.chat.terminal.commands import Command, command_of, completions, file_of, quoted
from mcprun.checks.matchers import fits
from mcprun.client.session import ToolResult
from mcprun.engine.conversation import Conversation, PendingTurn
from mcprun.models.messages_stream import MessageAccumulator
from mcprun.prompts.query import parse_query
from mcprun.runs.events import ToolCall
from mcprun.runs.redaction import Redactor
from mcprun.runs.stream_redaction import StreamRedactor
from mcprun.runs.transcript import Call, Transcript, Turn, Verdict
from mcprun.tools.results import REFUSED, STOPPED, error_result, user_refusal
from tests.support.messages_rules import refusal
from tests.support.messages_stream import events

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text() | st.sampled_from(["$any", "$from"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip

INPUT = st.dictionaries(st.text(max_size=5) | st.sampled_from(["$regex", "$from"]), JSON, max_size=3)

WORDS = st.text(max_size=30)

BLOCKS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, WORDS)
    | st.builds(lambda text: {"type": "text", "text": text, "citations": [{"cited_text": "a"}, {"cited_text": "b"}]}, WORDS)
    | st.builds(lambda text, sign: {"type": "thinking", "thinking": text, "signature": sign}, WORDS, WORDS)
    | st.builds(lambda data: {"type": "redacted_thinking", "data": data}, WORDS)
    | st.builds(lambda given: {"type": "tool_use", "id": "toolu_1", "name": "add", "input": given}, INPUT)
    | st.builds(lambda given: {"type": "web_search_tool_result", "tool_use_id": "a", "content": given}, st.lists(JSON, max_size=2)),
    max_size=5,
)  # fmt: skip


@given(BLOCKS, st.sampled_from(["end_turn", "tool_use", "max_tokens"]))
def test_a_stream_amounts_to_the_message(blocks: list[dict[str, Any]], stop: str) -> None:
    """Put together, the events are the message that would have come in one piece; what was heard is its text."""
    usage = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 1}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks, "stop_reason": stop,
             "stop_sequence": None, "usage": usage}  # fmt: skip
    assembly = MessageAccumulator()
    received = [assembly.take(json.loads(json.dumps(event))) for event in events(whole)]
    assert (assembly.is_whole, assembly.body) == (True, whole)
    assert "".join(received) == "".join(block["text"] for block in blocks if block["type"] == "text")


@given(st.lists(st.fixed_dictionaries({"type": st.sampled_from(["message_start", "content_block_start", "content_block_delta",
    "content_block_stop", "message_delta", "message_stop", "ping", "error", "news"])},
    optional={"index": JSON, "delta": JSON, "message": JSON, "content_block": JSON, "usage": JSON}) | JSON, max_size=5))  # fmt: skip
def test_a_stream_of_anything_is_an_error_at_worst(stream: list[Any]) -> None:
    """Whatever comes in place of events, there is one kind of error for it."""
    assembly = MessageAccumulator()
    try:
        for event in stream:
            assembly.take(event)
    except ValueError:
        return


@given(
    st.lists(
        st.sampled_from(["secret-one", "one-secret-more", "cret-onerous", "se", "-", "x", "\n", "one-"]), max_size=8
    ),
    st.data(),
)
def test_no_part_of_a_secret_is_shown(parts: list[str], data: st.DataObject) -> None:
    """However the text is cut into pieces, what is shown is what the whole is cleaned to."""
    redactor = Redactor(["secret-one", "one-secret-more", "cret-onerous"])
    text, shown, hearing = "".join(parts), "", StreamRedactor(redactor)
    while text:
        size = data.draw(st.integers(1, len(text)))
        shown += hearing.take(text[:size])
        text = text[size:]
    assert shown + hearing.flush() == redactor.text("".join(parts))


def assistant_text(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


EXCHANGE = st.lists(st.tuples(WORDS, st.lists(st.tuples(st.sampled_from(["add", "burn"]), INPUT, st.sampled_from(["", REFUSED, STOPPED])), max_size=2)), min_size=1, max_size=3)  # fmt: skip


@given(st.lists(EXCHANGE, min_size=1, max_size=3))
def test_what_was_said_can_be_asked_again(
    exchanges: list[list[tuple[str, list[tuple[str, dict[str, Any], str]]]]],
) -> None:
    """Of any conversation the saved line is a good query, expects what was sent, and makes nothing that was refused."""
    messages: list[dict[str, Any]] = []
    calls: list[Call] = []
    turns: list[Turn] = []
    for exchange in exchanges:
        messages.append(assistant_text("Go on."))
        for words, made in exchange:
            content: list[dict[str, Any]] = [{"type": "text", "text": words}] if words.strip() else []
            for tool, given_, message in made:
                result = error_result(message) if message else {"content": []}
                calls.append(
                    Call(turn=len(turns), tool=tool, input=given_, is_error=bool(message), content=result["content"])
                )
            messages.append({"role": "assistant", "content": content})
            turns.append(Turn(stop_reason="tool_use" if made else "end_turn"))
    prompt: Any = ["Go on."] * len(exchanges) if len(exchanges) > 1 else "Go on."
    transcript = Transcript(id="chat-1", verdict=Verdict.PASSED, stop="end_turn", prompt=prompt, model="m", messages=messages,
                            calls=calls, text="", checks=[], turns=turns)  # fmt: skip
    query = parse_query(query_from_conversation(transcript))
    sent = [call for call in calls if not user_refusal(call)]
    expected = query.expect.calls or []
    assert [call.tool for call in expected] == [call.tool for call in sent]
    assert all(fits(one.input, call.input) for one, call in zip(expected, sent, strict=True))
    if query.script:
        scripted = [call for turn in query.script for call in turn.calls]
        assert [(call.tool, call.input) for call in scripted] == [(call.tool, call.input) for call in sent]
    else:
        assert "$from" in json.dumps([call.input for call in sent])


def use(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "add", "input": {}}


@given(
    st.booleans(),
    st.integers(0, 2),
    st.sets(st.integers(0, 2)),
    st.sampled_from(["asking", "calling", "unmade", "said"]),
)
def test_a_mended_conversation_can_go_on(goes_on: bool, turns: int, answered: set[int], cut: str) -> None:
    """Wherever an exchange is cut, the API takes the next message; calls that were made stay, each with its result."""
    one = Conversation(model="m")
    if goes_on:
        one.messages += [assistant_text("Hi"), {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}]
        one.turns.append(Turn(stop_reason="end_turn"))
        one.stop = "end_turn"
    start = Checkpoint.of(one)
    one.messages.append(assistant_text("Go."))
    names = iter(f"toolu_{number}" for number in range(99))
    for _ in range(turns):
        block = use(next(names))
        result = {"type": "tool_result", "tool_use_id": block["id"]}
        one.messages += [{"role": "assistant", "content": [block]}, {"role": "user", "content": [result]}]
        one.calls.append(Call(turn=len(one.turns), tool="add", input={}, is_error=False, content=[]))
        one.turns.append(Turn(stop_reason="tool_use"))
        one.stop = "tool_use"
    made = turns
    if cut in ("calling", "unmade"):
        one.messages.append({"role": "assistant", "content": [use(next(names)) for _ in range(3)]})
        one.turns.append(Turn(stop_reason="tool_use" if cut == "calling" else "max_tokens"))
        one.stop = one.turns[-1].stop_reason
    if cut == "calling":
        begun = [ToolCall(turn=len(one.turns) - 1, call=turns + number, tool="add", input={}, server=1, log_offset=0) for number in range(3)]  # fmt: skip
        one.under_way = PendingTurn(tuple(begun), {turns + number: ToolResult({"content": []}) for number in answered})
        one.calls += [Call(turn=len(one.turns) - 1, tool="add", input={}, is_error=False, content=[]) for _ in answered]
        made += 3
    if cut == "said":
        one.messages.append({"role": "assistant", "content": [{"type": "text", "text": "I wo"}]})
        one.turns.append(Turn(stop_reason="max_tokens"))
        one.stop = "max_tokens"
    is_kept = close_interrupted_turn(one, start, error_text=STOPPED, why="stopped by the user")
    assert is_kept == (bool(turns) or cut != "asking")
    assert len(one.calls) == made
    assert len(one.turns) == sum(message["role"] == "assistant" for message in one.messages)
    assert len([call for call in one.calls if user_refusal(call)]) == (3 - len(answered) if cut == "calling" else 0)
    assert refusal({"model": "m", "max_tokens": 1, "messages": [*one.messages, assistant_text("And?")]}) is None
    if not is_kept:
        assert Checkpoint.of(one) == start


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("hello", None),
        ("/etc/hosts: what is it?", None),
        ("quit the job", None),
        ("quit", Command("quit")),
        ("/EXIT", Command("quit")),
        ("/new", Command("/new")),
        ("/save  my file.jsonl", Command("/save", "my file.jsonl")),
        ("/save! a", Command("/save!", "a")),
        ("/", Command("/", "", "unknown command /; /help lists all commands")),
        ("Quit", Command("quit")),
        ('/save "my file.jsonl"', Command("/save", "my file.jsonl")),
        ("/save 'my file.jsonl'", Command("/save", "my file.jsonl")),
        ('/SAVE!\t"a"', Command("/save!", "a")),
        ('/save ~/"my file.jsonl"', Command("/save", "~/my file.jsonl")),
        ('/save "~/my file.jsonl"', Command("/save", "~/my file.jsonl")),
        ('/save C:\\x\\"my file.jsonl"', Command("/save", "C:\\x\\my file.jsonl")),
        ('/save "Bob\'s file"', Command("/save", "Bob's file")),
        ("/save Bob's file", Command("/save", "Bob's file")),
        ('/save a "b" c', Command("/save", 'a "b" c')),
        ("/save my\\ file.jsonl", Command("/save", "my file.jsonl")),
        ('/save " a "', Command("/save", " a ")),
        ("/save", Command("/save", "", "/save needs a file: /save FILE")),
        ('/save ""', Command("/save", "", "/save needs a file: /save FILE")),
        ('/save "a', Command("/save", '"a', "/save takes one FILE: close the quotes, and type nothing after them")),
        (
            '/save! "a" b',
            Command("/save!", '"a" b', "/save! takes one FILE: close the quotes, and type nothing after them"),
        ),
        (
            '/save "a" "b"',
            Command("/save", '"a" "b"', "/save takes one FILE: close the quotes, and type nothing after them"),
        ),
        ('/tool "a b"', Command("/tool", "a b")),
        ("/tool", Command("/tool", "", "/tool needs a name: /tool NAME")),
        ("/tools add", Command("/tools", "add", "/tools takes no argument; /tool NAME shows one tool")),
        ("/new Hi", Command("/new", "Hi", "/new takes no argument; type the first message on the next line")),
        ("/run x", Command("/run", "x", "/run takes no argument")),
        ("/quit now", Command("/quit", "now", "/quit takes no argument; type quit to leave the chat")),
        ("/help save", Command("/help", "save")),
    ],
)
def test_what_is_a_command(text: str, command: Command | None) -> None:
    """A word behind a slash is one, and `quit`; paths and sentences are said. An argument may stand in quotes."""
    assert command_of(text) == command


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: not {*name} >= {'"', "'"}))
def test_what_is_quoted_is_read_as_it_was(name: str) -> None:
    """A name that a message says has to be typed is the name of the file."""
    command = command_of(f"/save {quoted(name)}".strip())
    assert (command and (command.argument, command.problem)) == (name, "")


@pytest.mark.parametrize(
    ("before", "file"),
    [("/save my fi", "my fi"), ('/save "my fi', "my fi"), ("/SAVE! 'a", "a"), ("/save", None), ("say /save a", None)],
)
def test_the_file_that_is_completed(before: str, file: str | None) -> None:
    """It is completed in quotes too."""
    assert file_of(before) == file


@given(st.text())
def test_any_line_is_a_command_or_said(text: str) -> None:
    """Whatever is typed, nothing is raised, and only what begins with a slash can be wrong."""
    command = command_of(text.strip())
    assert not command or not command.problem or text.strip().startswith("/")


@given(st.text(alphabet="/tol adsve ", max_size=8), st.lists(st.sampled_from(["add", "look", "/x", "to"]), max_size=3))
def test_completions_go_on_with_what_stands_there(before: str, tools: list[str]) -> None:
    """Each begins with the word that it replaces."""
    for name, start in completions(before, tools):
        assert name.startswith(before[len(before) + start :] if start else "")
