"""Open the source of queries (a file, stdin, a pipe, or the caller's values) such that it can be read twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from mcprun._util.json_value import JsonObject
from mcprun._util.special_files import open_input
from mcprun.errors import UsageError
from mcprun.prompts.formats import FORMATS
from mcprun.prompts.yaml_file import SUFFIXES as YAML_SUFFIXES
from mcprun.prompts.yaml_file import is_yaml, lines_of_yaml


def as_file(queries: Iterable[JsonObject | str]) -> IO[bytes]:
    """Return a temporary prompts file with the queries, for `stored_path` of `read_prompts`.

    Raises `UsageError` if a query can't be serialized as JSON.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the PromptsFile that reads it
    number = 0
    try:
        for number, query in enumerate(queries):  # noqa: B007  named in the message
            file.write(json.dumps(query).encode() + b"\n")
    except (TypeError, ValueError) as error:
        file.close()
        raise UsageError(f"queries[{number}]: is not JSON: {error}") from None
    return file


def open_source(name: str) -> tuple[IO[bytes], bool]:
    """Open a prompts file, or stdin (`-`). The second value is whether it was copied to a temporary file.

    That is done for stdin and for named pipes, such as /dev/stdin or a process substitution, which can't be read twice.
    Of a YAML file, the queries as JSON Lines are returned (`lines_of_yaml`). Raises `UsageError` if the file can't be
    read, `PromptsError` if it is not valid YAML.
    """
    if name == "-":
        return _spool(sys.stdin.buffer), True
    path = Path(name)
    if path.is_dir():
        raise UsageError(f"{name} is a folder; expected a prompts file: {FORMATS}")
    try:
        source = open_input(path)
    except FileNotFoundError:
        raise UsageError(f"there is no prompts file {name}{_nearby(path)}") from None
    except OSError as error:
        raise UsageError(f"can't read {name}: {error.strerror}") from None
    if is_yaml(name):
        with source:
            return lines_of_yaml(source, name), False
    if source.seekable():
        return source, False
    with source:
        return _spool(source), True


def _spool(stream: IO[bytes]) -> IO[bytes]:
    copy = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the PromptsFile that reads it
    shutil.copyfileobj(stream, copy)
    return copy


def _nearby(path: Path) -> str:
    folder = path.parent
    is_prompts = {".jsonl", *YAML_SUFFIXES}.__contains__
    names = sorted(file.name for file in folder.iterdir() if is_prompts(file.suffix)) if folder.is_dir() else []
    return f"; {folder} contains {', '.join(names[:5])}" if names else ""


def sha256_of(source: IO[bytes]) -> str:
    """Return the SHA-256 hash of a file's whole content, in hex digits."""
    source.seek(0)
    return hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]  # IO[bytes] is readable
