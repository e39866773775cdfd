"""Redaction: which texts are secrets, and where they are replaced."""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.client.server_log import ServerLog
from mcprun.client.target import HttpTarget, secrets_of
from mcprun.engine.ray.messages import EventBuffer
from mcprun.errors import REDACTED
from mcprun.runs.literal_patterns import shown_pattern, spells_out
from mcprun.runs.redaction import LEAST, Redactor
from mcprun.runs.stream_redaction import LineRedactor
from tests.support.examples import examples

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.text(min_size=LEAST, max_size=20).filter(lambda text: text not in REDACTED))
def test_secret_is_redacted_in_keys_and_values(value: Any, secret: str) -> None:
    """Keys, values and parts of them are redacted. Nothing else changes."""
    redactor = Redactor([secret])
    holder = {"a": [value, f"x{secret}y", {secret: json.dumps(secret)}]}
    assert all(secret not in string for string in find_strings(redactor.value(holder)))
    if all(redactor.text(string) is string for string in find_strings(value)):
        assert redactor.value(value) is value
        assert redactor.value(holder)["a"][1] == f"x{REDACTED}y"


def find_strings(value: Any) -> list[str]:
    """Return all strings of a JSON value."""
    if isinstance(value, dict):
        return [found for pair in value.items() for item in pair for found in find_strings(item)]
    if isinstance(value, list):
        return [found for item in value for found in find_strings(item)]
    return [value] if isinstance(value, str) else []


def test_short_value_is_not_a_secret() -> None:
    """Otherwise every `true` would be redacted."""
    assert Redactor(["true", "8080"]).text("true 8080") == "true 8080"


def test_each_line_of_a_secret_is_redacted() -> None:
    """A private key may be printed line by line."""
    redactor = Redactor(["-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----"])
    assert redactor.text("key: abcdefgh") == f"key: {REDACTED}"


@pytest.mark.parametrize("secret", ["abcdefgh\n", " abcdefgh", "  abcdefgh\n  ijklmnop\n"])
def test_surrounding_whitespace_is_not_part_of_a_secret(secret: str) -> None:
    """A secret read from a file ends with a newline, but is printed without it."""
    assert Redactor([secret]).text("key=abcdefgh.") == f"key={REDACTED}."


def test_parts_of_headers_are_secrets() -> None:
    """The decoded user and password of basic authentication and the values of cookies are redacted."""
    basic = b64encode(b"somebody:sekret:token").decode()
    for value in (f"Basic {basic}", f"basic  {basic} "):
        redactor = Redactor(secrets_of(HttpTarget("https://h/mcp", {"Authorization": value})))
        assert redactor.text(f"{basic} somebody sekret:token") == " ".join([REDACTED] * 3)
    cookie = HttpTarget("https://h/mcp", {"Cookie": "session=sekret==; theme=darkest"})
    assert Redactor(secrets_of(cookie)).text("no session sekret==") == f"no session {REDACTED}"


async def test_secret_split_across_writes_is_redacted(tmp_path: Path) -> None:
    """The secret is split on stderr, in a line that is longer than one read."""
    secret = "sup3r-s3cret-value"
    log = ServerLog(tmp_path / "server.log", Redactor([secret]), 1_000_000)
    with log.stderr() as stderr:
        for part in (b"x" * 60_000, b"y" * 5_530 + secret[:6].encode(), secret[6:].encode() + b"z" * 70_000, b" end"):
            os.write(stderr.writer, part[:60_000])
            stderr.read()
            os.write(stderr.writer, part[60_000:])
            stderr.read()
    text = (tmp_path / "server.log").read_text()
    assert (secret in text, text.count(REDACTED), text.endswith("z end")) == (False, 1, True)
    assert len(text) == 60_000 + 5_530 + len(REDACTED) + 70_000 + 4


PARTS = ("sécret", "hunter2\nhunter", "aaaaaa", "aaaab", "ter2\nh")
"""Secrets that are escaped in JSON and URLs, overlap, or span two lines."""

pieces = st.lists(st.sampled_from([*PARTS, "sé", "hunter2", "\n", "a", "xyz\n", "ü", "\U0001f600"]), max_size=12)


@given(st.sets(st.sampled_from(PARTS) | st.text("asxé\n", min_size=LEAST)), pieces, st.integers(0, 9), st.data())
def test_streamed_redaction_equals_redaction_of_the_text(
    secrets: set[str], parts: list[str], limit: int, data: st.DataObject
) -> None:
    """The output does not depend on how the text is split, and contains no secret."""
    redactor, text = Redactor(secrets), "".join(parts)
    lines, rest, written = LineRedactor(redactor, limit), text, ""
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        written += redactor.text(lines.take(rest[:size]))
        rest = rest[size:]
    written += redactor.text(lines.flush())
    assert written == redactor.text(text)
    assert not any(secret in written for secret in secrets if len(secret) >= LEAST)


@given(pieces, st.lists(st.integers(0, 3), max_size=12), st.data())
@settings(deadline=None, max_examples=examples(50))
def test_stderr_redaction_equals_redaction_of_the_text(
    parts: list[str], paddings: list[int], data: st.DataObject
) -> None:
    """A read may end within a character, and lines have any length."""
    redactor = Redactor(PARTS)
    text = "".join(part + "x" * 40_000 * times for part, times in zip(parts, [*paddings, *[0] * 12], strict=False))
    outbox = EventBuffer(redactor)

    async def write(rest: bytes) -> None:
        with outbox.log.stderr() as stderr:
            while rest:
                size = data.draw(st.integers(1, min(len(rest), 60_000)))
                os.write(stderr.writer, rest[:size])
                stderr.read()
                rest = rest[size:]

    asyncio.run(write(text.encode()))
    assert b"".join(outbox.pack().events).decode() == redactor.text(text)  # type: ignore[arg-type]  # all is text


LITERALS = [
    "hunter2", "1234", r"\bhunter2\b", r"s3cr3t\$word\.", "(?i)hunter2", "[Hh]unter2", "hunter2|sk-\\w+", "^(?:abc|hunter2)$",
    "pass(?:word)?", "((hunter2))", "(?P<x>hunter2)", "[.]hunter2", r"(?<=key: )hunter2", "a|b{2}|hunter2",
]  # fmt: skip

FORMS = [
    r"sk-\w+", "sk-ant-[a-z]+", r"hunter\d-[a-z]", "password=.*", "(sk|pk)-[0-9]{4}", "(?:customer|account)-\\d+", "[^ ]+@example[.]org",
    "(?:x1|(a+)+)$", "(a+)+$", "[a-f]{40}", "card-[0123456789]",
]  # fmt: skip


def test_literal_patterns_are_redacted() -> None:
    """A literal may be varied, anchored, grouped or one of several. A form has a character class or a repetition."""
    assert [pattern for pattern in [*LITERALS, *FORMS] if spells_out(pattern)] == LITERALS
    assert [shown_pattern(pattern) for pattern in ("hunter2", r"sk-\w+")] == [REDACTED, r"sk-\w+"]
