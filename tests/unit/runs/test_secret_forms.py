"""The encodings of a secret are redacted, and nothing beside them."""

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
"""Characters that each of the encoders below writes differently."""


def lowered(text: str) -> str:
    """Write percent escapes in lower case, as some URL encoders do."""
    return "".join(f"%{byte:02x}" if byte > 127 or not chr(byte).isalnum() else chr(byte) for byte in text.encode())


def inside(encode: Callable[[str], str]) -> Callable[[str], str]:
    """Leave out the quotes that an encoder puts around a text."""
    return lambda text: encode(text)[1:-1]


def go(text: str) -> str:
    """Write JSON as Go's encoding/json does."""
    text = json.dumps(text, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def php(text: str) -> str:
    """Write JSON as PHP's json_encode does."""
    return json.dumps(text).replace("/", "\\/")


def numbered(text: str, form: str) -> str:
    """Write each character that is not plain as an entity of HTML."""
    return "".join(one if one.isascii() and one.isalnum() else f"&#{ord(one):{form}};" for one in text)


ENCODERS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": inside(json.dumps),
    "json of any characters": inside(lambda text: json.dumps(text, ensure_ascii=False)),
    "json of go": inside(go),
    "json of php": inside(php),
    "json in upper case": lambda text: "".join(one if one.isascii() and one.isalnum() else "".join(
        f"\\u{unit:04X}" for unit in memoryview(one.encode("utf-16-le")).cast("H")) for one in text),
    "url": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "url in lower case": lowered,
    "html": html.escape,
    "html in decimal": lambda text: numbered(text, "d"),
    "html in hexadecimal": lambda text: numbered(text, "#x").replace("0x", "x"),
    "repr": inside(repr),
    "ascii": inside(ascii),
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "shell": lambda text: shlex.quote(f"{text} ")[1:-2],
    "csv": lambda text: text.replace('"', '""'),
    "sql": lambda text: text.replace("'", "''"),
}  # fmt: skip

OUTER = ["plain", "json", "json of go", "json of php", "url", "html", "repr", "shell"]

plain = st.text("abcdefgh0123456789", min_size=2, max_size=12)

special = st.text("'\"&\\/<>é%+ \n\t;#:=\U0001f600ab1", min_size=2, max_size=6) | st.text(min_size=2, max_size=8)

secrets = st.builds("{}{}{}".format, plain, special, plain)
"""Begin and end with what is never escaped, so that the place of each form is plain."""


@settings(deadline=None, derandomize=True)
@given(secrets, st.sampled_from(sorted(ENCODERS)), st.lists(st.sampled_from(OUTER), max_size=2, unique=True))
@example(f"a1{SECRET}b2", "json", ["json", "json"])
@example("ab\\\\\"'\\&b2", "html", ["json of go", "url"])
def test_an_escaped_secret_is_redacted(secret: str, encoder: str, outer: list[str]) -> None:
    """By one encoder or by three, one after the other; but for quotes that are doubled twice."""
    assume("shell" not in outer or encoder not in ("shell", "csv", "sql"))
    text = ENCODERS[encoder](secret)
    for name in outer:
        text = ENCODERS[name](text)
    assert Redactor([secret]).text(f"« {text} »") == f"« {REDACTED} »"


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("edge", list("'\"&\\/<é%+ \n~\U0001f600"))
def test_a_secret_may_begin_and_end_with_what_is_escaped(encoder: str, edge: str) -> None:
    """Of its escape at an end, nothing but backslashes may stay, and the half of a doubled quote."""
    secret = f"{edge}se{edge}cret ret{edge}"
    found = Redactor([secret]).text(f"«{ENCODERS[encoder](secret)}»")
    assert found.replace("\\", "").replace(edge, "") == f"«{REDACTED}»"


