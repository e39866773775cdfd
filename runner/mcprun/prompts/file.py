"""A prompts file: JSONL in, queries out, validated whole before anything runs.

The queries are read twice: once to check every line, then as a stream while they run, so that memory
holds the ids and nothing else. What comes on stdin is kept in a temporary file for the second reading.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, NoReturn, Self

from mcprun._util.compact import Digests, Numbers
from mcprun._util.json_lines import values
from mcprun._util.name_patterns import fits, with_wildcards
from mcprun.checks.misspelt_keywords import misspelt
from mcprun.errors import PromptsError, UsageError
from mcprun.prompts.aliases import Problem
from mcprun.prompts.query import InvalidQuery, Query, parse_query
from mcprun.prompts.shard import Shard
from mcprun.prompts.source import open_source, sha256_of
from mcprun.prompts.verified_file import VerifiedFile

_MAX_REFUSED = 100
"""Entries of `refused`: a million lines may have the same mistake."""

_MOST_WARNINGS = 100
_MOST_PATTERNS = 1000
"""Bounds on memory for a file of any length."""


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """Which queries of a file to run: those whose id or a tag fits one of the patterns, and at most `limit`.

    Patterns that are `spelt_out` are themselves the id or tag of a query, and fit nothing else. With `ids`, only these
    of the queries; with `shard`, its share of them.
    """

    patterns: tuple[str, ...] = ()
    limit: int | None = None
    ids: frozenset[str] | None = None
    shard: Shard | None = None
    spelt_out: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return " or ".join(self.patterns)

    @property
    def is_choosy(self) -> bool:
        """Whether it may leave anything out."""
        return bool(self.patterns) or any(one is not None for one in (self.limit, self.ids, self.shard))

    def takes(self, query: Query) -> bool:
        """Return whether a query fits one of the patterns; no pattern fits all."""
        if self.ids is not None and query.id not in self.ids:
            return False
        return not self.patterns or any(fits(name, self.patterns, self.spelt_out) for name in (query.id, *query.tags))


@dataclass(frozen=True)
class PromptsFile:
    """A prompts file that was found good.

    `name` is what the user called it, `sha256` the hash of its bytes, `digests` the selected queries' digests by id, in
    order, `total` how many queries it holds, `scripted` and `judged` how many of the selected ones have a script and a
    rubric. It holds the file open for the second reading, and closes it as a context manager. `is_stream` tells that it
    came on stdin or from a pipe, and can't be read again from where it came. Each query is run `repeat` times, or as
    often as it says itself (`repeats`); `pass_rates` are the shares of passes that queries ask for. What it holds may
    be `known`. `refused` holds a `FILE:LINE: field: what is wrong` for each query that the API would refuse.
    `warnings` name what is probably misspelt; `patterns` are those of tools in queries: a query's key and the pattern,
    and the id of the first query that has it.
    """

    name: str
    sha256: str
    digests: Mapping[str, str]
    total: int
    scripted: int
    judged: int
    source: IO[bytes]
    select: QueryFilter
    repeats: Mapping[str, int] = field(default_factory=dict)
    pass_rates: Mapping[str, float] = field(default_factory=dict)
    is_stream: bool = False
    repeat: int = 1
    known: VerifiedFile | None = None
    refused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    patterns: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.source.close()

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def runs(self) -> int:
        """How many runs of queries that makes, repeats counted."""
        own = {name: times for name, times in self.repeats.items() if name in self.digests}
        return self.repeat * (len(self) - len(own)) + sum(own.values())

    @property
    def is_plain(self) -> bool:
        """Whether all that the file holds is selected, and no query asks for repeats or a pass rate."""
        return len(self) == self.total and not self.select.is_choosy and not self.repeats and not self.pass_rates

    def repeats_of(self, name: str) -> int:
        """Tell how often a query is run."""
        return self.repeats.get(name, self.repeat)

    def only(self, ids: Iterable[str]) -> PromptsFile:
        """Leave out all queries but these; what is counted besides them stays as it was."""
        kept = frozenset(ids)
        digests = {name: digest for name, digest in self.digests.items() if name in kept}
        return replace(self, digests=digests, select=replace(self.select, ids=kept, shard=None), known=None)

    def keys(self) -> Iterator[tuple[str, int]]:
        """Give each query's id with each of its repeats, in order."""
        return ((name, repeat) for name in self.digests for repeat in range(1, self.repeats_of(name) + 1))

    def left(self, done: Container[tuple[str, int]]) -> Iterator[tuple[Query, int]]:
        """Stream the queries, each as often as it is run, with the number of the repeat, but for what is done.

        Raises `UsageError` when the file is no longer what was checked.
        """

        def undone(name: str) -> Iterator[int]:
            return (repeat for repeat in range(1, self.repeats_of(name) + 1) if (name, repeat) not in done)

        found = self._unchecked(self.known, undone) if self.known else self.queries()
        return ((query, repeat) for query in found for repeat in undone(query.id))

    def _unchecked(self, known: VerifiedFile, undone: Callable[[str], Iterator[int]]) -> Iterator[Query]:
        """Stream the queries of a known file that have anything left to do."""
        for query in known.queries(self.source, lambda name: not any(undone(name))):
            yield query or self._raise_changed()

    @property
    def stem(self) -> str:
        """A short name for folders and titles."""
        return stem_of(self.name)

    def queries(self) -> Iterator[Query]:
        """Stream the selected queries, in order. Raises `UsageError` when the file is no longer what was checked."""
        problems: list[str] = []
        found = _selected(_queries(self.name, self.source, problems, is_checked=True), self.select)
        for (_, query), expected in zip_longest(found, self.digests.items(), fillvalue=(None, None)):
            if not isinstance(query, Query) or (query.id, query.digest) != expected or problems:
                self._raise_changed()
            else:
                yield query

    def _raise_changed(self) -> NoReturn:
        raise UsageError(f"{_label(self.name)} was changed while it was being run: what is left of it is not run")


