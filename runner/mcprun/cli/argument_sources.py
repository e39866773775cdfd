"""Arguments of a command with their sources, and how those of a command line and of a recorded run are merged. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Self

from mcprun.config.option_table import KEYS
from mcprun.errors import REDACTED
from mcprun.limits import RETRIES

_OPPOSITES: tuple[tuple[str, Callable[[Any], bool], str, Any], ...] = (
    ("retries", lambda _: True, "no_retry", False),
    ("no_retry", bool, "retries", RETRIES),
    ("servers", lambda value: value > 1, "fresh_server", False),
    ("fresh_server", bool, "servers", 1),
    ("cwd", bool, "scratch", False),
    ("scratch", bool, "cwd", None),
    ("quiet", bool, "verbose", False),
    ("verbose", bool, "quiet", False),
)
"""An option, a predicate for its values that contradict another option, that option, and its default."""

COMBINED = "redact"
"""The option whose values are combined from all sources, since a pattern must never be lost."""

_WITH_NAMES = frozenset({"env", "header"})
"""Options whose names are recorded without their values; `option_kinds.py` rejects those values."""


class Source(IntEnum):
    """The source of a value, by precedence. A resumed run replaces the environment and the file."""

    COMMAND_LINE = 1
    ENVIRONMENT = 2
    FILE = 3
    RUN = 4
    DEFAULT = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """A source, and its name in messages: a variable, or the path of a file or a run."""

    source: Source
    name: str


COMMAND_LINE = Origin(Source.COMMAND_LINE, "command line")
DEFAULT = Origin(Source.DEFAULT, "default")


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a command by the name of their parameter. `server_args` holds those for the server.

    Attributes:
        values: The values, defaults included.
        origins: The origin of each value that is not a default.
        lost: A message for each value that was not recorded because it contains a secret, and was not passed again.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, Origin]
    lost: tuple[str, ...] = ()

    def origin(self, name: str) -> Origin:
        """Return the origin of an argument."""
        return self.origins.get(name, DEFAULT)

    def source(self, name: str) -> Source:
        """Return the source of an argument."""
        return self.origin(name).source

    def is_given(self, name: str) -> bool:
        """Return whether an argument is on the command line."""
        return self.source(name) is Source.COMMAND_LINE

    def having(self, name: str, value: Any, origin: Origin | None = None) -> Self:
        """Return the arguments with another value, of the same origin unless another is given."""
        origins = {**self.origins, name: origin} if origin else self.origins
        return replace(self, values={**self.values, name: value}, origins=origins)

    def without(self, name: str) -> Self:
        """Return the arguments as if one had neither been given nor configured: its value no longer counts."""
        return replace(self, origins={key: origin for key, origin in self.origins.items() if key != name})


def merge(given: Arguments, recorded: Arguments) -> Arguments:
    """Merge the arguments of a command line with those of a resumed run, or of the project and its environment.

    `recorded` holds no defaults. Values of the command line take precedence, and reset a recorded option that
    contradicts them. Patterns of `redact` are combined: those of the command line replace those that were not recorded,
    if there are enough of them.
    """
    weaker = {name: value for name, value in recorded.values.items() if not given.is_given(name)}
    values = {**given.values, **weaker}
    origins = {**given.origins, **{name: recorded.origins[name] for name in weaker}}
    lost = [_lost(name) for name in sorted(weaker) if name not in _WITH_NAMES and REDACTED in str(weaker[name])]
    if given.is_given(COMBINED):
        before, added = recorded.values.get(COMBINED, ()), given.values[COMBINED]
        recorded_patterns = tuple(pattern for pattern in before if REDACTED not in pattern)
        values[COMBINED] = (*recorded_patterns, *added)
        if (missing := len(before) - len(recorded_patterns)) > len(added):
            lost.append(
                f"{missing} --redact patterns of this run contain secrets and were not recorded:"
                f" pass all of them again, not {len(added)}"
            )
    return _without_contradictions(Arguments(values, origins, tuple(lost)))


def _without_contradictions(arguments: Arguments) -> Arguments:
    """Reset each option that a stronger source contradicts to its default."""
    values, origins = dict(arguments.values), dict(arguments.origins)
    for name, contradicts, other, default in _OPPOSITES:
        is_weaker = name in origins and other in origins and origins[name].source < origins[other].source
        if is_weaker and contradicts(values[name]):
            values[other] = default
            del origins[other]
    return replace(arguments, values=values, origins=origins)


def _lost(name: str) -> str:
    if name == "server_args":
        return "the server's arguments in this run contain a secret and were not recorded: pass them again"
    flag = "SERVER (after PROMPTS)" if name == "server" else f"--{KEYS.get(name, name).replace('_', '-')}"
    return f"{flag} of this run contains a secret and was not recorded: pass it again"
