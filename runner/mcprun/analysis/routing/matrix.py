"""Add up graded first turns: accuracy, precision and recall by tool, and which tools are taken for which. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mcprun._util.statistics import wilson

NONE, SEVERAL = "none", "several"
"""Labels of the confusion matrix for no tool and for more than one."""

Label = tuple[str, bool]
"""A row or column of the matrix: a tool, or if the second is false, `NONE` or `SEVERAL`."""


@dataclass(frozen=True, slots=True)
class RoutedTurn:
    """One graded first turn: the tools that were `expected` and those that were `called`, each once.

    `expected` is empty if no call was. `passed` is the grade, and `has_right_input` whether a call of an expected tool
    has the expected input.
    """

    expected: frozenset[str]
    called: frozenset[str]
    passed: bool
    has_right_input: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """`done` of `total`. `interval` is the 95 % confidence interval of the true share (Wilson score)."""

    done: int
    total: int

    @property
    def share(self) -> float | None:
        """The share, or None of nothing."""
        return self.done / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The confidence interval, or None of nothing."""
        return wilson(self.done, self.total) if self.total else None


@dataclass(frozen=True, slots=True)
class ToolRouting:
    """How one tool is routed to.

    `precision` is the share of the turns calling it in which it was expected; `recall` the share of the turns in which
    only it was expected that call it; `inputs` the share of these calls with the expected input.
    """

    tool: str
    precision: Rate
    recall: Rate
    inputs: Rate

    @property
    def rates(self) -> tuple[Rate, Rate, Rate]:
        """The precision, the recall, and the inputs."""
        return self.precision, self.recall, self.inputs


@dataclass(slots=True)
class RoutingMatrix:
    """Graded first turns, added up. `cells` counts them by the labels of the expected and the called tools."""

    cells: Counter[tuple[Label, Label]] = field(default_factory=Counter)
    graded: int = 0
    passed: int = 0
    _inputs: Counter[str] = field(default_factory=Counter)
    _called: Counter[str] = field(default_factory=Counter)
    _right: Counter[str] = field(default_factory=Counter)
    _expected: Counter[str] = field(default_factory=Counter)
    _found: Counter[str] = field(default_factory=Counter)

    def add(self, turn: RoutedTurn) -> None:
        """Add one graded turn."""
        self.graded += 1
        self.passed += turn.passed
        self.cells[label(turn.expected), label(turn.called)] += 1
        self._called.update(turn.called)
        self._right.update(turn.called & turn.expected)
        if len(turn.expected) == 1:
            (tool,) = turn.expected
            self._expected[tool] += 1
            self._found[tool] += tool in turn.called
            self._inputs[tool] += turn.has_right_input and tool in turn.called

    @property
    def accuracy(self) -> Rate:
        """The share of the turns that were graded as right."""
        return Rate(self.passed, self.graded)

    @property
    def inputs(self) -> Rate:
        """Of the turns that call the only expected tool, the share with the expected input."""
        return Rate(sum(self._inputs.values()), sum(self._found.values()))

    @property
    def tools(self) -> list[ToolRouting]:
        """The tools that were expected or called, by name."""
        names = sorted({*self._called, *self._expected})
        return [
            ToolRouting(
                name,
                Rate(self._right[name], self._called[name]),
                Rate(self._found[name], self._expected[name]),
                Rate(self._inputs[name], self._found[name]),
            )
            for name in names
        ]

    @property
    def rows(self) -> list[Label]:
        """The labels of what was expected: tools by name, then `several` and `none`."""
        return sorted({row for row, _ in self.cells}, key=_order)

    @property
    def columns(self) -> list[Label]:
        """The labels of what was called, in the same order."""
        return sorted({column for _, column in self.cells}, key=_order)

    @property
    def confusions(self) -> list[tuple[Label, Label, int]]:
        """The cells in which another tool was called than expected, largest first."""
        wrong = [(row, column, count) for (row, column), count in self.cells.items() if row != column]
        return sorted(wrong, key=lambda one: (-one[2], _order(one[0]), _order(one[1])))


def label(tools: frozenset[str]) -> Label:
    """Return the label of a set of tools."""
    if len(tools) == 1:
        return next(iter(tools)), True
    return (SEVERAL if tools else NONE), False


def matrix_of(turns: Iterable[RoutedTurn]) -> RoutingMatrix:
    """Return the matrix of some turns."""
    matrix = RoutingMatrix()
    for turn in turns:
        matrix.add(turn)
    return matrix


def mcnemar_table(before: Mapping[tuple[str, int], bool], after: Mapping[tuple[str, int], bool]) -> tuple[int, int]:
    """Return how many queries (id and repeat) of both runs became right, and how many became wrong."""
    shared = before.keys() & after.keys()
    return (
        sum(after[key] and not before[key] for key in shared),
        sum(before[key] and not after[key] for key in shared),
    )


def _order(label: Label) -> tuple[bool, bool, str]:
    name, is_tool = label
    return not is_tool, name == NONE, name
