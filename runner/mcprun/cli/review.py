"""Ask about each difference between a baseline and a run: which of them to accept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from mcprun.analysis.diff.runs import QueryDiff
from mcprun.runs.baseline import Selection
from mcprun.tools.changes import ToolChange

HELP = """\
y  accept this change
n  keep the baseline's
a  accept this change and all that follow
q  stop: keep the baseline's for this change and all that follow
"""

_ANSWERS = {"y": "y", "yes": "y", "n": "n", "no": "n", "a": "a", "all": "a", "q": "q", "quit": "q"}


@dataclass(slots=True)
class Review:
    """Asks about differences one by one, and collects the answers.

    `show` prints a difference and `print_line` a line. `ask` returns the answer to a question, or None at the end of
    the input, which counts as `q`. Queries in `unfit` ended in an error or were skipped, and are not asked about.
    """

    show: Callable[[QueryDiff | Sequence[ToolChange]], None]
    print_line: Callable[[str], None]
    ask: Callable[[str], str | None]
    unfit: Collection[str] = frozenset()
    take: dict[str, str] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)
    kept: int = 0
    tools: bool = False
    _rest: str = ""

    def differences(self, diffs: Iterable[QueryDiff], tools: Sequence[ToolChange]) -> None:
        """Show each difference and ask whether to accept it; the changes of the server's tools come last."""
        for diff in diffs:
            self.show(diff)
            if diff.id in self.unfit:
                self.print_line("  kept: it ended in an error or was skipped in this run; --force accepts it")
                self.kept += 1
            elif not self._accepts(_QUESTIONS[diff.how]):
                self.kept += 1
            elif diff.how == "removed":
                self.drop.append(diff.id)
            else:
                self.take[diff.id] = diff.how
        if tools:
            self.show(tools)
            self.tools = self._accepts("Accept the tools of this run")
            self.kept += not self.tools

    @property
    def selection(self) -> Selection:
        """What was accepted."""
        return Selection(frozenset(self.take), frozenset(self.drop), self.tools)

    def summary(self) -> str:
        """Return what was accepted: `2 changed, 1 added, the tools; kept 3`."""
        hows = list(self.take.values())
        parts = [f"{count:,} {how}" for how in ("changed", "added") if (count := hows.count(how))]
        parts += [f"{len(self.drop):,} removed"] if self.drop else []
        parts += ["the tools"] if self.tools else []
        text = f"accepted {', '.join(parts)}" if parts else "accepted nothing"
        return f"{text}; kept {self.kept:,}" if self.kept else text

    def _accepts(self, question: str) -> bool:
        """Ask until there is an answer, unless an earlier one covers all that follow."""
        while not self._rest:
            answer = self.ask(f"{question}? [y, n, a, q, ?] ")
            match "q" if answer is None else _ANSWERS.get(answer.strip().lower()):
                case "y":
                    return True
                case "n":
                    return False
                case "a" | "q" as rest:
                    self._rest = rest
                case _:
                    self.print_line(HELP)
        return self._rest == "a"


_QUESTIONS = {
    "changed": "Accept this change",
    "added": "Add this query to the baseline",
    "removed": "Remove this query from the baseline",
}
