"""A flag, a variable, an entry of the project's file and a field of `Options` take the same values."""

from __future__ import annotations

import math
import shlex
import string
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import click
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mcprun import limits
from mcprun.cli.arguments import options_of
from mcprun.cli.commands.batch import batch
from mcprun.cli.config_command import ConfigurableCommand
from mcprun.config.option_table import KEYS, KINDS, OPTIONS
from mcprun.config.project import Config, variable_of
from mcprun.engine.plan import Options
from mcprun.errors import UsageError
from mcprun.limits import Limits
from mcprun.option_kinds import Amount, Headers, Kind, Listed, OneOf, Switch, Text, Thinking, Variables, Whole
from tests.support.examples import examples

FIELDS = {**limits.KINDS, **{name: kind for name, kind in OPTIONS.items() if name != "server_args"}}
"""Each field of `Limits` and `Options` that has a flag."""

FILE = Path("/project/mcprun.toml")

Outcome = tuple[str, Any]
"""`value` and what the run takes, or `error` and the message."""


def by_python(name: str, value: Any) -> Outcome:
    """Set a field."""
    try:
        if name in limits.KINDS:
            return "value", getattr(Options(limits=Limits(**{name: value})).limits, name)
        return "value", getattr(Options(**{name: value}), name)
    except UsageError as error:
        return "error", str(error).removeprefix("limits.").removeprefix(f"{name} ").removeprefix(f"{name}: ")


def by_command(name: str, *args: str, variables: dict[str, str] | None = None, file: Any = None) -> Outcome:
    """Parse a command line of `mcprun batch`, with the environment and the file's entry of the option."""
    files = [] if file is None else [Config(FILE, {KEYS[name]: file})]
    try:
        context = batch.make_context("batch", [*args, "p.jsonl", "s.py"], variables=variables or {}, files=files)
        found = options_of(context.obj.values)
    except UsageError as error:
        return "error", str(error)
    except click.UsageError as error:
        return "error", error.format_message()
    return "value", getattr(found.limits if name in limits.KINDS else found, name)


def flag(name: str) -> str:
    return f"--{KEYS[name].replace('_', '-')}"


def texts_of(value: Any, kind: Kind) -> list[str]:
    """Spell a value as flags do, one text each; none if it can't be: 1 and "1" are one text, and an empty one is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    texts: list[Any] = []
    match kind:
        case Whole() | Amount() if is_number and not abs(value) > 10**4000:  # Python writes no longer integer
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


def same(name: str, expected: Outcome, actual: Outcome) -> bool:
    """Return whether two ways have the same effect, or give the same reason. A flag's reason counts no items."""
    message = expected[1].removeprefix("item 1 ") if expected[0] == "error" else ""
    return expected == actual if expected[0] == "value" else (actual[0] == "error" and message in actual[1])


def is_files_own(kind: Kind, value: Any) -> bool:
    """Return whether only a file may say it so: a lone string for a list of one, `NAME=VALUE` for a table."""
    is_table = isinstance(kind, Variables | Headers)
    return (isinstance(value, str) and (is_table or isinstance(kind, Listed))) or (isinstance(value, list) and is_table)


WORD = st.text(string.ascii_letters + string.digits + "*./:='\" é-", min_size=1, max_size=8).map(str.strip)

