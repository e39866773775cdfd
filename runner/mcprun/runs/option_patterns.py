"""Replace matches of the regular expressions of `--redact` and `--scrub`, each within a time limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

from mcprun._util.quoted_pattern import quote_pattern
from mcprun.errors import REDACTED, UsageError
from mcprun.evaluation import evaluator
from mcprun.evaluation.evaluator import EvaluationError
from mcprun.evaluation.patterns import compile_pattern
from mcprun.runs.literal_patterns import shown_pattern
from mcprun.runs.record_base import Record


class RedactPatterns:
    """The patterns of `--redact`. A text is redacted as a whole if matching a pattern against it times out.

    `warnings` names each such pattern once, with matches of the other patterns redacted. A pattern might match its own
    warning, so the caller emits the warnings unchanged, and clears the list.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = tuple(checked_pattern("--redact", pattern) for pattern in patterns)
        self.warnings: list[str] = []
        self._late: set[str] = set()
        self._clean: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def redact(self, text: str) -> str:
        """Replace all matches in a text. Return the same object if there are none."""
        if not self._patterns or text in self._clean:
            return text
        try:
            if not evaluator.any_match(self._patterns, [text]):
                return text
        except EvaluationError:
            pass  # the loop below finds the pattern that times out
        for pattern in self._patterns:
            try:
                text = evaluator.replace(pattern, REDACTED, text)
            except EvaluationError:
                self._note(pattern)
                return REDACTED
        return text

    def spans(self, text: str) -> list[list[tuple[int, int]]]:
        """Return a list of matches' spans per pattern. If a pattern times out, `redact` redacts the whole text."""
        found: list[list[tuple[int, int]]] = []
        for pattern in self._patterns:
            try:
                found.append(evaluator.spans(pattern, text))
            except EvaluationError:
                self._note(pattern)
        return found

    def prefetch(self, value: Any) -> None:
        """Match all strings of a value in one job. If none matches, `redact` need not match them one by one."""
        texts = frozenset(_strings(value)) - self._clean if self._patterns else ()
        try:
            if texts and not evaluator.any_match(self._patterns, list(texts)):
                self._clean = frozenset(texts)
        except EvaluationError:
            pass  # `redact` finds the pattern that times out

    def _note(self, pattern: str) -> None:
        if pattern not in self._late:
            self._late.add(pattern)
            self.warnings.append(
                f"--redact {self._shown(pattern)!r} took too long to match; the texts concerned are redacted as a whole"
            )

    def _shown(self, pattern: str) -> str:
        """Return a pattern, redacted by the other patterns. If that changes it, append its position in the list."""
        shown = shown_pattern(pattern)
        for other in self._patterns:
            if other not in self._late:
                with suppress(EvaluationError):
                    shown = evaluator.replace(other, REDACTED, shown)
        place = f"{self._patterns.index(pattern) + 1} of {len(self._patterns)}"
        return shown if REDACTED not in shown else f"{shown} ({place})"


def scrub(pattern: str, replacement: str, text: str) -> str:
    """Replace matches of a `--scrub` pattern. Return the text unchanged if that times out."""
    try:
        return evaluator.replace(pattern, replacement, text)
    except EvaluationError:
        return text


def late_scrubs(patterns: Sequence[str]) -> list[str]:
    """Return a warning for each pattern of `--scrub` that has timed out in this process."""
    late = evaluator.timed_out()
    how = f"took longer than {evaluator.MATCH_SECONDS:g} s to match; the values concerned were left unchanged"
    return [f"--scrub {quote_pattern(pattern)} {how}" for pattern in patterns if late[pattern]]


def checked_pattern(flag: str, pattern: str) -> str:
    """Return the pattern of an option. Raises `UsageError` if it is invalid or matches the empty text.

    The message does not repeat a pattern of `--redact`, which may itself be a secret.
    """
    try:
        compile_pattern(pattern)
        is_everywhere = evaluator.search(pattern, "") is not None
    except ValueError as error:
        position = getattr(error.__context__, "pos", None)
        if flag != "--redact":
            raise UsageError(f"{flag}: {error}") from None
        place = "" if position is None else f" at position {position}"
        raise UsageError(f"{flag}: invalid regular expression{place}") from None
    except EvaluationError:
        raise UsageError(f"{flag}: a regular expression takes too long to match the empty string") from None
    if is_everywhere:
        raise UsageError(f"{flag}: a regular expression matches the empty string, so it would match everywhere")
    return pattern


def _strings(value: Any) -> Iterator[str]:
    """Yield all strings of a JSON value, record or event."""
    todo = [value]
    while todo:
        part = todo.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, Mapping):
            todo += part
            todo += part.values()
        elif isinstance(part, list | tuple):
            todo += part
        elif isinstance(part, Record):
            todo += part.__dict__.values()
        elif is_dataclass(part) and not isinstance(part, type):
            todo += [getattr(part, one.name) for one in fields(part)]
