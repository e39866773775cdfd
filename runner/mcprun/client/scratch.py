"""Scratch folders: a new working folder for each server, where it finds no files of earlier runs, and leaves none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mcprun.client.target import StdioTarget

SAMPLES = {
    "README.md": "# Example\n\nA file to read.\n",
    "example.txt": "first line\nsecond line\n",
}
"""The files of a new scratch folder, so that tools that read files find some."""


@contextmanager
def scratch_folder(target: StdioTarget) -> Iterator[StdioTarget]:
    """Yield the target to start: in a new folder with `SAMPLES`, deleted on exit, if it asks for one."""
    if not target.scratch:
        yield target
        return
    with tempfile.TemporaryDirectory(prefix="mcprun-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        for file, text in SAMPLES.items():
            (folder / file).write_text(text, encoding="utf-8", newline="\n")
        yield replace(target, cwd=str(folder))
