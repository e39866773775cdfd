"""Collect prompts files in pytest: each query is an item, which is run only when pytest reaches it.

An item runs its query during setup, and evaluates it during the call. pytest thus reports an error of the query or the
run separately from a failure, as mcprun does. The server is started for the first item of a file and kept until the
last. Items that `-k` or `-x` leave out are never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mcprun._util.operating_system import relative_path
from mcprun.engine.run import RunPlan
from mcprun.errors import NoJudgeError, NothingToGradeError, RunError, UsageError
from mcprun.prompts.file import lines_of
from mcprun.prompts.query import Query
from mcprun.prompts.routable import ungraded_reason
from mcprun.pytest_plugin.config import Settings
from mcprun.pytest_plugin.file_run import FileRun
from mcprun.pytest_plugin.node_names import NodeNames, heading, split
from mcprun.pytest_plugin.session_coverage import SessionCoverage
from mcprun.report.causes import skip_reason
from mcprun.report.text import visible
from mcprun.report.workflow_commands import for_log
from mcprun.runs.transcript import Key, Verdict

_MARKER = re.compile(r"[^\W_][\w.+/\\\[\]-]*")
"""A tag that can be a marker: `-m` parses no other names, and pytest refuses markers that begin with an underscore."""

_OF_PYTEST = frozenset({"filterwarnings", "parametrize", "skip", "skipif", "usefixtures", "xfail"})
"""Markers that have a meaning in pytest. A tag with such a name does not become a marker."""

_NO_JUDGE = (
    "a model grades it (expect.judge), but there is no API key: set ANTHROPIC_API_KEY, replay a graded run, or"
    ' leave it ungraded: judge-model = "none" in mcprun.toml, or MCPRUN_JUDGE_MODEL=none'
)

_NO_SERVER = "no server is set: pass --mcp-server SERVER, or set server under [tool.mcprun] in pyproject.toml"


@dataclass(frozen=True, slots=True)
class QueryTest:
    """A query with one of its repeats, or with all of them if a pass `rate` is set.

    `name` includes the names of groups, `line` is that of the query in the prompts file, counted from 1.
    """

    name: str
    query: Query
    repeats: tuple[int, ...]
    rate: float | None
    line: int


class PromptsCollector(pytest.File):
    """A prompts file and, while its items run, the run that they belong to.

    `lacks_judge` is set if no judge is available for queries that have a rubric. They are then not run.
    `is_ungraded` is set if the file is routed and has no query that can be graded.
    """

    lacks_judge = False
    is_ungraded = False
    _run: FileRun | None = None

    def __init__(self, *, path: Path, parent: pytest.Collector, **more: Any) -> None:
        if not path.is_relative_to(parent.config.rootpath):
            # pytest would leave the path empty. --lf compares paths as written, which rules out "../".
            more = {"nodeid": path.as_posix(), **more}
        super().__init__(path=path, parent=parent, **more)

    def collect(self) -> list[QueryItem | QueryGroup]:
        """Return an item for each query and repeat, or one for all repeats of a query that has a pass rate.

        An item whose name contains `::` is in a group. Raises `CollectError` for a bad file or a wrong option.
        """
        if not self._settings.has_server:
            raise self.CollectError(_NO_SERVER)
        try:
            plan = self._plan()
        except UsageError as error:
            raise self.CollectError(for_log(visible(str(error)))) from None
        found: list[QueryItem | QueryGroup] = []
        tests = [*self._tests(plan)]
        SessionCoverage.of(self.config).add_file(self.path, sum(len(test.repeats) for test in tests))
        for test in tests:
            groups, own_name = split(test.name)
            parent: PromptsCollector | QueryGroup = self
            children = found
            for group in groups:
                parent = _group(parent, group, children)
                children = parent.children
            children.append(QueryItem.from_parent(parent, name=own_name, file=self, test=test))
        return found

    def _tests(self, plan: RunPlan) -> Iterator[QueryTest]:
        """Yield the tests of the file."""
        prompts = plan.prompts
        names = NodeNames(prompts.digests)
        with prompts:
            lines = lines_of(self.path, prompts.sha256)
            for query in prompts.queries():
                repeats = tuple(range(1, prompts.repeats_of(query.id) + 1))
                rate = prompts.pass_rates.get(query.id, plan.pass_rate)
                line = lines.get(query.id, 1)
                if rate is not None or len(repeats) == 1:
                    yield QueryTest(names.of(query.id), query, repeats, rate, line)
                else:
                    for repeat in repeats:
                        yield QueryTest(names.of(query.id, repeat), query, (repeat,), rate, line)

    def setup(self) -> None:
        """Start a run of the selected items."""
        items = [item for item in self.session.items if isinstance(item, QueryItem) and item.file is self]
        ids = {item.query.id for item in items if not item.is_left_out}
        if not ids:
            return
        try:
            plan = self._plan()
            if ids != set(plan.prompts.digests):
                plan = replace(plan, prompts=plan.prompts.only(ids))
            self._run = FileRun(plan)
        except UsageError as error:
            raise _failure(visible(str(error))) from None

    def teardown(self) -> None:
        """End the run. Raise an error that came after the last item's result, or that concerns none of them."""
        run, self._run = self._run, None
        if run is None:
            return
        problem = run.close()
        SessionCoverage.of(self.config).add_run(self.path, run.path, run.requested)
        if problem:
            raise _failure(problem)

    def run_for(self, item: QueryItem) -> FileRun:
        """Return the run of an item.

        If the run has the item already, as with plugins that rerun tests, start a new one.
        """
        if self._run and item.keys & self._run.requested:
            self.teardown()
        if not self._run:
            self.setup()
        assert self._run is not None  # noqa: S101  for mypy: setup fails, or it is there
        return self._run

    def _plan(self) -> RunPlan:
        """Return the plan of the whole file, without a judge if none is available. Raises `UsageError`.

        If the file is routed and nothing in it can be graded, the plan is that of a run that is not routed.
        """
        try:
            return self._settings.plan(self._name)
        except NothingToGradeError:
            self.is_ungraded = True
            return self._settings.plan(self._name, "--no-route", "--judge-model", "none")
        except NoJudgeError:
            self.lacks_judge = True
            return self._settings.plan(self._name, "--judge-model", "none")

    @property
    def _settings(self) -> Settings:
        return Settings.of(self.config)

    @property
    def _name(self) -> str:
        """The path of the file for mcprun, relative to the working folder."""
        return relative_path(self.path)


