"""The settings under which generated queries run and are compared, as lines of `mcprun.toml` or as flags. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcprun.config.project import FILE, Config, file_spelling

_HEAD = "# Written by mcprun init: how the queries are run and compared.\n"

_REASONS: Mapping[str, str] = {
    "concurrency": "one query at a time, since servers may share files",
    "fresh_server": "each query has a server of its own",
    "scratch": "which is started in a new folder",
    "env": "variables that the server gets from the environment, by name",
    "scrub": "values that differ in each run",
    "ignore": "parts of results that differ in each run",
    "ignore_order": "lists whose order differs in each run",
}
"""The reasons for the settings, as comments."""

_WITHOUT_SCRATCH = "which is started in this folder"


def is_own_file(config: Config) -> bool:
    """Return whether `init` wrote a project's file in this folder, and no other options were added to it."""
    path = config.path
    if path is None or path.resolve() != Path(FILE).resolve() or not config.values.keys() <= _REASONS.keys():
        return False
    return path.read_text(encoding="utf-8").startswith(_HEAD)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that the generated queries need: the same conditions as those of the tries.

    `values` are keyed by option (`fresh_server`). A list has the items that are needed.
    """

    values: Mapping[str, Any]

    @classmethod
    def of(cls, *, scratch: bool, env: Sequence[str] = (), rules: Mapping[str, Sequence[str]]) -> Settings:
        """Return the settings of queries that run one at a time.

        `env` holds the names of variables, and `rules` exclude differences, by option.
        """
        names = {"env": list(env)} if env else {}
        return cls({"concurrency": 1, "fresh_server": True, "scratch": scratch, **names, **rules})

    def missing(self, configured: Mapping[str, Any]) -> Settings:
        """Return the settings that a project does not have. A list is returned whole, with the project's items."""
        needed: dict[str, Any] = {}
        for key, value in self.values.items():
            if isinstance(value, list | tuple):
                before = configured.get(key, ())
                items = dict.fromkeys([*([before] if isinstance(before, str) else before), *value])
                if len(items) > len(before if not isinstance(before, str) else [before]):
                    needed[key] = list(items)
            elif configured.get(key, False) != value:
                needed[key] = value
        return Settings(needed)

    @property
    def flags(self) -> list[str]:
        """The settings as arguments of a command line."""
        return [word for key, value in self.values.items() for word in _words(file_spelling(key), value)]

    @property
    def lines(self) -> list[str]:
        """The settings as lines of a TOML file."""
        return [f"{file_spelling(key)} = {_toml(value)}" for key, value in self.values.items()]

    @property
    def file(self) -> bytes:
        """The settings as a new `mcprun.toml`, with comments."""
        reasons = [
            _WITHOUT_SCRATCH if (key, value) == ("scratch", False) else _REASONS.get(key, "")
            for key, value in self.values.items()
        ]
        lines = [f"{line} # {why}" if why else line for line, why in zip(self.lines, reasons, strict=True)]
        return (_HEAD + "".join(f"{line}\n" for line in lines)).encode()


def _words(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        yield f"--{key}" if value else f"--no-{key}"
        return
    for item in value if isinstance(value, list | tuple) else [value]:
        yield from (f"--{key}", str(item))


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return _toml_string(value) if isinstance(value, str) else json.dumps(value)


def _toml_string(text: str) -> str:
    """Return a TOML string (https://toml.io/en/v1.0.0#string), in which other than printable characters are escaped."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    characters = [one if one.isprintable() else f"\\U{ord(one):08X}" for one in quoted]
    return f'"{"".join(characters)}"'
