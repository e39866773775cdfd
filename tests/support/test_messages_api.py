"""The stand-in of the Messages API, tested over HTTP with the SDK. No model is involved."""

from __future__ import annotations

import asyncio
import copy
import http.client
import itertools
import json
import select
import threading
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import Message
from anthropic.types import message_create_params as params

from tests.support.messages_api import Failure, HttpReply, MessagesApi, calls, error, message, scripted, text
from tests.support.messages_requests import KEY, Body, assistant, client_of, request, user
from tests.support.messages_rules import OPTIONAL, REQUIRED, refusal
from tests.support.pictures import gif, jpeg, pdf, png, webp

PNG = png()

USE = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 2}}

OTHER_USE = {**USE, "id": "toolu_2"}

RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "5"}

OTHER_RESULT = {**RESULT, "tool_use_id": "toolu_2"}

five_content = [{"type": "text", "text": "5"}]

TEXT_BLOCK = {"type": "text", "text": "hello"}

THOUGHT = {"type": "thinking", "thinking": "2 and 3", "signature": "never issued"}

UNANSWERED = "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after"

UNEXPECTED = "unexpected `tool_use_id` found in `tool_result` blocks"

EMPTY_TEXT = "text content blocks must be non-empty"

BLANK_TEXT = "text content blocks must contain non-whitespace text"

BAD_NAME = "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"

SCHEMA = "tools.0.custom.input_schema"

BAD_KEY = f"{SCHEMA}.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'"

NO_ALTERNATIVES = "input_schema does not support oneOf, allOf, or anyOf at the top level"

INVALID_SCHEMA = "JSON schema is invalid. It must match JSON Schema draft 2020-12"


def talk(*messages: Body) -> Body:
    """Return a request with these messages after the user's first one."""
    return request(messages=[user("What is 2 + 3?"), *messages])


def tool(name: str = "add", **schema: Any) -> Body:
    return {"name": name, "input_schema": {"type": "object", **schema}}


def image(media_type: str = "image/png", data: str = PNG) -> Body:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


async def ask(api: MessagesApi, body: Body, *, key: str = KEY) -> Message:
    """Send a body unchanged; return the reply as the SDK parses it."""
    async with client_of(api, key) as client:
        return await client.post("/v1/messages", body=body, cast_to=Message)


async def rejected(api: MessagesApi, body: Body, *, key: str = KEY) -> tuple[int, str | None, str | None]:
    """Send a body that is rejected; return the error's status, type and message."""
    with pytest.raises(anthropic.APIStatusError) as caught:
        await ask(api, body, key=key)
    return caught.value.status_code, caught.value.type, caught.value.api_message


@pytest.fixture(name="api")
def five_server() -> Iterator[MessagesApi]:
    """Return a server that answers "5" to every request that the API would accept."""
    with MessagesApi(lambda body: text("5"), unknown_models={"claude-gone"}) as server:
        yield server


