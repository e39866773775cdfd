"""The event loop is named to anyio in the tasks of a run and nowhere else."""

from __future__ import annotations

from contextvars import copy_context

import pytest

from mcprun._util.async_library import name_asyncio

sniffio = pytest.importorskip("sniffio")


def test_asyncio_is_named_only_within_the_context() -> None:
    """Code outside of the run's tasks has to find its own library."""
    context = copy_context()
    context.run(name_asyncio)
    assert context.run(sniffio.current_async_library) == "asyncio"
    with pytest.raises(sniffio.AsyncLibraryNotFoundError):
        sniffio.current_async_library()
