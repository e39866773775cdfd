"""Request bodies: the API accepts the request of any conversation."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun._util.surrogates import well_formed_json
from mcprun.engine.conversation import Conversation
from mcprun.engine.grading import case
from mcprun.engine.options import Options
from mcprun.engine.plan import model_settings
from mcprun.errors import RequestError, UsageError
from mcprun.limits import Limits
from mcprun.models.base import ModelRequest, ModelSettings
from mcprun.models.messages import make_sendable
from mcprun.models.messages_api import AnthropicModel
from mcprun.models.prompt_caching import Caching, marks_in
from mcprun.prompts.query import InvalidQuery, Query, parse_query
from mcprun.runs.events import AttemptRef
from mcprun.runs.warn_once import drop_warning
from mcprun.tools.results import tool_result
from mcprun.tools.sampling import messages_of, problem_of
from mcprun.tools.toolset import ToolSet
from tests.support.any_content import anything, data, mimes, results, server_content
from tests.support.examples import examples
from tests.support.messages_rules import mark, refusal
from tests.support.pictures import jpeg, png

TOOLS = ToolSet.of([{"name": name, "inputSchema": {"type": "object"}} for name in ("a", "b")])

MODES: tuple[Caching, ...] = ("request", "block", "none")


def body_of(
    messages: Sequence[JsonObject], caching: Caching = "request", settings: ModelSettings | None = None, **more: Any
) -> JsonObject:
    """Return the request body for the messages of a conversation."""
    model = AnthropicModel(cast("Any", None), "m", settings or ModelSettings(), 1.0, caching=caching)
    fields: dict[str, Any] = {"tools": TOOLS, "system": None, "max_tokens": 16_000, "turn": 0, **more}
    query, where, deadline = Query(id="q", prompt="x"), AttemptRef("q"), Deadline(1.0)
    return model.parameters(
        ModelRequest(query=query, where=where, messages=messages, calls=(), model=None, deadline=deadline, **fields)
    )


def user(*content: Any) -> JsonObject:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def user_message(content: Any) -> JsonObject:
    return {"role": "user", "content": content}


def assistant(*content: Any) -> JsonObject:
    return {"role": "assistant", "content": list(content)}


def text_block(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def tool_use(number: int = 1) -> JsonObject:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "a", "input": {}}


def tool_result_block(*content: JsonObject, number: int = 1, **more: Any) -> JsonObject:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": list(content), **more}


def image(data: str, media_type: str = "image/png") -> JsonObject:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


EMPTY_RESULT: JsonObject = {"type": "tool_result", "tool_use_id": "toolu_1"}

THOUGHT: JsonObject = {"type": "thinking", "thinking": "", "signature": "c2ln"}

EPHEMERAL = {"cache_control": {"type": "ephemeral"}}

HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (
            [user("hi"), assistant(text_block(""), tool_use()), user(tool_result_block())],
            [user("hi"), assistant(tool_use()), user(EMPTY_RESULT)],
        ),
        (
            [user("hi"), assistant(text_block(" \n"), text_block("a")), user("go on")],
            [user("hi"), assistant(text_block("a")), user("go on")],
        ),
        (
            [user("hi"), assistant(text_block("")), user("go on")],
            [user(text_block("hi"), text_block("go on"))],
        ),
        (
            [user("hi"), assistant(), user(text_block("a")), assistant(text_block(" ")), user("b")],
            [user(text_block("hi"), text_block("a"), text_block("b"))],
        ),
        ([user("hi"), assistant(THOUGHT, text_block("")), user("b")], [user("hi"), assistant(THOUGHT), user("b")]),
        ([user("hi"), assistant(text_block("wait \n"))], [user("hi"), assistant(text_block("wait"))]),
        ([user("hi"), assistant(THOUGHT, text_block(""))], [user("hi")]),
        (
            [user("hi"), assistant(text_block("a ")), assistant(THOUGHT), assistant(THOUGHT)],
            [user("hi"), assistant(text_block("a"))],
        ),
        (
            [user("hi"), assistant(text_block(" ")), assistant(text_block("b"))],
            [user("hi"), assistant(text_block("b"))],
        ),
    ],
)
def test_blank_text_is_omitted(messages: list[JsonObject], expected: list[JsonObject]) -> None:
    """Blank text of a reply is omitted and thinking is kept.

    If nothing is left, the adjacent user messages are merged.
    """
    before = copy.deepcopy(messages)
    assert make_sendable(messages, drop_warning) == expected
    assert messages == before


def test_valid_messages_are_sent_without_copying() -> None:
    """Valid messages are the same objects in the request, so that each request extends the cached prefix."""
    messages = [
        user("hi"),
        assistant(THOUGHT, text_block("a"), tool_use()),
        user(tool_result_block(text_block("b"), image(png()))),
    ]
    assert all(one is other for one, other in zip(make_sendable(messages, drop_warning), messages, strict=True))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"type": "base64", "media_type": "image/jpg", "data": png()}, image(png())["source"]),
        ({"type": "base64", "data": jpeg()}, image(jpeg(), "image/jpeg")["source"]),
        ({"type": "url", "url": f"data:image/gif;base64,{png()}"}, image(png())["source"]),
        ({"type": "url", "url": "https://a.example/a.png"}, {"type": "url", "url": "https://a.example/a.png"}),
        ({"type": "file", "file_id": "file_1"}, {"type": "file", "file_id": "file_1"}),
        ({"type": "url", "url": "file:///a.png"}, "[image: image, of unknown size; not shown: it has no source that the API accepts]"),
        ({"type": "base64", "media_type": "image/png", "data": png(9000, 1)}, "[image: image/png, 33 bytes, 9000x1; not shown: the API accepts at most 8000 pixels a side]"),
    ],
)  # fmt: skip
def test_images_in_prompts_are_corrected_or_described(source: JsonObject, expected: JsonObject | str) -> None:
    """An image in a prompt is corrected, or described in text if the API would reject it. Its cache mark is kept."""
    (message,) = make_sendable([user({"type": "image", "source": source, **EPHEMERAL})], drop_warning)
    block: JsonObject = {"type": "image", "source": expected} if isinstance(expected, dict) else text_block(expected)
    assert message["content"] == [{**block, **EPHEMERAL}]


def result_kinds(messages: list[JsonObject]) -> list[str]:
    """Return for each result of one block its type, or `words` if its image was replaced by a description."""
    blocks = [block for message in messages[1:] for block in message["content"] if block["type"] == "tool_result"]
    return [
        "words" if "not shown" in block["content"][0].get("text", "") else block["content"][0]["type"]
        for block in blocks
    ]


def image_turns(*data: str) -> list[JsonObject]:
    """Return a conversation with one image per turn."""
    turns = [
        (assistant(tool_use(number)), user(tool_result_block(image(one), number=number)))
        for number, one in enumerate(data)
    ]
    return [user("hi"), *(message for turn in turns for message in turn)]


def test_the_oldest_images_are_described_when_there_are_too_many() -> None:
    """With more than 100 images, the oldest ones are described in text. The only warning key is `count`."""
    warnings: list[str] = []
    assert result_kinds(make_sendable(image_turns(*[png()] * 100), drop_warning)) == ["image"] * 100
    sent = make_sendable(image_turns(*[png()] * 103), lambda key, _: warnings.append(key))
    assert result_kinds(sent) == ["words"] * 3 + ["image"] * 100
    assert set(warnings) == {"count"}
    assert refusal(body_of(sent)) is None


def test_large_images_are_described_among_many() -> None:
    """Up to 20 images may have 8000 pixels a side.

    Among more, images above 2000 are described, as many as necessary.
    """
    assert result_kinds(make_sendable(image_turns(*[png(4000, 1)] * 20), drop_warning)) == ["image"] * 20
    sent = make_sendable(image_turns(*[png(4000, 1)] * 3, *[png(2000, 1)] * 19), drop_warning)
    assert result_kinds(sent) == ["words"] * 2 + ["image"] * 20
    assert (
        result_kinds(make_sendable(image_turns(png(4000, 1), *[png()] * 30), drop_warning))
        == ["words"] + ["image"] * 30
    )


def test_a_request_stays_below_32_megabytes() -> None:
    """Images that are small enough individually are described if the request would be too large."""
    sent = make_sendable(image_turns(*[png(size=3_900_000)] * 7), drop_warning)
    assert result_kinds(sent) == ["words"] * 2 + ["image"] * 5
    assert len(json.dumps(sent)) < 32_000_000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("query_marks", "on_tools", "moving"),
    [
        ([], True, True),
        ([{}, EPHEMERAL, EPHEMERAL, {}], True, True),
        ([EPHEMERAL, EPHEMERAL, EPHEMERAL, {}], False, True),
        ([EPHEMERAL, EPHEMERAL, EPHEMERAL, EPHEMERAL, {}], False, False),
        ([EPHEMERAL, EPHEMERAL, EPHEMERAL], True, False),
        ([HOUR, {}], False, True),
        ([HOUR], False, False),
    ],
)
def test_cache_marks_of_the_query_take_precedence(
    mode: Caching, query_marks: list[JsonObject], on_tools: bool, moving: bool
) -> None:
    """If the query's cache marks leave no room, mcprun omits its mark on the tools first, then its moving mark."""
    messages = [
        user(text_block("a")),
        assistant(text_block("b")),
        user(*({**text_block("c"), **one} for one in query_marks or [{}])),
    ]
    body = body_of(messages, mode)
    assert refusal(body) is None
    is_marked = "cache_control" in body["tools"][-1]
    message_marks = list(marks_in(body["messages"]))
    has_moving_mark = "cache_control" in body or len(message_marks) > len(list(marks_in(messages)))
    assert (is_marked, has_moving_mark) == ((on_tools, moving) if mode != "none" else (False, False))
    assert "cache_control" not in body["tools"][0]


