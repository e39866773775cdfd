"""Write the path of a value in JSON: `items[0].name`, `["odd key"].name`. `--ignore` reads the same form. Pure."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"""[^.\[\]*"]+""")
"""Keys that need no quotes."""


def child_path(path: str, step: str | int) -> str:
    """Return the path of a member of the value at `path`: `step` is its key or its index. The root's path is empty."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if not _PLAIN.fullmatch(step):
        quoted = re.sub(r'(["\\])', r"\\\1", step)
        return f'{path}["{quoted}"]'
    return f"{path}.{step}" if path else step
