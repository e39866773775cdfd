"""Scripts of several calls for tools that need what another tool makes."""

from __future__ import annotations

from typing import Any

from mcprun.prompts.chains import WorkedCalls, chained_queries
from mcprun.prompts.script_query import single_call_query


def worked(tool: str, arguments: dict[str, Any], text: str = "", structured: Any = None) -> WorkedCalls:
    """Build a call that worked."""
    call = {"tool": tool, "input": arguments}
    return WorkedCalls({"name": tool}, [call], [{"type": "text", "text": text}], structured)


def chained(tool: str, arguments: dict[str, Any], *before: WorkedCalls) -> list[list[tuple[str, Any]]]:
    """Return the calls of each chained query, the likeliest first."""
    query = single_call_query({"name": tool}, tool, arguments)
    found = chained_queries(query, {"name": tool}, before, 3)
    return [[(call["tool"], call["input"]) for turn in one["script"][:-1] for call in turn["calls"]] for one in found]


def test_an_id_is_taken_from_the_result_that_has_it() -> None:
    """`create_note` comes before `get_note`, whose `note_id` is the `id` of its result."""
    create = worked("create_note", {"title": "example"}, structured={"note": {"id": 5, "title": "example"}})
    other = worked("create_user", {"name": "example"}, structured={"id": 6})
    assert chained("get_note", {"note_id": 1}, other, create) == [
        [("create_note", {"title": "example"}), ("get_note", {"note_id": {"$from": 0, "path": "/note/id"}})]
    ]
    as_text = chained("get_note", {"note_id": "example"}, create)[0][1][1]
    assert as_text == {"note_id": {"$from": 0, "path": "/note/id", "as": "string"}}


def test_an_id_is_found_in_text_and_in_lists() -> None:
    """The id may be in JSON in the text, in the first item of a list, or in words."""
    listed = worked("list_notes", {}, '[{"noteId": "a"}]')
    assert chained("get_note", {"note_id": "example"}, listed)[0][1][1] == {
        "note_id": {"$from": 0, "path": "/0/noteId"}
    }
    told = worked("add_note", {}, "Added the note with ID: 7.")
    (argument,) = chained("get_note", {"note_id": 1}, told)[0][1][1].values()
    assert (argument["$from"], argument["as"]) == (0, "integer")


def test_tools_that_share_an_argument_get_the_same_value() -> None:
    """A tool that needs a file gets the one that an earlier call made, and the calls that this one needed."""
    first = {"tool": "create_workbook", "input": {"filepath": "a.xlsx"}}
    second = {"tool": "create_worksheet", "input": {"filepath": "a.xlsx", "sheet_name": "One"}}
    before = WorkedCalls({"name": "create_worksheet"}, [first, second], [])
    (calls,) = chained("read_sheet", {"filepath": "b.xlsx", "sheet_name": "example"}, before)
    assert calls == [
        ("create_workbook", first["input"]), ("create_worksheet", second["input"]), ("read_sheet", second["input"])
    ]  # fmt: skip


def test_ids_of_several_things_are_told_apart() -> None:
    """The owner of an id in the result decides, and a later call has the references of the calls before it."""
    made = {"requestId": "r", "tasks": [{"id": "t"}]}
    plan = worked("plan", {"text": "example"}, structured=made)
    arguments = {"requestId": "example", "taskId": "example"}
    references = {"requestId": {"$from": 0, "path": "/requestId"}, "taskId": {"$from": 0, "path": "/tasks/0/id"}}
    (calls,) = chained("finish_task", arguments, plan)
    assert calls == [("plan", {"text": "example"}), ("finish_task", references)]
    finished = WorkedCalls({"name": "finish_task"}, [{"tool": tool, "input": one} for tool, one in calls], [])
    assert chained("approve_task", arguments, finished)[0] == [*calls, ("approve_task", references)]


def test_unrelated_tools_and_those_that_undo_are_not_chained() -> None:
    """A call that has nothing to do with the tool, or that deletes, comes before none."""
    assert (
        chained("get_note", {"note_id": 1}, worked("add", {"a": 1}, "2"), worked("delete_note", {"note_id": 1})) == []
    )
    assert chained("status", {}, worked("start_session", {}))[0][0] == ("start_session", {})