ODD: list[Any] = [0, 1, -1, 2, True, False, 1.0, 1.5, -0.5, 1e3, 10**10, math.nan, math.inf, -math.inf, "x", "", "1", [], ["x"], [1], [""], ["x", 2], {"A": "b"}, {"A": 1}]  # fmt: skip
"""Values that are right for some options, and wrong for most."""


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """Draw values for an option: mostly right ones, and those at its bounds."""
    own: st.SearchStrategy[Any]
    match kind:
        case Whole(least, limit):
            own = st.integers(least, limit) | st.sampled_from(
                [least - 1, least, limit, limit + 1, float(least), 10**5000]
            )
        case Amount(limit):
            own = st.floats(0, limit, exclude_min=True) | st.sampled_from([0, 1, limit, limit + 1, -1e-9, 10**400])
        case Switch():
            own = st.booleans()
        case OneOf(names):
            own = st.sampled_from([*names, names[0].upper(), names[0] + " "])
        case Thinking(least):
            own = st.sampled_from(["adaptive", "disabled", least - 1, least, str(least), str(least - 1), True])
        case Variables() | Headers():
            own = st.dictionaries(WORD, WORD, min_size=1, max_size=2)
        case Listed():
            own = st.lists(WORD, min_size=1, max_size=3)
        case _:
            own = WORD
    return own | st.sampled_from(ODD)


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, Any]:
    name = draw(st.sampled_from(sorted(FIELDS)))
    return name, draw(values(FIELDS[name]))


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries())
def test_an_option_is_the_same_however_it_is_set(entry: tuple[str, Any]) -> None:
    """The effect, or the reason why there is none, does not depend on where a value comes from."""
    name, value = entry
    kind = FIELDS[name]
    assume(not is_files_own(kind, value))
    expected = by_python(name, value)
    assert same(name, expected, by_command(name, file=value))
    if isinstance(kind, Switch) and isinstance(value, bool):
        word = flag(name) if value else flag(name).replace("--", "--no-")
        assert expected == by_command(name, word)
        assert expected == by_command(name, variables={variable_of(KEYS[name]): str(value)})
    assume(
        not (name == "ray" and str(value).startswith("-"))
    )  # click takes `--ray=-x` for `--ray -x`, since --ray stands alone
    if texts := texts_of(value, kind):
        assert same(name, expected, by_command(name, *(f"{flag(name)}={text}" for text in texts)))
        is_many = isinstance(kind, Listed | Variables | Headers)
        variable = shlex.join(texts) if is_many else texts[0]
        assert same(name, expected, by_command(name, variables={variable_of(KEYS[name]): variable}))


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_python_and_files_coerce_nothing(name: str) -> None:
    """Each odd value is taken by both or refused by both, for the same reason; NaN and infinity by neither."""
    for value in ODD:
        if is_files_own(FIELDS[name], value):
            assert by_python(name, value)[0] == "error"
            continue
        expected = by_python(name, value)
        assert same(name, expected, by_command(name, file=value)), value
        is_odd = isinstance(value, float) and not math.isfinite(value)
        assert not (is_odd and expected[0] == "value")


def test_a_string_is_no_list() -> None:
    """It would be read letter by letter: a denied tool would run."""
    for name, kind in {**OPTIONS, "server_args": Listed()}.items():
        if isinstance(kind, Listed):
            with pytest.raises(UsageError, match=f"{name} must be a list of strings, not a string"):
                Options(**{name: "delete_note"})  # type: ignore[arg-type]
            assert getattr(Options(**{name: ["a"]}), name) == ("a",)  # type: ignore[arg-type]
    assert by_command("deny_tool", file="delete_note") == ("value", ("delete_note",))


def test_a_table_is_one_only_where_names_have_values() -> None:
    """`scrub = {a = 1}` is refused, `env = {A = "b"}` is not, and no name of a variable holds more than a name."""
    assert by_command("scrub", file={"a": 1}) == ("error", f"{FILE}: scrub must be a list of strings, not a table")
    assert by_command("env", file={"A": " b=c "}) == ("value", {"A": " b=c "})
    assert by_command("env", file={"A=s3cret": "b"})[0] == by_python("env", {"A=s3cret": "b"})[0] == "error"
    assert by_command("headers", file={"A": "b: c"}) == ("value", {"A": "b: c"})
    for odd in ({"A": "b\r\nX: y"}, {"A b": "c"}, {"A": "Bearer"}, {"A": ""}, {1: "b"}):
        assert by_python("headers", odd)[0] == "error"


def test_messages_hold_no_value_that_may_be_secret() -> None:
    """A text of the wrong type, in the wrong place, or within a list is not repeated."""
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
                outcome, reported = by_python(name, value)
                assert outcome == "value" or secret not in reported or {secret} == {*value}


def test_every_field_has_a_kind_and_a_flag() -> None:
    """So an option that is added is checked, however it is given."""
    assert {field.name for field in fields(Options)} - {"limits"} == set(OPTIONS)
    assert {field.name for field in fields(Limits)} == set(limits.KINDS)
    assert isinstance(batch, ConfigurableCommand)
    assert set(batch.settable()) == set(KINDS)


def test_values_have_the_types_that_they_say() -> None:
    """A whole number where a fraction may be becomes one, and a path of Python a text."""
    given = Options(limits=Limits(call_seconds=5), out=Path("a") / "b", roots=[Path("c")], thinking=2048)  # type: ignore[arg-type,list-item]
    assert (given.limits.call_seconds, given.out, given.roots, given.thinking) == (5.0, "a/b", ("c",), "2048")
    assert isinstance(given.limits.call_seconds, float)
    assert get_type_hints(Limits)["call_seconds"] is float


@pytest.mark.parametrize("wrong", [{"max_turns": 3}, None, Limits])
def test_limits_are_limits(wrong: Any) -> None:
    """A table of them is not taken for them."""
    with pytest.raises(UsageError, match=r"limits must be an object of type mcprun\.Limits"):
        Options(limits=wrong)
