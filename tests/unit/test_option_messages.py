"""Messages about invalid numbers: what is expected, what was given, and the number that was probably meant."""

from __future__ import annotations

import click
import pytest

from mcprun.cli import main
from mcprun.cli.options.option import HeadedOption
from mcprun.option_kinds import MAX_COUNT, Amount, Pattern, Share, Whole
from mcprun.written_numbers import written_number, written_seconds

SECONDS, SHARE, DOLLARS = Amount(1000, "seconds"), Amount(1), Amount(MAX_COUNT, "dollars")

NUMERIC = [
    (name, param)
    for name, command in main.commands.items()
    for param in command.params
    if isinstance(param, HeadedOption) and param.metavar in {"N", "SECONDS", "DOLLARS", "RATE", "P", "SHARE"}
]
"""The options that take a number, each with its command."""


@pytest.mark.parametrize(("name", "option"), NUMERIC, ids=lambda value: getattr(value, "name", value))
def test_each_numeric_option_names_what_it_expects(name: str, option: HeadedOption) -> None:
    """A word in place of a number is answered with the kind of number, its bounds and the word."""
    with pytest.raises(click.BadParameter) as raised:
        option.type.convert("many", option, click.Context(main.commands[name]))
    message = raised.value.format_message()
    assert message.startswith(f"Invalid value for '{max(option.opts, key=len)}': must be a ")
    assert message.endswith("not 'many'")


def test_all_numeric_options_are_checked() -> None:
    """The list of numeric options is not empty by mistake."""
    assert len(NUMERIC) > 40


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (Whole(), "many", "must be a whole number, at least 1, not 'many'"),
        (Whole(0), "-1", "must be a whole number, at least 0, not -1"),
        (Whole(), "9999999999", "must be a whole number from 1 to 1,000,000,000, not 9999999999"),
        (Whole(1, 10), "11", "must be a whole number from 1 to 10, not 11"),
        (Whole(), "1.5", "must be a whole number, at least 1, not 1.5"),
        (Whole(), "4.0", "must be a whole number, at least 1, not 4.0; did you mean 4?"),
        (Whole(), "16k", "must be a whole number, at least 1, not '16k'; did you mean 16000?"),
        (Whole(), "10 MiB", "must be a whole number, at least 1, not '10 MiB'; did you mean 10485760?"),
        (Whole(1, 10), "1,000", "must be a whole number from 1 to 10, not '1,000'"),
        (SECONDS, "10m", "must be a number of seconds above 0 and at most 1,000, not '10m'; did you mean 600?"),
        (SECONDS, "500ms", "must be a number of seconds above 0 and at most 1,000, not '500ms'; did you mean 0.5?"),
        (SECONDS, "1h", "must be a number of seconds above 0 and at most 1,000, not '1h'"),
        (SECONDS, "0", "must be a number of seconds above 0 and at most 1,000, not 0"),
        (SHARE, "80%", "must be a number above 0 and at most 1, not '80%'; did you mean 0.8?"),
        (SHARE, "80", "must be a number above 0 and at most 1, not 80; did you mean 0.8?"),
        (SHARE, "1.5", "must be a number above 0 and at most 1, not 1.5"),
        (Share(), "90%", "must be a share from 0 to 1, not '90%'; did you mean 0.9?"),
        (Share(), "90", "must be a share from 0 to 1, not 90; did you mean 0.9?"),
        (Share(), "-0.1", "must be a share from 0 to 1, not -0.1"),
        (Share(), "nan", "must be a share from 0 to 1, not nan"),
        (DOLLARS, "$1,000", "must be a number of dollars above 0 and at most 1,000,000,000, not '$1,000'; did you mean 1000?"),
        (DOLLARS, "five", "must be a number of dollars above 0 and at most 1,000,000,000, not 'five'"),
    ],
)  # fmt: skip
def test_a_number_in_another_form_is_recognised(kind: Whole | Amount, given: str, message: str) -> None:
    """Units, percentages, currency and separators are read, and the number is proposed if it is within bounds."""
    with pytest.raises(ValueError, match="must be") as raised:
        kind.read(given)
    assert str(raised.value) == message


@pytest.mark.parametrize("text", ["", "x", "10x", "1.2.3", "1,00", "-5", "٣", "9" * 1000, "nan", "inf", "1e5"])
def test_other_texts_are_no_numbers(text: str) -> None:
    """Texts that are not a plain number with a known unit give None."""
    assert written_number(text) is None
    assert written_seconds(text) is None


@pytest.mark.parametrize("pattern", ["a", "get_*", "a?", "[ab]*", "[!a]", "[]]", "[!]]", "[[]", "a]", "[a][b]"])
def test_closed_patterns_are_accepted(pattern: str) -> None:
    """A `]` may be the first character of a set, and means itself outside of one."""
    assert Pattern().check(pattern) == pattern


@pytest.mark.parametrize("pattern", ["[", "get_[ab", "[a]b[", "[]", "[!]", "[!"])
def test_unclosed_bracket_is_rejected(pattern: str) -> None:
    """`fnmatch` would take it for itself, and the pattern would match nothing."""
    with pytest.raises(ValueError, match=r"^must close each \[ with a \]; \[\[\] stands for the character \[$"):
        Pattern().check(pattern)


def test_bounds_of_a_share_are_included() -> None:
    """0 requires nothing, and 1 everything."""
    assert [Share().read(text) for text in ("0", "1", "0.5")] == [0.0, 1.0, 0.5]
