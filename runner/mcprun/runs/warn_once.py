"""Emit a warning at most once in a run, however often its cause occurs."""

from __future__ import annotations

from collections.abc import Callable

from mcprun.runs.events import Emit, WarningEvent

Warn = Callable[[str, str], None]
"""Emits a warning, given a key and a message, unless one with the same key was emitted before."""


class WarnOnce:
    """Passes the first warning of each key to `emit`, and drops later ones."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._keys: set[str] = set()

    def __call__(self, key: str, message: str) -> None:
        """Emit `message`, unless a warning with this key was emitted before."""
        if key not in self._keys:
            self._keys.add(key)
            self._emit(WarningEvent(message=message))


def drop_warning(key: str, message: str) -> None:
    """Ignore a warning. A `Warn` for use outside of a run."""
