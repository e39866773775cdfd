"""Validate requests as Anthropic's Messages API does: return the first error in a request's body.

A rule is a generator of error messages. A message is that of a 400 `invalid_request_error`, and names positions by index,
as the API's messages do. The rules run in order and stop at the first error, so each line may rely on the checks
before it.
"""

import json
import math
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import jsonschema

from tests.support.media_headers import (
    IMAGE_TYPES,
    MANY_IMAGES,
    MAX_IMAGE_CHARACTERS,
    MAX_IMAGES,
    MAX_PIXELS,
    MAX_PIXELS_OF_MANY,
    decoded,
    image_type,
    sides,
)

Block = dict[str, Any]
Issued = Mapping[str, Sequence[list[Block]]]
"""The contents of the messages that a server has issued, by the mark (see `mark`) of each of their blocks."""

REQUIRED: dict[str, type] = {"model": str, "max_tokens": int, "messages": list}
OPTIONAL = {
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "metadata",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
}

TOOL_NAME = "[a-zA-Z0-9_-]{1,128}"
PROPERTY_KEY = "[a-zA-Z0-9_.-]{1,64}"

MAX_MARKS = 4
MIN_THINKING = 1024

SCHEMA_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})
"""Keywords whose value maps names, which are not keywords, to schemas."""
SCHEMA_VALUES = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose value is data, not a schema."""

ALLOWED_BLOCKS = {
    "user": {"text", "image", "document", "tool_result", "search_result"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"},
    "system": {"text"},
    "tool_result": {"text", "image", "document", "search_result"},
    "search_result": {"text"},
}
"""The types of block allowed in a message of each role, or in a block of each type.

An assistant message may also contain the results of server tools, such as `web_search_tool_result`.
"""

BLOCK_FIELDS: dict[str, dict[str, type]] = {
    "text": {"text": str},
    "image": {"source": dict},
    "document": {"source": dict},
    "search_result": {"content": list, "source": str, "title": str},
    "thinking": {"thinking": str, "signature": str},
    "redacted_thinking": {"data": str},
    "tool_use": {"id": str, "name": str, "input": dict},
    "server_tool_use": {"id": str, "name": str, "input": dict},
    "tool_result": {"tool_use_id": str},
}
MARKS = {"tool_use": "id", "server_tool_use": "id", "thinking": "signature", "redacted_thinking": "data"}
THINKING = ("thinking", "redacted_thinking")


def refusal(body: Any, issued: Issued | None = None) -> str | None:
    """Return the message of the 400 with which the API rejects this parsed body; None if the body is valid."""
    return next(_rules(body, issued or {}), None)


def mark(block: Block) -> str | None:
    """Return what identifies an issued block: a tool use's id, or the signature or data of thinking."""
    key = MARKS.get(block["type"])
    return None if key is None else block[key]


def _rules(body: Any, issued: Issued) -> Iterator[str]:
    """Apply all rules in order."""
    yield from _strict_json(body)
    yield from _top_level(body)
    yield from _tools(body.get("tools") or [])
    yield from _tool_choice(body.get("tool_choice"), body.get("tools") or [])
    yield from _thinking(body.get("thinking"), body)
    if body.get("system"):
        yield from _content(body["system"], "system", "system")
    yield from _messages(body["messages"])
    yield from _final_message(body["messages"][-1], len(body["messages"]) - 1)
    yield from _tool_results(body["messages"])
    yield from _images(body["messages"])
    yield from _cache_control(body)
    yield from _unchanged_messages(body["messages"], issued)


def _strict_json(value: Any) -> Iterator[str]:
    """Require strings without lone surrogates and finite numbers, as RFC 8259 does."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            yield "The request body is not valid JSON: no low surrogate in string"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"The request body is not valid JSON: {value} is not a number"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strict_json(key)
            yield from _strict_json(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strict_json(item)


def _top_level(body: Any) -> Iterator[str]:
    """Require an object with the API's keys: all required ones, and none that are unknown. `temperature` was removed."""
    if not isinstance(body, dict):
        yield "Input should be a valid dictionary"
    for key in body:
        if key not in OPTIONAL and key not in REQUIRED:
            yield f"{key}: Extra inputs are not permitted"
    yield from _fields(body, REQUIRED, "")
    if body["max_tokens"] < 1:
        yield "max_tokens: Input should be greater than or equal to 1"
    if not isinstance(body.get("stream", False), bool):
        yield "stream: Input should be a valid boolean"