@pytest.mark.parametrize(
    ("prompts", "problem"),
    [
        ({"prompt": [{**text_block("a"), **EPHEMERAL}] * 4}, None),
        ({"prompt": [{**text_block("a"), **EPHEMERAL}] * 5}, ("prompt", "has 5 blocks with cache_control, but the API accepts at most 4")),
        ({"prompts": [[{**text_block("a"), **EPHEMERAL}] * 3] * 2}, ("prompts", "has 6 blocks with cache_control, but the API accepts at most 4")),
        ({"prompt": [{"type": "document", "source": {"type": "content", "content": [{**text_block("a"), **EPHEMERAL}] * 5}}]}, ("prompt", "has 5 blocks with cache_control, but the API accepts at most 4")),
        ({"prompt": [{**text_block("a"), "cache_control": None}] * 5}, None),
        ({"prompt": [{**text_block("a"), **EPHEMERAL}, {**text_block("b"), **HOUR}]}, ("prompt", "has cache_control with a ttl of 1h after one of 5m, which the API rejects: put the longer ones first")),
        ({"prompt": [{"type": "image", "data": png(), "mimeType": "image/png"}]}, ("prompt", "block 0: image needs a source whose type is one of base64, url, file")),
        ({"prompt": [{"type": "document", "source": {"type": "base64"}}]}, ("prompt", "block 0: source needs data")),
    ],
)  # fmt: skip
def test_prompts_that_the_api_would_reject_are_invalid(prompts: JsonObject, problem: tuple[str, str] | None) -> None:
    """Too many cache marks, marks in the wrong order and images without a source are found when the file is read."""
    if problem is None:
        assert parse_query(prompts).user_messages
        return
    with pytest.raises(InvalidQuery) as raised:
        parse_query(prompts)
    assert raised.value.problems == [problem]