def post(api: MessagesApi, content: bytes, path: str = "/v1/messages", **headers: str) -> tuple[int, Body]:
    """Send a request that the SDK would not send; return the status and body of the reply."""
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10)
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, content, lines)
    response = connection.getresponse()
    try:
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.asyncio
async def test_text_answer_is_a_complete_message(api: MessagesApi) -> None:
    """The SDK parses a text answer as a message with every field that the API sends."""
    async with client_of(api) as client:
        reply = await client.messages.create(
            model="claude-haiku-5-5", max_tokens=10, messages=[{"role": "user", "content": "What is 2 + 3?"}]
        )
    expected = {
        "id": "msg_010000000000000000000001",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": "5"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": len(json.dumps(api.requests[0].body)) // 4,
            "output_tokens": len('[{"type": "text", "text": "5"}]') // 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }
    assert expected == reply.to_dict()


@pytest.mark.asyncio
async def test_tool_conversation() -> None:
    """A turn with two calls is answered by a message with two results, and a text ends the conversation."""
    script = scripted({"Add.": [calls(("add", {"a": 2}), ("add", {"a": 3}), text="Adding."), text("5")]})
    with MessagesApi(script) as api:
        first = await ask(api, request(messages=[user("Add.")], tools=[tool()]))
        used = [block for block in first.content if block.type == "tool_use"]
        results = [{**RESULT, "tool_use_id": block.id} for block in used]
        turns = [user("Add."), first.to_param(), user(*results)]
        last = await ask(api, request(messages=turns, tools=[tool()]))
    expected = [
        {"type": "text", "text": "Adding."},
        {"type": "tool_use", "id": "toolu_010000000000000000000001", "name": "add", "input": {"a": 2}},
        {"type": "tool_use", "id": "toolu_010000000000000000000002", "name": "add", "input": {"a": 3}},
    ]
    assert expected == first.to_dict()["content"]
    assert five_content == last.to_dict()["content"]
    stops = ["tool_use", "end_turn"]
    assert stops == [first.stop_reason, last.stop_reason]


@pytest.mark.asyncio
async def test_answer_can_be_any_message() -> None:
    """Refusals, paused turns, thinking and cache usage reach the client as the test provides them."""
    search = {"type": "server_tool_use", "name": "web_search", "input": {}}
    thinking = message(
        [{"type": "thinking", "thinking": "hm"}, search],
        stop_reason="pause_turn",
        usage={"cache_read_input_tokens": 7},
    )
    refusing = message([], stop_reason="refusal", stop_details={"type": "refusal", "category": "cyber"})
    with MessagesApi(scripted({"think": [thinking], "refuse": [refusing]})) as api:
        paused = await ask(api, request(messages=[user({"type": "text", "text": "think"})]))
        ended = await ask(api, request(messages=[user("refuse")]))
    expected = [
        {"type": "thinking", "thinking": "hm", "signature": "signature_010000000000000000000001"},
        {**search, "id": "srvtoolu_010000000000000000000001"},
    ]
    assert expected == paused.to_dict()["content"]
    pause, end = ("pause_turn", 7), ("refusal", "cyber")
    assert pause == (paused.stop_reason, paused.usage.cache_read_input_tokens)
    assert end == (ended.stop_reason, ended.stop_details and ended.stop_details.category)


@pytest.mark.asyncio
async def test_concurrent_conversations_do_not_mix() -> None:
    """Each of forty concurrent conversations receives its own answers, and all ids differ."""
    prompts = [f"prompt {number}" for number in range(40)]
    script = {prompt: [calls(("add", {"of": prompt})), text(f"done {prompt}")] for prompt in prompts}

    async def converse(prompt: str) -> tuple[str, Body]:
        first = (await ask(api, request(messages=[user(prompt)]))).to_dict()["content"]
        assert isinstance(first, list)
        result = {**RESULT, "tool_use_id": first[0]["id"]}
        last = await ask(api, request(messages=[user(prompt), assistant(*first), user(result)]))
        return first[0]["id"], {"of": first[0]["input"]["of"], "said": last.to_dict()["content"]}

    with MessagesApi(scripted(script)) as api:
        ids, answers = zip(*await asyncio.gather(*map(converse, prompts)), strict=True)
    expected = [{"of": prompt, "said": [{"type": "text", "text": f"done {prompt}"}]} for prompt in prompts]
    assert expected == list(answers)
    assert len(prompts) == len(set(ids))
    assert 2 * len(prompts) == len(api.requests) == len(api.replies)


@pytest.mark.asyncio
async def test_requests_and_replies_are_recorded(api: MessagesApi) -> None:
    """Requests and replies are recorded in order, including rejected requests."""
    valid, invalid = request(system="Be brief."), request(max_tokens=0)
    reply = await ask(api, valid)
    await rejected(api, invalid)
    assert [valid, invalid] == [one.body for one in api.requests]
    requests = 2 * [("/v1/messages", "2026-10-21")]
    assert requests == [(one.path, one.headers["anthropic-version"]) for one in api.requests]
    replies = [(200, "req_010000000000000000000001"), (400, "req_010000000000000000000002")]
    assert replies == [(one.status, one.headers["request-id"]) for one in api.replies]
    assert reply.to_dict() == api.replies[0].body


@pytest.mark.asyncio
async def test_error_has_the_format_of_the_api() -> None:
    """An error that the test provides reaches the client with its type, code, headers and request id."""
    code, headers = "ramp_limit_exceeded", {"retry-after": "2"}
    limit = error(429, "rate_limit_error", "Slow down", error_code=code, headers=headers)
    with MessagesApi(lambda body: limit) as api, pytest.raises(anthropic.RateLimitError) as caught:
        await ask(api, request())
    expected = {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "Slow down",
            "details": {"error_code": "ramp_limit_exceeded"},
        },
        "request_id": "req_010000000000000000000001",
    }
    assert expected == caught.value.body
    expected_fields = ("ramp_limit_exceeded", "req_010000000000000000000001", "2")
    retry_after = caught.value.response.headers["retry-after"]
    assert expected_fields == (caught.value.error_code, caught.value.request_id, retry_after)


@pytest.mark.asyncio
async def test_reply_can_be_a_page_of_a_proxy_or_a_dropped_connection() -> None:
    """An HTML page is sent unchanged, and a dropped connection is a connection error for the SDK."""
    page = HttpReply(502, "<h1>Bad gateway</h1>", {"content-type": "text/html"})
    answers = scripted({"page": [page], "drop": [HttpReply(0, "", fails="drop")]})
    with MessagesApi(answers) as api:
        with pytest.raises(anthropic.InternalServerError) as caught:
            await ask(api, request(messages=[user("page")]))
        with pytest.raises(anthropic.APIConnectionError):
            await ask(api, request(messages=[user("drop")]))
    received = caught.value.response
    assert (page.status, page.body) == (received.status_code, received.text)
    assert page.headers["content-type"] == received.headers["content-type"]


HEADERS = {"x-api-key": KEY, "anthropic-version": "2026-10-21"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fails", "raised"),
    [
        ("drop", http.client.RemoteDisconnected),  # FIN
        ("reset", ConnectionResetError),
        ("truncate", http.client.IncompleteRead),
    ],
)
async def test_failing_reply_raises_in_the_client(fails: Failure, raised: type[Exception]) -> None:
    """Each transport failure raises its exception in the client, is no fault of the server, and affects one reply only."""
    failing = HttpReply(200, "0123456789", fails=fails)
    with MessagesApi(scripted({"fail": [failing], "What is 2 + 3?": [text("5")]})) as api:
        body = request(messages=[user("fail")])
        with pytest.raises(raised) as caught:
            post(api, json.dumps(body).encode(), **HEADERS)
        assert caught.type is raised  # RemoteDisconnected is a subclass of ConnectionResetError
        if isinstance(caught.value, http.client.IncompleteRead):
            halves = b"01234", 5
            assert halves == (caught.value.partial, caught.value.expected)
        with pytest.raises(anthropic.APIConnectionError):
            await ask(api, body)
        assert five_content == (await ask(api, request())).to_dict()["content"]
    assert [failing.body, failing.body] == [reply.body for reply in api.replies[:2]]


