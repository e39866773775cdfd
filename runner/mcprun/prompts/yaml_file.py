"""Read a prompts file in YAML: a list of queries, each as in JSONL.

Values are those of JSON (RFC 8259), and plain scalars are resolved by the core schema of YAML 1.2
(https://yaml.org/spec/1.2.2/, section 10.3): `no` and `on` are text, as are dates. PyYAML, which parses the file,
resolves by the rules of YAML 1.1, so only its events are used. Refused is what JSON can't hold, or what is ambiguous:
NaN, keys that appear twice or are not text, merge keys, tags of other types, and aliases that multiply.

The queries are converted to JSON Lines, each on the line at which it starts in the YAML file, so that all that reads
prompts files reads these too, and messages have the right lines.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NoReturn

from mcprun._util.json_value import JsonObject
from mcprun.errors import PromptsError

SUFFIXES = (".yaml", ".yml")
"""The extensions of prompts files in YAML."""

_MAX_BYTES = 10_000_000
"""The maximum size of a file. JSONL has no limit."""

_MAX_EXPANDED = 5 * _MAX_BYTES
"""The maximum size of all values, in characters, with aliases replaced by what they stand for."""

_MAX_LEVELS = 200
"""The maximum levels of nesting: well below Python's recursion limit."""

_MAX_PROBLEMS = 1000

_MAX_DIGITS = 4300
"""The maximum digits of an integer that Python converts by default (CVE-2020-10735)."""

_MAX_BITS = (10**_MAX_DIGITS).bit_length() - 1
"""The maximum size of a hexadecimal or octal number, which has fewer than `_MAX_DIGITS` decimal digits then."""

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OCTAL, _HEXADECIMAL = re.compile(r"0o[0-7]+"), re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_TAG = "tag:yaml.org,2002:"
_TAGS = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")} | {"!"}


def lines_of_yaml(source: IO[bytes], label: str) -> IO[bytes]:
    """Return a temporary file with the queries of a YAML file as JSON Lines, each on the line at which it starts.

    `label` names the file in messages. Raises `PromptsError`.
    """
    data = source.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise PromptsError([f"{label}:1: line: the file has more than {_MAX_BYTES:,} bytes; write it as JSONL"])
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PromptsError([f"{label}:{line}: line: not UTF-8: byte {data[error.start]:#04x}"]) from None
    reader = _Reader(text, label)
    lines = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the PromptsFile that reads it
    written = 0
    for line, value in reader.queries():
        if line <= written:
            reader.refuse(line, "line", "has two queries; write each on a line of its own")
            continue
        lines.write(b"\n" * (line - written - 1) + json.dumps(value).encode() + b"\n")
        written = line
    if reader.problems:
        lines.close()
        raise PromptsError(reader.problems)
    return lines


def line_of_field(name: str, line: int, path: str) -> int:
    """Return the line of a field of the query that starts on `line`, or of what holds it. In JSONL, it is `line`.

    `name` is the path of the prompts file, and `path` that of the field, such as `expect.calls[0].tool`.
    """
    if not is_yaml(name):
        return line
    try:
        lines = _field_lines(name, Path(name).stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError):
        return line
    while path and (line, path) not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get((line, path), line)


def is_yaml(name: str) -> bool:
    """Return whether a file is a YAML file by its name."""
    return Path(name).suffix.lower() in SUFFIXES


@lru_cache(maxsize=1)
def _field_lines(name: str, _modified_ns: int) -> Mapping[tuple[int, str], int]:
    """Return the line of each field in a file, by the line of its query and its path."""
    reader = _Reader(Path(name).read_bytes()[:_MAX_BYTES].decode("utf-8-sig"), name, places={})
    for _ in reader.queries():
        pass
    return reader.places or {}


def plain_value(text: str) -> Any:
    """Return the value of a plain scalar by the core schema. Raises `ValueError` for a number that JSON can't hold."""
    if _NULL.fullmatch(text):
        return None
    if _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if _DECIMAL.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise ValueError(f"a number has more than {_MAX_DIGITS:,} digits")
        return int(text)
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        whole = int(text, 0)
        if whole.bit_length() > _MAX_BITS:
            raise ValueError(f"a number has more than {_MAX_DIGITS:,} digits")
        return whole
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not JSON")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"the number {text if len(text) <= 60 else text[:60] + '…'} is too large")
        return number
    return text


class _StopReadingError(Exception):
    """Raised where nothing that follows can be read; the problem has been recorded."""


@dataclass(slots=True)
class _Anchor:
    """An anchored value, and its size with aliases expanded; None while the value is being read."""

    value: Any = None
    size: int | None = None


