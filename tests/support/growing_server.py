"""The source of a server whose list of tools differs between sessions, and that adds a tool when it is asked to."""

from __future__ import annotations

from tests.support.cli import stdlib_server

GROWING_SERVER = stdlib_server(
    '''
import os
from itertools import count
from pathlib import Path

server = StdlibServer("growing")
Path("starts").mkdir(exist_ok=True)
for number in count(1):
    try:
        Path("starts", str(number)).touch(exist_ok=False)
        break
    except FileExistsError:
        continue


def echo(text: str) -> str:
    """Return the text."""
    return text


def grow(ctx) -> str:
    """Add a tool, and announce it."""
    server.add_tool(echo, f"grown_{number}")
    ctx.tools_changed()
    return "grown"


def die(ctx) -> str:
    """End the process."""
    os._exit(1)


for function in (echo, grow, die):
    server.add_tool(function)
server.add_tool(echo, f"start_{number}")
server.run()
'''
)
"""The server lists `echo`, `grow`, `die` and, if it is the first that was started in its folder, `start_1`.

A call of `grow` adds `grown_1`. The folder `starts` holds a file for each start.
"""
