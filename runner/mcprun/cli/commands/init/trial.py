"""Try the generated queries of a server, and find inputs and scripts that work."""

from __future__ import annotations

import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mcprun._util.json_value import JsonObject
from mcprun._util.run_stop import RunStop
from mcprun.cli.commands.init.masking import differing
from mcprun.engine.options import Options
from mcprun.engine.plan import make_plan
from mcprun.engine.run import execute
from mcprun.errors import ErrorKind, RunError
from mcprun.prompts.chains import chained_queries
from mcprun.prompts.generate import FirstPrompts
from mcprun.prompts.other_inputs import Folders, advised_queries, other_queries
from mcprun.prompts.tried import Tries, mark_failures, outcome_of, worked_calls
from mcprun.runs.events import Event, QueryEnd
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript, Verdict
from mcprun.tools.failures import is_unavailable

_ROUNDS = 5
"""Maximum rounds of other scripts for the queries that do not work: each can build on what worked in the one before."""

_MAX_OTHERS = 3
"""Maximum other scripts of each kind that are tried for a query in a round."""

_MORE_TRIES = 3
"""Further tries of a query whose tries differ: two rolls of a die agree once in six times."""

_AT_ONCE = 4
"""Maximum servers that run beside each other in a search."""

_SEARCH_SECONDS = 180.0
"""How long other scripts are tried. A server with 60 tools that starts in a second needs a minute for each try."""


class SearchStop:
    """Ends a search on Ctrl-C, once. What was found so far is kept."""

    def __init__(self) -> None:
        self.run_stop: RunStop | None = None
        """That of the search that is under way, if any."""
        self.is_asked = False

    def handle(self, number: int) -> bool:
        """Take a signal. Return whether it ends a search only."""
        if number != signal.SIGINT or self.run_stop is None or self.is_asked:
            return False
        self.is_asked = True
        self.run_stop.cancel(RunError(ErrorKind.CANCELLED, "the search was interrupted"))
        return True


@dataclass(frozen=True, slots=True)
class Trial:
    """How queries are tried: on which server, and with a `watch` that is called with each event.

    `root` is the absolute path of a folder that the server may use, if one is among its arguments.
    """

    server: str
    options: Options
    root: str | None = None
    watch: Callable[[Event], None] = lambda _: None
    stop: SearchStop = field(default_factory=SearchStop)

    async def run(self, first: FirstPrompts) -> Tries:
        """Run the queries from their scripts, look for others where they do not work, and run all once more.

        Those that differ are run some more times, to learn what is random in them.

        A query that works only once would fail the next run. Return the queries with their failures noted.
        Raises `RunError` if a run can't be started or was cancelled.
        """
        search = _Search(first, {one.id: one for one in await self._run(first.queries)})
        folders = Folders.of(self.root, scratch=self.options.scratch)
        until = time.monotonic() + _SEARCH_SECONDS
        for number in range(_ROUNDS):
            others = search.others(folders if number == 0 else None)
            found = await self._run([query for query, _ in others], until) if others else []
            if not search.adopt(others, found) or time.monotonic() > until or self.stop.is_asked:
                break
        if adopted := search.adopted:  # tried beside others: their results must be those of the written conditions
            again = await self._run([search.queries[name] for name in adopted])
            search.tried |= {one.id: one for one in again}
        second = {one.id: one for one in await self._run(search.queries.values())}
        transcripts = {name: [one, second[name]] for name, one in search.tried.items() if name in second}
        first = replace(first, queries=tuple(search.queries.values()))
        names = differing(Tries(first, transcripts), datetime.now(UTC))
        for _ in range(_MORE_TRIES if names else 0):
            for one in await self._run(search.queries[name] for name in names):
                transcripts[one.id].append(one)
        return Tries(mark_failures(first, transcripts), transcripts)

    async def _run(self, queries: Iterable[JsonObject], until: float | None = None) -> list[Transcript]:
        """Run queries, each on a new server, and return their transcripts. The run itself is deleted.

        They run one at a time, as those of the written file do. Those of a search, which must end at `until` on the
        monotonic clock, run beside each other if each server has a new folder; those left are not run.
        """
        limits = replace(self.options.limits, concurrency=1)
        if until is not None:
            seconds = max(1.0, until - time.monotonic())
            limits = replace(limits, concurrency=_AT_ONCE if self.options.scratch else 1, run_seconds=seconds)
        with tempfile.TemporaryDirectory(prefix="mcprun-") as folder:
            options = replace(self.options, model="script", fresh_server=True, limits=limits, out=folder)
            plan = replace(make_plan(queries, self.server, options), is_latest=False)
            run_stop = RunStop()
            self.stop.run_stop = run_stop if until is not None else None
            with plan.prompts:
                result = await execute(plan, self.watch if until is None else self._watch_search, run_stop)
            self.stop.run_stop = None
            run = Run(result.path, result.record)
            error = run.record.error
            kind = error.kind if error and until is not None else None
            has_ended = kind is ErrorKind.RUN_TIMEOUT or (kind is ErrorKind.CANCELLED and self.stop.is_asked)
            is_empty = not (run.record.counts and run.record.counts.done)
            if error and not has_ended and (error.kind is ErrorKind.CANCELLED or is_empty):
                raise RunError(error.kind, error.message)
            return list(run.transcripts())

    def _watch_search(self, event: Event) -> None:
        """Pass an event of a search on. Tries that do not work are only counted: most are expected not to."""
        if isinstance(event, QueryEnd):
            event = replace(event, transcript=event.transcript.model_copy(update={"verdict": Verdict.SKIPPED}))
        self.watch(event)