@pytest.mark.asyncio
async def test_silent_reply_blocks_only_its_own_connection() -> None:
    """A silent reply keeps its connection open without sending a byte until the server stops. Others are served."""
    requested = threading.Event()

    def answer(body: Body) -> Body | HttpReply:
        if body["max_tokens"] > 1:
            return text("5")
        requested.set()
        return HttpReply(200, "never sent", fails="silent")

    with MessagesApi(answer) as api:
        silent = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10)
        silent.request("POST", "/v1/messages", json.dumps(request(max_tokens=1)), HEADERS)
        assert await asyncio.to_thread(requested.wait, 10)
        assert five_content == (await ask(api, request())).to_dict()["content"]
        readable, _, _ = select.select([silent.sock], [], [], 0)
    rest = silent.sock.recv(1)
    silent.close()
    assert readable == []
    assert rest == b""


def test_error_with_status_200() -> None:
    """An error body with status 200 keeps its status and has the format of the API."""
    with MessagesApi(lambda body: error(200, "overloaded_error", "Overloaded")) as api:
        status, body = post(api, json.dumps(request()).encode(), **HEADERS)
    expected = {"type": "overloaded_error", "message": "Overloaded"}
    assert (200, "error", expected) == (status, body["type"], body["error"])


@pytest.mark.asyncio
async def test_wrong_key_is_rejected_first(api: MessagesApi) -> None:
    """A wrong key is rejected before the body is validated."""
    expected = (401, "authentication_error", "invalid x-api-key")
    assert expected == await rejected(api, {}, key="sk-ant-other")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x_api_key": "wrong"}, 401),
        ({"x_api_key": KEY}, 200),
        ({"authorization": KEY}, 401),
        ({"authorization": f"Bearer {KEY}"}, 200),
    ],
)
def test_key_is_accepted_in_either_header(api: MessagesApi, headers: dict[str, str], status: int) -> None:
    """The key is required in either `x-api-key` or `authorization`."""
    raw = json.dumps(request()).encode()
    assert status == post(api, raw, anthropic_version="2026-10-21", **headers)[0]


@pytest.mark.asyncio
async def test_unknown_model_is_not_found(api: MessagesApi) -> None:
    """A request for an unknown model is answered with a 404 that names the model."""
    expected = (404, "not_found_error", "model: claude-gone")
    assert expected == await rejected(api, request(model="claude-gone"))


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/messages?beta=true", 200), ("/v1/messages/count_tokens", 404), ("/v1/complete", 404)],
)
def test_unknown_path_is_not_found(api: MessagesApi, path: str, status: int) -> None:
    """Any path except that of the Messages API is answered with a 404."""
    raw = json.dumps(request()).encode()
    assert status == post(api, raw, path, x_api_key=KEY, anthropic_version="2026-10-21")[0]


def test_version_header_is_required(api: MessagesApi) -> None:
    """A request without an `anthropic-version` header is rejected."""
    status, body = post(api, json.dumps(request()).encode(), x_api_key=KEY)
    expected = (400, "anthropic-version: header is required")
    assert expected == (status, body["error"]["message"])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{", "The request body is not valid JSON"),
        (b"", "The request body is not valid JSON"),
        (b'{"model": "\xff"}', "The request body is not valid JSON"),
        (b"[]", "Input should be a valid dictionary"),
    ],
)
def test_body_must_be_a_json_object(api: MessagesApi, raw: bytes, expected: str) -> None:
    """A body that is not a JSON object is rejected, and recorded as empty."""
    status, body = post(api, raw, x_api_key=KEY, anthropic_version="2026-10-21")
    assert (400, expected, {}) == (status, body["error"]["message"], api.requests[0].body)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (request("model"), "model: Field required"),
        (request("max_tokens"), "max_tokens: Field required"),
        (request("messages"), "messages: Field required"),
        (request(model=5), "model: Input should be a valid string"),
        (request(max_tokens="5"), "max_tokens: Input should be a valid integer"),
        (request(max_tokens=True), "max_tokens: Input should be a valid integer"),
        (request(max_tokens=0), "max_tokens: Input should be greater than or equal to 1"),
        (request(temperature=0), "temperature: Extra inputs are not permitted"),
        (request(top_p=1), "top_p: Extra inputs are not permitted"),
        (request(top_k=1), "top_k: Extra inputs are not permitted"),
        (request(mcp_servers=[]), "mcp_servers: Extra inputs are not permitted"),
        (request(stream="yes"), "stream: Input should be a valid boolean"),
        (request(system=[{"type": "text", "text": ""}]), f"system.0: {EMPTY_TEXT}"),
        (request(system=5), "system: Input should be a valid list"),
    ],
)
async def test_invalid_top_level_keys_are_rejected(api: MessagesApi, body: Body, expected: str) -> None:
    """Missing, unknown and removed keys, and keys with invalid values, are rejected."""
    assert (400, "invalid_request_error", expected) == await rejected(api, body)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([tool("files.read")], f"tools.0.custom.name: {BAD_NAME}"),
        ([tool("files/read")], f"tools.0.custom.name: {BAD_NAME}"),
        ([tool("")], f"tools.0.custom.name: {BAD_NAME}"),
        ([tool("add\n")], f"tools.0.custom.name: {BAD_NAME}"),
        ([tool(), tool("a" * 129)], f"tools.1.custom.name: {BAD_NAME}"),
        ([tool(), tool("b"), tool()], "tools.2.custom.name: Tool names must be unique"),
        ([{"name": "add"}], "tools.0.custom.input_schema: Field required"),
        ([{"input_schema": {}}], "tools.0.custom.name: Field required"),
        (["add"], "tools.0: Input should be a valid dictionary"),
        ({"name": "add"}, "tools: Input should be a valid list"),
    ],
)
async def test_invalid_tools_are_rejected(api: MessagesApi, tools: Any, expected: str) -> None:
    """A tool without a valid, unique name or without a schema is rejected."""
    assert (400, "invalid_request_error", expected) == await rejected(api, request(tools=tools))


