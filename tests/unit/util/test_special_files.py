"""Pipes without a writer, and files of the operating system."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mcprun._util import special_files
from mcprun._util.special_files import refuse_to_replace
from mcprun.client.server_argument import parse_target
from mcprun.client.target import variables_of
from mcprun.errors import UsageError
from mcprun.prompts.file import read_prompts
from tests.support.special_files import place


@pytest.fixture
def short_pipe_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time limit for a pipe without a writer."""
    monkeypatch.setattr(special_files, "PIPE_SECONDS", 0.05)


@pytest.mark.parametrize("read", [read_prompts, parse_target, variables_of])
@pytest.mark.usefixtures("short_pipe_timeout")
def test_pipe_without_a_writer_is_an_error(tmp_path: Path, read: Callable[[str], object]) -> None:
    """The message names the pipe, and no waiting thread is left."""
    place("a pipe", tmp_path / "p.json")
    before = threading.active_count()
    with pytest.raises(UsageError, match=r"p\.json is a pipe that no process writes to$"):
        read(str(tmp_path / "p.json"))
    assert before == threading.active_count()


def test_system_files_are_not_replaced() -> None:
    """Files in `/dev` and `/proc` are refused, even if the user may replace them or stdout is a regular file."""
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/null", "/dev/new"):
        with pytest.raises(UsageError, match=f"^can.t create {name}: "):
            refuse_to_replace(Path(name))
    refuse_to_replace(Path("/dev/shm/new"))
