"""pytest and `mcprun batch` honour the same configuration of replays and baselines, with the same outcome."""

from __future__ import annotations

import pytest

from tests.support.cli import read_jsonl, run_mcprun, script, stdlib_server, write_jsonl
from tests.support.pytest_plugin import Suite, suite

__all__ = ["suite"]

pytest_plugins = ["pytester"]

SHOP = stdlib_server("""
import pathlib, uuid

server = StdlibServer("shop")
calls = [0]


@server.tool()
def price() -> str:
    return pathlib.Path("price").read_text()


@server.tool()
def order() -> str:
    calls[0] += 1
    return f"order {uuid.uuid4()}, the {calls[0]}. of this server"


server.run()
""")

CONFIG = 'server = "shop.py"\nprompts = "prompts.jsonl"\nfresh-server = true\nscrub = ["uuid"]\n'

QUERIES = tuple(script((tool, {}), id=name) for tool, name in (("price", "price"), ("order", "one"), ("order", "two")))


@pytest.fixture
def shop(suite: Suite) -> Suite:
    """Return a suite whose configuration replays a baseline and compares with it."""
    suite.write("shop.py", SHOP)
    suite.write("price", "5")
    suite.write("pytest.ini", "[pytest]\n")
    suite.write("mcprun.toml", CONFIG)
    suite.prompts(*QUERIES)
    assert run_mcprun("batch", "--out", "good", cwd=suite.path).code == 0
    assert run_mcprun("bless", "good", "baseline", cwd=suite.path).code == 0
    suite.write("mcprun.toml", f'{CONFIG}model = "replay:baseline"\nbaseline = "baseline"\n')
    return suite


def batch_code(shop: Suite) -> int:
    """Return the exit code of `mcprun batch` with the same configuration."""
    return run_mcprun("batch", "--quiet", cwd=shop.path).code


def test_an_unchanged_server_passes_in_both(shop: Suite) -> None:
    """Model, fresh servers, scrubbed values and the baseline of the configuration apply to both."""
    done = shop.run("--rootdir=.")
    done.assert_outcomes(passed=3)
    assert shop.record["model"]["name"] == "replay:baseline"
    assert shop.record["baseline"]["compared"]["same"] == 3
    assert batch_code(shop) == 0


def test_a_regressed_query_fails_in_both(shop: Suite) -> None:
    """A query whose result differs from the baseline fails with the difference, and the others pass."""
    shop.write("price", "6")
    done = shop.run("--rootdir=.")
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(
        ["regressed: call 0 price{}: 5 → 6", "~ price  passed", "FAILED prompts.jsonl::price - Failed: regressed: *"]
    )
    assert shop.record["baseline"]["compared"]["regressions"] == 1
    assert batch_code(shop) == 1


def test_options_that_cover_volatile_results_are_named_once(shop: Suite) -> None:
    """The first of the queries that differ in ids names the option that leaves them out, and so does `mcp_run`."""
    config = f'{CONFIG}model = "replay:baseline"\nbaseline = "baseline"\n'.replace('scrub = ["uuid"]\n', "")
    shop.write("mcprun.toml", config)
    done = shop.run("--rootdir=.")
    done.assert_outcomes(passed=1, failed=2)
    assert str(done.stdout).count("differs in values that look volatile. To leave them out, add:\n  --scrub uuid") == 1
    assert str(done.stdout).count('  scrub = ["uuid"]') == 1
    shop.write("test_own.py", 'def test_own(mcp_run):\n    mcp_run("prompts.jsonl", baseline="baseline")\n')
    done = shop.run("--rootdir=.", "test_own.py")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["*2 queries differ in values that look volatile. To leave them out, add:", "*--scrub uuid"]
    )


