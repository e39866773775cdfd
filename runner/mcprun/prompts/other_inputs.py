"""Generate other inputs for a tool whose first one did not work. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.prompts.generate import kind_of
from mcprun.prompts.query import parse_query
from mcprun.prompts.script_query import script_query
from mcprun.tools.json_schema.described_values import described_strings, listed_values
from mcprun.tools.json_schema.generate import generate_value
from mcprun.tools.json_schema.named_values import EXAMPLE, Argument, split_name

_MAX_OPTIONAL = 15
"""Maximum properties of a schema to fill in all of them."""

_MAX_ADVISED = 2
"""Maximum values that an error lists to try."""

_ABSOLUTE = re.compile(
    r"\b(?:must|should|needs? to) be (?:an? )?(?:\w+ )?absolute|\babsolute (?:file )?path|not (?:an )?absolute",
    re.IGNORECASE,
)
"""Words of an error by which a path must be absolute."""

_SUFFIX = re.compile(r"(?<![\w/\\])\.[a-z][a-z0-9]{1,4}\b")
_COMMON = (".txt", ".md", ".json", ".csv", ".xlsx", ".docx", ".pptx", ".png", ".pdf")
_MAX_REASON = 1000
"""Maximum characters of an error to search for suffixes."""

_DESTROYING = frozenset(
    {
        "clear",
        "delete",
        "destroy",
        "drop",
        "empty",
        "erase",
        "kill",
        "move",
        "purge",
        "remove",
        "rename",
        "reset",
        "wipe",
    }
)
"""Verbs in the names of tools that must not get the paths of files that exist."""

TEMPORARY = "/tmp"  # noqa: S108  the same on all machines, which the prompts file must be


@dataclass(frozen=True, slots=True)
class Folders:
    """Absolute paths of folders for files: a server's `own`, which is among its arguments, if any, and another.

    `working` is the folder that each server starts in, if a fixed path leads there: what a try leaves in the system's
    temporary folder, another one finds.
    """

    own: str | None = None
    working: str = TEMPORARY

    @classmethod
    def of(cls, own: str | None, *, scratch: bool) -> Folders:
        """Return the folders of servers that have new working folders, if `scratch` is set (proc(5) leads there)."""
        return cls(own, "/proc/self/cwd" if scratch and sys.platform == "linux" else TEMPORARY)


def other_queries(query: JsonObject, tool: JsonObject, folders: Folders, reason: str = "") -> list[JsonObject]:
    """Return queries with other inputs, the likeliest first. `reason` is the error of the last try, if it had one.

    They have values that the error lists; all optional arguments; paths that usually exist, unless the tool destroys
    things; and absolute paths, in the folder that the server is for, or if the tool or the error asks for them.
    """
    present = query["script"][-2]["calls"][-1]["input"]
    return _queries(
        query, tool, [*_advised(present, reason), *_alternatives(present, tool), *_inputs(tool, folders, reason)]
    )


def advised_queries(query: JsonObject, tool: JsonObject, reason: str) -> list[JsonObject]:
    """Return queries whose last call has the input that an error asks for; the calls before it stay."""
    return _queries(query, tool, _advised(query["script"][-2]["calls"][-1]["input"], reason))


def _queries(query: JsonObject, tool: JsonObject, inputs: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the query with each of the inputs for its last call."""
    before = [call for turn in query["script"][:-2] for call in turn["calls"]]
    found = [script_query(tool, query, [*before, {"tool": tool["name"], "input": one}]) for one in inputs]
    return [one for number, one in enumerate(found) if _is_new(one, [query, *found[:number]]) and _is_valid(one)]


