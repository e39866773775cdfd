"""Read and write snapshots: a server's name, version and tools, in a file to commit and compare with.

A snapshot is JSON that changes only if the server does: tools sorted by name, indented by two spaces, with a final line
break. `schema` is the version of the format. With `--all`, it holds prompts and resources as well.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, ValidationError

from mcprun._util.json_io import dump_indented, dumps, write_file
from mcprun._util.json_text import TooDeepError, finite, levels, loads
from mcprun._util.json_value import JsonObject
from mcprun._util.nesting import MAX_DEPTH
from mcprun._util.surrogates import well_formed_bytes
from mcprun.errors import UsageError
from mcprun.runs.directory import FILES, LATEST, RUN
from mcprun.runs.identify import identify_data, identify_value
from mcprun.runs.record_base import SCHEMA, Record, Schema, Shape
from mcprun.runs.run import Run, unreadable
from mcprun.runs.run_record import ServerRecord

_FIELDS = ("name", "version", "protocol", "tools")

_REQUIRED = frozenset({"protocol", "tools"})

_WRITE = "write a snapshot with: mcprun tools SERVER --snapshot FILE"


class Catalog(Record):
    """A server's prompts, resources and resource templates in wire form, each list sorted by its items' identifiers.

    `failed` maps the name of each list that could not be read to the reason. Such a list is empty.
    """

    shaped: ClassVar[Mapping[str, Shape]] = dict.fromkeys(("prompts", "resources", "resource_templates"), "content")
    prompts: list[JsonObject]
    resources: list[JsonObject]
    resource_templates: list[JsonObject]
    failed: dict[str, str] = Field(default_factory=dict)

    def line(self) -> JsonObject:
        """Return the lists by name, `None` for those that failed."""
        return {name: None if name in self.failed else getattr(self, name) for name in KEYS}


KEYS = {"prompts": "name", "resources": "uri", "resource_templates": "uriTemplate"}
"""The lists of `Catalog`, and the key that identifies their items."""


class _Snapshot(Record):
    """A snapshot without its prompts and resources, which a `Catalog` reads."""

    fixed = frozenset({"protocol"})
    shaped: ClassVar[Mapping[str, Shape]] = {"tools": "content"}
    schema_: Schema = Field(default=SCHEMA, alias="schema")
    name: str | None = None
    version: str | None = None
    protocol: str
    tools: list[JsonObject]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A server's tools as read from a snapshot or a run; `catalog` is None if it was not recorded."""

    tools: list[JsonObject]
    catalog: Catalog | None = None


def write_snapshot(path: Path, server: ServerRecord, catalog: Catalog | None = None) -> None:
    """Write or replace a snapshot atomically. Raises `UsageError` if it can't be written.

    No list of the `catalog` may have failed: it would be read as empty later.
    """
    facts = {key: getattr(server, key) for key in _FIELDS}
    facts["tools"] = in_order(server.tools)
    facts |= catalog.line() if catalog else {}
    try:
        write_file(path, dump_indented({"schema": SCHEMA, **facts}) + b"\n")
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from None


def read_snapshot(name: str) -> Snapshot:
    """Read a snapshot, or the tools of a run (its directory, its name under `outputs/`, `latest`), sorted by name.

    Raises `UsageError` if there are no tools or the file is not a snapshot.
    """
    path = Path(name)
    if not path.is_file() or path.name == LATEST:
        write = f"mcprun tools SERVER --snapshot {shlex.quote(name)}"
        run = Run.read(name, noun="snapshot or run", advice=f"write a snapshot with: {write}")
        if run.record.server is None:
            raise UsageError(f"{run.path} has no tools: its server did not start")
        return Snapshot(in_order(run.record.server.tools))
    if path.name in FILES and (path.parent / RUN).exists():
        raise UsageError(f"{path} is a file of a run, not a snapshot: pass the run, {path.parent}")
    try:
        data = _json(path)
        if not isinstance(data, dict) or not _REQUIRED & data.keys():
            raise ValueError(f"it is {identify_value(data)}")
        tools = in_order(_Snapshot.model_validate(data).tools)
        return Snapshot(tools, sorted_catalog(_catalog(data)) if KEYS.keys() & data.keys() else None)
    except ValidationError as error:
        raise unreadable(path, error, f"{path} is not a snapshot", _WRITE) from None
    except ValueError as error:
        raise UsageError(f"{path} is not a snapshot: {error}; {_WRITE}") from None


def _catalog(data: JsonObject) -> Catalog:
    return Catalog.model_validate({name: data[name] for name in KEYS if name in data})


def _json(path: Path) -> Any:
    """Read a JSON file. Raises `UsageError` if it can't be read, `ValueError` if it is not JSON or nested too deep."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    try:
        data = finite(loads(well_formed_bytes(text), allow_nan=True))  # older snapshots hold NaN
    except TooDeepError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from None
    except ValueError:
        raise ValueError(f"it is {identify_data(text)}") from None
    if levels(data) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    return data


def in_order(tools: list[JsonObject], key: str = "name", what: str = "tool") -> list[JsonObject]:
    """Return tools sorted by name, or other items by `key`, with NaN and infinities in the form that files use.

    Raises `ValueError` if an item has no such key; `what` names the item in the message.
    """
    if not all(isinstance(tool.get(key), str) for tool in tools):
        raise ValueError(f"a {what} has no {key}")
    return sorted(loads(dumps(tools)), key=lambda tool: tool[key])


def sorted_catalog(catalog: Catalog) -> Catalog:
    """Return the catalog with its lists sorted by `in_order`."""
    lists = {name: in_order(getattr(catalog, name), key, name[:-1]) for name, key in KEYS.items()}
    return Catalog(**lists, failed=catalog.failed)
