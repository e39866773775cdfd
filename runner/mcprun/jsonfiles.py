"""How values become files, and lines values: JSON that is compact and readable, files that are there whole or not."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from pydantic_core import to_json

from mcprun.records import JsonObject

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def dumps(value: Any) -> str:
    """Write JSON compactly and readably.

    Text that UTF-8 can't hold (lone surrogates) is escaped, and numbers that JSON has none of, as a server may
    send them, become text: `"nan"`, `"inf"`.
    """
    return encoded(value).decode()


def encoded(value: Any) -> bytes:
    """Write JSON as `dumps` does, in UTF-8."""
    try:
        data = to_json(value)
    except ValueError:  # lone surrogates, or nested deeper than it goes
        return _patiently_encoded(value)
    return _patiently_encoded(value) if b"NaN" in data or b"Infinity" in data else data


def _patiently_encoded(value: Any) -> bytes:
    """Write what the quick way can't, or must not, write."""
    try:
        return _to_json(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
    except ValueError:
        return _patiently_encoded(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def parsed(line: bytes) -> Any:
    """Read a line that is JSON. Raises `ValueError` where it is none, or nested without end."""
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file, or replace it, in one step: it is never there half."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as stream:
        stream.write(data)
        sync(stream)
    new.replace(path)


def write_lines(path: Path, values: Iterable[JsonObject]) -> None:
    """Write a JSONL file in one step, line by line."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as stream:
        stream.writelines(encoded(value) + b"\n" for value in values)
        sync(stream)
    new.replace(path)


def sync(stream: IO[bytes]) -> None:
    """Have what was written to a file on the disk, whatever becomes of the machine."""
    stream.flush()
    os.fsync(stream.fileno())