def schema_with_key(key: str) -> Body:
    """Return the schema of an object with one property, `key`."""
    return {"type": "object", "properties": {key: {"type": "string"}}}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, f"{SCHEMA}.type: Field required"),
        ({"type": "array"}, f"{SCHEMA}.type: Input should be 'object'"),
        ({"type": ["object", "null"]}, f"{SCHEMA}.type: Input should be 'object'"),
        ({"type": "object", "oneOf": [{}]}, f"{SCHEMA}: {NO_ALTERNATIVES}"),
        ({"type": "object", "anyOf": [{}]}, f"{SCHEMA}: {NO_ALTERNATIVES}"),
        ({"type": "object", "allOf": [{}]}, f"{SCHEMA}: {NO_ALTERNATIVES}"),
        ({"type": "object", "required": "a"}, f"{SCHEMA}: {INVALID_SCHEMA}"),
        ({"type": "object", "properties": {"a": {"type": "int"}}}, f"{SCHEMA}: {INVALID_SCHEMA}"),
        (schema_with_key("a b"), BAD_KEY),
        (schema_with_key(""), BAD_KEY),
        (schema_with_key("@type"), BAD_KEY),
        (schema_with_key("a" * 65), BAD_KEY),
        ({"type": "object", "properties": {"a": schema_with_key("b/c")}}, BAD_KEY),
        ({"type": "object", "properties": {"a": {"type": "array", "items": schema_with_key("b/c")}}}, BAD_KEY),
        ({"type": "object", "properties": {"a": {"anyOf": [{}, schema_with_key("b/c")]}}}, BAD_KEY),
        ({"type": "object", "$defs": {"d": schema_with_key("b/c")}}, BAD_KEY),
        ({"type": "object", "additionalProperties": schema_with_key("b/c")}, BAD_KEY),
    ],
)
async def test_invalid_input_schemas_are_rejected(api: MessagesApi, schema: Body, expected: str) -> None:
    """A schema is rejected if it is not of an object, has top-level alternatives, is invalid, or has an invalid key."""
    tools = [{"name": "add", "input_schema": schema}]
    assert (400, "invalid_request_error", expected) == await rejected(api, request(tools=tools))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], "messages: at least one message is required"),
        (["hello"], "messages.0: Input should be a valid dictionary"),
        ([{"content": "hello"}], "messages.0.role: Field required"),
        ([{"role": "user"}], "messages.0.content: Field required"),
        (
            [{"role": "tool", "content": "hello"}],
            "messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        ([assistant("hello")], 'messages.0: first message must use the "user" role'),
        ([{"role": "system", "content": "hello"}], 'messages.0: first message must use the "user" role'),
        ([{"role": "user", "content": None}], "messages.0.content: Input should be a valid list"),
        ([{"role": "user", "content": []}], "messages.0.content: content must be non-empty"),
        ([{"role": "user", "content": ""}], f"messages.0.content: {EMPTY_TEXT}"),
        ([{"role": "user", "content": " \n"}], f"messages.0.content: {BLANK_TEXT}"),
        ([user("hi"), {"role": "assistant", "content": []}], "messages.1.content: content must be non-empty"),
        ([user("hi"), {"role": "assistant", "content": ""}], f"messages.1.content: {EMPTY_TEXT}"),
    ],
)
async def test_invalid_messages_are_rejected(api: MessagesApi, messages: Any, expected: str) -> None:
    """A conversation is rejected if it is malformed, does not begin with the user, or has an empty message."""
    assert (400, "invalid_request_error", expected) == await rejected(api, request(messages=messages))


def expected_tags(*tags: str) -> str:
    return f"Input tag found using 'type' does not match any of the expected tags: {sorted(tags)}"


IN_USER = expected_tags("text", "image", "document", "tool_result", "search_result")

IN_RESULT = expected_tags("text", "image", "document", "search_result")

IN_ASSISTANT = expected_tags("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use")

SOURCES = "base64, file, url"

SOURCE = "messages.0.content.1.image.source"

DOCUMENT = "messages.0.content.1.document.source"

TOO_LARGE = "At least one of the image dimensions exceed max allowed size"

MEDIA_TYPE = "Input should be one of ('image/jpeg', 'image/png', 'image/gif', 'image/webp')"


def type_mismatch(declared: str, found: str) -> str:
    """Return the error for an image whose bytes are of another type than declared."""
    return f"The image was specified using the {declared} media type, but the image appears to be a {found} image"


