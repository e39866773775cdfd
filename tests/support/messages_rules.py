"""What Anthropic's Messages API refuses, as pure functions: a request's body in, the first refusal out.

A rule is a generator of refusals. A refusal is the message of a 400 `invalid_request_error`; it names a place
by its index alone, as the API's own messages do. The rules run in order and nothing runs after the first
refusal, so that each line may rely on what those before it have checked.
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
"""The contents of the messages that a server has issued, by the mark (see `mark`) of each block in them."""

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
"""Keywords whose value maps names to schemas: the names are not keywords themselves."""
SCHEMA_VALUES = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose value is data, not a schema."""

ALLOWED_BLOCKS = {
    "user": {"text", "image", "document", "tool_result", "search_result"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"},
    "system": {"text"},
    "tool_result": {"text", "image", "document", "search_result"},
    "search_result": {"text"},
}
"""The types of block that may stand in a message of this role, or in a block of this type.

An assistant's message may also hold results of tools that the API itself runs: `web_search_tool_result` etc.
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
    """The message of the 400 that the API answers this parsed body with; None when the body is in order."""
    return next(_rules(body, issued or {}), None)


def mark(block: Block) -> str | None:
    """What an issued block is known again by: a tool use's id, or the signature (or data) of thinking."""
    key = MARKS.get(block["type"])
    return None if key is None else block[key]


def _rules(body: Any, issued: Issued) -> Iterator[str]:
    """Every rule, in order."""
    yield from _strict_json(body)
    yield from _top_level(body)
    yield from _tools(body.get("tools") or [])
    yield from _tool_choice(body.get("tool_choice"), body.get("tools") or [])
    yield from _thinking(body.get("thinking"), body)
    if body.get("system"):
        yield from _content(body["system"], "system", "system")
    yield from _messages(body["messages"])
    yield from _end(body["messages"][-1], len(body["messages"]) - 1)
    yield from _tool_results(body["messages"])
    yield from _images(body["messages"])
    yield from _cache_marks(body)
    yield from _echoes(body["messages"], issued)


def _strict_json(value: Any) -> Iterator[str]:
    """No text holds half of a surrogate pair, and no number is NaN or infinite: RFC 8259 has neither."""
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
    """The body is an object with the API's own keys, none missing. `temperature` is no longer one."""
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
    """A tool has a name of the allowed characters that no other has, and a schema the API takes."""
    yield from _objects(tools, "tools")
    names = set()
    for index, tool in enumerate(tools):
        at = f"tools.{index}"
        if tool.get("type") not in (None, "custom"):  # a tool that the API itself provides
            continue
        yield from _fields(tool, {"name": str, "input_schema": dict}, f"{at}.custom.")
        if not re.fullmatch(TOOL_NAME, tool["name"]):
            yield f"{at}.custom.name: String should match pattern '^{TOOL_NAME}$'"
        if tool["name"] in names:
            yield f"{at}.custom.name: Tool names must be unique"
        names.add(tool["name"])
        if message := _schema_refusal(json.dumps(tool["input_schema"])):
            yield f"{at}.custom.input_schema{message}"


def _tool_choice(choice: Any, tools: list[dict[str, Any]]) -> Iterator[str]:
    """A choice is made among tools, and one of a tool names one of them."""
    if choice is None:
        return
    if not tools:
        yield "tool_choice: may only be specified while providing tools"
    if choice.get("type") not in ("auto", "any", "tool", "none"):
        yield "tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
    if choice["type"] == "tool" and choice.get("name") not in [tool.get("name") for tool in tools]:
        yield f"tool_choice.tool.name: Tool '{choice.get('name')}' not found in provided tools"


def _thinking(thinking: Any, body: dict[str, Any]) -> Iterator[str]:
    """A budget of thinking is at least 1,024 tokens, and below `max_tokens`; a forced call leaves no room for it."""
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
def _schema_refusal(text: str) -> str | None:
    """The first refusal of an input schema, as JSON text: remembered, for the same tools come every time."""
    return next(_schema_rules(json.loads(text)), None)


def _schema_rules(schema: dict[str, Any]) -> Iterator[str]:
    """An input schema is of type object, has no alternatives at its top, and is valid JSON Schema 2020-12."""
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
    """The keys of `properties` at any depth of a schema."""
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
    """A conversation begins with the user, and each of its messages has a role and content."""
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


def _end(last: dict[str, Any], index: int) -> Iterator[str]:
    """A message of the assistant that is to be gone on with ends neither in white space nor in thinking."""
    if last["role"] != "assistant":
        return
    content = last["content"]
    text = content if isinstance(content, str) else content[-1].get("text", "")
    if text != text.rstrip():
        yield "messages: final assistant content cannot end with trailing whitespace"
    if _blocks(last) and _blocks(last)[-1]["type"] in THINKING:
        yield f"messages.{index}: The final block in an assistant message cannot be `thinking`."


def _content(content: Any, holder: str, at: str) -> Iterator[str]:
    """Content is text or a list of blocks, and not empty; only the text of a tool result may be."""
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
    """A block is of a type that its holder may hold, and whole: audio, for one, may stand nowhere."""
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
    """Text is not empty and not white space alone."""
    if not text:
        yield f"{at}: text content blocks must be non-empty"
    if not text.strip():
        yield f"{at}: text content blocks must contain non-whitespace text"


def _image(source: dict[str, Any], at: str) -> Iterator[str]:
    """An image is an address, a file's id, or base64 of one of four media types, which the bytes bear out."""
    if not (yield from _is_base64(source, at)):
        return
    if source["media_type"] not in IMAGE_TYPES:
        yield f"{at}.base64.media_type: Input should be one of {IMAGE_TYPES}"
    if (length := len(source["data"])) > MAX_IMAGE_CHARACTERS:
        yield f"{at}.base64: image exceeds 5 MB maximum: {length} bytes > {MAX_IMAGE_CHARACTERS} bytes"
    data = decoded(source["data"])
    if not data:
        yield f"{at}.base64.data: invalid base64 data"
    found = image_type(data)
    pixels = sides(data, found)
    if not found or not pixels or 0 in pixels:
        yield f"{at}.base64.data: Could not process image"
    if found != source["media_type"]:
        yield (
            f"{at}.base64: The image was specified using the {source['media_type']} media type, but the image appears"
            f" to be a {found} image"
        )
    if max(pixels or (0,)) > MAX_PIXELS:
        yield f"{at}.base64.data: At least one of the image dimensions exceed max allowed size: {MAX_PIXELS} pixels"


def _document(source: dict[str, Any], at: str) -> Iterator[str]:
    """A document is an address, a file's id, text, content blocks, or base64 of a PDF."""
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
    """A source is base64, an address or a file's id; of the others the server knows more than these rules."""
    kind = source.get("type")
    if kind not in ("base64", "url", "file"):
        yield f"{at}: Input tag found using 'type' does not match any of the expected tags: base64, file, url"
    needed: dict[str, type] = {"url": str} if kind == "url" else {"file_id": str}
    yield from _fields(source, {"media_type": str, "data": str} if kind == "base64" else needed, f"{at}.{kind}.")
    if kind == "url" and not re.match("https?://", source["url"]):
        yield f"{at}.url: Only HTTP and HTTPS URLs are supported"
    return kind == "base64"


def _images(messages: list[dict[str, Any]]) -> Iterator[str]:
    """A request has at most 100 images and documents, and smaller ones where they are many."""
    found = [block for message in messages for block in _media(_blocks(message))]
    if len(found) > MAX_IMAGES:
        yield f"messages: too many images and documents: {len(found)} + 0 > {MAX_IMAGES}"
    images = [block["source"] for block in found if block["type"] == "image"]
    if len(images) > MANY_IMAGES:
        for source in images:
            data = decoded(source.get("data", ""))
            if max(sides(data, image_type(data)) or (0,)) > MAX_PIXELS_OF_MANY:
                yield (
                    "messages: At least one of the image dimensions exceed max allowed size for many-image requests:"
                    f" {MAX_PIXELS_OF_MANY} pixels"
                )


def _media(blocks: list[Block]) -> Iterator[Block]:
    """All images and documents among blocks, those in tool results and documents too."""
    for block in blocks:
        if block["type"] in ("image", "document"):
            yield block
        if block["type"] == "tool_result":
            yield from _media(_blocks(block))
        if block["type"] == "document" and block["source"].get("type") == "content":
            yield from _media(_blocks(block["source"]))


def _cache_marks(body: dict[str, Any]) -> Iterator[str]:
    """At most four marks ask for caching, the request's own counted; none for an hour after one for five minutes."""
    parts = [body.get("tools"), body.get("system"), body["messages"]]
    marks = [found for part in parts for found in _marks_in(part)]
    top = body.get("cache_control")
    count = len(marks) + bool(top)
    if count > MAX_MARKS:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {count}."
    lives = [found.get("ttl", "5m") for found in marks]
    if "1h" in lives[lives.index("5m") :] if "5m" in lives else False:
        yield (
            "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block."
            " Note that blocks are processed in the following order: tools, system, messages."
        )


def _marks_in(value: Any) -> Iterator[dict[str, Any]]:
    """The values of all `cache_control` of blocks, in order. A tool's input and schema are data."""
    if isinstance(value, list):
        for item in value:
            yield from _marks_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in ("input", "input_schema", "cache_control"):
                yield from _marks_in(item)
        if value.get("cache_control"):
            yield value["cache_control"]


def _tool_results(messages: list[dict[str, Any]]) -> Iterator[str]:
    """A tool use has an id of its own and one result, first in the next message; no result is left over."""
    unanswered = "`tool_use` ids were found without `tool_result` blocks immediately after"
    seen: set[str] = set()
    asked: list[str] = []  # by the message before this one
    for index, message in enumerate(messages):
        blocks = _blocks(message)
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if not set(asked) <= set(results):
            yield f"messages.{index - 1}: {unanswered}"
        for place, block in enumerate(blocks):
            at = f"messages.{index}.content.{place}"
            if block["type"] == "tool_result":
                if block["tool_use_id"] not in asked:
                    yield f"{at}: unexpected `tool_use_id` found in `tool_result` blocks"
                asked.remove(block["tool_use_id"])
                if any(before["type"] != "tool_result" for before in blocks[:place]):
                    yield f"{at}: `tool_result` blocks must come first in a message"
            if block["type"] == "tool_use":
                if block["id"] in seen:
                    yield f"{at}: `tool_use` ids must be unique"
                seen.add(block["id"])
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if asked:
        yield f"messages.{len(messages) - 1}: {unanswered}"


def _echoes(messages: list[dict[str, Any]], issued: Issued) -> Iterator[str]:
    """A message that the server issued comes back as it was, and thinking comes from nowhere else."""
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
    """The index at which two contents differ, and the type of the block that was there; None when equal.

    Blank text, which the API issues and does not take back, is left out of the original; white space may be left out
    of its end.
    """
    kept = [block for block in original if block["type"] != "text" or block["text"].strip()]
    for index, (new, old) in enumerate(zip_longest(echo, kept)):
        if _bare(new) != _bare(old) and not (index == len(kept) - 1 and _bare(new) == _bare(_stripped(old))):
            return index, (old or new)["type"]
    return None


def _bare(block: Block | None) -> str:
    """A block as text to compare by, without what a client may add to one that it sends back."""
    kept = {
        key: value
        for key, value in (block or {}).items()
        if key != "cache_control" and not (key in ("citations", "toolset_name") and value is None)
    }
    # A client that repairs text sends U+FFFD for half of a surrogate pair, which it could not send back.
    return re.sub(r"(?i)\\ud[89a-f][0-9a-f]{2}", r"\\ufffd", json.dumps(kept, sort_keys=True))


def _stripped(block: Block | None) -> Block | None:
    """A block whose text does not end in white space."""
    return {**block, "text": block["text"].rstrip()} if block and block["type"] == "text" else block


def _blocks(message: dict[str, Any]) -> list[Block]:
    """A message's blocks, or those of a tool result; none when its content is plain text."""
    return message["content"] if isinstance(message.get("content"), list) else []


def _objects(items: Any, at: str) -> Iterator[str]:
    """This is a list of objects."""
    if not isinstance(items, list):
        yield f"{at}: Input should be a valid list"
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            yield f"{at}.{index}: Input should be a valid dictionary"


def _fields(value: dict[str, Any], fields: Mapping[str, type], prefix: str) -> Iterator[str]:
    """An object has these fields, of these types."""
    names = {str: "string", int: "integer", dict: "dictionary", list: "list"}
    for key, kind in fields.items():
        if key not in value:
            yield f"{prefix}{key}: Field required"
        if not isinstance(value[key], kind) or isinstance(value[key], bool):
            yield f"{prefix}{key}: Input should be a valid {names[kind]}"