class QueryGroup(pytest.Collector):
    """Consecutive tests of a file whose names have the same part before a `::`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.children: list[QueryItem | QueryGroup] = []

    def collect(self) -> list[QueryItem | QueryGroup]:
        """Return the tests, which `PromptsCollector.collect` has created."""
        return self.children


class QueryItem(pytest.Item):
    """The item of a `QueryTest`. Its own `name` excludes the names of its groups."""

    def __init__(
        self, *, parent: pytest.Collector, name: str, file: PromptsCollector, test: QueryTest, **more: Any
    ) -> None:
        if hasattr(parent, "id"):  # pytest 9.2 would take the whole name for one part of the node id
            more = {"nodeid": f"{parent.nodeid}::{name}", **more}
        super().__init__(parent=parent, name=name, **more)
        self.file = file
        self.query = query = test.query
        self._heading = heading(test.name)
        self._repeats = test.repeats
        self._rate = test.rate
        self._line = test.line
        self._is_good = False
        self._failure_text = ""
        self.extra_keyword_matches.update((query.id, test.name, *query.tags))
        for tag in query.tags:
            if _MARKER.fullmatch(tag) and tag not in _OF_PYTEST:
                marker = f"{tag}: a tag of a prompts file"
                if marker not in self.config.getini("markers"):
                    self.config.addinivalue_line("markers", marker)
                self.add_marker(tag)

    @property
    def keys(self) -> frozenset[Key]:
        """The query's id with each repeat that the item runs."""
        return frozenset((self.query.id, repeat) for repeat in self._repeats)

    @property
    def is_left_out(self) -> bool:
        """Whether the query is not run, since no judge is available for it, or its file is not graded."""
        return self.file.is_ungraded or (self.file.lacks_judge and self.query.expect.judge is not None)

    def setup(self) -> None:
        """Run the query. An error of the query or the run is an error of pytest: neither passed nor skipped.

        A query that a routed run does not grade is skipped.
        """
        if self.file.is_ungraded:
            pytest.skip(for_log(f"not graded: {ungraded_reason(self.query)}"))
        if self.is_left_out:
            raise _failure(_NO_JUDGE)
        run = self.file.run_for(self)
        start = run.log_offset
        try:
            transcripts = [run.ask(self.query, repeat) for repeat in self._repeats]
        except RunError as error:
            raise _failure(run.run_error_text(error)) from None
        if all(one.is_ungraded for one in transcripts):
            pytest.skip(for_log(skip_reason(transcripts[0])))
        passed = sum(one.verdict is Verdict.PASSED for one in transcripts)
        regression = run.regression(transcripts)
        self._is_good = not regression and passed / len(transcripts) >= (1.0 if self._rate is None else self._rate)
        is_shown = regression or passed < len(transcripts)
        self._failure_text = run.failure_text(transcripts, start, self._rate, regression) if is_shown else ""
        if any(one.verdict in (Verdict.ERROR, Verdict.SKIPPED) for one in transcripts):
            raise _failure(self._failure_text)

    def runtest(self) -> None:
        """Fail if its checks did not hold, held less often than the pass rate requires, or it regressed."""
        if not self._is_good:
            raise _failure(self._failure_text)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the prompts file, the query's line in it, counted from 0, and the heading of a failure."""
        return self.path, self._line - 1, for_log(self._heading)


def _group(parent: PromptsCollector | QueryGroup, name: str, children: list[QueryItem | QueryGroup]) -> QueryGroup:
    """Return the last of the children if it is the group of that name; else append a new one."""
    if children and isinstance(last := children[-1], QueryGroup) and last.name == name:
        return last
    group: QueryGroup = QueryGroup.from_parent(parent, name=name)
    children.append(group)
    return group


def _failure(text: str) -> BaseException:
    """Return an exception that pytest shows as this text alone: no traceback, no workflow commands."""
    return pytest.fail.Exception(for_log(text), pytrace=False)
