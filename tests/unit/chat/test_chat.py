"""The pure parts of a chat: streamed text, streamed secrets, interrupted turns, saved queries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.chat.interrupted_turn import Checkpoint, close_interrupted_turn
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

TEXTS = st.text(max_size=30)

BLOCKS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
    | st.builds(lambda text: {"type": "text", "text": text, "citations": [{"cited_text": "a"}, {"cited_text": "b"}]}, TEXTS)
    | st.builds(lambda text, signature: {"type": "thinking", "thinking": text, "signature": signature}, TEXTS, TEXTS)
    | st.builds(lambda data: {"type": "redacted_thinking", "data": data}, TEXTS)
    | st.builds(lambda arguments: {"type": "tool_use", "id": "toolu_1", "name": "add", "input": arguments}, INPUT)
    | st.builds(lambda content: {"type": "web_search_tool_result", "tool_use_id": "a", "content": content}, st.lists(JSON, max_size=2)),
    max_size=5,
)  # fmt: skip


@given(BLOCKS, st.sampled_from(["end_turn", "tool_use", "max_tokens"]))
def test_a_stream_accumulates_to_the_whole_message(blocks: list[dict[str, Any]], stop: str) -> None:
    """The accumulated events equal the message as one response, and the text deltas equal its text."""
    usage = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks, "stop_reason": stop,
               "stop_sequence": None, "usage": usage}  # fmt: skip
    accumulator = MessageAccumulator()
    deltas = [accumulator.take(json.loads(json.dumps(event))) for event in events(message)]
    assert (accumulator.is_whole, accumulator.body) == (True, message)
    assert "".join(deltas) == "".join(block["text"] for block in blocks if block["type"] == "text")


@given(st.lists(st.fixed_dictionaries({"type": st.sampled_from(["message_start", "content_block_start", "content_block_delta",
    "content_block_stop", "message_delta", "message_stop", "ping", "error", "news"])},
    optional={"index": JSON, "delta": JSON, "message": JSON, "content_block": JSON, "usage": JSON}) | JSON, max_size=5))  # fmt: skip
def test_a_malformed_stream_raises_only_value_errors(stream: list[Any]) -> None:
    """Malformed events raise no exception other than `ValueError`."""
    accumulator = MessageAccumulator()
    try:
        for event in stream:
            accumulator.take(event)
    except ValueError:
        return


@given(
    st.lists(
        st.sampled_from(["secret-one", "one-secret-more", "cret-onerous", "se", "-", "x", "\n", "one-"]), max_size=8
    ),
    st.data(),
)
def test_streamed_text_is_redacted_across_pieces(parts: list[str], data: st.DataObject) -> None:
    """However the text is split into pieces, the redacted stream equals the redacted text."""
    redactor = Redactor(["secret-one", "one-secret-more", "cret-onerous"])
    text, shown, stream_redactor = "".join(parts), "", StreamRedactor(redactor)
    while text:
        size = data.draw(st.integers(1, len(text)))
        shown += stream_redactor.take(text[:size])
        text = text[size:]
    assert shown + stream_redactor.flush() == redactor.text("".join(parts))


def user_text(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


EXCHANGE = st.lists(st.tuples(TEXTS, st.lists(st.tuples(st.sampled_from(["add", "burn"]), INPUT, st.sampled_from(["", REFUSED, STOPPED])), max_size=2)), min_size=1, max_size=3)  # fmt: skip


@given(st.lists(EXCHANGE, min_size=1, max_size=3))
def test_a_conversation_can_be_saved_as_a_query(
    exchanges: list[list[tuple[str, list[tuple[str, dict[str, Any], str]]]]],
) -> None:
    """A saved conversation is a valid query that expects the calls that were sent, without those the user refused."""
    messages: list[dict[str, Any]] = []
    calls: list[Call] = []
    turns: list[Turn] = []
    for exchange in exchanges:
        messages.append(user_text("Go on."))
        for text, requested in exchange:
            content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text.strip() else []
            for tool, arguments, message in requested:
                result = error_result(message) if message else {"content": []}
                calls.append(
                    Call(turn=len(turns), tool=tool, input=arguments, is_error=bool(message), content=result["content"])
                )
            messages.append({"role": "assistant", "content": content})
            turns.append(Turn(stop_reason="tool_use" if requested else "end_turn"))
    prompt: Any = ["Go on."] * len(exchanges) if len(exchanges) > 1 else "Go on."
    transcript = Transcript(id="chat-1", verdict=Verdict.PASSED, stop="end_turn", prompt=prompt, model="m", messages=messages,
                            calls=calls, text="", checks=[], turns=turns)  # fmt: skip
    query = parse_query(query_from_conversation(transcript))
    sent_calls = [call for call in calls if not user_refusal(call)]
    expected = query.expect.calls or []
    assert [call.tool for call in expected] == [call.tool for call in sent_calls]
    assert all(fits(expected_call.input, call.input) for expected_call, call in zip(expected, sent_calls, strict=True))
    if query.script:
        scripted = [call for turn in query.script for call in turn.calls]
        assert [(call.tool, call.input) for call in scripted] == [(call.tool, call.input) for call in sent_calls]
    else:
        assert "$from" in json.dumps([call.input for call in sent_calls])


def tool_use(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "add", "input": {}}


@given(
    st.booleans(),
    st.integers(0, 2),
    st.sets(st.integers(0, 2)),
    st.sampled_from(["request", "tool_calls", "incomplete_calls", "incomplete_text"]),
)
def test_an_interrupted_conversation_can_continue(
    has_history: bool, turns: int, answered: set[int], interruption: str
) -> None:
    """Wherever a turn is interrupted, the API accepts the next message.

    Calls that were sent are kept, each with its result.
    """
    conversation = Conversation(model="m")
    if has_history:
        conversation.messages += [
            user_text("Hi"),
            {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]},
        ]
        conversation.turns.append(Turn(stop_reason="end_turn"))
        conversation.stop = "end_turn"
    start = Checkpoint.of(conversation)
    conversation.messages.append(user_text("Go."))
    ids = iter(f"toolu_{number}" for number in range(99))
    for _ in range(turns):
        block = tool_use(next(ids))
        result = {"type": "tool_result", "tool_use_id": block["id"]}
        conversation.messages += [{"role": "assistant", "content": [block]}, {"role": "user", "content": [result]}]
        conversation.calls.append(Call(turn=len(conversation.turns), tool="add", input={}, is_error=False, content=[]))
        conversation.turns.append(Turn(stop_reason="tool_use"))
        conversation.stop = "tool_use"
    expected_calls = turns
    if interruption in ("tool_calls", "incomplete_calls"):
        conversation.messages.append({"role": "assistant", "content": [tool_use(next(ids)) for _ in range(3)]})
        conversation.turns.append(Turn(stop_reason="tool_use" if interruption == "tool_calls" else "max_tokens"))
        conversation.stop = conversation.turns[-1].stop_reason
    if interruption == "tool_calls":
        pending = [ToolCall(turn=len(conversation.turns) - 1, call=turns + number, tool="add", input={}, server=1, log_offset=0) for number in range(3)]  # fmt: skip
        conversation.under_way = PendingTurn(
            tuple(pending), {turns + number: ToolResult({"content": []}) for number in answered}
        )
        conversation.calls += [
            Call(turn=len(conversation.turns) - 1, tool="add", input={}, is_error=False, content=[]) for _ in answered
        ]
        expected_calls += 3
    if interruption == "incomplete_text":
        conversation.messages.append({"role": "assistant", "content": [{"type": "text", "text": "I wo"}]})
        conversation.turns.append(Turn(stop_reason="max_tokens"))
        conversation.stop = "max_tokens"
    was_kept = close_interrupted_turn(conversation, start, error_text=STOPPED, why="stopped by the user")
    assert was_kept == (bool(turns) or interruption != "request")
    assert len(conversation.calls) == expected_calls
    assert len(conversation.turns) == sum(message["role"] == "assistant" for message in conversation.messages)
    assert len([call for call in conversation.calls if user_refusal(call)]) == (
        3 - len(answered) if interruption == "tool_calls" else 0
    )
    assert refusal({"model": "m", "max_tokens": 1, "messages": [*conversation.messages, user_text("And?")]}) is None
    if not was_kept:
        assert Checkpoint.of(conversation) == start


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
def test_commands_are_parsed(text: str, command: Command | None) -> None:
    """A word behind a slash, `quit` and `exit` are commands; paths and sentences are messages.

    Arguments may be quoted.
    """
    assert command_of(text) == command


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: not {*name} >= {'"', "'"}))
def test_a_quoted_file_name_is_parsed_back(name: str) -> None:
    """The quoted form of a file name, as messages show it, is parsed back to the same name."""
    command = command_of(f"/save {quoted(name)}".strip())
    assert (command and (command.argument, command.problem)) == (name, "")


@pytest.mark.parametrize(
    ("before", "expected"),
    [("/save my fi", "my fi"), ('/save "my fi', "my fi"), ("/SAVE! 'a", "a"), ("/save", None), ("say /save a", None)],
)
def test_the_file_argument_to_complete_is_found(before: str, expected: str | None) -> None:
    """The file argument of `/save` is found for completion, also inside an open quote."""
    assert file_of(before) == expected


@given(st.text())
def test_any_line_is_a_command_or_a_message(text: str) -> None:
    """No input line raises, and only a line that starts with a slash can be invalid."""
    command = command_of(text.strip())
    assert not command or not command.problem or text.strip().startswith("/")


@given(st.text(alphabet="/tol adsve ", max_size=8), st.lists(st.sampled_from(["add", "look", "/x", "to"]), max_size=3))
def test_completions_extend_the_typed_word(before: str, tools: list[str]) -> None:
    """Each completion starts with the word that it replaces."""
    for completion, start in completions(before, tools):
        assert completion.startswith(before[len(before) + start :] if start else "")