def _tools(tools: Any) -> Iterator[str]:
    """Require a valid, unique name and a valid input schema of each tool."""
    yield from _objects(tools, "tools")
    names = set()
    for index, tool in enumerate(tools):
        at = f"tools.{index}"
        if tool.get("type") not in (None, "custom"):  # a server tool
            continue
        yield from _fields(tool, {"name": str, "input_schema": dict}, f"{at}.custom.")
        if not re.fullmatch(TOOL_NAME, tool["name"]):
            yield f"{at}.custom.name: String should match pattern '^{TOOL_NAME}$'"
        if tool["name"] in names:
            yield f"{at}.custom.name: Tool names must be unique"
        names.add(tool["name"])
        if message := _schema_error(json.dumps(tool["input_schema"])):
            yield f"{at}.custom.input_schema{message}"


def _tool_choice(choice: Any, tools: list[dict[str, Any]]) -> Iterator[str]:
    """Allow `tool_choice` only with tools, and require that a chosen tool is one of them."""
    if choice is None:
        return
    if not tools:
        yield "tool_choice: may only be specified while providing tools"
    if choice.get("type") not in ("auto", "any", "tool", "none"):
        yield "tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
    if choice["type"] == "tool" and choice.get("name") not in [tool.get("name") for tool in tools]:
        yield f"tool_choice.tool.name: Tool '{choice.get('name')}' not found in provided tools"


def _thinking(thinking: Any, body: dict[str, Any]) -> Iterator[str]:
    """Require a thinking budget of at least 1,024 tokens and below `max_tokens`, and no forced tool use."""
    if thinking is None or thinking.get("type") == "disabled":
        return
    if thinking.get("type") not in ("enabled", "adaptive"):
        yield "thinking: Input tag does not match any of the expected tags: 'adaptive', 'disabled', 'enabled'"
    if thinking["type"] == "enabled":
        yield from _fields(thinking, {"budget_tokens": int}, "thinking.enabled.")
        if thinking["budget_tokens"] < MIN_THINKING:
            yield f"thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_THINKING}"
        if thinking["budget_tokens"] >= body["max_tokens"]:
            yield "`max_tokens` must be greater than `thinking.budget_tokens`"
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        yield "Thinking may not be enabled when tool_choice forces tool use."


@lru_cache(maxsize=10_000)
def _schema_error(text: str) -> str | None:
    """Return the first error in an input schema, given as JSON. Cached, because each request repeats the tools."""
    return next(_schema_rules(json.loads(text)), None)


def _schema_rules(schema: dict[str, Any]) -> Iterator[str]:
    """Require type `object`, no alternatives at the top level, valid JSON Schema 2020-12, and valid property keys."""
    if "type" not in schema:
        yield ".type: Field required"
    if schema["type"] != "object":
        yield ".type: Input should be 'object'"
    if not schema.keys().isdisjoint({"oneOf", "allOf", "anyOf"}):
        yield ": input_schema does not support oneOf, allOf, or anyOf at the top level"
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError:
        yield ": JSON schema is invalid. It must match JSON Schema draft 2020-12"
    if not all(re.fullmatch(PROPERTY_KEY, key) for key in _property_keys(schema)):
        yield f".properties: Property keys should match pattern '^{PROPERTY_KEY}$'"


def _property_keys(schema: Any) -> Iterator[str]:
    """Yield the keys of `properties` at any depth of a schema."""
    if isinstance(schema, list):
        for item in schema:
            yield from _property_keys(item)
    elif isinstance(schema, dict):
        for keyword, value in schema.items():
            if keyword == "properties" and isinstance(value, dict):
                yield from value
            if keyword in SCHEMA_MAPS and isinstance(value, dict):
                yield from _property_keys(list(value.values()))
            elif keyword not in SCHEMA_VALUES:
                yield from _property_keys(value)