def document(media_type: str = "application/pdf", data: str | None = None) -> Body:
    """Return a document with base64 data."""
    return {
        "type": "document",
        "source": {"type": "base64", "media_type": media_type, "data": pdf() if data is None else data},
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": ""}, f"messages.0.content.1: {EMPTY_TEXT}"),
        ({"type": "text", "text": "\t \n"}, f"messages.0.content.1: {BLANK_TEXT}"),
        ({"type": "text"}, "messages.0.content.1.text.text: Field required"),
        ({"type": "text", "text": 5}, "messages.0.content.1.text.text: Input should be a valid string"),
        ({"type": "audio", "data": PNG}, f"messages.0.content.1: {IN_USER}"),
        ({"type": "resource_link", "uri": "a:b"}, f"messages.0.content.1: {IN_USER}"),
        ({"text": "hello"}, f"messages.0.content.1: {IN_USER}"),
        (USE, f"messages.0.content.1: {IN_USER}"),
        (THOUGHT, f"messages.0.content.1: {IN_USER}"),
        (image("image/svg+xml"), f"{SOURCE}.base64.media_type: {MEDIA_TYPE}"),
        (image("image/bmp"), f"{SOURCE}.base64.media_type: {MEDIA_TYPE}"),
        (image(data="?"), f"{SOURCE}.base64.data: invalid base64 data"),
        (image(data="abc"), f"{SOURCE}.base64.data: invalid base64 data"),
        (image(data="é"), f"{SOURCE}.base64.data: invalid base64 data"),
        (image(data=""), f"{SOURCE}.base64.data: invalid base64 data"),
        (image("image/jpeg"), f"{SOURCE}.base64: {type_mismatch('image/jpeg', 'image/png')}"),
        (image("image/png", jpeg()), f"{SOURCE}.base64: {type_mismatch('image/png', 'image/jpeg')}"),
        (image("image/png", gif()), f"{SOURCE}.base64: {type_mismatch('image/png', 'image/gif')}"),
        (image("image/png", webp()), f"{SOURCE}.base64: {type_mismatch('image/png', 'image/webp')}"),
        (image("image/png", pdf()), f"{SOURCE}.base64.data: Could not process image"),
        (image(data="iVBORw0KGgo="), f"{SOURCE}.base64.data: Could not process image"),
        (image(data=png(0, 4)), f"{SOURCE}.base64.data: Could not process image"),
        (image(data=png(8001, 1)), f"{SOURCE}.base64.data: {TOO_LARGE}: 8000 pixels"),
        (
            image(data=png(size=3_932_161)),
            f"{SOURCE}.base64: image exceeds 5 MB maximum: 5242884 bytes > 5242880 bytes",
        ),
        (
            {"type": "image", "source": {"type": "url", "url": f"data:image/png;base64,{PNG}"}},
            f"{SOURCE}.url: Only HTTP and HTTPS URLs are supported",
        ),
        (document(data=png()), f"{DOCUMENT}.base64.data: The PDF specified was not valid."),
        (document(data="%PDF"), f"{DOCUMENT}.base64.data: invalid base64 data"),
        (document("image/png", png()), f"{DOCUMENT}.base64.media_type: Input should be 'application/pdf'"),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": " "}},
            f"{DOCUMENT}.text.data: {BLANK_TEXT}",
        ),
        ({"type": "image", "data": PNG}, "messages.0.content.1.image.source: Field required"),
        ({"type": "image", "source": {"type": "base64"}}, f"{SOURCE}.base64.media_type: Field required"),
        (
            {"type": "image", "source": {"type": "blob"}},
            f"{SOURCE}: Input tag found using 'type' does not match any of the expected tags: " + SOURCES,
        ),
        (
            {"type": "search_result", "source": "a", "title": "b", "content": [image()]},
            f"messages.0.content.1.content.0: {expected_tags('text')}",
        ),
    ],
    ids=itertools.count(),
)
async def test_invalid_blocks_of_a_user_are_rejected(api: MessagesApi, block: Body, expected: str) -> None:
    """A block of a user message is rejected if it is empty, malformed, or of a type that is not allowed there."""
    body = request(messages=[user(TEXT_BLOCK, block)])
    assert (400, "invalid_request_error", expected) == await rejected(api, body)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], "messages.2.content.0.content: content must be non-empty"),
        ([{"type": "text", "text": ""}], f"messages.2.content.0.content.0: {EMPTY_TEXT}"),
        ([TEXT_BLOCK, {"type": "text", "text": " "}], f"messages.2.content.0.content.1: {BLANK_TEXT}"),
        ([{"type": "audio", "data": PNG}], f"messages.2.content.0.content.0: {IN_RESULT}"),
        ([{"type": "resource", "resource": {}}], f"messages.2.content.0.content.0: {IN_RESULT}"),
        ([RESULT], f"messages.2.content.0.content.0: {IN_RESULT}"),
        (
            [image("image/tiff")],
            f"messages.2.content.0.content.0.image.source.base64.media_type: {MEDIA_TYPE}",
        ),
    ],
)
async def test_invalid_contents_of_a_tool_result_are_rejected(api: MessagesApi, content: Any, expected: str) -> None:
    """A tool result is rejected if its content is an empty list, or has a block that is invalid or not allowed there."""
    body = talk(assistant(USE), user({**RESULT, "content": content}))
    assert (400, "invalid_request_error", expected) == await rejected(api, body)


@pytest.mark.parametrize("content", [[image()], [TEXT_BLOCK, document()]])
def test_error_result_may_contain_only_text(content: list[Body]) -> None:
    """An image or a document is rejected in an error result, and accepted in other results."""
    expected = 'messages.2.content.0.tool_result: all content must be type "text" if `is_error` is true'
    results = ({**RESULT, "content": content, "is_error": is_error} for is_error in (True, False))
    assert [expected, None] == [refusal(talk(assistant(USE), user(result))) for result in results]


def with_cache_mark(block: Body, **more: str) -> Body:
    return {**block, "cache_control": {"type": "ephemeral", **more}}


FOUND_FIVE = "A maximum of 4 blocks with cache_control may be provided. Found 5."

