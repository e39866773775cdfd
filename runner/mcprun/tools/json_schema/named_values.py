"""Choose values for arguments by their names: plausible, harmless and the same everywhere. Pure.

Candidates only: `tools/json_schema/generate.py` validates each against the schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 2000
"""Maximum characters of a name to read."""

EXAMPLE = "example"
URL, EMAIL, DATE, TIME = "https://example.com/", "user@example.com", "2026-01-15", "12:00"
UUID = "00000000-0000-4000-8000-000000000000"

TABLE = "CREATE TABLE IF NOT EXISTS example (id INTEGER PRIMARY KEY, name TEXT)"
"""A statement that changes a database, and does so only once."""

_NAMES = {
    "url": URL, "uri": URL, "link": URL, "website": URL, "email": EMAIL, "host": "example.com",
    "hostname": "example.com", "domain": "example.com", "date": DATE, "day": DATE, "time": TIME,
    "datetime": f"{DATE}T12:00:00Z", "timestamp": f"{DATE}T12:00:00Z", "month": "2026-01", "year": "2026",
    "timezone": "UTC", "tz": "UTC", "language": "en", "lang": "en", "locale": "en", "uuid": UUID, "guid": UUID,
    "sql": "SELECT 1", "expression": "1+1", "expr": "1+1", "equation": "1+1", "calculation": "1+1", "formula": "1+1",
    "cron": "0 0 * * *", "color": "#336699", "colour": "#336699", "version": "1.0.0", "semver": "1.0.0",
    "currency": "USD", "country": "US", "city": "Berlin", "location": "Berlin", "place": "Berlin",
    "latitude": "52.52", "lat": "52.52", "longitude": "13.4", "lon": "13.4", "lng": "13.4",
    "ip": "192.0.2.1", "phone": "+12025550123", "zip": "10115", "zipcode": "10115", "postcode": "10115",
    "ticker": "AAPL", "isbn": "9780131103627", "revision": "HEAD", "ref": "HEAD", "commit": "HEAD", "sha": "HEAD",
    "selector": "body", "xpath": "//body", "html": "<p>Example</p>", "xml": "<a>1</a>", "json": '{"a": 1}',
    "yaml": "a: 1", "csv": "a,b\n1,2", "markdown": "# Example", "base64": "ZXhhbXBsZQ==", "hex": "ff",
    "command": "echo example", "cmd": "echo example", "code": "1 + 1", "mime": "text/plain", "mimetype": "text/plain",
    "encoding": "utf-8", "charset": "utf-8", "namespace": "default", "glob": "*", "units": "metric",
    "cell": "A1", "range": "A1:B2", "sheet": "Sheet1", "worksheet": "Sheet1",
}  # fmt: skip
_ENDS = frozenset({"end", "until", "to", "before", "stop", "finish"})
_LATER = {DATE: "2026-01-16", TIME: "13:00", f"{DATE}T12:00:00Z": "2026-01-16T12:00:00Z"}
"""The value for the end of a period, which is after its beginning."""

_FOLDERS = frozenset({"directory", "dir", "folder", "cwd", "root", "repo", "repository", "workspace"})
_OF_FOLDERS = _FOLDERS | {"directories", "folders", "list", "ls", "search", "tree"}
_FILES = frozenset({"file", "files", "filename", "filenames", "path", "paths", "filepath"})
_URLS = frozenset({"url", "uri", "link", "website"})

_NUMBERS = {
    "latitude": 52.52, "lat": 52.52, "longitude": 13.4, "lon": 13.4, "lng": 13.4, "year": 2026, "month": 1, "day": 15,
    "hour": 12, "minute": 30, "port": 8080, "width": 800, "height": 600, "radius": 1000, "timeout": 1000,
    "temperature": 20, "weight": 70, "age": 30, "percent": 50, "percentage": 50, "price": 10,
}  # fmt: skip


_SUFFIXES = {
    ".xlsx": {"xlsx", "excel", "workbook", "worksheet", "spreadsheet"}, ".docx": {"docx", "word"},
    ".pptx": {"pptx", "powerpoint"}, ".pdf": {"pdf"}, ".csv": {"csv"}, ".json": {"json"},
    ".png": {"png", "screenshot", "image"}, ".md": {"markdown", "md"}, ".db": {"sqlite"},
}  # fmt: skip
"""Words for the formats of files."""

_BINARY = (".xlsx", ".docx", ".pptx", ".pdf", ".png", ".db")
"""Formats that no tool finds in a text file."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a tool, as far as its value depends on it.

    `about` is its description. A tool that only reads (`reads_only`) gets paths that usually exist.
    """

    name: str
    about: str = ""
    tool: str = ""
    reads_only: bool = False

    @property
    def words(self) -> list[str]:
        """The words of its name, in lower case."""
        return split_name(self.name)

    @property
    def is_path(self) -> bool:
        """Whether its value is the path of a file or a folder, which no example in a description has to have."""
        return bool((_FILES | _FOLDERS).intersection(self.words)) and not _URLS.intersection(self.words)


def named_strings(argument: Argument) -> Iterator[str]:
    """Yield strings that suit an argument's name, by the last of its words that is known, or its description."""
    words, about = argument.words, argument.about.lower()
    tool_words = split_name(argument.tool)
    is_path = words[-1:] in (["path"], ["paths"]) and not _FILES.intersection(words[:-1])
    if _FOLDERS.intersection(words) or (is_path and _OF_FOLDERS.intersection(tool_words)):
        yield "." if argument.reads_only else EXAMPLE
        return
    if _FILES.intersection(words):
        suffix = _suffix(argument)
        yield "README.md" if argument.reads_only and suffix not in _BINARY else f"example{suffix}"
        return
    if "data:" in about and _URLS.intersection(words):
        yield "data:text/plain,Hello"
    if {"query", "statement", "script"}.intersection(
        words
    ) and "sql" in f"{about} {argument.tool} {argument.name}".lower():
        writes = {"create", "insert", "write"}.intersection(tool_words) and not argument.reads_only
        yield TABLE if writes else "SELECT 1"
    if "currenc" in f"{about} {argument.tool} {argument.name}".lower() and {
        "from",
        "to",
        "base",
        "source",
        "target",
    }.intersection(words):
        yield "EUR" if {"to", "target"}.intersection(words) else "USD"
    if "cron" in about or "cron" in (*tool_words, *words):
        yield "0 0 * * *"
    known = next((_NAMES[word] for word in reversed(words) if word in _NAMES), "")
    if known:
        yield _LATER.get(known, known) if _ENDS.intersection(words) else known
    yield from _by_form(about)


