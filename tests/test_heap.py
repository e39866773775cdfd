"""When Python looks for garbage, and that nothing of it is left behind."""

from __future__ import annotations

import gc

import pytest

from mcprun.heap import growing, settled


def test_a_run_that_ends_leaves_the_collector_as_it_was() -> None:
    """What was there is left alone while the context lasts, also when it ends with an error."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()

    def fail() -> None:
        with settled():
            assert gc.get_freeze_count() > frozen
            assert gc.get_threshold()[0] > before[0]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_importing_leaves_the_collector_as_it_was() -> None:
    """It is off within, on again afterwards, and stays off for those who had it off."""
    with growing():
        assert not gc.isenabled()
        with growing():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
