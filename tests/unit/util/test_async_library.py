"""anyio is told which event loop runs, in a run and nowhere else."""

from __future__ import annotations

import pytest

from mcprun._util.async_library import asyncio_named

sniffio = pytest.importorskip("sniffio")


def test_asyncio_is_named_only_within_the_context() -> None:
    """Code of another library that runs afterwards has to find its own loop."""
    with asyncio_named():
        assert sniffio.current_async_library() == "asyncio"
    with pytest.raises(sniffio.AsyncLibraryNotFoundError):
        sniffio.current_async_library()