LATE_HOUR = "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block."


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (request(messages=[user(*[with_cache_mark(TEXT_BLOCK)] * 4)]), None),
        (request(messages=[user(*[with_cache_mark(TEXT_BLOCK)] * 5)]), FOUND_FIVE),
        (request(messages=[user(*[with_cache_mark(TEXT_BLOCK)] * 4)], cache_control={"type": "ephemeral"}), FOUND_FIVE),
        (request(messages=[user(*[with_cache_mark(TEXT_BLOCK)] * 4)], tools=[with_cache_mark(tool())]), FOUND_FIVE),
        (
            request(messages=[user(*[with_cache_mark(TEXT_BLOCK)] * 4)], system=[with_cache_mark(TEXT_BLOCK)]),
            FOUND_FIVE,
        ),
        (talk(assistant(USE), user({**RESULT, "content": [with_cache_mark(TEXT_BLOCK)] * 5})), FOUND_FIVE),
        (request(messages=[user(*[{**TEXT_BLOCK, "cache_control": None}] * 5)]), None),
        (request(messages=[user(with_cache_mark(TEXT_BLOCK, ttl="1h"), with_cache_mark(TEXT_BLOCK))]), None),
        (request(messages=[user(with_cache_mark(TEXT_BLOCK), with_cache_mark(TEXT_BLOCK, ttl="1h"))]), LATE_HOUR),
        (request(messages=[user(with_cache_mark(TEXT_BLOCK, ttl="1h"))], tools=[with_cache_mark(tool())]), LATE_HOUR),
    ],
)
def test_cache_marks_are_limited_to_four_with_longer_ttls_first(body: Body, expected: str | None) -> None:
    """The limit counts the marks of tools, system, messages, tool results and the request together."""
    found = refusal(body)
    assert (expected is None) == (found is None)
    assert (found or "").startswith(expected or "")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1023}}, "thinking.enabled.budget_tokens: Input should be"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "`max_tokens` must be greater than"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1999}}, None),
        ({"thinking": {"type": "adaptive"}, "tool_choice": {"type": "any"}}, "Thinking may not be enabled when"),
        ({"thinking": {"type": "adaptive"}, "tool_choice": {"type": "tool", "name": "add"}}, "Thinking may not be"),
        ({"thinking": {"type": "adaptive"}, "tool_choice": {"type": "none"}}, None),
        ({"thinking": {"type": "disabled"}, "tool_choice": {"type": "any"}}, None),
        (
            {"tool_choice": {"type": "tool", "name": "sub"}},
            "tool_choice.tool.name: Tool 'sub' not found in provided tools",
        ),
        ({"tool_choice": {"type": "any"}, "tools": []}, "tool_choice: may only be specified while providing tools"),
        ({"tool_choice": {"type": "add"}}, "tool_choice: Input tag does not match"),
    ],
)
def test_thinking_and_tool_choice_are_validated(body: Body, expected: str | None) -> None:
    """Thinking excludes forced tool use, its budget must be below `max_tokens`, and a chosen tool must exist."""
    found = refusal(request(**{"max_tokens": 2000, "tools": [tool()], **body}))
    assert (expected is None) == (found is None)
    assert (found or "").startswith(expected or "")


@pytest.mark.parametrize("number", [20, 100, 101])
def test_request_has_at_most_100_images(number: int) -> None:
    """Images in tool results count too, and more than 20 images must be smaller."""
    prompt, result = user(image(data=png(2001, 1))), user({**RESULT, "content": [image()] * (number - 1)})
    expected = {
        20: None,
        100: f"messages: {TOO_LARGE} for many-image requests: 2000 pixels",
        101: "messages: too many images and documents: 101 + 0 > 100",
    }
    assert expected[number] == refusal(request(messages=[prompt, assistant(USE), result]))


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (assistant("Wait"), None),
        (assistant("Wait "), "messages: final assistant content cannot end with trailing whitespace"),
        (assistant(TEXT_BLOCK, {"type": "text", "text": "a\n"}), "messages: final assistant content cannot end with"),
        (assistant(THOUGHT), "messages.1: The final block in an assistant message cannot be `thinking`."),
    ],
)
def test_assistant_message_to_continue_must_not_end_in_white_space_or_thinking(
    last: Body, expected: str | None
) -> None:
    """A final assistant message is rejected if it ends in white space or thinking."""
    found = refusal(talk(last))
    assert (expected is None) == (found is None)
    assert (found or "").startswith(expected or "")


@pytest.mark.parametrize(
    "body",
    [
        request(messages=[user("a\ud800b")]),
        request(system="\udc80"),
        request(tools=[tool(description="\ud800")]),
        request(tools=[tool(properties={"a\ud800": {}})]),
        talk(assistant({**USE, "input": {"a": float("nan")}}), user(RESULT)),
        talk(assistant({**USE, "input": {"a": [float("inf")]}}), user(RESULT)),
    ],
)
def test_body_must_be_strict_json(body: Body) -> None:
    """Lone surrogates, NaN and infinity are rejected anywhere in a body."""
    assert (refusal(body) or "").startswith("The request body is not valid JSON: ")


@pytest.mark.asyncio
async def test_issued_blank_text_must_be_omitted_from_the_next_request() -> None:
    """A returned turn is accepted without its blank text, and rejected with it or without other text."""
    issued: list[Body] = [{"type": "text", "text": ""}, TEXT_BLOCK, {**USE, "id": "toolu_1"}]
    with MessagesApi(scripted({"hi": [message(issued, stop_reason="tool_use"), text("5")]})) as api:
        await ask(api, request(messages=[user("hi")], tools=[tool()]))
        await ask(api, request(messages=[user("hi"), assistant(TEXT_BLOCK, USE), user(RESULT)]))
        empty = await rejected(api, request(messages=[user("hi"), assistant(*issued), user(RESULT)]))
        cut = await rejected(api, request(messages=[user("hi"), assistant(USE), user(RESULT)]))
    assert (400, "invalid_request_error", f"messages.1.content.0: {EMPTY_TEXT}") == empty
    assert cut == (400, "invalid_request_error", "messages.1.content.0: text blocks cannot be modified")


