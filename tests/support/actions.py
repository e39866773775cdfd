"""The files by which a step of GitHub Actions hands something to its runner."""

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