def _messages(messages: Any) -> Iterator[str]:
    """Require that the first message is the user's, and that each message has a role and content."""
    if not messages:
        yield "messages: at least one message is required"
    yield from _objects(messages, "messages")
    for index, message in enumerate(messages):
        at = f"messages.{index}"
        yield from _fields(message, {"role": str}, f"{at}.")
        if message["role"] not in ("user", "assistant", "system"):
            yield f"{at}.role: Input should be 'user', 'assistant' or 'system'"
        if "content" not in message:
            yield f"{at}.content: Field required"
        yield from _content(message["content"], message["role"], f"{at}.content")
    if messages[0]["role"] != "user":
        yield 'messages.0: first message must use the "user" role'


def _final_message(last: dict[str, Any], index: int) -> Iterator[str]:
    """Require that an assistant message to be continued ends neither in white space nor in thinking."""
    if last["role"] != "assistant":
        return
    content = last["content"]
    text = content if isinstance(content, str) else content[-1].get("text", "")
    if text != text.rstrip():
        yield "messages: final assistant content cannot end with trailing whitespace"
    if _blocks(last) and _blocks(last)[-1]["type"] in THINKING:
        yield f"messages.{index}: The final block in an assistant message cannot be `thinking`."


def _content(content: Any, holder: str, at: str) -> Iterator[str]:
    """Require text or a list of blocks, neither empty, except for the text of a tool result."""
    if isinstance(content, str):
        if holder != "tool_result":
            yield from _text(content, at)
        return
    if content == []:
        yield f"{at}: content must be non-empty"
    yield from _objects(content, at)
    for index, block in enumerate(content):
        yield from _block(block, holder, f"{at}.{index}")


def _block(block: Block, holder: str, at: str) -> Iterator[str]:
    """Require a block of a type that `holder` allows, with all of its fields."""
    kind = str(block.get("type"))
    allowed = ALLOWED_BLOCKS[holder]
    if kind not in allowed and not (holder == "assistant" and kind.endswith("_tool_result")):
        yield f"{at}: Input tag found using 'type' does not match any of the expected tags: {sorted(allowed)}"
    yield from _fields(block, BLOCK_FIELDS.get(kind, {}), f"{at}.{kind}.")
    if kind == "text":
        yield from _text(block["text"], at)
    if kind == "image":
        yield from _image(block["source"], f"{at}.image.source")
    if kind == "document":
        yield from _document(block["source"], f"{at}.document.source")
    if kind == "tool_result" and block.get("is_error") and not block.get("content"):
        yield f"{at}.content: content cannot be empty if `is_error` is true"
    if kind == "tool_result" and block.get("is_error") and any(one["type"] != "text" for one in _blocks(block)):
        yield f'{at}.tool_result: all content must be type "text" if `is_error` is true'
    if kind in ("tool_result", "search_result"):
        yield from _content(block.get("content", ""), kind, f"{at}.content")


def _text(text: str, at: str) -> Iterator[str]:
    """Require text that is neither empty nor only white space."""
    if not text:
        yield f"{at}: text content blocks must be non-empty"
    if not text.strip():
        yield f"{at}: text content blocks must contain non-whitespace text"


def _image(source: dict[str, Any], at: str) -> Iterator[str]:
    """Require a URL, a file id, or base64 of an image of the declared type and of an allowed size."""
    if not (yield from _is_base64(source, at)):
        return
    if source["media_type"] not in IMAGE_TYPES:
        yield f"{at}.base64.media_type: Input should be one of {IMAGE_TYPES}"
    if (length := len(source["data"])) > MAX_IMAGE_CHARACTERS:
        yield f"{at}.base64: image exceeds 5 MB maximum: {length} bytes > {MAX_IMAGE_CHARACTERS} bytes"
    data = decoded(source["data"])
    if not data:
        yield f"{at}.base64.data: invalid base64 data"
    actual_type = image_type(data)
    pixels = sides(data, actual_type)
    if not actual_type or not pixels or 0 in pixels:
        yield f"{at}.base64.data: Could not process image"
    if actual_type != source["media_type"]:
        yield (
            f"{at}.base64: The image was specified using the {source['media_type']} media type, but the image appears"
            f" to be a {actual_type} image"
        )
    if max(pixels or (0,)) > MAX_PIXELS:
        yield f"{at}.base64.data: At least one of the image dimensions exceed max allowed size: {MAX_PIXELS} pixels"


