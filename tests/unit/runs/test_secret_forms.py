"""The encodings of a secret are redacted, and nothing around them."""

from __future__ import annotations

import html
import json
import shlex
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mcprun.errors import REDACTED
from mcprun.runs.redaction import LEAST, Redactor
from mcprun.runs.stream_redaction import StreamRedactor
from mcprun.runs.transcript import Call, Transcript, Verdict
from tests.support.examples import examples

SECRET = "it's a \"p&ss\\w<rd>/é+100%=~`$(x)\n\t\U0001f600!"
"""A secret with characters that the encoders below escape."""


def encode_url_in_lower_case(text: str) -> str:
    """Percent-encode with lower-case digits, as some URL encoders do."""
    return "".join(f"%{byte:02x}" if byte > 127 or not chr(byte).isalnum() else chr(byte) for byte in text.encode())


def strip_quotes(encode: Callable[[str], str]) -> Callable[[str], str]:
    """Wrap an encoder and drop the quotes around its output."""
    return lambda text: encode(text)[1:-1]


def encode_json_like_go(text: str) -> str:
    """Encode as Go's encoding/json does."""
    text = json.dumps(text, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def encode_json_like_php(text: str) -> str:
    """Encode as PHP's json_encode does."""
    return json.dumps(text).replace("/", "\\/")


def encode_html_numbers(text: str, form: str) -> str:
    """Encode each character that is not alphanumeric ASCII as a numeric HTML entity."""
    return "".join(one if one.isascii() and one.isalnum() else f"&#{ord(one):{form}};" for one in text)


ENCODERS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": strip_quotes(json.dumps),
    "json of any characters": strip_quotes(lambda text: json.dumps(text, ensure_ascii=False)),
    "json of go": strip_quotes(encode_json_like_go),
    "json of php": strip_quotes(encode_json_like_php),
    "json in upper case": lambda text: "".join(one if one.isascii() and one.isalnum() else "".join(
        f"\\u{unit:04X}" for unit in memoryview(one.encode("utf-16-le")).cast("H")) for one in text),
    "url": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "url in lower case": encode_url_in_lower_case,
    "html": html.escape,
    "html in decimal": lambda text: encode_html_numbers(text, "d"),
    "html in hexadecimal": lambda text: encode_html_numbers(text, "#x").replace("0x", "x"),
    "repr": strip_quotes(repr),
    "ascii": strip_quotes(ascii),
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "shell": lambda text: shlex.quote(f"{text} ")[1:-2],
    "csv": lambda text: text.replace('"', '""'),
    "sql": lambda text: text.replace("'", "''"),
}  # fmt: skip

OUTER = ["plain", "json", "json of go", "json of php", "url", "html", "repr", "shell"]

plain = st.text("abcdefgh0123456789", min_size=2, max_size=12)

special = st.text("'\"&\\/<>é%+ \n\t;#:=\U0001f600ab1", min_size=2, max_size=6) | st.text(min_size=2, max_size=8)

secrets = st.builds("{}{}{}".format, plain, special, plain)
"""Secrets that begin and end with characters that no encoder escapes."""


@settings(deadline=None, derandomize=True)
@given(secrets, st.sampled_from(sorted(ENCODERS)), st.lists(st.sampled_from(OUTER), max_size=2, unique=True))
@example(f"a1{SECRET}b2", "json", ["json", "json"])
@example("ab\\\\\"'\\&b2", "html", ["json of go", "url"])
def test_encoded_secret_is_redacted(secret: str, encoder: str, outer: list[str]) -> None:
    """A secret is found after one to three encoders, except after two that double quotes."""
    assume("shell" not in outer or encoder not in ("shell", "csv", "sql"))
    text = ENCODERS[encoder](secret)
    for name in outer:
        text = ENCODERS[name](text)
    assert Redactor([secret]).text(f"« {text} »") == f"« {REDACTED} »"


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("edge", list("'\"&\\/<é%+ \n~\U0001f600"))
def test_secret_with_escaped_edges_is_redacted(encoder: str, edge: str) -> None:
    """Only backslashes and half of a doubled quote may remain at the edges."""
    secret = f"{edge}se{edge}cret ret{edge}"
    found = Redactor([secret]).text(f"«{ENCODERS[encoder](secret)}»")
    assert found.replace("\\", "").replace(edge, "") == f"«{REDACTED}»"