class _Search:
    """A search for scripts that work.

    `queries` and `tried` hold the present script of each query and its last try, `adopted` the ids of those replaced.
    """

    def __init__(self, first: FirstPrompts, tried: dict[str, Transcript]) -> None:
        self.queries = {query["id"]: query for query in first.queries}
        self.tried = tried
        self.adopted: list[str] = []
        self._further: dict[str, tuple[JsonObject, JsonObject, str]] = {}
        """By the id of a query, its first other that fails for another reason, its tool, and the reason."""
        self._tools = first.tools
        self._seen = {name: [query["script"]] for name, query in self.queries.items()}

    def others(self, folders: Folders | None) -> list[tuple[JsonObject, str]]:
        """Return other queries for those that do not work, with ids of their own, and the id that each is for.

        Without `folders`, none has only other inputs.
        """
        works = {name for name, one in self.tried.items() if outcome_of(one).works}
        worked = [worked_calls(self.queries[name], self._tools[name], self.tried[name]) for name in sorted(works)]
        found: list[tuple[JsonObject, str]] = []
        for name in (one for one in self.tried if one not in works):
            query, tool = self.queries[name], self._tools[name]
            reason = outcome_of(self.tried[name]).reason
            others: list[JsonObject] = []
            if folders and not is_unavailable(reason):
                others = other_queries(query, tool, folders, reason)[:_MAX_OTHERS]
            others += chained_queries(query, tool, worked, _MAX_OTHERS)
            if name in self._further:
                others += advised_queries(*self._further[name])[:_MAX_OTHERS]
            new = [one for one in others if one["script"] not in self._seen[name]]
            self._seen[name] += [one["script"] for one in new]
            found += [({**one, "id": f"{name}, other {number}"}, name) for number, one in enumerate(new, 1)]
        return found

    def adopt(self, others: Sequence[tuple[JsonObject, str]], transcripts: Iterable[Transcript]) -> bool:
        """Replace each query by the first of its others that works. Return whether any does."""
        by_id = {one.id: one for one in transcripts}
        self._further = {}
        adopted: set[str] = set()
        for query, name in others:
            transcript = by_id.get(query["id"])
            if transcript and name not in adopted and outcome_of(transcript).works:
                adopted.add(name)
                self.queries[name] = {**query, "id": name}
                self.tried[name] = transcript
            elif transcript and name not in self._further:
                reason = outcome_of(transcript).reason
                if not _is_alike(reason, outcome_of(self.tried[name]).reason):
                    self._further[name] = ({**query, "id": name}, self._tools[name], reason)
        self.adopted += [name for name in adopted if name not in self.adopted]
        return bool(adopted or self._further)


def _is_alike(reason: str, other: str) -> bool:
    """Return whether two errors differ at most in what they quote."""
    words = (re.sub(r"'[^']*'|\"[^\"]*\"|\S*[/.]\S*", "", one) for one in (reason, other))
    return next(words) == next(words)
