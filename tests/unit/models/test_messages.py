"""Request bodies: the API accepts what is sent, whatever a conversation holds."""

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
from mcprun.engine.plan import Options, model_settings
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
    """The body that is sent for a conversation as far as it has come."""
    model = AnthropicModel(cast("Any", None), "m", settings or ModelSettings(), 1.0, caching=caching)
    asked: dict[str, Any] = {"tools": TOOLS, "system": None, "max_tokens": 16_000, "turn": 0, **more}
    query, where, deadline = Query(id="q", prompt="x"), AttemptRef("q"), Deadline(1.0)
    return model.parameters(
        ModelRequest(query=query, where=where, messages=messages, calls=(), model=None, deadline=deadline, **asked)
    )


def user(*content: Any) -> JsonObject:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def user_message(content: Any) -> JsonObject:
    return {"role": "user", "content": content}


def assistant(*content: Any) -> JsonObject:
    return {"role": "assistant", "content": list(content)}


def assistant_text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def use(number: int = 1) -> JsonObject:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "a", "input": {}}


def result(*content: JsonObject, number: int = 1, **more: Any) -> JsonObject:
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
            [user("hi"), assistant(assistant_text(""), use()), user(result())],
            [user("hi"), assistant(use()), user(EMPTY_RESULT)],
        ),
        (
            [user("hi"), assistant(assistant_text(" \n"), assistant_text("a")), user("go on")],
            [user("hi"), assistant(assistant_text("a")), user("go on")],
        ),
        (
            [user("hi"), assistant(assistant_text("")), user("go on")],
            [user(assistant_text("hi"), assistant_text("go on"))],
        ),
        (
            [user("hi"), assistant(), user(assistant_text("a")), assistant(assistant_text(" ")), user("b")],
            [user(assistant_text("hi"), assistant_text("a"), assistant_text("b"))],
        ),
        ([user("hi"), assistant(THOUGHT, assistant_text("")), user("b")], [user("hi"), assistant(THOUGHT), user("b")]),
        ([user("hi"), assistant(assistant_text("wait \n"))], [user("hi"), assistant(assistant_text("wait"))]),
        ([user("hi"), assistant(THOUGHT, assistant_text(""))], [user("hi")]),
        (
            [user("hi"), assistant(assistant_text("a ")), assistant(THOUGHT), assistant(THOUGHT)],
            [user("hi"), assistant(assistant_text("a"))],
        ),
        (
            [user("hi"), assistant(assistant_text(" ")), assistant(assistant_text("b"))],
            [user("hi"), assistant(assistant_text("b"))],
        ),
    ],
)
def test_blank_text_is_left_out(messages: list[JsonObject], expected: list[JsonObject]) -> None:
    """Of a reply what is not blank goes back, thinking as it came; where nothing is left, the user's messages join."""
    before = copy.deepcopy(messages)
    assert make_sendable(messages, drop_warning) == expected
    assert messages == before


