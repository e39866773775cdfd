"""Redaction: which texts are secrets, and where they are found."""

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
from mcprun.runs.redaction import LEAST, Redactor
from mcprun.runs.spelt_patterns import shown_pattern, spells_out
from mcprun.runs.stream_redaction import LineRedactor
from tests.support.examples import examples

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.text(min_size=LEAST, max_size=20).filter(lambda text: text not in REDACTED))
def test_no_text_of_a_value_holds_a_secret(value: Any, secret: str) -> None:
    """Wherever a secret stands, as key or value or part of one, it does not afterwards; nothing else changes."""
    redactor = Redactor([secret])
    holder = {"a": [value, f"x{secret}y", {secret: json.dumps(secret)}]}
    assert all(secret not in string for string in strings(redactor.value(holder)))
    if all(redactor.text(string) is string for string in strings(value)):
        assert redactor.value(value) is value
        assert redactor.value(holder)["a"][1] == f"x{REDACTED}y"


def strings(value: Any) -> list[str]:
    """Find all strings of a JSON value."""
    if isinstance(value, dict):
        return [found for pair in value.items() for item in pair for found in strings(item)]
    if isinstance(value, list):
        return [found for item in value for found in strings(item)]
    return [value] if isinstance(value, str) else []


def test_what_is_short_is_no_secret() -> None:
    """`true` as the value of a variable must not blacken every `true`."""
    assert Redactor(["true", "8080"]).text("true 8080") == "true 8080"


def test_a_secret_of_several_lines_is_found_line_by_line() -> None:
    """A private key is printed a line at a time."""
    redactor = Redactor(["-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----"])
    assert redactor.text("key: abcdefgh") == f"key: {REDACTED}"


@pytest.mark.parametrize("secret", ["abcdefgh\n", " abcdefgh", "  abcdefgh\n  ijklmnop\n"])
def test_the_space_around_a_secret_is_none_of_it(secret: str) -> None:
    """What was read from a file ends with a newline, and is printed without."""
    assert Redactor([secret]).text("key=abcdefgh.") == f"key={REDACTED}."


def test_what_headers_are_made_of_is_secret() -> None:
    """Who decodes a user and password, or takes a cookie apart, does not get it shown either."""
    basic = b64encode(b"somebody:sekret:token").decode()
    for value in (f"Basic {basic}", f"basic  {basic} "):
        redactor = Redactor(secrets_of(HttpTarget("https://h/mcp", {"Authorization": value})))
        assert redactor.text(f"{basic} somebody sekret:token") == " ".join([REDACTED] * 3)
    cookie = HttpTarget("https://h/mcp", {"Cookie": "session=sekret==; theme=darkest"})
    assert Redactor(secrets_of(cookie)).text("no session sekret==") == f"no session {REDACTED}"


async def test_a_secret_that_is_written_in_two_parts(tmp_path: Path) -> None:
    """On stderr, within a line that is longer than what is read at once."""
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
"""Secrets that JSON and URLs write differently, that lie over each other, and that go over two lines; and none."""

pieces = st.lists(st.sampled_from([*PARTS, "sé", "hunter2", "\n", "a", "xyz\n", "ü", "\U0001f600"]), max_size=12)


@given(st.sets(st.sampled_from(PARTS) | st.text("asxé\n", min_size=LEAST)), pieces, st.integers(0, 9), st.data())
def test_no_cut_parts_a_secret(secrets: set[str], parts: list[str], limit: int, data: st.DataObject) -> None:
    """Whatever comes in which pieces, what is written part by part is what the whole is cleaned to: no secret, and
    all of the rest."""
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
def test_no_read_parts_a_secret(parts: list[str], long: list[int], data: st.DataObject) -> None:
    """The same of a server's stderr: bytes, of which a read may end within a character, and lines of any length."""
    redactor = Redactor(PARTS)
    text = "".join(part + "x" * 40_000 * times for part, times in zip(parts, [*long, *[0] * 12], strict=False))
    outbox = EventBuffer(redactor)

    async def say(left: bytes) -> None:
        with outbox.log.stderr() as stderr:
            while left:
                size = data.draw(st.integers(1, min(len(left), 60_000)))
                os.write(stderr.writer, left[:size])
                stderr.read()
                left = left[size:]

    asyncio.run(say(text.encode()))
    assert b"".join(outbox.pack().events).decode() == redactor.text(text)  # type: ignore[arg-type]  # all is text


SPELT_OUT = [
    "hunter2", "1234", r"\bhunter2\b", r"s3cr3t\$word\.", "(?i)hunter2", "[Hh]unter2", "hunter2|sk-\\w+", "^(?:abc|hunter2)$",
    "pass(?:word)?", "((hunter2))", "(?P<x>hunter2)", "[.]hunter2", r"(?<=key: )hunter2", "a|b{2}|hunter2",
]  # fmt: skip

FORMS = [
    r"sk-\w+", "sk-ant-[a-z]+", r"hunter\d-[a-z]", "password=.*", "(sk|pk)-[0-9]{4}", "(?:customer|account)-\\d+", "[^ ]+@example[.]org",
    "(?:x1|(a+)+)$", "(a+)+$", "[a-f]{40}", "card-[0123456789]",
]  # fmt: skip


def test_patterns_that_spell_out_a_value_are_told_from_forms() -> None:
    """A value may be varied, anchored, grouped, or one of several; a form holds a class or a repetition."""
    assert [pattern for pattern in [*SPELT_OUT, *FORMS] if spells_out(pattern)] == SPELT_OUT
    assert [shown_pattern(pattern) for pattern in ("hunter2", r"sk-\w+")] == [REDACTED, r"sk-\w+"]