def test_thinking_is_omitted_if_a_sampling_limit_is_too_small() -> None:
    """`--thinking` is omitted if the maximum that a server's sampling request sets does not exceed its budget."""
    settings = ModelSettings(thinking="2000")
    assert body_of([user("hi")], settings=settings)["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert "thinking" not in body_of([user("hi")], settings=settings, tools=ToolSet(), max_tokens=2000)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (Options(thinking="adaptive", tool_choice="none"), ""),
        (Options(thinking="disabled", tool_choice="any"), ""),
        (Options(thinking="1024", limits=Limits(max_tokens=1025)), ""),
        (
            Options(thinking="1024", limits=Limits(max_tokens=1024)),
            "--thinking 1024 must be less than --max-tokens 1024",
        ),
        (Options(thinking="adaptive", tool_choice="a"), "--tool-choice a and --thinking adaptive cannot be combined"),
    ],
)
def test_options_from_python_are_validated_like_flags(options: Options, problem: str) -> None:
    """Options that the command line rejects are rejected in Python, before any file is read."""
    if problem:
        with pytest.raises(UsageError, match=re.escape(problem)):
            model_settings(options)
    else:
        assert model_settings(options).tool_choice == options.tool_choice


def test_non_finite_numbers_are_sent_as_text() -> None:
    """NaN and infinity in a call's input, which a model behind a gateway may write, are sent back as strings."""
    call = {**tool_use(), "input": {"a": [float("nan"), float("-inf")], "b": "NaN and Infinity"}}
    body = body_of([user("hi"), assistant(call), user(tool_result_block(text_block("ok")))])
    assert refusal(body) is None
    assert body["messages"][1]["content"][0]["input"] == {"a": ["NaN", "-Infinity"], "b": "NaN and Infinity"}
    plain = [user("NaN and Infinity")]
    assert body_of(plain)["messages"] == plain