def read_prompts(
    name: str,
    select: QueryFilter | None = None,
    *,
    need_script: bool = False,
    kept: Path | IO[bytes] | None = None,
    known: VerifiedFile | None = None,
    repeat: int = 1,
    demands: Callable[[Query], Iterable[Problem]] = lambda _: (),
) -> PromptsFile:
    """Open and check a prompts file; `-` is stdin, or what is `kept` in its place. Queries are run `repeat` times.

    `refused` holds the problems that `demands` finds in selected queries; they matter only if the API is asked.

    Where all is selected of a file that is `known`, and has the scripts that are needed, it is not checked again.
    Raises `UsageError` when it can't be read or nothing is selected, `PromptsError` with every bad line when one
    is bad, and when a selected query has no script though the run needs one (`need_script`).
    """
    source, is_stream = open_source(str(kept or name)) if isinstance(kept, Path | None) else (kept, True)
    try:
        select = select or QueryFilter()
        if (
            known
            and known.suffices(need_script=need_script)
            and not select.is_choosy
            and known.sha256 == sha256_of(source)
        ):
            found = PromptsFile(
                name=name,
                sha256=known.sha256,
                digests=known.digests,
                total=len(known.digests),
                scripted=known.scripted,
                judged=known.judged,
                source=source,
                select=select,
                known=known,
            )
        else:
            found = _checked(name, source, select, demands, need_script=need_script)
        return replace(found, is_stream=is_stream or kept is not None, repeat=repeat)
    except UsageError:
        source.close()
        raise


def stem_of(name: str) -> str:
    """Make a short name of a prompts file's: `quickstart` of `prompts/quickstart.jsonl`, `stdin` of `-`."""
    return Path(name).stem if name != "-" else "stdin"


def lines_of(path: Path, sha256: str) -> dict[str, int]:
    """Tell on which line of a prompts file each query stands; of one that is gone or has changed, nothing."""
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as source:
            if sha256_of(source) != sha256:
                return {}
            return {query.id: line for line, query in _queries(str(path), source, [])}
    except OSError:
        return {}


