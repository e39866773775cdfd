"""Parse the workflow commands and outputs of a GitHub Actions step as the runner does."""

from __future__ import annotations

import re


def outputs_of(text: str) -> dict[str, str]:
    """Read the outputs of a step as the runner does (`FileCommandManager.cs`): `NAME=VALUE`, or lines in delimiters."""
    outputs: dict[str, str] = {}
    lines = iter(text.removesuffix("\n").split("\n") if text else ())
    for line in lines:
        parts = re.fullmatch(r"(.*?)(=|<<)(.*)", line, re.DOTALL)
        assert parts, f"no output: {line!r}"
        name, mark, value = parts.groups()
        outputs[name] = value if mark == "=" else "\n".join(iter(lines.__next__, value))
    return outputs


def unescaped(text: str) -> str:
    """Read a value as the runner does."""
    for code, mark in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, mark)
    return text


def taken(line: str) -> tuple[str, dict[str, str], str] | None:
    """Take a line for a command as the runner does: what it is called, its properties, its data."""
    if found := re.match(r"\s*::([\w-]+)(?: (.*?))?::(.*)", line):
        pairs = (pair.split("=", 1) for pair in (found[2] or "").split(",") if "=" in pair)
        return found[1], {name: unescaped(value) for name, value in pairs}, unescaped(found[3])
    if found := re.search(r"##\[([\w-]+)(?: (.*?))?\](.*)", line):
        return found[1], {}, found[3]
    return None


def found(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Find the commands that a log holds."""
    return [command for line in re.split("[\r\n]", text) if (command := taken(line))]
