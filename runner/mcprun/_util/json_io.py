"""Serialise values as compact, readable JSON, parse lines of it, and write files atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import IO, Any

from pydantic_core import to_json

from mcprun._util.json_text import finite
from mcprun._util.json_value import JsonObject
from mcprun._util.long_integers import loads, may_hold
from mcprun._util.special_files import refuse_to_replace
from mcprun._util.surrogates import well_formed, well_formed_bytes, well_formed_json

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def dumps(value: Any) -> str:
    """Serialise a value as compact, readable JSON.

    U+FFFD replaces each lone surrogate, which UTF-8 cannot encode. Numbers that JSON cannot represent, which a server
    may send, become text: `"NaN"`, `"Infinity"`, `"-Infinity"`.
    """
    return encode(value).decode()


def encode(value: Any) -> bytes:
    """Serialise a value as `dumps` does, in UTF-8."""
    try:
        data = to_json(value)
    except ValueError:  # lone surrogates, or more than 255 levels
        return _patiently_encoded(value)
    return _patiently_encoded(value) if b"NaN" in data or b"Infinity" in data else data


def _patiently_encoded(value: Any) -> bytes:
    """Serialise a value with lone surrogates, NaN, infinite numbers or more than 255 levels, which `to_json` can't."""
    try:
        return _to_json(value).encode()
    except UnicodeEncodeError:
        return _patiently_encoded(well_formed_json(value))
    except ValueError:
        return _patiently_encoded(finite(value))


def dump_indented(value: Any) -> bytes:
    """Serialise a value as JSON indented by two spaces, with the replacements of `dumps`."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    except ValueError:
        text = json.dumps(finite(value), ensure_ascii=False, indent=2)
    return well_formed(text).encode()


def strict_json(value: Any) -> Any:
    """Return a value with the replacements of `dumps`, so that it is strict JSON; the same object if it already is."""
    try:
        data = to_json(value)
    except ValueError:
        data = b"NaN"
    if b"NaN" not in data and b"Infinity" not in data:
        return value
    strict = json.loads(encode(value))
    return value if strict == value else strict


def parse_line(line: bytes) -> Any:
    """Parse a line of JSON, and apply the replacements of `dumps`, which older files lack.

    An integer with more digits than Python converts becomes text. Raises `ValueError` for a line that is not JSON or is
    nested too deeply.
    """
    try:
        value = loads(well_formed_bytes(line))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return finite(value) if b"NaN" in line or b"Infinity" in line or may_hold(line) else value


def write_file(path: Path, data: bytes) -> None:
    """Write or replace a file atomically: it never exists half written.

    Raises `UsageError` if the path is a folder, a pipe or a device, which must not be replaced.
    """
    refuse_to_replace(path)
    stage(path, data).replace(path)


def stage(path: Path, data: bytes) -> Path:
    """Write the new content of a file to `NAME.new` beside it, for an atomic replace. Return the path of `NAME.new`."""
    new = path.with_name(f"{path.name}.new")
    with open_fresh(new) as stream:
        stream.write(data)
        sync(stream)
    return new


def write_lines(path: Path, values: Iterable[JsonObject]) -> None:
    """Write a JSONL file atomically, one value per line."""
    new = path.with_name(f"{path.name}.new")
    with open_fresh(new) as stream:
        stream.writelines(encode(value) + b"\n" for value in values)
        sync(stream)
    new.replace(path)


def open_fresh(path: Path) -> IO[bytes]:
    """Open a new file for writing. An existing file or link of that name is removed first; links are not followed."""
    path.unlink(missing_ok=True)
    return path.open("xb")


def append(stream: FileIO, data: bytes) -> None:
    """Write `data` to an unbuffered file. A single write may be partial, such as the last one on a full disk."""
    while data:
        data = data[stream.write(data) :]


def sync(stream: IO[bytes] | FileIO) -> None:
    """Flush a file to the disk, so that its content survives a crash of the machine."""
    stream.flush()
    os.fsync(stream.fileno())