def _document(source: dict[str, Any], at: str) -> Iterator[str]:
    """Require a URL, a file id, text, content blocks, or base64 of a PDF."""
    kind = source.get("type")
    if kind == "text":
        yield from _fields(source, {"media_type": str, "data": str}, f"{at}.text.")
        yield from _text(source["data"], f"{at}.text.data")
    elif kind == "content":
        yield from _content(source.get("content"), "search_result", f"{at}.content")
    elif (yield from _is_base64(source, at)):
        if source["media_type"] != "application/pdf":
            yield f"{at}.base64.media_type: Input should be 'application/pdf'"
        data = decoded(source["data"])
        if not data:
            yield f"{at}.base64.data: invalid base64 data"
        if b"%PDF-" not in data[:1024]:
            yield f"{at}.base64.data: The PDF specified was not valid."


def _is_base64(source: dict[str, Any], at: str) -> Generator[str, None, bool]:
    """Require a source of type `base64`, `url` or `file`; return whether it is `base64`."""
    kind = source.get("type")
    if kind not in ("base64", "url", "file"):
        yield f"{at}: Input tag found using 'type' does not match any of the expected tags: base64, file, url"
    needed: dict[str, type] = {"url": str} if kind == "url" else {"file_id": str}
    yield from _fields(source, {"media_type": str, "data": str} if kind == "base64" else needed, f"{at}.{kind}.")
    if kind == "url" and not re.match("https?://", source["url"]):
        yield f"{at}.url: Only HTTP and HTTPS URLs are supported"
    return kind == "base64"


