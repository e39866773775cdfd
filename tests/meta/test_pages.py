"""The README and the pages in docs/: their commands run verbatim, their links lead somewhere, and their tables match the code."""

from __future__ import annotations

import ast
import json
import re
import shlex
from dataclasses import asdict
from pathlib import Path

import click
import pytest
import yaml

from mcprun.checks.expect import Expect
from mcprun.cli import main
from mcprun.engine.grading import INSTRUCTIONS
from mcprun.errors import ErrorKind, ExitCode
from mcprun.limits import Limits
from mcprun.prompts.aliases import ALIASES
from mcprun.prompts.query import Query
from mcprun.runs.events import Event
from mcprun.runs.transcript import Call, RoutedCall, StepCall, Transcript
from tests.support.cli import PROMPTS, ROOT, normalised, run_mcprun, write_jsonl
from tests.support.cli_reference import BEGIN, END, reference
from tests.support.documents import PAGES, README, anchors, code_blocks, links, page, without_code

DOCUMENTS = (README, *PAGES)


def shown_commands(document: Path) -> list[tuple[str, str]]:
    """Return the mcprun commands after `$ ` in a document's console blocks, each with the output below it."""
    blocks = code_blocks(document.read_text(encoding="utf-8"), "console")
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    shown = [(command, output) for command, _, output in (part.partition("\n") for part in parts)]
    return [(command, output) for command, output in shown if command.startswith("mcprun ")]


SHOWN = [document for document in (*DOCUMENTS, PROMPTS / "state" / "README.md") if shown_commands(document)]


