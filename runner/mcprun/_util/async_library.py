"""Name the running event loop to anyio, which otherwise looks for it several times per request."""

from __future__ import annotations


def name_asyncio() -> None:
    """Name asyncio as the async library of this context, and of the tasks that are created in it, as `anyio.run` does.

    Without a name, `sniffio` asks asyncio for the current task each time. Without `sniffio`, anyio assumes asyncio.
    """
    try:
        from sniffio import current_async_library_cvar
    except ImportError:
        return
    current_async_library_cvar.set("asyncio")