@pytest.mark.asyncio
@pytest.mark.parametrize("block", [image(), RESULT, {"type": "audio"}, {"type": "document", "source": {}}])
async def test_invalid_blocks_of_the_assistant_are_rejected(api: MessagesApi, block: Body) -> None:
    """An assistant message is rejected if it has a block that a model does not produce."""
    expected = (400, "invalid_request_error", f"messages.1.content.0: {IN_ASSISTANT}")
    assert expected == await rejected(api, talk(assistant(block), user("Go on.")))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([assistant(USE)], UNANSWERED),
        ([assistant(USE), user("5")], UNANSWERED),
        ([assistant(USE), user("5"), user(RESULT)], UNANSWERED),
        ([assistant(USE), assistant("5")], UNANSWERED),
        ([assistant(USE, OTHER_USE), user(RESULT)], UNANSWERED),
        ([assistant(USE, OTHER_USE), user(RESULT), user(OTHER_RESULT)], UNANSWERED),
        ([user(RESULT)], f"messages.1.content.0: {UNEXPECTED}"),
        ([assistant(USE), user(RESULT, OTHER_RESULT)], f"messages.2.content.1: {UNEXPECTED}"),
        ([assistant(USE), user(RESULT, RESULT)], f"messages.2.content.1: {UNEXPECTED}"),
        ([assistant(USE), user(RESULT), user(RESULT)], f"messages.3.content.0: {UNEXPECTED}"),
        (
            [assistant(USE), user(TEXT_BLOCK, RESULT)],
            "messages.2.content.1: `tool_result` blocks must come first in a message",
        ),
        (
            [assistant(USE), user({"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True})],
            "messages.2.content.0.content: content cannot be empty if `is_error` is true",
        ),
        ([assistant(USE, USE), user(RESULT)], "messages.1.content.1: `tool_use` ids must be unique"),
        (
            [assistant(USE), user(RESULT), assistant(USE), user(RESULT)],
            "messages.3.content.0: `tool_use` ids must be unique",
        ),
        (
            [assistant({"type": "tool_use", "id": "toolu_1", "name": "add"}), user(RESULT)],
            "messages.1.content.0.tool_use.input: Field required",
        ),
    ],
)
async def test_mismatched_calls_and_results_are_rejected(api: MessagesApi, messages: Any, expected: str) -> None:
    """Every call needs one result at the start of the next message, and every result needs its call."""
    assert (400, "invalid_request_error", expected) == await rejected(api, talk(*messages))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        request(system="Be brief.", tools=[], metadata={"user_id": "a"}, output_config={"effort": "low"}),
        request(system=[TEXT_BLOCK], stream=False, cache_control={"type": "ephemeral"}),
        request(tools=[{"type": "web_search_20260318", "name": "web_search"}, tool("a" * 128)]),
        request(tools=[tool(properties={"properties": {"$ref": "#/$defs/d d"}})]),
        request(tools=[tool(definitions={"d d": {}}, dependentSchemas={"d d": {}})]),
        request(tools=[tool(properties={"a": {"anyOf": [{}], "default": {"properties": {"b c": 1}}}})]),
        request(tools=[tool(patternProperties={"^a b": {}})]),
        request(
            messages=[
                user(
                    TEXT_BLOCK,
                    image(),
                    {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}},
                )
            ]
        ),
        request(messages=[user({"type": "image", "source": {"type": "url", "url": "https://a.example"}})]),
        talk({"role": "system", "content": "Be brief."}, assistant(" spaced "), user("Go on.")),
        talk(assistant(TEXT_BLOCK), assistant({"type": "web_search_tool_result", "tool_use_id": "a"})),
        talk(assistant(TEXT_BLOCK, USE, OTHER_USE), user(OTHER_RESULT, RESULT, TEXT_BLOCK), user("More.")),
        talk(assistant(USE), user({**RESULT, "content": ""})),
        talk(assistant(USE), user({"type": "tool_result", "tool_use_id": "toolu_1"})),
        talk(assistant(USE), user({**RESULT, "content": [TEXT_BLOCK, image("image/webp", webp())]})),
    ],
)
async def test_valid_requests_are_accepted(api: MessagesApi, body: Body) -> None:
    """Requests that are close to violating a rule are answered."""
    assert five_content == (await ask(api, body)).to_dict()["content"]


TURN: list[Body] = [
    {"type": "thinking", "thinking": "2 and 3"},
    TEXT_BLOCK,
    {"type": "tool_use", "name": "add", "input": {"a": 1}},
]


def change_block(index: int, **changes: Any) -> Any:
    """Return a function that changes fields of one block of a turn."""
    return lambda turn: turn[index].update(changes)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        (change_block(0, thinking="2 and 4"), "messages.1.content.0: thinking blocks cannot be modified"),
        (change_block(0, signature="forged"), "messages.1.content.0: Invalid `signature` in `thinking` block"),
        (change_block(1, text="bye"), "messages.1.content.1: text blocks cannot be modified"),
        (change_block(2, input={"a": True}), "messages.1.content.2: tool_use blocks cannot be modified"),
        (change_block(2, name="files.read"), "messages.1.content.2: tool_use blocks cannot be modified"),
        (change_block(2, caller=None), "messages.1.content.2: tool_use blocks cannot be modified"),
        (lambda turn: turn.pop(0), "messages.1.content.0: thinking blocks cannot be modified"),
        (lambda turn: turn.pop(1), "messages.1.content.1: text blocks cannot be modified"),
        (
            lambda turn: turn.insert(0, turn.pop(1)),
            "messages.1.content.0: thinking blocks cannot be modified",
        ),
        (lambda turn: turn.append(TEXT_BLOCK), "messages.1.content.3: text blocks cannot be modified"),
    ],
)
async def test_altered_turn_is_rejected(alter: Any, expected: str) -> None:
    """A returned turn that differs in any way from the issued one is rejected."""
    with MessagesApi(lambda body: message(TURN, stop_reason="tool_use")) as api:
        turn: Any = copy.deepcopy((await ask(api, request())).to_dict()["content"])
        result = {**RESULT, "tool_use_id": turn[2]["id"]}
        alter(turn)
        body = talk(assistant(*turn), user(result))
        assert (400, "invalid_request_error", expected) == await rejected(api, body)


