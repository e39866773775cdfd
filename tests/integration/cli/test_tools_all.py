"""`mcprun tools --all` lists, saves and compares prompts, resources and resource templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.canned_bytes import ERAS, server_args, serving
from tests.support.cli import RAW, run_mcprun, squeezed
from tests.support.library import LIBRARY, ODD


@pytest.mark.parametrize("protocol", ["legacy", "2026-07-28"])
def test_prompts_resources_and_templates_are_listed(tmp_path: Path, protocol: str) -> None:
    """`--all` lists prompts, resources and templates after the tools.

    Optional arguments are marked, and descriptions are cut to their first line.
    """
    done = run_mcprun("tools", LIBRARY, "--all", "--protocol", protocol, cwd=tmp_path)
    shown = squeezed(done.stdout)
    assert (done.code, shown[1:5]) == (
        0,
        ["echo{text: string} Say it again.", "1 tool, about 51 tokens", "10 prompts", "brief{topic, tone?} Ask for a short text."],
    )  # fmt: skip
    assert shown[-7:] == [
        "4 resources",
        "library://archive archive, application/zip: Give bytes that the API has no block for.",
        "library://paper paper, application/pdf: Give a PDF.",
        "library://plan plan, image/png: Give a picture.",
        "library://rules rules, text/plain: Give the rules of the house.",
        "1 resource template",
        "library://books/{number} book, text/plain: Give a book by its number.",
    ]
    assert "prompts" not in run_mcprun("tools", LIBRARY, cwd=tmp_path).stdout


def test_all_pages_are_read_and_sorted(tmp_path: Path) -> None:
    """Each list has the items of all pages, sorted. Without `--all`, the lists are `null` in the output of `--json`."""
    data = json.loads(run_mcprun("tools", ODD, "--all", "--json", "--", "pages", cwd=tmp_path).stdout)
    for key, name, item in (
        ("prompts", "name", "prompt"),
        ("resources", "uri", "thing"),
        ("resource_templates", "uriTemplate", "many"),
    ):
        assert [one[name] for one in data[key]] == [f"{item}:{page}{letter}" for page in range(3) for letter in "ab"]
    plain = json.loads(run_mcprun("tools", ODD, "--json", "--", "pages", cwd=tmp_path).stdout)
    assert [plain[key] for key in ("prompts", "resources", "resource_templates")] == [None] * 3


@pytest.mark.parametrize(
    ("mode", "counts"),
    [("bare", "0 prompts, 0 resources, 0 resource templates"), ("no-templates", "2 prompts, 2 resources, 0 resource templates")],
)  # fmt: skip
def test_missing_capabilities_and_unknown_methods_give_empty_lists(tmp_path: Path, mode: str, counts: str) -> None:
    """The list of a missing capability is not requested, and an unknown method gives an empty list."""
    done = run_mcprun("tools", ODD, "--all", "--snapshot", "a.json", "--", mode, cwd=tmp_path)
    assert (done.code, done.stdout) == (0, f"a.json: 0 tools, about 0 tokens, {counts}\n")


def test_an_endless_list_is_an_error(tmp_path: Path) -> None:
    """A list of more than 100 pages is an error and is not printed, as for tools."""
    done = run_mcprun("tools", ODD, "--all", "--", "endless", cwd=tmp_path)
    assert (done.code, squeezed(done.stdout)[-3:]) == (
        3, ["prompts: not listed", "resources: not listed", "resource templates: not listed"],
    )  # fmt: skip
    assert "Error: prompts/list failed: the list of prompts has more than 100 pages" in done.stderr


PROMPT = {"name": "p", "arguments": [{"name": "a"}]}

RESOURCE = {"uri": "x://y", "name": "y"}

TEMPLATE = {"uriTemplate": "x://{y}", "name": "y"}

COMPLETE: dict[str, list[Any]] = {
    "prompts/list": [{"prompts": [PROMPT]}],
    "resources/list": [{"resources": [RESOURCE]}],
    "resources/templates/list": [{"resourceTemplates": [TEMPLATE]}],
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("method", "name", "result", "message"),
    [
        ("resources/list", "resources", {}, "the server sent an invalid result: resources is missing"),
        ("prompts/list", "prompts", {"prompts": None}, "the server sent an invalid result: prompts is null, not a list"),
        ("resources/templates/list", "resource_templates", {"resourceTemplates": "x"}, "the server sent an invalid result: resourceTemplates is text"),
        ("prompts/list", "prompts", 'error: {"code": -32603, "message": "no prompts today"}', "no prompts today"),
        ("resources/list", "resources", "hang", ""),
        ("prompts/list", "prompts", "null", ""),
        ("resources/list", "resources", '{"resources": 1e', ""),
    ],
)  # fmt: skip
def test_a_failed_list_does_not_affect_the_others(
    tmp_path: Path, era: str, method: str, name: str, result: Any, message: str
) -> None:
    """If a list fails, the message names its method, and the other lists are printed.

    The failed one is neither compared, nor saved, nor reported as removed.
    """
    with serving(server_args(tmp_path, era, pages=COMPLETE), "stdio") as (server, *more):
        run_mcprun("tools", server, "--all", "--snapshot", "all.json", *more, cwd=tmp_path)
    before = (tmp_path / "all.json").read_bytes()
    with serving(server_args(tmp_path, era, pages={**COMPLETE, method: [result]}), "stdio") as (server, *more):
        timeout = ["--connect-timeout", "2"] if result == "hang" else []
        done = run_mcprun("tools", server, "--all", "--json", *timeout, *more, cwd=tmp_path)
        flags = ["--against", "all.json", "--snapshot", "all.json"]
        compared = run_mcprun("tools", server, *flags, *timeout, *more, cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (done.code, data[name], list(data["failed"])) == (3, None, [name])
    assert f"Error: {method} failed: {message}" in done.stderr
    assert [len(data[one]) for one in ("prompts", "resources", "resource_templates") if one != name] == [1, 1]
    assert (compared.code, compared.stdout) == (3, "no changes (incomplete: a list could not be read)\n")
    assert "all.json was not written: a list that failed would look like an empty one" in compared.stderr
    assert (tmp_path / "all.json").read_bytes() == before


def test_a_server_that_dies_while_listing_fails_the_remaining_lists(tmp_path: Path) -> None:
    """If the server dies, the lists that were read are printed, and the remaining ones are reported as failed."""
    pages = {**COMPLETE, "resources/list": ["exit"]}
    with serving(server_args(tmp_path, "legacy", pages=pages), "stdio") as (server, *more):
        done = run_mcprun("tools", server, "--all", "--json", *more, cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (done.code, [one["name"] for one in data["prompts"]]) == (3, ["p"])
    assert list(data["failed"]) == ["resources", "resource_templates"]
    assert "told to" in data["failed"]["resources"]


@pytest.mark.parametrize("era", ERAS)
def test_malformed_items_are_left_out_with_a_warning(tmp_path: Path, era: str) -> None:
    """A malformed prompt, resource or template on any page is left out, and a warning names it.

    An invalid optional field is ignored.
    """
    pages: dict[str, list[Any]] = {
        "prompts/list": [
            {"prompts": [PROMPT, {"name": 5}, {"name": "q", "arguments": [{}]}, "x"], "nextCursor": "1"},
            {"prompts": [{"name": "r", "icons": 5}, {"name": ""}], "nextCursor": 5},
        ],
        "resources/list": [{"resources": [RESOURCE, {"uri": "x://z"}, {"name": "z"}, {**RESOURCE, "uri": "x://w", "size": "big"}]}],
        "resources/templates/list": [{"resourceTemplates": [None, {"uriTemplate": "x://{z}"}, TEMPLATE]}],
    }  # fmt: skip
    with serving(server_args(tmp_path, era, pages=pages), "stdio") as (server, *more):
        done = run_mcprun("tools", server, "--all", "--json", *more, cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (done.code, data["failed"]) == (0, {})
    assert [one["name"] for one in data["prompts"]] == ["p", "r"]
    assert [one["uri"] for one in data["resources"]] == ["x://w", "x://y"]
    assert [one["uriTemplate"] for one in data["resource_templates"]] == ["x://{y}"]
    assert done.stderr.splitlines() == [
        "Warning: prompt 'prompts[1]' is left out: name is a number, not text",
        "Warning: prompt 'q' is left out: arguments[0].name is missing",
        "Warning: prompt 'prompts[3]' is left out: it is text, not an object",
        "Warning: prompt 'r': icons is a number, not a list; that is ignored",
        "Warning: prompt 'prompts[1]' is left out: name is empty",
        "Warning: prompt 'prompts[2]' and all after it are not listed: nextCursor is a number, not text",
        "Warning: resource 'x://z' is left out: name is missing",
        "Warning: resource 'resources[2]' is left out: uri is missing",
        "Warning: resource 'x://w': size is text, not a whole number; that is ignored",
        "Warning: resource template 'resourceTemplates[0]' is left out: it is null, not an object",
        "Warning: resource template 'x://{z}' is left out: name is missing",
    ]


def test_control_characters_in_names_are_escaped(tmp_path: Path) -> None:
    """Control characters in names are escaped, and no line is wider than the terminal."""
    done = run_mcprun("tools", ODD, "--all", "--", "evil", cwd=tmp_path, env={"COLUMNS": "80"})
    assert done.code == 0
    assert not any(character in done.stdout + done.stderr for character in "\x1b\u202e")
    assert r"\x1b[2J\u202e[red]evil[/red] line" in "".join(done.stdout.split("\n")).replace("  ", "")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_added_and_removed_items_are_reported(tmp_path: Path) -> None:
    """A snapshot with prompts and resources is compared with the server's, and one without them is not."""
    saved = run_mcprun("tools", LIBRARY, "--all", "--snapshot", "all.json", cwd=tmp_path)
    assert saved.stdout == "all.json: 1 tool, about 51 tokens, 10 prompts, 4 resources, 1 resource template\n"
    same = run_mcprun("tools", LIBRARY, "--against", "all.json", "--strict", "--snapshot", "again.json", cwd=tmp_path)
    assert (same.code, same.stdout.splitlines()[0]) == (0, "no changes")
    assert (tmp_path / "all.json").read_bytes() == (tmp_path / "again.json").read_bytes()
    data = json.loads((tmp_path / "all.json").read_text())
    data["prompts"] = [one for one in data["prompts"] if one["name"] != "song"] + [{"name": "zoo"}]
    data["resources"][0]["uri"] = "library://gone"
    data["resource_templates"] = []
    (tmp_path / "all.json").write_text(json.dumps(data))
    done = run_mcprun("tools", LIBRARY, "--against", "all.json", cwd=tmp_path)
    assert (done.code, done.stdout.splitlines()) == (
        1,
        [
            "✗ prompt zoo  removed",
            "✗ resource library://gone  removed, probably renamed to library://archive",
            "~ prompt song  added",
            "~ resource template library://books/{number}  added",
            "2 breaking changes, 2 non-breaking",
        ],
    )
    run_mcprun("tools", LIBRARY, "--snapshot", "tools.json", cwd=tmp_path)
    assert "prompts" not in json.loads((tmp_path / "tools.json").read_text())
    assert run_mcprun("tools", LIBRARY, "--all", "--against", "tools.json", "--strict", cwd=tmp_path).code == 0


def test_an_invalid_snapshot_is_one_message(tmp_path: Path) -> None:
    """A snapshot with a prompt without a name, or with only some of the lists, exits with 2 and one message."""
    for lists, message in (
        ({"prompts": [{}], "resources": [], "resource_templates": []}, "a prompt has no name"),
        ({"prompts": []}, "resources is missing"),
    ):
        (tmp_path / "a.json").write_text(json.dumps({"protocol": "x", "tools": [], **lists}))
        done = run_mcprun("tools", RAW, "--against", "a.json", cwd=tmp_path)
        assert (done.code, done.stderr) == (
            2,
            f"Error: a.json is not a snapshot: {message}; write a snapshot with: mcprun tools SERVER --snapshot FILE\n",
        )
