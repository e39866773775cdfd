"""Add up the graded first turns of a routed run. Pure, except that it reads a run directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from mcprun.analysis.routing.definitions import DefinitionTokens, definitions_of
from mcprun.analysis.routing.matrix import RoutedTurn, RoutingMatrix
from mcprun.checks.expect import Expect, ExpectedCall
from mcprun.checks.route import expected_first, has_right_input
from mcprun.errors import UsageError
from mcprun.evaluation.evaluator import EvaluationError
from mcprun.prompts.names import CONVERSATION, UNIQUE, unique_text, with_values
from mcprun.runs.run import Run
from mcprun.runs.run_record import RunRecord
from mcprun.runs.transcript import Transcript, Verdict

_UNUSED = ("text", "judge", "max_calls", "max_turns", "max_seconds", "max_output_tokens")
_UNUSED_OF_CALL = ("result", "is_error")
"""Expectations, and expectations of a call, that a first turn can't meet or fail."""


@dataclass(slots=True)
class Routing:
    """The routing of a run: the `matrix` of its graded turns, and how many queries are `ungraded` or ended in `errors`.

    `unused` counts the queries by expectation that a first turn can't meet or fail, such as `text`. `definitions` is
    what the definitions of the tools cost.
    """

    matrix: RoutingMatrix = field(default_factory=RoutingMatrix)
    ungraded: int = 0
    errors: int = 0
    unused: Counter[str] = field(default_factory=Counter)
    definitions: DefinitionTokens = field(default_factory=DefinitionTokens)

    def add(self, transcript: Transcript) -> None:
        """Add the first turn of a query."""
        if transcript.routed is not None:
            self.definitions.add(transcript)
        if transcript.is_ungraded:
            self.ungraded += 1
        elif transcript.error or transcript.routed is None:
            self.errors += transcript.verdict is not Verdict.SKIPPED
        elif turn := routed_turn(transcript):
            self.matrix.add(turn)
            self.unused.update(unused(transcript))


def measure_routing(run: Run) -> Routing:
    """Return the routing of a routed run. Raises `UsageError` if it is not routed, or can't be read."""
    if run.record.route is None:
        raise UsageError(f"{run.path} is not a routed run: make one with mcprun batch --route")
    return routing_of(run.transcripts(), run.record)


def routing_of(transcripts: Iterable[Transcript], record: RunRecord | None = None) -> Routing:
    """Return the routing of some transcripts. Without the `record` of their run, definitions of tools have no cost."""
    routing = Routing(definitions=definitions_of(record) if record else DefinitionTokens())
    for transcript in transcripts:
        routing.add(transcript)
    return routing


def routed_turn(transcript: Transcript) -> RoutedTurn | None:
    """Return the graded first turn of a transcript; None if what it expected was redacted beyond recognition."""
    expect = _expect(transcript)
    if expect is None:
        return None
    expected, called = expected_first(expect), transcript.routed or []
    return RoutedTurn(
        expected=frozenset(call.tool for call in expected),
        called=frozenset(call.tool for call in called),
        passed=transcript.verdict is Verdict.PASSED,
        has_right_input=bool(expected) and _has_right_input(expect, transcript),
    )


def expected_calls(transcript: Transcript) -> Sequence[ExpectedCall] | None:
    """Return the calls that a first turn may make, as `expected_first`; None if they can't be read any more."""
    expect = _expect(transcript)
    return None if expect is None else expected_first(expect)


def _expect(transcript: Transcript) -> Expect | None:
    """Return the expectations of a query with its names replaced; None if they were redacted beyond recognition."""
    names = {UNIQUE: unique_text(transcript.id, transcript.repeat), **transcript.vars}
    written = with_values({"expect": transcript.expect}, CONVERSATION, names)["expect"]
    try:
        return Expect.model_validate(written)
    except ValidationError:
        return None


def _has_right_input(expect: Expect, transcript: Transcript) -> bool:
    """Return whether a call matches an expected one. Matchers are evaluated only if the grade does not answer it."""
    if any(check.check == "route" and check.passed for check in transcript.checks):
        return True
    if expect.match == "in_order":
        return False
    try:
        return has_right_input(expected_first(expect), transcript.routed or [])
    except EvaluationError:
        return False


def unused(transcript: Transcript) -> Iterator[str]:
    """Yield the expectations of a query that a first turn can't meet or fail, each once."""
    yield from (name for name in _UNUSED if name in transcript.expect)
    calls = transcript.expect.get("calls") or []
    yield from (name for name in _UNUSED_OF_CALL if any(name in call for call in calls))