def test_the_readme_is_short() -> None:
    """The README has at most 250 lines."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 250


def test_the_first_two_commands_need_no_other_setup() -> None:
    """The first command runs the example and the second the tests. Each creates its own virtual environment."""
    example, tests, *_ = code_blocks(README.read_text(encoding="utf-8"), "console")
    begin = "python3 -m venv .venv && . .venv/bin/activate && pip install -q "
    assert example == f"{begin}. && mcprun batch prompts/quickstart.jsonl prompts/quickstart.py\n"
    assert tests == f"{begin}-e '.[test]' && pytest\n"


@pytest.mark.parametrize("document", SHOWN, ids=lambda document: str(document.relative_to(ROOT)))
def test_shown_output_is_the_actual_output(document: Path, tmp_path: Path) -> None:
    """Each `$ mcprun …` of a document prints the output below it, in which `...` stands for omitted lines.

    The commands of a document run in one folder, in order.
    """
    (tmp_path / "prompts").symlink_to(ROOT / "prompts")
    for command, expected in shown_commands(document):
        done = run_mcprun(*shlex.split(command)[1:], cwd=tmp_path)
        printed = normalised(done.stderr + done.stdout)
        parts = re.split(r"^\.\.\.$", normalised(expected), flags=re.MULTILINE)
        assert re.fullmatch(".*".join(map(re.escape, parts)), printed, re.DOTALL), f"{command} printed:\n{printed}"


def test_the_five_minutes_of_the_readme(tmp_path: Path) -> None:
    """The commands turn a server into a baseline, and the last one is green until the server changes."""
    source = (PROMPTS / "quickstart.py").read_text(encoding="utf-8")
    (tmp_path / "server.py").write_text(source, encoding="utf-8")
    (block,) = (one for one in code_blocks(README.read_text(encoding="utf-8"), "sh") if "mcprun init" in one)
    commands = [shlex.split(line, comments=True)[1:] for line in block.splitlines() if line.startswith("mcprun ")]
    for command in commands:
        done = run_mcprun(*command, cwd=tmp_path)
        assert done.code == 0, f"{command} printed:\n{done.stderr}{done.stdout}"
    assert [command[0] for command in commands] == ["init", "batch", "bless", "batch"]
    changed = source.replace("return a + b", "return a - b")
    assert changed != source
    (tmp_path / "server.py").write_text(changed, encoding="utf-8")
    assert run_mcprun(*commands[-1], cwd=tmp_path).code == 1


def test_output_is_shown_in_several_documents() -> None:
    """The README, the tutorial and the page about replays show commands with their output."""
    assert {"README", "replay", "tutorial"} <= {document.stem for document in SHOWN}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_links_point_to_existing_headings_and_files(document: Path) -> None:
    """Each relative link of a document names an existing file, and each fragment a heading of that file."""
    for link in links(document):
        if link.startswith("https://"):  # tests do not use the network
            continue
        path, _, fragment = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not fragment or fragment in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_is_listed() -> None:
    """docs/README.md and the README link to every page."""
    names = {f"{one.stem}.md" for one in PAGES if one.stem != "README"}
    assert {link for link in links(ROOT / "docs" / "README.md") if "#" not in link} >= names
    assert {link.removeprefix("docs/").partition("#")[0] for link in links(README)} >= names


def test_every_command_is_listed() -> None:
    """The table of commands in the README has a row for each command."""
    (table,) = re.findall(
        r"^\| command \|[^\n]*\n\|[-|]+\|\n((?:\|[^\n]*\n)+)", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    listed = {
        name.removeprefix("mcprun ")
        for row in table.splitlines()
        for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])
    }
    assert listed == {name for name, command in main.commands.items() if not command.hidden}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_mcprun_command_is_valid(document: Path) -> None:
    """Each `mcprun …` line in a code block has a command and options that exist."""
    for block in code_blocks(document.read_text(encoding="utf-8"), "sh", "console", "text"):
        for line in block.splitlines():
            if re.match(r"(\$ )?mcprun (?!.*\[OPTIONS\])", line):
                name, *rest = shlex.split(line.removeprefix("$ "), comments=True)[1:]
                command = main.commands.get(name)
                assert command, line
                parser = command.make_parser(click.Context(command))
                parser.parse_args(rest)


def test_the_queries_shown_are_valid(tmp_path: Path) -> None:
    """Each query that a document shows may stand in a prompts file."""
    texts = [document.read_text(encoding="utf-8") for document in DOCUMENTS]
    queries = [json.loads(block) for text in texts for block in code_blocks(text, "json")]
    queries += [query for block in code_blocks(page("prompts-file"), "yaml") for query in yaml.safe_load(block)]
    assert len(queries) >= 6
    for number, query in enumerate(queries):
        query["id"] = f"{query['id']}-{number}"
    prompts = write_jsonl(tmp_path / "prompts.jsonl", *queries)
    done = run_mcprun("validate", prompts, cwd=tmp_path)
    assert done.code == 0, done.stderr


def test_the_tables_hold_every_key() -> None:
    """The pages document every key of a query and of `expect`, every alias and every exit code."""
    for key in (*Query.model_fields, *ALIASES):
        assert re.search(rf'`{key}\b|"{key}"', page("prompts-file")), key
    for key in Expect.model_fields:
        assert re.search(rf'`{key}\b|"{key}"', page("expectations")), key
    for code in ExitCode:
        assert re.search(rf"^\| [\d, ]*\b{code.value}\b", page("cli"), re.MULTILINE), code


def test_the_files_of_a_run_are_described() -> None:
    """The page about the files of a run names each key of a transcript, a call and a step, and each event of the trace."""
    text = page("run-files")
    for model in (Transcript, Call, StepCall, RoutedCall):
        for key in model.model_fields:
            assert re.search(rf"\b{key.removesuffix('_')}\b", text), key
    for kind in Event.__subclasses__():
        assert f"`{kind.name}`" in text, kind


def test_the_table_of_deadlines_has_the_defaults() -> None:
    """The table lists each deadline with its flag and its default from the code."""
    units = {"s": 1, "min": 60, "days": 24 * 60 * 60}
    rows = re.findall(r"^\| `--([\w-]+)-timeout` \| (\d+) (s|min|days) \|", page("limits"), re.MULTILINE)
    documented = {name: int(number) * units[unit] for name, number, unit in rows}
    limits = {**asdict(Limits()), "max_call_seconds": Limits().max_total_call_seconds}
    assert documented == {
        name.removesuffix("_seconds").replace("_", "-"): value
        for name, value in limits.items()
        if name.endswith("_seconds") and name != "retry_wait_seconds"
    }


def test_the_reference_of_commands_is_generated() -> None:
    """docs/cli.md contains what `python -m tests.support.cli_reference --write` writes, once."""
    assert reference() in page("cli")
    assert page("cli").count(BEGIN) == page("cli").count(END) == 1


def test_the_judge_instructions_are_quoted() -> None:
    """The page about expectations contains the instructions to the judge word for word."""
    assert INSTRUCTIONS in page("expectations")


OTHER_PROGRAMS = {"--extra", "--rounds", "--write", "--only", "--lf", "--cov-fail-under"}
"""Flags in the documents that belong to other programs."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_flag_exists(document: Path) -> None:
    """Each flag that a document names outside its code blocks is an option of a command, or of the pytest plugin."""
    known = {
        name
        for command in main.commands.values()
        for param in command.params
        for name in (*param.opts, *param.secondary_opts)
    }
    flags = set(re.findall(r"`(--[a-z-]+)", without_code(document.read_text(encoding="utf-8"))))
    plugin = {text for text in literals() if text.startswith("--mcp-")}
    assert flags - known - plugin - OTHER_PROGRAMS == set()


def literals() -> list[str]:
    """Return the string constants of the package, docstrings included. An f-string has one for each literal part."""
    modules = (ROOT / "runner" / "mcprun").rglob("*.py")
    nodes = (node for module in modules for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_the_messages_explained_exist() -> None:
    """Each message in the tables of the troubleshooting page is one that mcprun prints, and each kind of error is listed."""
    known = literals()
    tables = re.findall(r"^\| message \|[^\n]*\n\|[-|]+\|\n((?:\|[^\n]*\n)+)", page("troubleshooting"), re.MULTILINE)
    messages = [one for row in "".join(tables).splitlines() for one in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    assert len(messages) >= 20
    for message in messages:
        for part in filter(None, (part.strip() for part in message.split("…"))):
            assert any(part in literal for literal in known), (message, part)
    for kind in ErrorKind:
        assert f"`{kind.value}`" in page("troubleshooting"), kind