def _checked(
    name: str,
    source: IO[bytes],
    select: QueryFilter,
    demands: Callable[[Query], Iterable[Problem]],
    *,
    need_script: bool,
) -> PromptsFile:
    problems: list[str] = []
    refused: list[str] = []
    digests = Digests()
    repeats: dict[str, int] = {}
    pass_rates: dict[str, float] = {}
    warnings: list[str] = []
    patterns: dict[tuple[str, str], str] = {}
    total = scripted = judged = 0
    may_be_names = with_wildcards(select.patterns) - select.spelt_out
    names: set[str] = set()

    def counted() -> Iterator[tuple[int, Query]]:
        nonlocal total
        for line, query in _queries(name, source, problems):
            total += 1
            if may_be_names:
                names.update(may_be_names.intersection((query.id, *query.tags)))
            yield line, query

    for line, query in _selected(counted(), select):
        digests.add(query.id, query.digest)
        if query.repeat is not None:
            repeats[query.id] = query.repeat
        if query.expect.pass_rate is not None:
            pass_rates[query.id] = query.expect.pass_rate
        if (text := query.expect.text) and text.json_schema and len(warnings) < _MOST_WARNINGS:
            found = misspelt(text.json_schema)
            warnings += (f"{_label(name)}:{line}: expect.text.json_schema: {words}" for words in found)
        if len(patterns) < _MOST_PATTERNS:
            for key, given in (("expect.never", query.expect.never), ("tools", query.tools)):
                for pattern in given or ():
                    patterns.setdefault((key, pattern), query.id)
        scripted += query.script is not None
        judged += query.expect.judge is not None
        refused += [f"{_label(name)}:{line}: {field}: {problem}" for field, problem in demands(query)]
        if need_script and query.script is None:
            problems.append(f"{_label(name)}:{line}: script: is missing, and the model is script")
    if names:  # which queries are selected depends on all of them
        spelt_out = select.spelt_out | names
        return _checked(name, source, replace(select, spelt_out=spelt_out), demands, need_script=need_script)
    if problems:
        raise PromptsError(problems)
    if not total:
        raise PromptsError([f"{_label(name)}:1: line: the file holds no query"])
    if not digests and select.shard:
        raise UsageError(
            f"nothing to run: fewer queries of {_label(name)} are selected than there are shards ({select.shard})"
        )
    if not digests:
        raise UsageError(f"nothing to run: none of the queries in {_label(name)} ({total}) fits {select}")
    return PromptsFile(
        name=name,
        sha256=sha256_of(source),
        digests=digests,
        total=total,
        scripted=scripted,
        judged=judged,
        source=source,
        select=select,
        repeats=repeats,
        pass_rates=pass_rates,
        refused=tuple(refused[:_MAX_REFUSED]),
        warnings=tuple(warnings),
        patterns=patterns,
    )


def _selected(queries: Iterator[tuple[int, Query]], select: QueryFilter) -> Iterator[tuple[int, Query]]:
    """Let through what is selected, but read on to the end, so that every line is checked."""
    taken = 0
    for line, query in queries:
        if select.takes(query) and (select.limit is None or taken < select.limit):
            taken += 1
            if select.shard is None or select.shard.takes(taken - 1):
                yield line, query


def _queries(
    name: str, source: IO[bytes], problems: list[str], *, is_checked: bool = False
) -> Iterator[tuple[int, Query]]:
    """Read a file's queries with their line numbers; what is wrong goes to `problems` and is passed over.

    Of one that `is_checked`, ids are not held against each other again.
    """
    lines, same = Numbers(), Numbers()
    for line, value in values(source, _label(name), problems):
        try:
            query = parse_query(value)
            _ = query.digest
        except RecursionError:
            problems.append(f"{_label(name)}:{line}: line: nested too deeply")
            continue
        except InvalidQuery as bad:
            problems.extend(f"{_label(name)}:{line}: {field}: {problem}" for field, problem in bad.problems)
            continue
        if not (isinstance(value, dict) and _has_id(value)):
            same[query.id] = same.get(query.id, 0) + 1
            if same[query.id] > 1:  # the same prompt again: HASH-2, HASH-3, …
                query = query.model_copy(update={"id": f"{query.id}-{same[query.id]}"})
        if not is_checked and query.id in lines:
            problems.append(f"{_label(name)}:{line}: id: {query.id!r} is already the id of line {lines[query.id]}")
            continue
        if not is_checked:
            lines[query.id] = line
        yield line, query


def _has_id(value: dict[str, Any]) -> bool:
    return "id" in value or "custom_id" in value


def _label(name: str) -> str:
    return "<stdin>" if name == "-" else name