def named_number(name: str) -> float | None:
    """Return a number that suits an argument's name; None if none is known."""
    return next((_NUMBERS[word] for word in reversed(split_name(name)) if word in _NUMBERS), None)


def split_name(name: str) -> list[str]:
    """Return the words of a name in lower case, whether in camel case, with underscores or with dashes."""
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name[:LONGEST]).lower())


def _by_form(about: str) -> Iterator[str]:
    """Yield values in the forms that a description names."""
    if "yyyy-mm-dd" in about:
        yield DATE
    if "iso 8601" in about or "iso8601" in about or "iso-8601" in about or "rfc 3339" in about:
        yield f"{DATE}T12:00:00Z" if "time" in about else DATE
        yield f"{DATE}T12:00:00Z"
    if "hh:mm" in about:
        yield TIME
    if re.search(r"\b(?:digits?|numeric|integer|number)\b", about):
        yield "1"
    if "hex" in about:
        yield "#336699"
    if re.search(r"\bjson\b", about):
        yield '{"a": 1}'


def _suffix(argument: Argument) -> str:
    """Return the suffix of a file, by the format that the tool or the description names."""
    words = {*split_name(argument.tool), *re.findall(r"[a-z]+", argument.about.lower()), *argument.words}
    for suffix, names in _SUFFIXES.items():
        if names & words:
            return suffix
    return ".txt"