@settings(max_examples=examples(50), deadline=None)
@given(st.binary(max_size=7), st.text(min_size=LEAST, max_size=60), st.binary(max_size=4), st.booleans())
@example(b"user:", "x?>x?>x?>~~~", b"", False)
@example(b"", SECRET * 4, b"", True)
def test_base64_is_redacted_at_each_alignment(before: bytes, secret: str, after: bytes, is_url: bool) -> None:
    """All characters that encode a bit of the secret are redacted, and no others, even within a longer text."""
    data = secret.encode()
    text = (urlsafe_b64encode if is_url else b64encode)(before + data + after).decode()
    start, stop = len(before) * 8 // 6, -((len(before) + len(data)) * -8 // 6)
    rest = "" if text[stop:].strip("=") == "" else text[stop:]
    assert Redactor([secret.strip(), secret]).text(f"« {text} »") in (
        f"« {text[:start]}{REDACTED}{rest} »",
        Redactor([secret.strip()]).text(f"« {text} »"),
    )
    assert text[start:stop] not in Redactor([secret]).text(text)


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: encodebytes(text.encode()).decode(),
        lambda text: json.dumps(encodebytes(text.encode()).decode()),
        lambda text: quote(b64encode(text.encode()).decode(), safe=""),
        lambda text: encode_json_like_php(b64encode(text.encode()).decode()),
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
        lambda text: json.dumps(text).encode().hex(),
        lambda text: b64encode(json.dumps({"password": text}).encode()).decode(),
        lambda text: b64encode(quote(f"user:{text}", safe="").encode()).decode(),
    ],
)
def test_wrapped_and_nested_byte_encodings_are_redacted(encode: Callable[[str], str]) -> None:
    """Base64 may be wrapped, or within a URL or JSON. Base64 and hex may encode an escaped secret."""
    secret = "sekret " + "é/+~?>ÿ" * 20
    text = encode(secret)
    redacted = Redactor([secret]).text(text)
    assert REDACTED in redacted
    assert len(redacted) < len(REDACTED) + 60 < len(text)


def test_each_line_of_a_key_is_redacted_in_base64_and_hex() -> None:
    """Kubernetes stores the files of a secret in base64."""
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----"
    assert "MIIEvQ" not in Redactor([key]).text("\n".join(f"{line} {line.encode().hex()}" for line in key.split("\n")))
    assert b64encode(key.encode()).decode()[30:50] not in Redactor([key]).text(
        b64encode(b"ca\n" + key.encode()).decode()
    )


def test_partial_matches_are_unchanged() -> None:
    """Part of a secret, other base64, and long runs of backslashes are unchanged."""
    redactor = Redactor(['hunter2"x', "correct horse"])
    for text in ("hunter2", "hunter2x", "hunter2" + "\\" * 100_000, b64encode(b"correct house").decode(), "correct"):
        assert redactor.text(text) is text


@pytest.mark.parametrize(
    "secret", ['hunter2"x', '"\\&hunter', "'&''&'hunter", "\\" * 20 + "hunter", "&&&&&&&&&&hunter"]
)
@pytest.mark.parametrize("noise", ["\\", "hunter2\\\\", '"', "&amp;", "'", "%25", "hunter", "\\u0026", "hunter2&"])
def test_near_misses_are_scanned_in_linear_time(secret: str, noise: str) -> None:
    """Near misses of a secret, repeated a hundred thousand times, do not slow down the search."""
    text = (noise * 100_000)[:200_000] + "hunter2&"
    redactor = Redactor([secret])
    redactor.text(text)
    redactor.safe_length(text)


