"""Read one server's entry in a client's configuration: typed values, with placeholders expanded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mcprun._util.similar_names import similar_name
from mcprun.client.placeholders import Surroundings, expand, expand_opencode
from mcprun.errors import UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """The values of an entry by key.

    `where` names the entry in messages (`mcp.json: mcpServers.x`), which never contain a value. Placeholders are
    expanded when a value is read, so that an invalid one in an unused value causes no error.
    """

    values: Mapping[str, Any]
    where: str
    surroundings: Surroundings
    is_opencode: bool = False

    @classmethod
    def of(cls, value: Any, where: str, surroundings: Surroundings, *, is_opencode: bool = False) -> Entry:
        """Return the entry for a JSON value. A key whose value is null counts as absent.

        `transport` may be an object that holds the other keys. `command` may be an object with `path`, `args` and
        `env`, as earlier versions of Zed wrote it. Raises `UsageError` if the entry is not an object.
        """
        values = dict(_object(value, where))
        if isinstance(values.get("transport"), Mapping):
            values = {**values.pop("transport"), **values}
        if isinstance(values.get("command"), Mapping):
            nested = dict(values.pop("command"))
            values = {"command": nested.pop("path", None), **nested, **values}
        return cls({key: value for key, value in values.items() if value is not None}, where, surroundings, is_opencode)

    def at(self, key: str) -> str:
        """Return the name of a key in messages (`mcp.json: mcpServers.x.url`)."""
        return f"{self.where}.{key}"

    def text(self, key: str) -> str | None:
        """Return the value of a key as a string; None if absent. Raises `UsageError` for any other type."""
        return self._text(self.values[key], self.at(key)) if key in self.values else None

    def path(self, key: str) -> str | None:
        """Return the value of a key as a path, with a leading `~/` expanded (VS Code); None if absent."""
        found = self.text(key)
        return found and self.at_home(found)

    def at_home(self, path: str) -> str:
        """Return a path with a leading `~/` replaced by the home folder."""
        return str(self.surroundings.home / path[2:]) if path.startswith("~/") else path

    def strings(self, key: str) -> list[str]:
        """Return the value of a key as a list of strings; empty if absent.

        A single string counts as a list of one, except for `args`. Raises `UsageError` for any other type.
        """
        value = self.values.get(key, [])
        if isinstance(value, list):
            return [self._text(item, f"{self.at(key)}[{number}]") for number, item in enumerate(value)]
        if key == "args":
            raise UsageError(f"{self.at(key)}: expected a list of strings, got {label(value)}")
        found = self._text(value, self.at(key))
        return [found] if found else []

    def texts(self, key: str) -> dict[str, str]:
        """Return the value of a key as an object of strings; empty if absent. Raises `UsageError` for other types."""
        found = _object(self.values.get(key, {}), self.at(key))
        return {name: self._text(value, f"{self.at(key)}.{name}") for name, value in found.items()}

    def flag(self, key: str, default: bool) -> bool:
        """Return the value of a key as a boolean; `default` if absent. Raises `UsageError` for any other type."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise UsageError(f"{self.at(key)}: expected true or false, got {label(value)}")
        return value

    def expanded(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of these keys, of any type, with all placeholders in them expanded."""
        return {key: self._expand(self.values[key], self.at(key)) for key in keys if key in self.values}

    def close_to(self, *keys: str) -> str:
        """Return a hint that a key of the entry may be a misspelling of one of `keys`; empty if none is close."""
        others = [name for name in self.values if name not in keys]
        pairs = [(key, close) for key in keys if (close := similar_name(key, others))]
        return f"; did you mean {pairs[0][0]} instead of {pairs[0][1]!r}?" if pairs else ""

    def _text(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            quotes = "; put it in quotes" if isinstance(value, int | float) else ""
            raise UsageError(f"{where}: expected a string, got {label(value)}{quotes}")
        return _expand_at(expand_opencode if self.is_opencode else expand, value, self.surroundings, where)

    def _expand(self, value: Any, where: str) -> Any:
        if isinstance(value, Mapping):
            return {key: self._expand(item, f"{where}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self._expand(item, f"{where}[{number}]") for number, item in enumerate(value)]
        return self._text(value, where) if isinstance(value, str) else value


def label(value: Any) -> str:
    """Return the JSON type of a value, as messages name it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
    return "an object"


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: expected an object, got {label(value)}")
    return value


def _expand_at(
    expanding: Callable[[str, Surroundings], str], value: str, surroundings: Surroundings, where: str
) -> str:
    """Return a string with its placeholders expanded. Raises `UsageError`, which names `where`, if one can't be."""
    try:
        return expanding(value, surroundings)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
