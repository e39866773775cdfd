"""JSON Pointers in the references of a script."""

from __future__ import annotations

from mcprun.models.references import holds_reference, resolve_pointer


def test_json_pointers_resolve_as_in_the_rfc() -> None:
    """The examples of RFC 6901, section 5, resolve to the specified values."""
    document = {
        "foo": ["bar", "baz"],
        "": 0,
        "a/b": 1,
        "c%d": 2,
        "e^f": 3,
        "g|h": 4,
        "i\\j": 5,
        'k"l': 6,
        " ": 7,
        "m~n": 8,
    }
    pointers = ["", "/foo", "/foo/0", "/", "/a~1b", "/c%d", "/e^f", "/g|h", "/i\\j", '/k"l', "/ ", "/m~0n"]
    expected = [document, ["bar", "baz"], "bar", 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert [resolve_pointer(document, pointer) for pointer in pointers] == expected


def test_a_reference_is_found_at_any_depth() -> None:
    """An input without one is used as it is."""
    assert holds_reference({"a": [1, {"b": {"$from": 0}}]})
    assert not holds_reference({"a": [1, {"b": {"from": 0}}], "c": "$from"})
