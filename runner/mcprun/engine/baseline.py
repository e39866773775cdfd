"""The baseline of a run: an earlier run to compare it with at its end (`engine/comparison.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mcprun._util.statistics import ALPHA
from mcprun.analysis.diff.runs import check
from mcprun.errors import UsageError
from mcprun.runs.baseline import read_baseline
from mcprun.runs.transcript_files import open_transcripts


@dataclass(frozen=True, slots=True)
class Baseline:
    """A run to compare with. `path` is absolute, `name` its path as the user knows it.

    `alpha` is the significance level of a change in the pass rate of a repeated query.
    """

    name: str
    path: Path
    alpha: float = ALPHA

    @classmethod
    def open(cls, name: str, alpha: float = ALPHA, *, routed: bool = False) -> Self:
        """Open a baseline of a run that is `routed` or not, and read it once.

        Raises `UsageError` if there is none, if it is damaged, or if it is of the other kind.
        """
        run = read_baseline(name)
        if routed and not run.record.route:
            raise UsageError(
                f"--baseline {name} is not a routed run, and can't be compared with one: leave out --route, or bless a"
                " run with --route as another baseline"
            )
        if run.record.route and not routed:
            raise UsageError(
                f"--baseline {name} is a routed run, which makes no calls: add --route to compare with it, or pass"
                " another baseline"
            )
        with open_transcripts(str(run.path)) as lines:
            check(lines, f"--baseline {name}")
        return cls(str(run.path), run.path.absolute(), alpha)
