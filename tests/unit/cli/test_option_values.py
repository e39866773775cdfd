"""Flags, variables, the project file and fields of `Options` accept the same values."""

from __future__ import annotations

import math
import shlex
import string
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import click
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from mcprun import limits
from mcprun.cli.arguments import options_of
from mcprun.cli.commands.batch import batch
from mcprun.cli.configurable_command import ConfigurableCommand
from mcprun.config.option_table import KEYS, KINDS, OPTIONS
from mcprun.config.project import Config, variable_of
from mcprun.engine.options import Options
from mcprun.errors import UsageError
from mcprun.limits import Limits
from mcprun.option_kinds import Amount, Headers, Kind, Listed, OneOf, Switch, Text, Thinking, Variables, Whole
from tests.support.examples import examples

FIELDS = {**limits.KINDS, **{name: kind for name, kind in OPTIONS.items() if name != "server_args"}}
"""Each field of `Limits` and `Options` that has a flag."""

FILE = Path("/project/mcprun.toml")

Outcome = tuple[str, Any]
"""`value` and the value that the run uses, or `error` and the message."""


def set_in_python(name: str, value: Any) -> Outcome:
    """Set a field of `Options` or `Limits`, and return the outcome."""
    try:
        if name in limits.KINDS:
            return "value", getattr(Options(limits=Limits(**{name: value})).limits, name)
        return "value", getattr(Options(**{name: value}), name)
    except UsageError as error:
        return "error", str(error).removeprefix("limits.").removeprefix(f"{name} ").removeprefix(f"{name}: ")


def parse_command(name: str, *args: str, variables: dict[str, str] | None = None, file: Any = None) -> Outcome:
    """Parse a `mcprun batch` command line with environment variables and a project file, and return the outcome."""
    files = [] if file is None else [Config(FILE, {KEYS[name]: file})]
    try:
        context = batch.make_context("batch", [*args, "p.jsonl", "s.py"], variables=variables or {}, files=files)
        options = options_of(context.obj.values)
    except UsageError as error:
        return "error", str(error)
    except click.UsageError as error:
        return "error", error.format_message()
    return "value", getattr(options.limits if name in limits.KINDS else options, name)


def flag_of(name: str) -> str:
    return f"--{KEYS[name].replace('_', '-')}"