def test_a_missing_chosen_tool_fails_the_query() -> None:
    """If the server does not have the tool of `--tool-choice`, the request fails without being sent."""
    assert body_of([user("hi")], settings=ModelSettings(tool_choice="a"))["tool_choice"] == {
        "type": "tool",
        "name": "a",
    }
    with pytest.raises(RequestError, match="--tool-choice: gone"):
        body_of([user("hi")], settings=ModelSettings(tool_choice="gone"))


marks = st.sampled_from([{}, {}, EPHEMERAL, HOUR])

image_sources = st.one_of(
    st.builds(lambda one, mime: {"type": "base64", "media_type": mime, "data": one}, data.filter(bool), mimes),
    st.builds(
        lambda url: {"type": "url", "url": url}, st.sampled_from(["https://a.example", "ftp://a", f"data:,{png()}"])
    ),
)

prompts = st.text(min_size=1, max_size=5) | st.lists(
    st.builds(lambda text, mark: {"type": "text", "text": text, **mark}, st.text(min_size=1, max_size=5), marks)
    | st.builds(lambda kind, source, mark: {"type": kind, "source": source, **mark}, st.sampled_from(["image", "document"]), image_sources, marks),
    min_size=1, max_size=5,
)  # fmt: skip

inputs = st.dictionaries(
    anything, anything | st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=2
)

replies = st.tuples(
    st.lists(st.just("thought"), max_size=1),
    st.lists(anything, max_size=2),
    st.lists(inputs, max_size=2),
    st.booleans(),
)

turns = st.lists(st.tuples(replies, st.lists(results, min_size=2, max_size=2), prompts), max_size=4)


@settings(max_examples=examples(150), deadline=None)
@given(prompts, turns, st.none() | anything, st.sampled_from(MODES))
def test_the_api_accepts_every_request(first: Any, later_turns: list[Any], system: str | None, mode: Caching) -> None:
    """In each turn of any conversation, the stub of the API accepts the request body."""
    try:
        query = parse_query({"prompts": [first, *(turn[2] for turn in later_turns)]})
    except InvalidQuery:
        return
    user_messages = iter(query.user_messages)
    conversation = Conversation(model="m", messages=[user_message(next(user_messages))])
    issued: dict[str, list[list[JsonObject]]] = {}
    for number, ((thoughts, texts, calls, pauses), answers, _) in enumerate(later_turns):
        assert refusal(body_of(conversation.messages, mode, system=system), issued) is None
        content: list[JsonObject] = [{**THOUGHT, "signature": f"s{number}"} for _ in thoughts]
        content += [text_block(text) for text in texts]
        content += [{**tool_use(10 * number + index), "input": call} for index, call in enumerate(calls)]
        content = well_formed_json(content)  # as replies are stored
        issued |= {str(mark(block)): [content] for block in content if mark(block)}
        conversation.messages.append(assistant(*content))
        if calls:
            ids = [block["id"] for block in content if block["type"] == "tool_use"]
            lines = [tool_result(name, answer) for name, answer in zip(ids, answers, strict=False)]
            conversation.messages.append({"role": "user", "content": lines})
        elif not pauses:
            conversation.messages.append(user_message(next(user_messages)))
    assert refusal(body_of(conversation.messages, mode, system=system), issued) is None
    assert refusal(body_of([user_message(case("polite", conversation))], mode, tools=ToolSet())) is None


@given(
    st.lists(
        st.builds(
            lambda role, item: {"role": role, "content": item}, st.sampled_from(["user", "assistant"]), server_content
        ),
        max_size=4,
    ),
    st.none() | anything,
)
def test_sampling_requests_are_rejected_or_accepted_by_the_api(messages: list[JsonObject], system: str | None) -> None:
    """A server's sampling request is either rejected, or becomes a body that the API accepts."""
    request = {"messages": messages}
    if problem_of(request) is None:
        assert refusal(body_of(messages_of(request), tools=ToolSet(), system=system)) is None