def test_what_is_in_order_is_sent_as_it_is() -> None:
    """Nothing is copied: what a prefix held before is the same bytes in the next request, or no cache could serve it."""
    messages = [
        user("hi"),
        assistant(THOUGHT, assistant_text("a"), use()),
        user(result(assistant_text("b"), image(png()))),
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
def test_pictures_that_a_user_wrote_are_judged_like_any_other(source: JsonObject, expected: JsonObject | str) -> None:
    """They are put right or described, with the caching mark that stood on them."""
    (message,) = make_sendable([user({"type": "image", "source": source, **EPHEMERAL})], drop_warning)
    block: JsonObject = (
        {"type": "image", "source": expected} if isinstance(expected, dict) else assistant_text(expected)
    )
    assert message["content"] == [{**block, **EPHEMERAL}]


def shown(messages: list[JsonObject]) -> list[str]:
    """Of each result of one block: its type, and `words` where it was described."""
    blocks = [block for message in messages[1:] for block in message["content"] if block["type"] == "tool_result"]
    return [
        "words" if "not shown" in block["content"][0].get("text", "") else block["content"][0]["type"]
        for block in blocks
    ]


def pictures(*data: str) -> list[JsonObject]:
    """A conversation in which each turn brings a picture."""
    turns = [(assistant(use(number)), user(result(image(one), number=number))) for number, one in enumerate(data)]
    return [user("hi"), *(message for turn in turns for message in turn)]


def test_the_oldest_pictures_give_way_when_there_are_too_many() -> None:
    """The hundredth turn fits, the next ones cost the first pictures; the warning comes once for the rule."""
    warnings: list[str] = []
    assert shown(make_sendable(pictures(*[png()] * 100), drop_warning)) == ["image"] * 100
    sent = make_sendable(pictures(*[png()] * 103), lambda key, _: warnings.append(key))
    assert shown(sent) == ["words"] * 3 + ["image"] * 100
    assert set(warnings) == {"count"}
    assert refusal(body_of(sent)) is None


def test_large_pictures_give_way_among_many() -> None:
    """Up to 20 pictures may have 8000 pixels a side; among more, those above 2000 are described, as many as needed."""
    assert shown(make_sendable(pictures(*[png(4000, 1)] * 20), drop_warning)) == ["image"] * 20
    sent = make_sendable(pictures(*[png(4000, 1)] * 3, *[png(2000, 1)] * 19), drop_warning)
    assert shown(sent) == ["words"] * 2 + ["image"] * 20
    assert shown(make_sendable(pictures(png(4000, 1), *[png()] * 30), drop_warning)) == ["words"] + ["image"] * 30


def test_a_request_stays_below_32_megabytes() -> None:
    """Each picture is small enough by itself, and together they are not."""
    sent = make_sendable(pictures(*[png(size=3_900_000)] * 7), drop_warning)
    assert shown(sent) == ["words"] * 2 + ["image"] * 5
    assert len(json.dumps(sent)) < 32_000_000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("own", "tools", "end"),
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
def test_marks_of_the_query_come_first(mode: Caching, own: list[JsonObject], tools: bool, end: bool) -> None:
    """mcprun gives up the mark behind the tools first, then the one that moves with the conversation."""
    messages = [
        user(assistant_text("a")),
        assistant(assistant_text("b")),
        user(*({**assistant_text("c"), **one} for one in own or [{}])),
    ]
    body = body_of(messages, mode)
    assert refusal(body) is None
    is_marked = "cache_control" in body["tools"][-1]
    found = list(marks_in(body["messages"]))
    at_the_end = "cache_control" in body or len(found) > len(list(marks_in(messages)))
    assert (is_marked, at_the_end) == ((tools, end) if mode != "none" else (False, False))
    assert "cache_control" not in body["tools"][0]


@pytest.mark.parametrize(
    ("prompts", "problem"),
    [
        ({"prompt": [{**assistant_text("a"), **EPHEMERAL}] * 4}, None),
        ({"prompt": [{**assistant_text("a"), **EPHEMERAL}] * 5}, ("prompt", "has 5 blocks with cache_control, but the API accepts at most 4")),
        ({"prompts": [[{**assistant_text("a"), **EPHEMERAL}] * 3] * 2}, ("prompts", "has 6 blocks with cache_control, but the API accepts at most 4")),
        ({"prompt": [{"type": "document", "source": {"type": "content", "content": [{**assistant_text("a"), **EPHEMERAL}] * 5}}]}, ("prompt", "has 5 blocks with cache_control, but the API accepts at most 4")),
        ({"prompt": [{**assistant_text("a"), "cache_control": None}] * 5}, None),
        ({"prompt": [{**assistant_text("a"), **EPHEMERAL}, {**assistant_text("b"), **HOUR}]}, ("prompt", "has cache_control with a ttl of 1h after one of 5m, which the API rejects: put the longer ones first")),
        ({"prompt": [{"type": "image", "data": png(), "mimeType": "image/png"}]}, ("prompt", "block 0: image needs a source whose type is one of base64, url, file")),
        ({"prompt": [{"type": "document", "source": {"type": "base64"}}]}, ("prompt", "block 0: source needs data")),
    ],
)  # fmt: skip
def test_what_no_request_could_hold_is_a_bad_line(prompts: JsonObject, problem: tuple[str, str] | None) -> None:
    """Too many marks, marks in a wrong order and pictures without a source are found when the file is read."""
    if problem is None:
        assert parse_query(prompts).user_messages
        return
    with pytest.raises(InvalidQuery) as caught:
        parse_query(prompts)
    assert caught.value.problems == [problem]


def test_a_server_that_wants_a_short_answer_gets_it_without_thinking() -> None:
    """The budget of `--thinking` is for the run's own requests: a server's own bound may be below it."""
    manner = ModelSettings(thinking="2000")
    assert body_of([user("hi")], settings=manner)["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert "thinking" not in body_of([user("hi")], settings=manner, tools=ToolSet(), max_tokens=2000)


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
def test_options_from_python_are_held_to_the_same_rules(options: Options, problem: str) -> None:
    """What the command line refuses is refused here as well, before anything is read."""
    if problem:
        with pytest.raises(UsageError, match=re.escape(problem)):
            model_settings(options)
    else:
        assert model_settings(options).tool_choice == options.tool_choice


def test_numbers_that_json_has_none_of_are_sent_as_text() -> None:
    """A model behind a gateway may write NaN into the input of a call, which goes back with the conversation."""
    wild = {**use(), "input": {"a": [float("nan"), float("-inf")], "b": "NaN and Infinity"}}
    body = body_of([user("hi"), assistant(wild), user(result(assistant_text("ok")))])
    assert refusal(body) is None
    assert body["messages"][1]["content"][0]["input"] == {"a": ["NaN", "-Infinity"], "b": "NaN and Infinity"}
    calm = [user("NaN and Infinity")]
    assert body_of(calm)["messages"] == calm


def test_a_query_without_the_chosen_tool_fails_by_itself() -> None:
    """A tool that a server lost meanwhile is no choice, and the request is not sent."""
    assert body_of([user("hi")], settings=ModelSettings(tool_choice="a"))["tool_choice"] == {
        "type": "tool",
        "name": "a",
    }
    with pytest.raises(RequestError, match="--tool-choice: gone"):
        body_of([user("hi")], settings=ModelSettings(tool_choice="gone"))


marks = st.sampled_from([{}, {}, EPHEMERAL, HOUR])

sources = st.one_of(
    st.builds(lambda one, mime: {"type": "base64", "media_type": mime, "data": one}, data.filter(bool), mimes),
    st.builds(
        lambda url: {"type": "url", "url": url}, st.sampled_from(["https://a.example", "ftp://a", f"data:,{png()}"])
    ),
)

prompts = st.text(min_size=1, max_size=5) | st.lists(
    st.builds(lambda text, mark: {"type": "text", "text": text, **mark}, st.text(min_size=1, max_size=5), marks)
    | st.builds(lambda kind, source, mark: {"type": kind, "source": source, **mark}, st.sampled_from(["image", "document"]), sources, marks),
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
def test_the_api_accepts_every_request(first: Any, said_: list[Any], system: str | None, mode: Caching) -> None:
    """At each turn of any conversation the body is one that the stand-in for the API does not refuse."""
    try:
        query = parse_query({"prompts": [first, *(turn[2] for turn in said_)]})
    except InvalidQuery:
        return
    asked = iter(query.user_messages)
    conversation = Conversation(model="m", messages=[user_message(next(asked))])
    issued: dict[str, list[list[JsonObject]]] = {}
    for number, ((thoughts, texts, calls, pauses), answers, _) in enumerate(said_):
        assert refusal(body_of(conversation.messages, mode, system=system), issued) is None
        content: list[JsonObject] = [{**THOUGHT, "signature": f"s{number}"} for _ in thoughts]
        content += [assistant_text(text) for text in texts]
        content += [{**use(10 * number + place), "input": call} for place, call in enumerate(calls)]
        content = well_formed_json(content)  # as a reply is taken
        issued |= {str(mark(block)): [content] for block in content if mark(block)}
        conversation.messages.append(assistant(*content))
        if calls:
            names = [block["id"] for block in content if block["type"] == "tool_use"]
            lines = [tool_result(name, answer) for name, answer in zip(names, answers, strict=False)]
            conversation.messages.append({"role": "user", "content": lines})
        elif not pauses:
            conversation.messages.append(user_message(next(asked)))
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
def test_the_api_accepts_what_a_server_asks_of_the_model(asked: list[JsonObject], system: str | None) -> None:
    """A sampling request is refused to the server, or the body is one that the API accepts."""
    request = {"messages": asked}
    if problem_of(request) is None:
        assert refusal(body_of(messages_of(request), tools=ToolSet(), system=system)) is None
