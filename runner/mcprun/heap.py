"""How Python looks for garbage while a run goes on: not again and again in what lives as long as the process.

The SDKs' modules are hundreds of thousands of objects, and conversations in flight are thousands that are still needed
when the collector comes by. What is not part of a cycle is freed at once, with or without it.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG, _SHARED = 100_000, 5_000
"""New objects after which the collector looks at them (Python's own: 700): next to nothing of ours is part of a cycle,
and an SDK's server in this process makes cycles with its calls."""


@contextmanager
def growing() -> Iterator[None]:
    """Keep the collector away while modules are imported, which make many objects and no garbage.

    Afterwards it leaves alone what there is, until a `settled` ends: else it would look through all of it at once.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()


@contextmanager
def settled(*, is_shared: bool = False) -> Iterator[None]:
    """Keep the collector away from all that is there already, and let it come less often; undone at the end.

    It comes sooner where the process `is_shared` with a server.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(max(_SHARED if is_shared else _YOUNG, before[0]) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def leave_all_at_exit() -> None:
    """Have nothing looked through when the process ends, which Python else does: with the SDKs, a third of a second.

    All of it goes with the process, and what is to be closed has been closed before.
    """
    atexit.register(gc.freeze)
