"""Parse the workflow commands and outputs of a GitHub Actions step as the runner does."""

from __future__ import annotations

import re


def outputs_of(text: str) -> dict[str, str]:
    """Parse a step's output file as the runner does (`FileCommandManager.cs`).

    An output is `NAME=VALUE`, or `NAME<<DELIMITER`, the lines of the value, and the delimiter.
    """
    outputs: dict[str, str] = {}
    lines = iter(text.removesuffix("\n").split("\n") if text else ())
    for line in lines:
        parts = re.fullmatch(r"(.*?)(=|<<)(.*)", line, re.DOTALL)
        assert parts, f"not an output: {line!r}"
        name, mark, value = parts.groups()
        outputs[name] = value if mark == "=" else "\n".join(iter(lines.__next__, value))
    return outputs


def unescaped(text: str) -> str:
    """Decode the percent-encoded characters of a value."""
    for code, mark in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, mark)
    return text


def taken(line: str) -> tuple[str, dict[str, str], str] | None:
    """Parse a line as a workflow command: its name, properties and data. None if it is not a command."""
    if match := re.match(r"\s*::([\w-]+)(?: (.*?))?::(.*)", line):
        pairs = (pair.split("=", 1) for pair in (match[2] or "").split(",") if "=" in pair)
        return match[1], {name: unescaped(value) for name, value in pairs}, unescaped(match[3])
    if match := re.search(r"##\[([\w-]+)(?: (.*?))?\](.*)", line):
        return match[1], {}, match[3]
    return None


def found(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Return the workflow commands in a log."""
    return [command for line in re.split("[\r\n]", text) if (command := taken(line))]
