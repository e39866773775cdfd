"""Patterns for names: one that is a name itself means that name, wherever patterns are taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.name_patterns import fits
from mcprun.prompts.file import QueryFilter, read_prompts
from mcprun.prompts.generate import generate_prompts
from mcprun.prompts.shard import Shard
from mcprun.tools.toolset import ToolFilter, ToolSet
from tests.support.cli import QUICKSTART, RAW, run_mcprun, script, write_jsonl

IDS = ("a1", "a[1]", "b*", "b-x", "c?", "cd", "d[!x]", "dy", "e,f", "e", "[", "tagged", "tagged-too", "[[]z]")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Queries whose ids look like patterns; two of them have tags that do."""
    queries = [script(id=name, tags=[f"t[{name}]"] if name.startswith("tagged") else []) for name in IDS]
    return write_jsonl(tmp_path / "p.jsonl", *queries)


@pytest.mark.parametrize(
    ("patterns", "ids"),
    [
        (["a[1]"], ["a[1]"]),
        (["a[12]"], ["a1"]),
        (["a[[]1]"], ["a[1]"]),
        (["b*"], ["b*"]),
        (["b-*"], ["b-x"]),
        (["c?"], ["c?"]),
        (["d[!x]"], ["d[!x]"]),
        (["d[!z]"], ["dy"]),
        (["e,f"], ["e,f"]),
        (["["], ["["]),
        (["a[1]", "c*"], ["a[1]", "c?", "cd"]),
        (["a[1]", "a1"], ["a1", "a[1]"]),
        (["t[tagged]"], ["tagged"]),
        (["tagged*"], ["tagged", "tagged-too"]),
        (["[[]z]"], ["[[]z]"]),
    ],
)
def test_an_exact_id_or_tag_wins_over_a_pattern(prompts: Path, patterns: list[str], ids: list[str]) -> None:
    """Each pattern by itself; in the first reading and in the second, with shards and with a limit."""
    with read_prompts(str(prompts), QueryFilter(tuple(patterns))) as found:
        assert list(found.digests) == ids
        assert [query.id for query in found.queries()] == ids
    with read_prompts(str(prompts), QueryFilter(tuple(patterns), limit=1)) as found:
        assert [query.id for query in found.queries()] == ids[:1]
    with read_prompts(str(prompts), QueryFilter(tuple(patterns), shard=Shard(1, 2))) as found:
        assert [query.id for query in found.queries()] == ids[::2]


@given(st.lists(st.text(alphabet="ab[]*?!-", min_size=1, max_size=4), min_size=1, unique=True), st.data())
def test_every_name_can_be_chosen_alone(names: list[str], data: st.DataObject) -> None:
    """By itself, whatever else there is."""
    chosen = data.draw(st.sampled_from(names))
    assert [name for name in names if fits(name, [chosen], names)] == [chosen]


def test_filters_of_a_run_that_goes_on(tmp_path: Path, prompts: Path) -> None:
    """The same queries as before, by `--filter`, from the project's file and from the environment."""
    done = run_mcprun("batch", prompts, RAW, "--filter", "a[1]", "--out", "run", cwd=tmp_path)
    assert (done.code, list(done.verdicts)) == (0, ["a[1]"])
    again = run_mcprun("batch", "--resume", "run", cwd=tmp_path)
    assert (again.code, list(again.verdicts)) == (0, ["a[1]"])
    (tmp_path / "mcprun.toml").write_text(
        f"prompts = 'p.jsonl'\nserver = {json.dumps(str(RAW))}\nfilter = ['b*', 'e,f']\n"
    )
    assert list(run_mcprun("batch", cwd=tmp_path).verdicts) == ["b*", "e,f"]
    assert list(run_mcprun("batch", cwd=tmp_path, env={"MCPRUN_FILTER": "'a[1]' c?"}).verdicts) == ["a[1]", "c?"]
    assert run_mcprun("show", "run", "a[1]", cwd=tmp_path).code == 0


def test_names_of_tools() -> None:
    """Permits, a query's own tools and `init --tool` take patterns in the same way."""
    listed = [{"name": name, "inputSchema": {"type": "object"}} for name in ("a1", "a[1]", "b*", "bc")]
    tools = ToolSet.of(listed)

    def kept(permit: ToolFilter) -> list[str]:
        return sorted(tools.only(permit).names.values())

    assert kept(ToolFilter(allow=("a[1]",))) == ["a[1]"]
    assert kept(ToolFilter(allow=("a[1]", "b?"))) == ["a[1]", "b*", "bc"]
    assert kept(ToolFilter(deny=("b*",))) == ["a1", "a[1]", "bc"]
    assert kept(ToolFilter(deny=("a[12]",))) == ["a[1]", "b*", "bc"]
    assert [query["script"][0]["calls"][0]["tool"] for query in generate_prompts(listed, ("a[1]",)).queries] == ["a[1]"]


def test_what_must_never_be_called_is_named_or_fits(tmp_path: Path) -> None:
    """A tool whose name is the pattern itself counts as called."""
    call = {"tool": "x[1]", "input": {}}
    query = {**script(id="q"), "script": [{"calls": [call]}, {"text": "."}], "expect": {"never": ["x[1]"]}}
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query), QUICKSTART[1], cwd=tmp_path)
    assert (done.code, "expected no call to x[1], got x[1]" in done.stderr) == (1, True)