pieces = st.lists(
    st.sampled_from([*(encode(SECRET) for encode in ENCODERS.values()), SECRET, b64encode(SECRET.encode()).decode(),
                     SECRET.encode().hex(), "it's a ", "\\", "&", "%2", "\n", " and "]), max_size=5)  # fmt: skip

REDACTOR = Redactor([SECRET])


@settings(max_examples=examples(40), deadline=None)
@given(pieces, st.data())
def test_streamed_redaction_equals_redaction_of_the_text(parts: list[str], data: st.DataObject) -> None:
    """The output does not depend on how the text is split."""
    redactor, text = REDACTOR, "".join(parts)
    stream, rest, shown = StreamRedactor(redactor), text, ""
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        shown += stream.take(rest[:size])
        rest = rest[size:]
    assert shown + stream.flush() == redactor.text(text)


WORD = "plainsecretvalue42"


def hostile_block(kind: str) -> dict[str, Any]:
    """Return a content block that has the secret under each key with a meaning to the Messages API."""
    inner = {"type": WORD, "id": WORD, "role": WORD, "tool_use_id": WORD, "uri": WORD, WORD: WORD, "name": WORD}
    return {**inner, "type": kind, "resource": {**inner, "_meta": inner}, "annotations": inner, "content": [inner]}


def test_ids_of_tool_calls_are_kept() -> None:
    """The IDs that pair a tool call with its result stay. The server's content is redacted under every key."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": f"toolu_{WORD}", "name": "t", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": f"toolu_{WORD}", "content": [hostile_block("text"), hostile_block(WORD)]},
        ]},
    ]  # fmt: skip
    call = Call(
        turn=0, tool="t", input={}, is_error=False, content=[hostile_block("resource_link"), hostile_block(WORD)]
    )
    transcript = Transcript(
        id=WORD, verdict=Verdict.PASSED, stop="end_turn", prompt="?", model="m", messages=messages, calls=[call], text="", checks=[], turns=[],
    )  # fmt: skip
    clean = Redactor([WORD]).value(transcript)
    assert WORD not in json.dumps([one.line() for one in clean.calls])
    (use,), (result,) = clean.messages[1]["content"], clean.messages[2]["content"]
    assert (clean.id, use["id"], result["tool_use_id"]) == (WORD, f"toolu_{WORD}", f"toolu_{WORD}")
    assert WORD not in json.dumps(result["content"])
    assert [block["type"] for block in result["content"]] == ["text", REDACTED]
    assert clean.calls[0].content[0]["type"] == "resource_link"


@pytest.mark.parametrize(
    "word", ["resource", "content", "tool_result", "assistant", "document", "mimeType", "annotations"]
)
def test_protocol_keywords_are_kept(word: str) -> None:
    """A secret that equals a keyword is redacted in text, but not where the protocol requires it."""
    block = {"type": "resource", "resource": {"uri": f"x:{word}", "mimeType": "a/b"}, "annotations": {"audience": []}}
    messages = [
        {"role": "assistant", "content": [{"type": "document", "source": {"type": "content", "content": [block]}}]}
    ]
    call = Call(turn=0, tool="t", input={}, is_error=False, content=[block])
    expected = {**block, "resource": {"uri": f"x:{REDACTED}", "mimeType": "a/b"}}
    assert Redactor([word]).value(call).content == [expected]
    transcript = Transcript(
        id="a", verdict=Verdict.PASSED, stop="end_turn", prompt="?", model="m", messages=messages, calls=[], text="", checks=[], turns=[],
    )  # fmt: skip
    found = Redactor([word]).value(transcript).messages[0]
    assert found["role"] == "assistant"
    assert found["content"][0]["source"]["content"] == [expected]