def _advised(arguments: JsonObject, reason: str) -> Iterator[JsonObject]:
    """Yield the arguments with a value that an error lists, or gives as an example, for one of them.

    It is for the argument that the error names or whose value it quotes, else, if it is listed, for each string in
    turn. A path gets the suffix that the error asks for.
    """
    texts = {name: value for name, value in arguments.items() if isinstance(value, str)}
    paths = {name: value for name, value in texts.items() if Argument(name).is_path}
    if paths and (suffix := _wanted_suffix(reason, paths.values())):
        yield {**arguments, **{name: _with_suffix(value, suffix) for name, value in paths.items()}}
    others = {name: value for name, value in texts.items() if name not in paths}
    named = [name for name, value in others.items() if _mentions(reason, value) or _mentions(reason, name)]
    examples = described_strings(reason) if named else ()
    values = list(islice(dict.fromkeys([*listed_values(reason), *examples]), _MAX_ADVISED))
    texts = others
    for value in values:
        yield from ({**arguments, name: value} for name in named or texts if texts[name] != value)


def _alternatives(arguments: JsonObject, tool: JsonObject) -> Iterator[JsonObject]:
    """Yield the arguments with the next value of the first `enum` that has another one."""
    schema = tool.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, one in properties.items() if isinstance(properties, dict) else ():
        values = one.get("enum") if isinstance(one, dict) else None
        if isinstance(values, list) and name in arguments:
            yield from ({**arguments, name: value} for value in values[:2] if value != arguments[name])
            return


def _wanted_suffix(reason: str, paths: Iterable[str]) -> str:
    """Return the suffix that files need by an error, the most common one first; empty if none is named."""
    without = reason
    for path in paths:
        without = without.replace(path, "")
    found = _SUFFIX.findall(without[:_MAX_REASON])
    return next((suffix for suffix in _COMMON if suffix in found), next(iter(found), ""))


def _with_suffix(path: str, suffix: str) -> str:
    """Return the path of a file of another format. A new working folder has one of each common format."""
    file = PurePosixPath(path)
    return str(file.with_name(file.stem.replace("README", EXAMPLE) + suffix))


def _mentions(text: str, word: str) -> bool:
    return bool(word) and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def _inputs(tool: JsonObject, folders: Folders, reason: str) -> Iterator[JsonObject]:
    schema = tool.get("inputSchema")
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    schemas = [{**schema, "type": "object"}]
    if isinstance(properties, dict) and 0 < len(properties) <= _MAX_OPTIONAL:
        schemas.append({**schemas[0], "required": list(properties)})
    is_safe = not _DESTROYING.intersection(split_name(tool["name"]))
    must_be_absolute = bool(_ABSOLUTE.search(reason))
    folder = folders.own or (folders.working if must_be_absolute or "absolute" in str(tool).lower() else "")
    kinds = [kind_of(tool) == "read-only"]
    kinds += [not kinds[0]] if is_safe else []
    for one in schemas:
        for reads_only in kinds:
            arguments = _value(one, tool, reads_only=reads_only)
            if arguments is None:
                continue
            absolute = _below(folder, arguments) if folder else arguments
            if absolute == arguments or not must_be_absolute:
                yield arguments
            if absolute != arguments:
                yield absolute


def _value(schema: JsonObject, tool: JsonObject, *, reads_only: bool) -> JsonObject | None:
    about = str(tool.get("description") or "")
    try:
        found: JsonObject = generate_value(schema, tool=tool["name"], about=about, reads_only=reads_only)
    except ValueError:
        return None
    return found


def _below(folder: str, arguments: JsonObject) -> JsonObject:
    """Return the arguments with relative paths made absolute, at any level."""

    def absolute(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: absolute(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [absolute(name, item) for item in value]
        if not (isinstance(value, str) and Argument(name).is_path) or ":" in value or value.startswith("/"):
            return value
        prefix = "mcprun-" if folder == TEMPORARY else ""
        return folder if value == "." else f"{folder}/{prefix}{value}"

    return {key: absolute(key, value) for key, value in arguments.items()}


def _is_new(query: JsonObject, others: list[JsonObject]) -> bool:
    return all(query["script"] != other["script"] for other in others)


def _is_valid(query: JsonObject) -> bool:
    try:
        parse_query(query)
    except ValueError:
        return False
    return True