def _images(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Require at most 100 images and documents, and smaller images if there are more than 20."""
    media = [block for message in messages for block in _media(_blocks(message))]
    if len(media) > MAX_IMAGES:
        yield f"messages: too many images and documents: {len(media)} + 0 > {MAX_IMAGES}"
    images = [block["source"] for block in media if block["type"] == "image"]
    if len(images) > MANY_IMAGES:
        for source in images:
            data = decoded(source.get("data", ""))
            if max(sides(data, image_type(data)) or (0,)) > MAX_PIXELS_OF_MANY:
                yield (
                    "messages: At least one of the image dimensions exceed max allowed size for many-image requests:"
                    f" {MAX_PIXELS_OF_MANY} pixels"
                )


def _media(blocks: list[Block]) -> Iterator[Block]:
    """Yield the images and documents among blocks, including those in tool results and documents."""
    for block in blocks:
        if block["type"] in ("image", "document"):
            yield block
        if block["type"] == "tool_result":
            yield from _media(_blocks(block))
        if block["type"] == "document" and block["source"].get("type") == "content":
            yield from _media(_blocks(block["source"]))


def _cache_control(body: dict[str, Any]) -> Iterator[str]:
    """Require at most four `cache_control` marks, including the request's own, and none of 1 h after one of 5 min."""
    parts = [body.get("tools"), body.get("system"), body["messages"]]
    controls = [control for part in parts for control in _cache_marks(part)]
    top = body.get("cache_control")
    count = len(controls) + bool(top)
    if count > MAX_MARKS:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {count}."
    ttls = [control.get("ttl", "5m") for control in controls]
    if "1h" in ttls[ttls.index("5m") :] if "5m" in ttls else False:
        yield (
            "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block."
            " Note that blocks are processed in the following order: tools, system, messages."
        )


def _cache_marks(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the `cache_control` of each block, in order. Skip inputs and input schemas, which are data."""
    if isinstance(value, list):
        for item in value:
            yield from _cache_marks(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in ("input", "input_schema", "cache_control"):
                yield from _cache_marks(item)
        if value.get("cache_control"):
            yield value["cache_control"]


def _tool_results(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Require a unique id of each tool use, and its one result at the start of the next message."""
    missing_result = "`tool_use` ids were found without `tool_result` blocks immediately after"
    used_ids: set[str] = set()
    pending: list[str] = []  # in the previous message
    for index, message in enumerate(messages):
        blocks = _blocks(message)
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if not set(pending) <= set(results):
            yield f"messages.{index - 1}: {missing_result}"
        for place, block in enumerate(blocks):
            at = f"messages.{index}.content.{place}"
            if block["type"] == "tool_result":
                if block["tool_use_id"] not in pending:
                    yield f"{at}: unexpected `tool_use_id` found in `tool_result` blocks"
                pending.remove(block["tool_use_id"])
                if any(before["type"] != "tool_result" for before in blocks[:place]):
                    yield f"{at}: `tool_result` blocks must come first in a message"
            if block["type"] == "tool_use":
                if block["id"] in used_ids:
                    yield f"{at}: `tool_use` ids must be unique"
                used_ids.add(block["id"])
        pending = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if pending:
        yield f"messages.{len(messages) - 1}: {missing_result}"


def _unchanged_messages(messages: list[dict[str, Any]], issued: Issued) -> Iterator[str]:
    """Require that issued messages are returned unchanged, and that all thinking was issued by the server."""
    for index, message in enumerate(messages):
        blocks = _blocks(message)
        for place, block in enumerate(blocks):
            originals = issued.get(mark(block) or "", [])
            if block["type"] in THINKING and not originals:
                yield f"messages.{index}.content.{place}: Invalid `signature` in `thinking` block"
            difference = None
            for original in originals:  # tests may give several turns the same id or signature
                difference = _first_difference(blocks, original)
                if difference is None:
                    break
            if difference is not None:
                where, kind = difference
                yield f"messages.{index}.content.{where}: {kind} blocks cannot be modified"


def _first_difference(echo: list[Block], original: list[Block]) -> tuple[int, str] | None:
    """Return the index of the first difference and the type of the original block there; None if there is none.

    Blank text blocks, which the API issues but does not accept, are removed from the original. Trailing white space of
    its last block may be missing.
    """
    expected = [block for block in original if block["type"] != "text" or block["text"].strip()]
    for index, (new, old) in enumerate(zip_longest(echo, expected)):
        is_last = index == len(expected) - 1
        if _comparable(new) != _comparable(old) and not (is_last and _comparable(new) == _comparable(_rstripped(old))):
            return index, (old or new)["type"]
    return None


def _comparable(block: Block | None) -> str:
    """Return a block as JSON for comparison, without the fields that a client may add."""
    fields = {
        key: value
        for key, value in (block or {}).items()
        if key != "cache_control" and not (key in ("citations", "toolset_name") and value is None)
    }
    # A client may replace a lone surrogate, which is not valid JSON, by U+FFFD.
    return re.sub(r"(?i)\\ud[89a-f][0-9a-f]{2}", r"\\ufffd", json.dumps(fields, sort_keys=True))


def _rstripped(block: Block | None) -> Block | None:
    """Return a block without trailing white space in its text."""
    return {**block, "text": block["text"].rstrip()} if block and block["type"] == "text" else block


def _blocks(message: dict[str, Any]) -> list[Block]:
    """Return the blocks of a message or tool result; none if its content is a string."""
    return message["content"] if isinstance(message.get("content"), list) else []


def _objects(items: Any, at: str) -> Iterator[str]:
    """Require a list of objects."""
    if not isinstance(items, list):
        yield f"{at}: Input should be a valid list"
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            yield f"{at}.{index}: Input should be a valid dictionary"


def _fields(value: dict[str, Any], fields: Mapping[str, type], prefix: str) -> Iterator[str]:
    """Require these fields, of these types."""
    names = {str: "string", int: "integer", dict: "dictionary", list: "list"}
    for key, kind in fields.items():
        if key not in value:
            yield f"{prefix}{key}: Field required"
        if not isinstance(value[key], kind) or isinstance(value[key], bool):
            yield f"{prefix}{key}: Input should be a valid {names[kind]}"
