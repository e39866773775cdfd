"""`--help`: options under headings, one line each."""

from __future__ import annotations

import click
import pytest

from mcprun.cli import main
from mcprun.cli.commands.batch import batch
from mcprun.cli.help import HeadedCommand
from mcprun.cli.options.option import MAX_HELP, HeadedOption, Heading

COMMANDS = sorted(main.commands)


def help_lines(name: str) -> list[str]:
    """Return the lines of a command's help on a terminal of 80 columns."""
    parent = click.Context(main, info_name="mcprun", terminal_width=80)
    command = main.commands[name]
    return command.get_help(click.Context(command, parent, info_name=name)).splitlines()


def options_of(name: str) -> list[click.Option]:
    """Return the visible options of a command."""
    found = (param for param in main.commands[name].params if isinstance(param, click.Option))
    return [option for option in found if not option.hidden]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_has_a_heading_and_help(name: str) -> None:
    """Each option of each command is declared under a heading, with a line of help and details."""
    assert isinstance(main.commands[name], HeadedCommand)
    for option in options_of(name):
        assert isinstance(option, HeadedOption), option.name
        assert option.help, option.name
        assert option.details.endswith("."), option.name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns_with_one_line_per_option(name: str) -> None:
    """No line of help is longer than 80 columns, and each option takes one line."""
    lines = help_lines(name)
    assert max(map(len, lines)) <= 80
    below = [line for line in lines[lines.index("Options:") :] if line and not line.endswith(":")]
    assert [line for line in below if not line.startswith("  -")] == []
    assert len(below) == len(options_of(name)) + 1  # --help


def test_batch_lists_its_options_under_the_headings_in_order() -> None:
    """The help of `batch` has all headings, and lists the most used options first, in their order."""
    lines = help_lines("batch")
    assert [line for line in lines if line.endswith(":") and not line.startswith(" ")] == [f"{one}:" for one in Heading]
    first = lines[lines.index("Options:") + 1 :]
    first = first[: first.index("")]
    assert [line.split()[0].rstrip(",") for line in first[:5]] == ["-m", "-k", "-j", "-o", "--max-failures"]
    assert len(first) <= 20


def test_defaults_are_in_human_units() -> None:
    """Numeric defaults are shown with their unit or thousands separators."""
    lines = help_lines("batch")
    for flag, default in {
        "--concurrency": "8", "--max-tokens": "16,000", "--max-result-bytes": "10 MiB", "--connect-timeout": "30 s",
        "--call-timeout": "1 min", "--request-timeout": "10 min", "--run-timeout": "7 days", "--retries": "5",
    }.items():  # fmt: skip
        (line,) = (one for one in lines if one.startswith("  -") and flag in one.split()[:2])
        assert line.endswith(f"[{default}]")


def test_a_default_that_does_not_fit_is_left_to_the_reference() -> None:
    """Help shows a default only if it fits on the line."""

    def text_of(default: str) -> str:
        option = HeadedOption(["--x"], heading=Heading.LIMITS, help="Time", default_text=default)
        record = option.get_help_record(click.Context(click.Command("c")))
        assert record
        return record[1]

    fitting = "d" * (MAX_HELP - len("Time []"))
    assert text_of(fitting) == f"Time [{fitting}]"
    assert text_of(f"{fitting}d") == "Time"


@pytest.mark.parametrize(
    ("name", "short", "flag"),
    [
        ("batch", "-m", "--model"), ("batch", "-k", "--filter"), ("batch", "-j", "--concurrency"), ("batch", "-o", "--out"),
        ("batch", "-q", "--quiet"), ("chat", "-m", "--model"), ("chat", "-o", "--out"), ("merge", "-o", "--out"),
    ],
)  # fmt: skip
def test_short_forms_stand_for_the_long_ones(name: str, short: str, flag: str) -> None:
    """The short forms are those of pytest and uv."""
    assert any(short in option.opts and flag in option.opts for option in options_of(name))


@pytest.mark.parametrize(
    ("args", "expected"),
    [(["-x"], 1), (["-xq"], 1), (["--max-failures", "3"], 3), (["-x", "--max-failures", "3"], 3), ([], None)],
)
def test_x_stops_at_the_first_failure(args: list[str], expected: int | None) -> None:
    """`-x` is `--max-failures 1`; the last one given counts."""
    context = batch.make_context("batch", [*args, "p.jsonl", "s.py"], variables={}, files=[])
    assert context.obj.values["max_failures"] == expected
