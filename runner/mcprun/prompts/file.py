"""Read a prompts file (JSONL or YAML), and validate all of it before anything runs.

The file is read twice: once to check every line, then as a stream while the queries run, so that only ids, digests and
checksums are held in memory. Input from stdin is kept in a temporary file for the second pass.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn, Self

from mcprun._util.compact_index import Digests, Numbers
from mcprun._util.json_lines import values
from mcprun._util.name_patterns import fits, with_wildcards
from mcprun.checks.misspelt_keywords import misspelt
from mcprun.errors import PromptsError, UsageError
from mcprun.prompts.aliases import Problem
from mcprun.prompts.checked_lines import CheckedLines
from mcprun.prompts.formats import format_problem
from mcprun.prompts.query import InvalidQuery, Query, parse_query
from mcprun.prompts.shard import Shard
from mcprun.prompts.source import open_source, sha256_of
from mcprun.prompts.verified_file import VerifiedFile
from mcprun.prompts.yaml_file import line_of_field

_MAX_REFUSED = 100
"""Maximum entries of `refused`: a million lines may have the same mistake."""

_MAX_WARNINGS = 100
_MAX_PATTERNS = 1000
"""Bounds on memory for a file of any length."""


_VALUES = "<queries>"
"""The name in messages of queries that are given as values, of which `queries[0]` is the first."""


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """Which queries of a file to run: those whose id or tag matches one of the patterns, and at most `limit`.

    Patterns in `spelt_out` are themselves the id or a tag of a query, and match only that. With `ids`, only queries
    with these ids are run; with `shard`, only that shard's share.
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
        """Whether it may leave out queries."""
        return bool(self.patterns) or any(one is not None for one in (self.limit, self.ids, self.shard))

    def takes(self, query: Query) -> bool:
        """Return whether a query matches `ids` and `patterns`; `limit` and `shard` are not applied here."""
        if self.ids is not None and query.id not in self.ids:
            return False
        return not self.patterns or any(fits(name, self.patterns, self.spelt_out) for name in (query.id, *query.tags))


@dataclass(frozen=True)
class PromptsFile:
    """A valid prompts file. It keeps the file open for the second pass, and closes it as a context manager.

    Attributes:
        name: The path given by the user.
        sha256: The hash of the file's bytes, in hex digits.
        digests: The digests of the selected queries by id, in order.
        total: The number of queries in the file.
        scripted, judged: The number of selected queries with a script, and with a rubric.
        source: The open file.
        select: The filter by which queries were selected.
        repeats: How often to run the queries that set it themselves, by id.
        pass_rates: The share of passes that queries require, by id.
        is_stream: Whether it came from stdin, a pipe or the caller, so that it can't be read again from there.
        repeat: How often to run the other queries.
        lines: The lines of the selected queries.
        verified: The result of an earlier check of the same file, if it was used in place of `lines`.
        refused: `FILE:LINE: field: what is wrong` for queries that the API would refuse, at most 100.
        warnings: Keys that are probably misspelt.
        patterns: Maps pairs of a query's key and a tool pattern to the id of the first query that has them.
        step_tools: Maps the tools of steps to the first query and step that call them: `close, before[0]`.
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
    lines: CheckedLines = field(default_factory=CheckedLines)
    verified: VerifiedFile | None = None
    refused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    patterns: Mapping[tuple[str, str], str] = field(default_factory=dict)
    step_tools: Mapping[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.source.close()

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def runs(self) -> int:
        """The number of runs of queries, including repeats."""
        overrides = {name: times for name, times in self.repeats.items() if name in self.digests}
        return self.repeat * (len(self) - len(overrides)) + sum(overrides.values())

    @property
    def is_plain(self) -> bool:
        """Whether the whole file is selected, and no query sets `repeat` or a pass rate."""
        return len(self) == self.total and not self.select.is_choosy and not self.repeats and not self.pass_rates

    def repeats_of(self, name: str) -> int:
        """Return how often to run a query."""
        return self.repeats.get(name, self.repeat)

    def only(self, ids: Iterable[str]) -> PromptsFile:
        """Return the file restricted to queries with these ids. The counts (`total`, `scripted`, …) are not changed."""
        selected = frozenset(ids)
        return replace(
            self,
            digests={name: digest for name, digest in self.digests.items() if name in selected},
            lines=self.lines.only(name in selected for name in self.digests),
            select=replace(self.select, ids=selected, shard=None),
        )

    def keys(self) -> Iterator[tuple[str, int]]:
        """Return each query's id with each of its repeats (from 1), in order."""
        return ((name, repeat) for name in self.digests for repeat in range(1, self.repeats_of(name) + 1))

    def left(self, done: Container[tuple[str, int]]) -> Iterator[tuple[Query, int]]:
        """Stream each query with each of its repeats, except those that are `done`.

        Raises `UsageError` if the file has changed since it was checked.
        """

        def is_over(name: str) -> bool:
            return all((name, repeat) in done for repeat in range(1, self.repeats_of(name) + 1))

        for _, query in self._read_again(is_over):
            repeats = self.repeats_of(query.id)
            for repeat in range(1, repeats + 1):
                if repeats == 1 or (query.id, repeat) not in done:
                    yield query, repeat

    @property
    def stem(self) -> str:
        """A short name for directories and titles."""
        return stem_of(self.name)

    def queries(self) -> Iterator[Query]:
        """Stream the selected queries in order. Raises `UsageError` if the file has changed since it was checked."""
        return (query for _, query in self.numbered_queries())

    def numbered_queries(self) -> Iterator[tuple[int, Query]]:
        """Stream the selected queries with their line numbers. Raises as `queries` does."""
        return self._read_again(lambda _: False)

    def _read_again(self, is_over: Callable[[str], bool]) -> Iterator[tuple[int, Query]]:
        """Stream the selected queries for whose id `is_over` is false, with their line numbers."""
        if self.verified:
            queries = self.verified.queries(self.source, is_over)
        else:
            queries = self.lines.queries(self.source, self.digests, is_over)
        for line, query in queries:
            yield line, query or self._raise_changed()

    def _raise_changed(self) -> NoReturn:
        raise UsageError(f"{label_of(self.name)} changed during the run: the remaining queries were not run")


