"""Hints at what a server that failed is missing: a variable of this shell, a module of another Python, another SDK."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mcprun.client.target import StdioTarget, Target
from mcprun.client.transports.process import bare_environment

_NAMED = 3
"""Maximum number of variables that a hint names."""

_NAME = re.compile(r"(?P<mark>[\'\"`$]|\$\{)?\b(?P<name>[A-Za-z_][A-Za-z0-9_]{2,99})\b")

_OF_SHELLS = frozenset({"PWD", "OLDPWD", "SHLVL", "LS_COLORS", "TERM_PROGRAM", "VIRTUAL_ENV", "PYTHONPATH"})
"""Variables that shells set by themselves. An error may contain their names for another reason."""

_IMPORT_ERROR = re.compile(r"^(?:ModuleNotFoundError|ImportError): ", re.MULTILINE)
"""The last line of a traceback of Python."""

_OLD_SDK = re.compile(
    r"^(?:AttributeError: 'Server' object has no attribute '(?:list|call|read|get|set|subscribe|unsubscribe|request"
    r"|progress|completion)\w*'|ImportError: cannot import name 'FastMCP' from 'mcp\.server'"
    r"|ModuleNotFoundError: No module named 'mcp\.server\.fastmcp)",
    re.MULTILINE,
)
"""How a server that uses version 1 of the MCP SDK fails with version 2."""


def hint(target: Target, stderr: str, errors: str = "") -> str:
    """Return what to do about a server that exited with this end of its stderr; empty if it names nothing known.

    `errors` are earlier lines of its stderr that name an exception, and may name a variable.
    """
    if not isinstance(target, StdioTarget):
        return ""
    if _OLD_SDK.search(stderr):
        return (
            "it was written for version 1 of the MCP SDK, and a later one is installed beside it: install 'mcp<2' there"
        )
    return _python_hint(target, stderr) or variables_hint(target, f"{errors}\n{stderr}")


def variables_hint(target: Target, text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return how to pass on the variables that a text names, and that are set here but not for the server."""
    if not isinstance(target, StdioTarget):
        return ""
    known = {*target.env, *bare_environment(), *_OF_SHELLS}
    found = dict.fromkeys(
        match["name"]
        for match in _NAME.finditer(text)
        if match["name"] in environment and match["name"] not in known and (match["mark"] or "_" in match["name"])
    )
    names = list(found)[:_NAMED]
    if not names:
        return ""
    verb = "is" if len(names) == 1 else "are"
    flags = " ".join(f"--env {name}" for name in names)
    return f"{' and '.join(names)} {verb} set in this shell, but servers get a clean environment: pass {flags}"


def _python_hint(target: StdioTarget, stderr: str) -> str:
    if not _IMPORT_ERROR.search(stderr) or "python" not in Path(target.command).name.lower():
        return ""
    is_file = target.label.lower().endswith(".py") and target.args[:1] == (target.label,)
    other = "another Python with --python" if is_file else "another Python in the command"
    return f"it was started with {target.command}: install the module there, or name {other}"
