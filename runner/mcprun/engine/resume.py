"""Decide what a resumed run keeps, and check that its prompts and rules are unchanged. Reads the run directory only."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from mcprun._util.json_value import JsonObject
from mcprun._version import __version__
from mcprun.engine.verdict_rules import changed_rule
from mcprun.errors import UsageError
from mcprun.prompts.file import PromptsFile
from mcprun.prompts.verified_file import VerifiedFile
from mcprun.runs.run import Run
from mcprun.runs.transcript import TranscriptSummary, Verdict


@dataclass(frozen=True, slots=True)
class Difference:
    """How the queries of a prompts file differ from those a run was started with, by id."""

    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    is_reordered: bool = False

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> Self:
        """Compare two ordered mappings of query ids to digests."""
        return cls(
            changed=tuple(name for name in after if name in before and before[name] != after[name]),
            added=tuple(name for name in after if name not in before),
            removed=tuple(name for name in before if name not in after),
            is_reordered=[name for name in before if name in after] != [name for name in after if name in before],
        )

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed or self.is_reordered)

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {how} ({_first_names(names)})"
            for how, names in (("changed", self.changed), ("added", self.added), ("removed", self.removed))
            if names
        ]
        if self.is_reordered:
            parts.append("queries reordered")
        return ", ".join(parts)


@dataclass(frozen=True)
class Resume:
    """A run to resume.

    Attributes:
        run: The run.
        retry_errors: Whether to run queries again that ended in an error.
        force: Whether the prompts and rules may differ from those it was started with. Queries that no longer match
            are dropped.
        arguments: The rules to resume it with, as `run.json` stores them (`engine/verdict_rules.py`). If `None`, they
            are not compared.
    """

    run: Run
    retry_errors: bool = False
    force: bool = False
    arguments: JsonObject | None = None

    def verified_file(self) -> VerifiedFile | None:
        """Return the prompts file as this version of mcprun verified it, or `None` if it has to be read again.

        It can be verified only if the run selected the whole file and no query sets repeats or a pass rate.
        """
        record = self.run.record
        prompts = record.prompts
        if prompts.scripted is None or prompts.judged is None or record.versions.get("mcprun") != __version__:
            return None
        digests = self.run.digests
        if len(digests) != prompts.queries:
            return None
        return VerifiedFile(prompts.sha256, digests, prompts.scripted, prompts.judged)

    def checked(self, prompts: PromptsFile) -> Container[str]:
        """Return the ids of the queries whose verdicts are kept.

        Raises `UsageError` if queries, or rules that influence their verdicts, have changed, or if the selection leaves
        out queries that are done. With `force`, nothing is raised.
        """
        if (rule := self._changed_rule()) and any(True for _ in self._done()):
            if self.force:
                return frozenset()
            raise UsageError(
                f"{rule} has changed since {self.run.path} was started, and its verdicts depend on it:"
                f" use {rule} as before, or --force to run all queries again"
            )
        before, after = self.run.digests, prompts.digests
        difference = None if before is after else Difference.between(before, after)
        if difference and not self.force:
            self._refuse(prompts, difference)
        if not self.force and self.run.record.prompts.runs > prompts.runs:
            self._refuse_fewer(prompts)
        if not difference:
            return after
        return frozenset(name for name in after if before.get(name) == after[name])

    def _changed_rule(self) -> str:
        record = self.run.record
        return "" if self.arguments is None else changed_rule(record.arguments, self.arguments, record.model.kind)

    def is_done(self, transcript: TranscriptSummary) -> bool:
        """Return whether a query is done. It is not if it was `skipped`, or if `run.json` lists it under `again`."""
        if transcript.verdict is Verdict.ERROR:
            return not self.retry_errors and (transcript.id, transcript.repeat) not in self._again
        return transcript.verdict is not Verdict.SKIPPED or transcript.is_ungraded

    @cached_property
    def _again(self) -> frozenset[tuple[str, int]]:
        return frozenset(self.run.record.again)

    def _done(self) -> Iterator[TranscriptSummary]:
        return (one for one, _ in Run.summaries(self.run.path) if self.is_done(one))

    def _refuse_fewer(self, prompts: PromptsFile) -> None:
        """Raise `UsageError` if queries have more repeats done than are requested now."""
        done = (one for one in self._done() if one.id in prompts.digests)
        if lost := dict.fromkeys(one.id for one in done if one.repeat > prompts.repeats_of(one.id)):
            raise UsageError(
                f"{self.run.path} already has more repeats of {_first_names(lost)} than requested:"
                " raise --repeat (or the query's `repeat`), or use --force to drop the extra ones"
            )

    def _refuse(self, prompts: PromptsFile, difference: Difference) -> None:
        """Raise `UsageError` with the difference, unless the same file is used and all that is done is selected."""
        path = self.run.path
        if prompts.sha256 != self.run.record.prompts.sha256:
            raise UsageError(
                f"{prompts.name} has changed since {path} was started: {difference}."
                " Restore it, or use --force to keep only the queries that still match"
            )
        done = {one.id for one in self._done()}
        if lost := [name for name in difference.removed if name in done]:
            raise UsageError(
                f"--filter, --limit or --shard exclude queries that {path} has completed ({_first_names(lost)}):"
                " select them too, or use --force to drop them"
            )


def _first_names(names: Iterable[str]) -> str:
    """Return the first five names, and the number of others."""
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
