"""Name the running event loop to anyio, which otherwise looks for it several times per request.

`anyio.run` does the same. Without it, `sniffio` asks asyncio for the current task each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def asyncio_named() -> Iterator[None]:
    """Name asyncio as the async library of this task and of the tasks that it creates in the context."""
    try:
        from sniffio import current_async_library_cvar
    except ImportError:  # anyio then assumes asyncio
        yield
        return
    token = current_async_library_cvar.set("asyncio")
    try:
        yield
    finally:
        current_async_library_cvar.reset(token)