def read_prompts(
    name: str,
    select: QueryFilter | None = None,
    *,
    need_script: bool = False,
    stored_path: Path | IO[bytes] | None = None,
    verified: VerifiedFile | None = None,
    repeat: int = 1,
    demands: Callable[[Query], Iterable[Problem]] = lambda _: (),
    are_values: bool = False,
) -> PromptsFile:
    """Open and check a prompts file.

    Args:
        name: A path, or `-` for stdin.
        select: Which queries to run; all by default.
        need_script: Whether a selected query without a script is an error.
        stored_path: A path or an open file to read instead of `name`.
        verified: The result of an earlier check. If the file is the same, all of it is selected and it has the scripts
            that are needed, it is not checked again.
        repeat: How often to run each query that does not set it itself.
        are_values: Whether the queries were given as values: messages then have their indexes.
        demands: Returns the problems of a query that matter only if the API is used; they are collected in `refused`.

    Raises `UsageError` if the file can't be read or nothing is selected, and `PromptsError` with every invalid line,
    including those without a required script.
    """
    source, is_stream = (
        open_source(str(stored_path or name)) if isinstance(stored_path, Path | None) else (stored_path, True)
    )
    try:
        select = select or QueryFilter()
        if (
            verified
            and verified.suffices(need_script=need_script)
            and not select.is_choosy
            and verified.sha256 == sha256_of(source)
        ):
            found = PromptsFile(
                name=name,
                sha256=verified.sha256,
                digests=verified.digests,
                total=len(verified.digests),
                scripted=verified.scripted,
                judged=verified.judged,
                source=source,
                select=select,
                verified=verified,
            )
        else:
            label = _VALUES if are_values else name
            found = replace(_checked(label, source, select, demands, need_script=need_script), name=name)
        return replace(found, is_stream=is_stream or stored_path is not None, repeat=repeat)
    except UsageError:
        source.close()
        raise


def stem_of(name: str) -> str:
    """Return a short name of a prompts file: `quickstart` for `prompts/quickstart.jsonl`, `stdin` for `-`."""
    return Path(name).stem if name != "-" else "stdin"


