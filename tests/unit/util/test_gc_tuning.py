"""Garbage collection is tuned during a run and left as it was."""

from __future__ import annotations

import gc
from contextlib import ExitStack

import pytest

from mcprun._util.gc_tuning import gc_paused, gc_tuned_for_run


def test_a_run_that_ends_leaves_the_collector_as_it_was() -> None:
    """What was there is left alone while the context lasts, also when it ends with an error."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()

    def fail() -> None:
        with gc_tuned_for_run():
            assert gc.get_freeze_count() > frozen
            assert gc.get_threshold()[0] > before[0]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_a_process_that_is_shared_is_looked_through_more_often() -> None:
    """A server in the same process makes garbage of its own, which must not pile up as long."""
    with gc_tuned_for_run():
        alone = gc.get_threshold()[0]
    with gc_tuned_for_run(is_shared=True):
        assert 700 < gc.get_threshold()[0] < alone


def test_the_last_run_that_ends_leaves_the_collector_as_it_was() -> None:
    """Whichever began first; until then what is there is left alone, and whoever needs it sooner has it so."""
    before = gc.get_threshold()
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(gc_tuned_for_run())
        alone = gc.get_threshold()
        with gc_tuned_for_run():
            pass
        assert gc.get_threshold() == alone
        assert gc.get_freeze_count() > 0
        second.enter_context(gc_tuned_for_run(is_shared=True))
        assert gc.get_threshold() < alone
        first.close()
        assert before < gc.get_threshold() < alone
        assert gc.get_freeze_count() > 0
        second.close()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_a_run_beside_others_keeps_nothing_more_from_the_collector() -> None:
    """Where there is always one that goes on, what was garbage when another began would never be freed."""
    with gc_tuned_for_run():
        frozen = gc.get_freeze_count()
        with gc_tuned_for_run(), gc_paused():
            assert not gc.isenabled()
        assert gc.get_freeze_count() == frozen
        with gc_paused():
            made: list[list[int]] = [[] for _ in range(1000)]
        assert gc.get_freeze_count() > frozen + len(made) / 2


def test_importing_leaves_the_collector_as_it_was() -> None:
    """It is off within, on again afterwards, and stays off for those who had it off; it has nothing to catch up on."""
    with gc_paused():
        assert not gc.isenabled()
        with gc_paused():
            pass
        assert not gc.isenabled()
        made: list[list[int]] = [[] for _ in range(10 * gc.get_threshold()[0])]
    assert gc.isenabled()
    assert gc.get_freeze_count() > len(made)
    with gc_tuned_for_run():
        pass
    assert gc.get_freeze_count() == 0