@pytest.mark.asyncio
@pytest.mark.parametrize("added", [{}, {"cache_control": {"type": "ephemeral"}}, {"citations": None}])
async def test_unaltered_turn_is_accepted(added: Body) -> None:
    """An unaltered turn is accepted, with and without the fields that a client may add to a block."""
    with MessagesApi(scripted({"What is 2 + 3?": [message(TURN, stop_reason="tool_use"), text("5")]})) as api:
        turn: Any = (await ask(api, request())).to_dict()["content"]
        result = {**RESULT, "tool_use_id": turn[2]["id"]}
        turn[1] = {**turn[1], **added}
        last = await ask(api, talk(assistant(*turn), user(result)))
    assert five_content == last.to_dict()["content"]


@pytest.mark.asyncio
async def test_turns_may_share_a_signature() -> None:
    """Two turns with the same signature are both recognised when they are returned."""
    turn: list[Body] = [
        {**THOUGHT, "signature": "the same"},
        {"type": "tool_use", "name": "add", "input": {}},
    ]
    with MessagesApi(lambda body: message(turn) if len(body["messages"]) == 1 else text("5")) as api:
        for _ in range(2):
            first: Any = (await ask(api, request())).to_dict()["content"]
            result = {**RESULT, "tool_use_id": first[1]["id"]}
            last = await ask(api, talk(assistant(*first), user(result)))
            assert five_content == last.to_dict()["content"]


@pytest.mark.parametrize(
    "block", [THOUGHT, {"type": "redacted_thinking", "data": "never issued"}], ids=["thinking", "redacted"]
)
def test_thinking_that_was_not_issued_is_rejected(block: Body) -> None:
    """Thinking that the server did not issue is rejected."""
    body = talk(assistant(block), user("Go on."))
    expected = "messages.1.content.0: Invalid `signature` in `thinking` block"
    assert expected == refusal(body)


def test_top_level_keys_are_those_of_the_sdk() -> None:
    """The rules allow exactly the parameters of the installed SDK, except for two that it sends as headers."""
    known = {
        *params.MessageCreateParamsBase.__annotations__,
        *params.MessageCreateParamsNonStreaming.__annotations__,
    }
    assert known - {"user_profile_id", "workspace_id"} == OPTIONAL | REQUIRED.keys()


@pytest.mark.asyncio
async def test_exception_in_the_answer_function_fails_the_test() -> None:
    """An exception in the answer function is sent to the client in a 400, and raised when the server stops."""
    with (
        pytest.raises(LookupError, match="turn 0 of the prompt 'What is 2"),
        MessagesApi(scripted({})) as api,
    ):
        status, _, content = await rejected(api, request())
    assert status == 400
    assert "the test's answer function failed: LookupError" in str(content)


@pytest.mark.asyncio
async def test_exception_in_the_answer_function_is_noted_on_the_error_of_the_test() -> None:
    """If the test raises an exception itself, the answer function's exception is added to it as a note."""
    with pytest.raises(anthropic.BadRequestError) as caught, MessagesApi(scripted({})) as api:
        await ask(api, request())
    notes = ["In the stub of the Messages API: LookupError"]
    assert notes == [note.partition("(")[0] for note in caught.value.__notes__]


def test_connection_is_persistent(api: MessagesApi) -> None:
    """One connection serves several requests, including rejected ones."""
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10)
    connection.connect()
    socket, headers = connection.sock, {"x-api-key": KEY, "anthropic-version": "2026-10-21"}
    statuses = []
    for body in (b"{", json.dumps(request()).encode(), b"[]"):
        connection.request("POST", "/v1/messages", body, headers)
        response = connection.getresponse()
        statuses.append((response.status, bool(response.read()), connection.sock is socket))
    connection.close()
    expected = [(400, True, True), (200, True, True), (400, True, True)]
    assert expected == statuses


def threads() -> list[threading.Thread]:
    """Return the threads of all running servers."""
    return [thread for thread in threading.enumerate() if thread.name == "messages-api"]


@pytest.mark.asyncio
async def test_stopping_ends_all_threads_and_connections() -> None:
    """A stopped server leaves no thread and no connection, idle or active."""
    requested = threading.Event()

    def answer(body: Body) -> Body:
        if body["max_tokens"] == 1:
            requested.set()
            api.closed.wait()
        return text("5")

    with MessagesApi(answer) as api:
        idle = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10)
        idle.connect()
        pending = asyncio.create_task(ask(api, request(max_tokens=1)))
        assert await asyncio.to_thread(requested.wait, 10)
        active = len(threads())
    with pytest.raises(anthropic.APIConnectionError):
        await pending
    assert idle.sock.recv(1) == b""
    idle.close()
    with pytest.raises(ConnectionRefusedError):
        post(api, b"")
    expected: tuple[int, list[threading.Thread]] = (3, [])
    assert expected == (active, threads())


@pytest.mark.asyncio
async def test_answer_function_that_does_not_return_fails_the_test() -> None:
    """Stopping raises TimeoutError if an answer function is still running after `patience` seconds."""
    requested, release = threading.Event(), threading.Event()

    def answer(body: Body) -> Body:
        requested.set()
        release.wait()
        return text("late")

    api = MessagesApi(answer)
    api.patience = 0.01
    api.__enter__()
    pending = asyncio.create_task(ask(api, request()))
    assert await asyncio.to_thread(requested.wait, 10)
    with pytest.raises(TimeoutError, match="still running"):
        api.__exit__(None, None, None)
    release.set()
    with pytest.raises(anthropic.APIConnectionError):
        await pending
    for thread in threads():
        thread.join(10)
    expected: list[threading.Thread] = []
    assert expected == threads()