def lines_of(path: Path, sha256: str) -> dict[str, int]:
    """Return the line number of each query in a prompts file by id; empty if the file is missing or has changed."""
    try:
        if not path.is_file():
            return {}
        with open_source(str(path))[0] as source:
            if sha256_of(source) != sha256:
                return {}
            return {found.query.id: found.line for found in _queries(str(path), source, [])}
    except (OSError, UsageError):
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
    digests, lines = Digests(), CheckedLines()
    repeats: dict[str, int] = {}
    pass_rates: dict[str, float] = {}
    warnings: list[str] = []
    patterns: dict[tuple[str, str], str] = {}
    step_tools: dict[str, str] = {}
    scripted = judged = 0
    may_be_names = with_wildcards(select.patterns) - select.spelt_out
    names: set[str] = set()

    def counted() -> Iterator[_CheckedQuery]:
        for found in _queries(name, source, problems):
            lines.total += 1
            if may_be_names:
                names.update(may_be_names.intersection((found.query.id, *found.query.tags)))
            yield found

    for line, raw, query, digest in _selected(counted(), select):
        digests.add(query.id, digest)
        lines.add(line, raw)
        if query.repeat is not None:
            repeats[query.id] = query.repeat
        if query.expect.pass_rate is not None:
            pass_rates[query.id] = query.expect.pass_rate
        if (text := query.expect.text) and text.json_schema and len(warnings) < _MAX_WARNINGS:
            messages = misspelt(text.json_schema)
            warnings += (f"{place_of(name, line, 'expect.text.json_schema')}: {words}" for words in messages)
        if len(patterns) < _MAX_PATTERNS:
            for key, tool_patterns in (("expect.never", query.expect.never), ("tools", query.tools)):
                for pattern in tool_patterns or ():
                    patterns.setdefault((key, pattern), query.id)
        for place, step in query.steps:
            if step.tool is not None and len(step_tools) < _MAX_PATTERNS:
                step_tools.setdefault(step.tool, f"{query.id}, {place}")
        scripted += query.script is not None
        judged += query.expect.judge is not None
        refused += [f"{place_of(name, line, field)}: {problem}" for field, problem in demands(query)]
        if need_script and query.script is None:
            problems.append(f"{place_of(name, line, 'script')}: is missing, but the model is script")
    if names:  # a pattern may turn out to be a name on a later line, so the selection has to be redone
        spelt_out = select.spelt_out | names
        return _checked(name, source, replace(select, spelt_out=spelt_out), demands, need_script=need_script)
    if problems and (problem := format_problem(name, source, has_queries=lines.total > 0)):
        problems = [problem]
    if problems:
        raise PromptsError(problems)
    if not lines.total:
        empty = f"{label_of(name)}:1: the file has no queries"
        raise PromptsError(["queries: the list is empty" if name == _VALUES else empty])
    if not digests and select.shard:
        raise UsageError(
            f"nothing to run: {label_of(name)} has fewer selected queries than there are shards ({select.shard})"
        )
    if not digests:
        raise UsageError(f"nothing to run: none of the {lines.total} queries in {label_of(name)} matches {select}")
    return PromptsFile(
        name=name,
        sha256=sha256_of(source),
        digests=digests,
        total=lines.total,
        scripted=scripted,
        judged=judged,
        source=source,
        select=select,
        repeats=repeats,
        pass_rates=pass_rates,
        refused=tuple(refused[:_MAX_REFUSED]),
        warnings=tuple(warnings),
        patterns=patterns,
        step_tools=step_tools,
        lines=lines,
    )


class _CheckedQuery(NamedTuple):
    """A valid query, with the number and the bytes of its line, and its digest."""

    line: int
    raw: bytes
    query: Query
    digest: str


def _selected(queries: Iterator[_CheckedQuery], select: QueryFilter) -> Iterator[_CheckedQuery]:
    """Yield the selected queries, but read to the end, so that every line is checked."""
    taken = 0
    for found in queries:
        if select.takes(found.query) and (select.limit is None or taken < select.limit):
            taken += 1
            if select.shard is None or select.shard.takes(taken - 1):
                yield found


def _queries(name: str, source: IO[bytes], problems: list[str]) -> Iterator[_CheckedQuery]:
    """Check a file's lines, and yield its queries. Invalid lines are added to `problems` and skipped."""
    lines, same = Numbers(), Numbers()
    for line, raw, value in values(source, label_of(name), problems):
        try:
            query = parse_query(value)
            digest = query.digest
        except RecursionError:
            problems.append(f"{place_of(name, line, 'line')}: nested too deeply")
            continue
        except InvalidQuery as bad:
            problems.extend(f"{place_of(name, line, field)}: {problem}" for field, problem in bad.problems)
            continue
        if not (isinstance(value, dict) and _has_id(value)):
            same[query.id] = same.get(query.id, 0) + 1
            if same[query.id] > 1:  # the same prompt again: HASH-2, HASH-3, …
                query = query.model_copy(update={"id": f"{query.id}-{same[query.id]}"})
                digest = query.digest
        if (first := lines.add(query.id, line)) != line:
            other = f"in queries[{first - 1}]" if name == _VALUES else f"on line {first}"
            problems.append(f"{place_of(name, line, 'id')}: {query.id!r} is already used {other}")
            continue
        yield _CheckedQuery(line, raw, query, digest)


def _has_id(value: dict[str, Any]) -> bool:
    return "id" in value or "custom_id" in value


def place_of(name: str, line: int, field: str) -> str:
    """Return the place of a problem: `prompts.jsonl:3: prompt`, or `queries[2].prompt` of queries given as values."""
    if name != _VALUES:
        return f"{label_of(name)}:{line_of_field(name, line, field)}: {field}"
    return f"queries[{line - 1}]" if field == "line" else f"queries[{line - 1}].{field}"


def label_of(name: str) -> str:
    """Return the name of a prompts file in messages: `<stdin>` for `-`."""
    return "<stdin>" if name == "-" else name