def flag_values(value: Any, kind: Kind) -> list[str]:
    """Return the texts that set the value with flags, one per flag.

    The list is empty if no text can express the value: 1 and "1" are the same text, and an empty text sets nothing.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    texts: list[Any] = []
    match kind:
        case Whole() | Amount() if is_number and not abs(value) > 10**4000:  # str() stops at 4300 digits
            texts = [str(value)]
        case Thinking() if is_number:
            texts = [str(value)]
        case Variables() | Headers() if isinstance(value, dict):
            mark = ": " if isinstance(kind, Headers) else "="
            texts = [f"{name}{mark}{item}" for name, item in value.items() if isinstance(item, str)]
            texts = texts if len(texts) == len(value) and not any(mark.strip() in name for name in value) else []
        case Listed() if isinstance(value, list):
            texts = value
        case Text() | OneOf() | Thinking() if isinstance(value, str):
            texts = [value]
    return texts if all(isinstance(one, str) and one and one == one.strip() for one in texts) else []


def is_same_outcome(name: str, expected: Outcome, actual: Outcome) -> bool:
    """Return whether two outcomes are the same value or give the same reason.

    A flag's message does not number the items of a list.
    """
    message = expected[1].removeprefix("item 1 ") if expected[0] == "error" else ""
    return expected == actual if expected[0] == "value" else (actual[0] == "error" and message in actual[1])


def is_file_only(kind: Kind, value: Any) -> bool:
    """Return whether only a file accepts the value: a string as a list of one, or `NAME=VALUE` for a table."""
    is_table = isinstance(kind, Variables | Headers)
    return (isinstance(value, str) and (is_table or isinstance(kind, Listed))) or (isinstance(value, list) and is_table)


TEXT = st.text(string.ascii_letters + string.digits + "*./:='\" é-", min_size=1, max_size=8).map(str.strip)

ODD: list[Any] = [0, 1, -1, 2, True, False, 1.0, 1.5, -0.5, 1e3, 10**10, math.nan, math.inf, -math.inf, "x", "", "1", [], ["x"], [1], [""], ["x", 2], {"A": "b"}, {"A": 1}]  # fmt: skip
"""Values that are valid for some options, and invalid for most."""


def option_values(kind: Kind) -> st.SearchStrategy[Any]:
    """Draw values for an option: mostly valid ones, its bounds, and some invalid ones."""
    typical: st.SearchStrategy[Any]
    match kind:
        case Whole(least, limit):
            typical = st.integers(least, limit) | st.sampled_from(
                [least - 1, least, limit, limit + 1, float(least), 10**5000]
            )
        case Amount(limit):
            typical = st.floats(0, limit, exclude_min=True) | st.sampled_from([0, 1, limit, limit + 1, -1e-9, 10**400])
        case Switch():
            typical = st.booleans()
        case OneOf(names):
            typical = st.sampled_from([*names, names[0].upper(), names[0] + " "])
        case Thinking(least):
            typical = st.sampled_from(["adaptive", "disabled", least - 1, least, str(least), str(least - 1), True])
        case Variables() | Headers():
            typical = st.dictionaries(TEXT, TEXT, min_size=1, max_size=2)
        case Listed():
            typical = st.lists(TEXT, min_size=1, max_size=3)
        case _:
            typical = TEXT
    return typical | st.sampled_from(ODD)


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, Any]:
    name = draw(st.sampled_from(sorted(FIELDS)))
    return name, draw(option_values(FIELDS[name]))


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries())
@example(("pass_rate", 10**400))  # more than a float can hold
def test_an_option_has_the_same_effect_from_every_source(entry: tuple[str, Any]) -> None:
    """A value has the same effect, or is rejected for the same reason, whichever source it comes from."""
    name, value = entry
    kind = FIELDS[name]
    assume(not is_file_only(kind, value))
    expected = set_in_python(name, value)
    assert is_same_outcome(name, expected, parse_command(name, file=value))
    if isinstance(kind, Switch) and isinstance(value, bool):
        switch = flag_of(name) if value else flag_of(name).replace("--", "--no-")
        assert expected == parse_command(name, switch)
        assert expected == parse_command(name, variables={variable_of(KEYS[name]): str(value)})
    assume(
        not (name == "ray" and str(value).startswith("-"))
    )  # click parses `--ray=-x` as `--ray -x`, since the value of --ray is optional
    if texts := flag_values(value, kind):
        assert is_same_outcome(name, expected, parse_command(name, *(f"{flag_of(name)}={text}" for text in texts)))
        is_many = isinstance(kind, Listed | Variables | Headers)
        variable = shlex.join(texts) if is_many else texts[0]
        assert is_same_outcome(name, expected, parse_command(name, variables={variable_of(KEYS[name]): variable}))


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_python_and_files_do_not_coerce_values(name: str) -> None:
    """Python and files accept or reject each odd value alike, for the same reason. Neither accepts NaN or infinity."""
    for value in ODD:
        if is_file_only(FIELDS[name], value):
            assert set_in_python(name, value)[0] == "error"
            continue
        expected = set_in_python(name, value)
        assert is_same_outcome(name, expected, parse_command(name, file=value)), value
        is_odd = isinstance(value, float) and not math.isfinite(value)
        assert not (is_odd and expected[0] == "value")


def test_a_string_is_not_accepted_as_a_list() -> None:
    """A string in place of a list is rejected: read letter by letter, it would not deny the tool."""
    for name, kind in {**OPTIONS, "server_args": Listed()}.items():
        if isinstance(kind, Listed):
            with pytest.raises(UsageError, match=f"{name} must be a list of strings, not a string"):
                Options(**{name: "delete_note"})  # type: ignore[arg-type]
            assert getattr(Options(**{name: ["a"]}), name) == ("a",)  # type: ignore[arg-type]
    assert parse_command("deny_tool", file="delete_note") == ("value", ("delete_note",))


def test_tables_are_accepted_only_for_name_value_options() -> None:
    """`scrub = {a = 1}` is rejected, and `env = {A = "b"}` is accepted.

    Invalid variable names, header names and header values are rejected.
    """
    assert parse_command("scrub", file={"a": 1}) == ("error", f"{FILE}: scrub must be a list of strings, not a table")
    assert parse_command("env", file={"A": " b=c "}) == ("value", {"A": " b=c "})
    assert parse_command("env", file={"A=s3cret": "b"})[0] == set_in_python("env", {"A=s3cret": "b"})[0] == "error"
    assert parse_command("headers", file={"A": "b: c"}) == ("value", {"A": "b: c"})
    for invalid in ({"A": "b\r\nX: y"}, {"A b": "c"}, {"A": "Bearer"}, {"A": ""}, {1: "b"}):
        assert set_in_python("headers", invalid)[0] == "error"


def test_messages_do_not_contain_values_that_may_be_secret() -> None:
    """A message about a text of the wrong type, in the wrong place, or inside a list does not contain it."""
    secret = "s3cret-9f8e"
    for name, kind in FIELDS.items():
        if isinstance(kind, Text | Listed | Variables | Headers):
            for value in (
                [secret],
                {secret: secret},
                [[secret]],
                {f"{secret}=": secret},
                {secret: [secret]},
                f"{secret}\0",
            ):
                outcome, message = set_in_python(name, value)
                assert outcome == "value" or secret not in message or {secret} == {*value}


def test_every_field_has_a_kind_and_a_flag() -> None:
    """Each field of `Options` and `Limits` has a kind and an option of `mcprun batch`, so new options are validated."""
    assert {field.name for field in fields(Options)} - {"limits"} == set(OPTIONS)
    assert {field.name for field in fields(Limits)} == set(limits.KINDS)
    assert isinstance(batch, ConfigurableCommand)
    assert set(batch.settable()) == set(KINDS)


def test_values_are_converted_to_their_annotated_types() -> None:
    """An integer for a float field becomes a float, and a `Path` becomes a string."""
    options = Options(limits=Limits(call_seconds=5), out=Path("a") / "b", roots=[Path("c")], thinking=2048)  # type: ignore[arg-type,list-item]
    assert (options.limits.call_seconds, options.out, options.roots, options.thinking) == (5.0, "a/b", ("c",), "2048")
    assert isinstance(options.limits.call_seconds, float)
    assert get_type_hints(Limits)["call_seconds"] is float


@pytest.mark.parametrize("value", [{"max_turns": 3}, None, Limits])
def test_limits_must_be_a_limits_object(value: Any) -> None:
    """A dictionary, None or the class itself is rejected as `limits`."""
    with pytest.raises(UsageError, match=r"limits must be an object of type mcprun\.Limits"):
        Options(limits=value)