@dataclass(slots=True)
class _Reader:
    """Reads the queries of a YAML text, and collects its `problems` as `LABEL:LINE: FIELD: PROBLEM`.

    If `places` is set, it is filled with the line of each field, by the line of its query and its path.
    """

    text: str
    label: str
    problems: list[str] = field(default_factory=list)
    places: dict[tuple[int, str], int] | None = None
    _query_line: int = 0
    _events: Iterator[Any] = field(default_factory=lambda: iter(()))
    _anchors: dict[str, _Anchor] = field(default_factory=dict)
    _size: int = 0
    _documents: int = 0

    def refuse(self, line: int, place: str, problem: str) -> None:
        """Record a problem. Raises `_StopReadingError` if there are too many."""
        self.problems.append(f"{self.label}:{line}: {place or 'line'}: {problem}")
        if len(self.problems) >= _MAX_PROBLEMS:
            raise _StopReadingError

    def queries(self) -> Iterator[tuple[int, Any]]:
        """Yield each query with the line at which it starts, until the end or a problem that ends the reading."""
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            self._events = yaml.parse(self.text, Loader=loader)
            yield from self._document()
        except _StopReadingError:
            return
        except yaml.YAMLError as error:
            self.problems.append(f"{self.label}:{_syntax_problem(error, self.text)}")

    def _document(self) -> Iterator[tuple[int, Any]]:
        import yaml

        for event in self._events:
            if isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentEndEvent):
                continue
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    self._stop(line, "", "the file has more than one document; write one list of queries")
            elif isinstance(event, yaml.SequenceStartEvent):
                yield from self._items()
            elif not (isinstance(event, yaml.ScalarEvent) and not event.value):  # an empty document has no queries
                self._stop(line, "", "the file must be a list of queries, each beginning with a dash: - id: …")

    def _items(self) -> Iterator[tuple[int, Any]]:
        import yaml

        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            self._query_line = event.start_mark.line + 1
            yield self._query_line, self._value(event, "", 1)

    def _value(self, event: Any, path: str, level: int) -> Any:
        """Return the value that begins with an event. Problems are recorded, and their values replaced by null."""
        import yaml

        line = event.start_mark.line + 1
        if self.places is not None:
            self.places.setdefault((self._query_line, path), line)
        if level > _MAX_LEVELS:
            self._stop(line, "", f"nested too deeply (more than {_MAX_LEVELS} levels)")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(str(event.anchor), line, path)
        if event.tag not in (None, *_TAGS):
            self._stop(line, path, f"the tag {event.tag!r:.60} is not supported; values are those of JSON")
        before = self._size
        anchor = _Anchor()
        if event.anchor:
            self._anchors[event.anchor] = anchor
        if isinstance(event, yaml.ScalarEvent):
            self._grow(len(event.value), line, path)
            value = self._scalar(event, line, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path, level)
        else:
            value = self._mapping(path, level)
        anchor.value, anchor.size = value, self._size - before
        return value

    def _scalar(self, event: Any, line: int, path: str) -> Any:
        """Return the value of a scalar: text if it is quoted, a block or tagged as such."""
        tag = (event.tag or "").removeprefix(_TAG)
        if tag in ("str", "!") or (event.style and not tag):
            return event.value
        try:
            value = plain_value(event.value)
        except ValueError as error:  # also of a number with more digits than Python converts
            self.refuse(line, path, str(error))
            return None
        if tag == "float" and isinstance(value, int) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                self.refuse(line, path, "the number is too large for a float")
                return None
        if tag and type(value).__name__ not in (tag, "NoneType" if tag == "null" else tag):
            self.refuse(line, path, f"{event.value!r:.60} is not of the type of its tag, !!{tag}")
        return value

    def _sequence(self, path: str, level: int) -> list[Any]:
        import yaml

        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, f"{path}[{len(items)}]", level + 1))
        return items

    def _mapping(self, path: str, level: int) -> JsonObject:
        import yaml

        value: JsonObject = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                quoted = isinstance(event, yaml.MappingStartEvent) and event.flow_style
                hint = '; put text that begins with {{ in quotes: "{{name}}"' if quoted else ""
                self._stop(line, path, f"a key must be text, not a list, an object or an alias{hint}")
            key = event.value
            self._grow(len(key), line, path)
            if key == "<<" and not event.style:
                self.refuse(line, path, "merge keys (<<) are not supported; write out the keys")
            elif key in value:
                self.refuse(line, path, f"the key {key!r:.60} appears twice in one object")
            if self.places is not None:
                self.places[self._query_line, f"{path}.{key}" if path else key] = line
            value[key] = self._value(next(self._events), f"{path}.{key}" if path else key, level + 1)
        return value

    def _aliased(self, name: str, line: int, path: str) -> Any:
        """Return the value of an alias, and count it as if it were written out."""
        anchor = self._anchors.get(name)
        if anchor is None:
            self._stop(line, path, f"the alias *{name} has no anchor before it")
        if anchor.size is None:
            self._stop(line, path, f"the alias *{name} refers to a value that contains it")
        self._grow(anchor.size, line, path)
        return anchor.value

    def _grow(self, size: int, line: int, path: str) -> None:
        self._size += size + 1
        if self._size > _MAX_EXPANDED:
            self._stop(line, path, f"the aliases of the file expand to more than {_MAX_EXPANDED:,} characters")

    def _stop(self, line: int, place: str, problem: str) -> NoReturn:
        self.problems.append(f"{self.label}:{line}: {place or 'line'}: {problem}")
        raise _StopReadingError


def _syntax_problem(error: Any, text: str) -> str:
    """Return `LINE: line: not YAML: …` for an error of PyYAML."""
    if mark := getattr(error, "problem_mark", None):
        started = error.context_mark
        is_elsewhere = started is not None and started.line != mark.line
        context = f", {error.context}" if error.context else ""
        context += f" that starts on line {started.line + 1}" if context and is_elsewhere else ""
        return f"{mark.line + 1}: line: not YAML: {error.problem}, at column {mark.column + 1}{context}"
    line = text.encode()[: getattr(error, "position", 0)].count(b"\n") + 1
    return f"{line}: line: not YAML: {getattr(error, 'reason', error)}"
