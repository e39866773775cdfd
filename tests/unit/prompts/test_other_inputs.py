"""Other inputs for tools whose first one did not work."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from mcprun.prompts.other_inputs import Folders, advised_queries, other_queries
from mcprun.prompts.script_query import single_call_query
from mcprun.tools.json_schema.described_values import listed_values


@pytest.mark.parametrize(
    ("error", "values"),
    [
        ("Supported units: m, km", ["m", "km"]),
        ("unit must be one of ['m', 'k m']", ["m", "k m"]),
        ("Valid units are: celsius, fahrenheit or kelvin.", ["celsius", "fahrenheit", "kelvin"]),
        ("Input should be 'local', 'remote' or 'all' [type=enum]", ["local", "remote", "all"]),
        ("Invalid enum value. Expected 'a' | 'b', received 'example'", ["a", "b"]),
        ('Invalid option: expected one of "asc"|"desc"', ["asc", "desc"]),
        ("unknown method example; use one of md5, sha1", ["md5", "sha1"]),
        ("expected string, received number", []), ("The path must be absolute", []), ("Error: not found", []),
        ("Available commands: rm -rf x, 'drop table'", []), ("one of " * 5000, []),
    ],
)  # fmt: skip
def test_errors_list_values(error: str, values: list[str]) -> None:
    """The values that an error says are allowed are found, but nothing harmful."""
    assert list(listed_values(error)) == values


def others(arguments: dict[str, Any], properties: dict[str, Any], reason: str, **folders: Any) -> list[dict[str, Any]]:
    """Return the other inputs of a tool in order."""
    schema = {"type": "object", "properties": properties, "required": list(arguments)}
    tool = {"name": "convert", "inputSchema": schema}
    found = other_queries(single_call_query(tool, "convert", arguments), tool, Folders(**folders), reason)
    return [query["script"][0]["calls"][0]["input"] for query in found]


TEXT = {"type": "string"}


def test_listed_values_are_for_the_argument_that_the_error_names() -> None:
    """The first ones come first, by the name of the argument or its value in the error."""
    both = {"unit": TEXT, "name": TEXT}
    now = {"unit": "example", "name": "other"}
    for error in ("unit must be one of: m, km", "Unknown 'example'. Valid units: m, km"):
        assert others(now, both, error)[:2] == [{**now, "unit": "m"}, {**now, "unit": "km"}]


def test_another_value_of_an_enum_is_tried() -> None:
    """The first one may stand for an error, or for something that is not there."""
    assert {"kind": "ok"} in others({"kind": "error"}, {"kind": {"enum": ["error", "ok"]}}, "Error: it failed")


def test_paths_are_absolute_if_the_error_asks_for_it() -> None:
    """They lead to the server's own folder, else to the one that it started in, else to the temporary folder."""
    paths = {"path": TEXT}
    now, error = {"path": "example.txt"}, "Path 'example.txt' must be absolute"
    assert others(now, paths, error)[0]["path"].startswith("/tmp/mcprun-")
    assert others(now, paths, error, own="/data")[0]["path"].startswith("/data/")
    assert others(now, paths, error, working="/proc/self/cwd")[0]["path"].startswith("/proc/self/cwd/")
    assert all(not one["path"].startswith("/") for one in others(now, paths, "not found"))
    nested = {"files": {"type": "array", "items": {"type": "object", "properties": paths, "required": ["path"]}}}
    assert others({"files": [now]}, nested, error, own="/data")[0]["files"][0]["path"].startswith("/data/")


def test_the_folder_that_a_server_starts_in_has_a_fixed_path_on_linux() -> None:
    """With it, a file that needs an absolute path is in the new folder of each server."""
    assert Folders.of(None, scratch=False).working == "/tmp"
    assert (Folders.of(None, scratch=True).working == "/proc/self/cwd") is (sys.platform == "linux")


def test_a_value_that_an_error_gives_as_an_example_is_tried() -> None:
    """It is for the argument whose value the error quotes; paths get the suffix that the error names."""
    now = {"path": "example.txt", "range": "example"}
    tool = {"name": "format"}
    query = single_call_query(tool, "format", now)

    def advised(reason: str) -> list[dict[str, Any]]:
        return [one["script"][0]["calls"][0]["input"] for one in advised_queries(query, tool, reason)]

    assert advised("Invalid range 'example'. Use A1 notation such as 'B2' or 'A1:C10'.")[0] == {**now, "range": "B2"}
    wanted = "Path 'example.txt' must point to an Excel file (.xlsm, .xlsx, .xltm, .xltx)."
    assert advised(wanted) == [{**now, "path": "example.xlsx"}]
    assert advised("Path 'example.txt' does not exist") == []


def test_a_file_of_another_format_is_the_sample_of_that_format() -> None:
    """A new working folder has an `example.xlsx`, and no `README.xlsx`."""
    query = single_call_query({"name": "read"}, "read", {"path": "/proc/self/cwd/README.md"})
    (advised,) = advised_queries(query, {"name": "read"}, "Path must point to an Excel file (.xlsx)")
    assert advised["script"][0]["calls"][0]["input"] == {"path": "/proc/self/cwd/example.xlsx"}