@settings(max_examples=examples(50), deadline=None)
@given(st.binary(max_size=7), st.text(min_size=LEAST, max_size=60), st.binary(max_size=4), st.booleans())
@example(b"user:", "x?>x?>x?>~~~", b"", False)
@example(b"", SECRET * 4, b"", True)
def test_base64_is_redacted_at_each_alignment(before: bytes, secret: str, after: bytes, is_url: bool) -> None:
    """Also where it is part of a longer text; each character goes that tells a bit of the secret, and no other."""
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
        lambda text: php(b64encode(text.encode()).decode()),
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
        lambda text: json.dumps(text).encode().hex(),
        lambda text: b64encode(json.dumps({"password": text}).encode()).decode(),
        lambda text: b64encode(quote(f"user:{text}", safe="").encode()).decode(),
    ],
)
def test_what_encodes_bytes_may_be_escaped_and_wrapped(encode: Callable[[str], str]) -> None:
    """Base64 in lines, in a URL and in JSON; base64 and hex of a secret that was escaped first."""
    secret = "sekret " + "é/+~?>ÿ" * 20
    text = encode(secret)
    left = Redactor([secret]).text(text)
    assert REDACTED in left
    assert len(left) < len(REDACTED) + 60 < len(text)


def test_each_line_of_a_key_is_found_in_base64() -> None:
    """As Kubernetes keeps the files of a secret."""
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----"
    assert "MIIEvQ" not in Redactor([key]).text("\n".join(f"{line} {line.encode().hex()}" for line in key.split("\n")))
    assert b64encode(key.encode()).decode()[30:50] not in Redactor([key]).text(
        b64encode(b"ca\n" + key.encode()).decode()
    )


def test_what_only_looks_like_a_secret_stays() -> None:
    """A part of it, other text in base64, and backslashes without end."""
    redactor = Redactor(['hunter2"x', "correct horse"])
    for text in ("hunter2", "hunter2x", "hunter2" + "\\" * 100_000, b64encode(b"correct house").decode(), "correct"):
        assert redactor.text(text) is text


@pytest.mark.parametrize(
    "secret", ['hunter2"x', '"\\&hunter', "'&''&'hunter", "\\" * 20 + "hunter", "&&&&&&&&&&hunter"]
)
@pytest.mark.parametrize("noise", ["\\", "hunter2\\\\", '"', "&amp;", "'", "%25", "hunter", "\\u0026", "hunter2&"])
def test_text_made_to_be_slow_is_not(secret: str, noise: str) -> None:
    """Near misses of a secret, a hundred thousand times over, end in time that grows with the text alone."""
    text = (noise * 100_000)[:200_000] + "hunter2&"
    redactor = Redactor([secret])
    redactor.text(text)
    redactor.safe_length(text)


pieces = st.lists(
    st.sampled_from([*(encode(SECRET) for encode in ENCODERS.values()), SECRET, b64encode(SECRET.encode()).decode(),
                     SECRET.encode().hex(), "it's a ", "\\", "&", "%2", "\n", " and "]), max_size=5)  # fmt: skip

WHOLE = Redactor([SECRET])


@settings(max_examples=examples(40), deadline=None)
@given(pieces, st.data())
def test_no_cut_parts_an_encoded_secret(parts: list[str], data: st.DataObject) -> None:
    """Whatever comes in which pieces, what is shown piece by piece is what the whole is redacted to."""
    redactor, text = WHOLE, "".join(parts)
    hearing, rest, shown = StreamRedactor(redactor), text, ""
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        shown += hearing.take(rest[:size])
        rest = rest[size:]
    assert shown + hearing.flush() == redactor.text(text)


WORD = "plainsecretvalue42"


def hostile(kind: str) -> dict[str, Any]:
    """Make a block of a server that holds the secret under each key that has a meaning to the Messages API."""
    inner = {"type": WORD, "id": WORD, "role": WORD, "tool_use_id": WORD, "uri": WORD, WORD: WORD, "name": WORD}
    return {**inner, "type": kind, "resource": {**inner, "_meta": inner}, "annotations": inner, "content": [inner]}


def test_only_the_frame_of_a_conversation_keeps_its_ids() -> None:
    """What pairs a call with its result stays; what the server put into the result does not, under any key."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": f"toolu_{WORD}", "name": "t", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": f"toolu_{WORD}", "content": [hostile("text"), hostile(WORD)]},
        ]},
    ]  # fmt: skip
    call = Call(turn=0, tool="t", input={}, is_error=False, content=[hostile("resource_link"), hostile(WORD)])
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
def test_words_of_the_protocols_stay_where_they_mean_something(word: str) -> None:
    """A secret that is one of them is redacted in text, and breaks no block."""
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
