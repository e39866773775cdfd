"""Write the path of a value in JSON: `items[0].name`, `["odd key"].name`. `--ignore` reads the same form. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PLAIN_KEY = re.compile(r"""[^.\[\]*"]+""")
"""A key that needs no quotes. Look-alikes, such as `é` in two normal forms, are written alike."""


@dataclass(frozen=True, slots=True)
class OfTool:
    """A step to each call of one tool in a list of calls, written as `[tool=NAME]`."""

    tool: str


Step = str | int | None | OfTool
"""A key, an index, the calls of a tool, or `None` for any single key or index. `**` stands for any number of steps."""


def child_path(path: str, step: Step) -> str:
    """Return the path of a member of the value at `path`: `step` is its key or its index. The root's path is empty."""
    if step is None:
        return f"{path}[*]"
    if isinstance(step, int):
        return f"{path}[{step}]"
    if isinstance(step, OfTool):
        name = step.tool if _PLAIN_KEY.fullmatch(step.tool) else f'"{_quoted(step.tool)}"'
        return f"{path}[tool={name}]"
    if not _PLAIN_KEY.fullmatch(step):
        return f'{path}["{_quoted(step)}"]'
    return f"{path}.{step}" if path else step


def format_path(steps: Iterable[Step]) -> str:
    """Return the path that these steps lead to: `calls[*].result.id`."""
    path = ""
    for step in steps:
        path = (f"{path}.**" if path else "**") if step == "**" else child_path(path, step)
    return path


def _quoted(key: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", key)