@pytest.mark.parametrize(("setting", "outcome"), [("fresh-server", "true"), ("scrub", '["uuid"]')])
def test_a_setting_that_is_left_out_fails_in_both(shop: Suite, setting: str, outcome: str) -> None:
    """Without the fresh servers or the scrubbed values of the baseline, both are red."""
    config = (shop.path / "mcprun.toml").read_text()
    shop.write("mcprun.toml", config.replace(f"{setting} = {outcome}\n", ""))
    assert shop.run("--rootdir=.").ret == 1
    assert batch_code(shop) == 1


@pytest.mark.parametrize("source", ["file", "variable"])
def test_a_missing_baseline_is_an_error_in_both(shop: Suite, source: str) -> None:
    """No query is run if the baseline does not exist, wherever it is set."""
    env = {"MCPRUN_BASELINE": "nope"} if source == "variable" else None
    if source == "file":
        shop.write("mcprun.toml", f'{CONFIG}model = "script"\nbaseline = "nope"\n')
    done = shop.run("--rootdir=.", env=env)
    done.assert_outcomes(errors=1)
    assert "there is no baseline at nope" in done.stdout.str()
    batch = run_mcprun("batch", cwd=shop.path, env=env)
    assert (batch.code, "there is no baseline at nope" in batch.stderr, shop.runs) == (2, True, [])


def test_a_query_that_only_the_baseline_has_fails_both(shop: Suite) -> None:
    """A query that was removed from the file is an error at the end of the file, but not if only some are selected."""
    shop.prompts(*QUERIES[:2])
    done = shop.run("--rootdir=.")
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["baseline has queries that this file lacks: 'two'"])
    assert batch_code(shop) == 1
    shop.run("--rootdir=.", "-k", "price").assert_outcomes(passed=1, deselected=1)
    assert run_mcprun("batch", "--quiet", "--filter", "price", cwd=shop.path).code == 0


def test_a_breaking_change_of_a_tool_fails_both(shop: Suite) -> None:
    """A tool that was removed is an error at the end of the file, although no query calls it."""
    shop.write("shop.py", SHOP.replace("def order()", "def ordered()"))
    shop.prompts(QUERIES[0])
    assert run_mcprun("bless", "good", "baseline", "--force", cwd=shop.path).code == 0
    lines = read_jsonl(shop.path / "baseline" / "transcripts.jsonl")
    run = shop.path / "baseline" / "run.json"
    run.write_text(run.read_text().replace('"passed": 3', '"passed": 1').replace('"calls": 3', '"calls": 1')
        .replace('"turns": 6', '"turns": 2'))  # fmt: skip
    write_jsonl(shop.path / "baseline" / "transcripts.jsonl", *lines[:1])
    done = shop.run("--rootdir=.")
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*order  removed*"])
    assert batch_code(shop) == 1


def test_repeats_are_compared_as_samples(shop: Suite) -> None:
    """The test of the last repeat of a query compares all of them, and fails if they regressed."""
    shop.write("mcprun.toml", f'{CONFIG}model = "script"\nbaseline = "baseline"\nrepeat = 2\n')
    shop.run("--rootdir=.").assert_outcomes(passed=6)
    shop.write("price", "6")
    done = shop.run("--rootdir=.")
    done.assert_outcomes(passed=5, failed=1)
    done.stdout.fnmatch_lines(["FAILED prompts.jsonl::price[[]2] - Failed: regressed: *"])
    assert batch_code(shop) == 1


def test_queries_in_test_code_have_no_baseline_unless_given(shop: Suite) -> None:
    """`mcp_run` ignores the configured baseline, which is of the prompts file, and compares with one that is passed."""
    query = script(("price", {}), id="price")
    shop.write("test_own.py", f"def test_it(mcp_run):\n    mcp_run([{query!r}])\n"
        f"def test_with(mcp_run):\n    mcp_run([{query!r}], baseline='baseline', filters=['price'])\n")  # fmt: skip
    shop.write("price", "6")
    done = shop.run("--rootdir=.", "test_own.py")
    done.assert_outcomes(passed=1, failed=1)
    assert "regressed from the baseline baseline:" in done.stdout.str()
