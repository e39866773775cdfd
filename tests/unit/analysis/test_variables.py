"""Values of variables that differ between two runs: what counts as equal, and what never does."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mcprun._util.json_value import json_equal, json_same
from mcprun.analysis.diff.variables import VariablePairs, _document
from tests.support.json_strategies import JSON

NAMES = ("number", "token", "flag", "part")

words = st.text("ab1é_", min_size=1, max_size=3)
scalars = words | st.integers(0, 30) | st.booleans() | st.none() | st.sampled_from([1.0, 2.5])
values = scalars | st.dictionaries(words, scalars, max_size=2) | st.lists(scalars, max_size=2)
variables = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)
texts = st.lists(words | st.integers(0, 30).map(str) | st.sampled_from(" -.,:\n/#"), max_size=12).map("".join)
documents = st.recursive(
    values | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


def pairs(**values: tuple[Any, Any]) -> VariablePairs:
    """Return the pairs of variables, each given as its values in BASE and HEAD."""
    return VariablePairs.of(*({name: pair[side] for name, pair in values.items()} for side in (0, 1)))


def oracle(found: VariablePairs, base: str, head: str) -> bool:
    """Return whether any way to skip pairs of words, at any place, makes two texts equal."""
    todo, seen = [(0, 0)], set[tuple[int, int]]()
    while todo:
        at, other = todo.pop()
        if (at, other) in seen:
            continue
        seen.add((at, other))
        if at == len(base) and other == len(head):
            return True
        if at < len(base) and base[at : at + 1] == head[other : other + 1]:
            todo.append((at + 1, other + 1))
        for word, other_word in found._words:
            if all(
                re.compile(rf"(?<!\w){re.escape(one)}(?!\w)").match(text, place)
                for one, text, place in ((word, base, at), (other_word, head, other))
            ):
                todo.append((at + len(word), other + len(other_word)))
    return False


@given(JSON, JSON)
def test_without_pairs_values_are_equal_as_json_is(one: Any, other: Any) -> None:
    """Without pairs, two values are equal if they are equal JSON, and none is replaced."""
    none = VariablePairs.of({"a": 1, "b": 2}, {"a": 1.0, "c": 3})
    assert not none
    assert none.equal(one, other) == json_equal(one, other)
    assert json_same(none.as_base(one, other), other)
    assert json_same(none.to_head(one, in_texts=True), one)


@given(documents, variables, variables)
def test_a_value_equals_itself_whatever_the_pairs(value: Any, base: dict[str, Any], head: dict[str, Any]) -> None:
    """Pairs never make a value differ from itself."""
    assert VariablePairs.of(base, head).equal(value, value)


@given(documents, variables, variables)
def test_a_value_equals_itself_with_the_values_of_head(value: Any, base: dict[str, Any], head: dict[str, Any]) -> None:
    """Replacing BASE's values by HEAD's makes no difference, and leaves no value of BASE that is not also HEAD's."""
    found = VariablePairs.of(base, head)
    replaced = found.to_head(value)
    assert found.equal(value, replaced)
    assert json_same(found.as_base(value, replaced), value)


@given(st.lists(words | st.integers(0, 30).map(str), max_size=12), st.sampled_from(" -.,\n"), variables, variables)
def test_a_text_equals_itself_with_the_words_of_head(
    parts: list[str], between: str, base: dict[str, Any], head: dict[str, Any]
) -> None:
    """Replacing the words of a text that are BASE's values by HEAD's makes no difference."""
    plain = {name: value for name, value in base.items() if isinstance(value, int | str) and name in head}
    found = VariablePairs.of(plain, head)
    text = between.join(parts)
    assert found.equal({"text": text}, {"text": found.text_to_head(text)})


@given(documents, documents, st.dictionaries(st.sampled_from(NAMES), st.tuples(words, words), max_size=4))
def test_equality_is_symmetric(one: Any, other: Any, values: dict[str, tuple[str, str]]) -> None:
    """Exchanging the sides, with those of the pairs, makes no difference."""
    found = pairs(**values)
    assert found.equal(one, other) == found.inverse.equal(other, one)


@given(texts, variables, variables, st.data())
def test_a_difference_of_texts_that_is_no_pair_is_never_hidden(
    one: str, base: dict[str, Any], head: dict[str, Any], data: st.DataObject
) -> None:
    """Texts are equal only if they can be aligned character by character and pair by pair."""
    found = VariablePairs.of(base, head)
    other = data.draw(texts | st.just(found.text_to_head(one)))
    at = data.draw(st.integers(0, len(other)))
    other = other[:at] + data.draw(texts) + other[at + data.draw(st.integers(0, 2)) :]
    if found.equal(one, other):
        assert is_aligned(found, one, other)


@given(documents, variables, variables, st.data())
def test_a_difference_of_json_that_is_no_pair_is_never_hidden(
    one: Any, base: dict[str, Any], head: dict[str, Any], data: st.DataObject
) -> None:
    """Values are equal only if each part is equal, or is a pair, at the same place."""
    found = VariablePairs.of(base, head)
    assume(found)
    other = data.draw(st.just(found.to_head(one, in_texts=True)) | documents)
    edited = data.draw(st.sampled_from([other, [other], {"a": other}]))
    if found.equal(one, edited):
        assert is_aligned(found, one, edited)


def is_aligned(found: VariablePairs, one: Any, other: Any) -> bool:
    """Return whether two values differ only by pairs, by trying everything."""
    if json_equal(one, other) or any(json_equal(one, a) and json_equal(other, b) for a, b in found._pairs):
        return True
    if isinstance(one, str) and isinstance(other, str):
        documents = _document(one), _document(other)
        return oracle(found, one, other) or (None not in documents and is_aligned(found, *documents))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(is_aligned(found, *items) for items in zip(one, other, strict=True))
    if not (isinstance(one, dict) and isinstance(other, dict) and len(one) == len(other)):
        return False
    return all(
        any(
            (key == name or (key, name) in found._words) and is_aligned(found, item, other_item)
            for name, other_item in other.items()
        )
        for key, item in one.items()
    )


@pytest.mark.parametrize(
    ("base", "head", "is_equal"),
    [
        ({"id": 17}, {"id": 42}, True),
        ({"id": 17.0}, {"id": 42}, True),
        ({"id": 17}, {"id": 43}, False),
        ({"id": 18}, {"id": 42}, False),
        ({"id": 17}, {"id": "42"}, False),
        ({"id": 17, "count": 17}, {"id": 42, "count": 17}, True),
        ({"id": 17.5}, {"id": 42.5}, False),
        ("issue 17 of 170", "issue 42 of 170", True),
        ("issue 17 of 170", "issue 42 of 420", False),
        ("issues/17", "issues/42", True),
        ("issue_17", "issue_42", False),
        ("v17", "v42", False),
        ("17, 17 and 42", "42, 17 and 42", True),
        ("issue 17 is open", "issue 42 is closed", False),
        ("open: 17", "shut: 42", False),
        ('{"id": 17, "size": 17.5}', '{"size": 17.5, "id": 42}', True),
        ('{"id": 17, "size": 17.5}', '{"size": 42.5, "id": 42}', False),
        ({"17": "open"}, {"42": "open"}, True),
        ({"17": "open"}, {"42": "open", "17": "open"}, False),
        ("token a-b", "token c", True),
        ("token a-bc", "token cc", False),
        ("part a-1", "part c-2", True),
        ("part a", "part z", True),
        ("((", "xx", False),
        (["a-b", 17], ["c", 42], True),
        ([17, "a-b"], ["c", 42], False),
        ({"flag": True}, {"flag": 1}, False),
        ({"owner": {"name": "Ada", "age": 36}}, {"owner": {"age": 20.0, "name": "Bob"}}, True),
        ({"owner": {"name": "Ada", "age": 36}}, {"owner": {"age": 21, "name": "Bob"}}, False),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_examples(base: Any, head: Any, is_equal: bool) -> None:
    """Whole values of the same type, and whole words of texts, form pairs. Nothing else is equal."""
    owner = {"name": "Ada", "age": 36}, {"name": "Bob", "age": 20}
    found = pairs(number=(17, 42), part=("a", "z"), token=("a-b", "c"), owner=owner, empty=("", "y"))
    found = VariablePairs([*found._pairs, ("a", "c"), ("a-1", "c-2"), ("(", "x")])
    assert found.equal(base, head) is is_equal
    assert found.inverse.equal(head, base) is is_equal


def test_only_names_on_both_sides_form_pairs() -> None:
    """A variable that only one side has forms no pair, and neither does one with the same value on both."""
    assert not VariablePairs.of({"a": 1, "b": 2.0}, {"b": 2, "c": 3})
    assert not VariablePairs.of({"a": 1}, {"c": 3}).equal(1, 3)


def test_the_first_of_two_variables_with_the_same_value_is_replaced() -> None:
    """Both values of HEAD are equal to BASE's, and the first variable's is sent."""
    found = pairs(issue=(17, 42), copy=(17, 43))
    assert found.to_head({"id": 17, "text": "17"}) == {"id": 42, "text": "17"}
    assert found.to_head({"id": 17, "text": "issue 17"}, in_texts=True) == {"id": 42, "text": "issue 42"}
    assert found.equal([17, 17], [42, 43])
    assert not found.equal({"17": 2}, {"42": 1, "43": 2})


def test_whole_values_of_the_same_type_are_replaced() -> None:
    """Parts of an input are replaced; a text that contains a number, `true` for 1, and keys are not."""
    found = pairs(number=(1, 5), owner=({"name": "Ada"}, {"name": "Bob"}))
    given = {"id": 1.0, "flag": True, "text": "1", "ids": [1, 2], "1": {"name": "Ada"}, "by": {"name": "Ada", "x": 1}}
    assert found.to_head(given) == {
        "id": 5, "flag": True, "text": "1", "ids": [5, 2], "1": {"name": "Bob"}, "by": {"name": "Ada", "x": 5}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("base", "head", "left"),
    [
        (
            {"id": 17, "state": "open", "url": "/issues/17"},
            {"id": 42, "state": "closed", "url": "/issues/42"},
            {"id": 17, "state": "closed", "url": "/issues/17"},
        ),
        ("a 17\nb 17\nc", "a 42\nb 42 is new\nc", "a 17\nb 42 is new\nc"),
        ([{"id": 1}, {"id": 17}], [{"id": 0}, {"id": 1}, {"id": 42}], [{"id": 0}, {"id": 1}, {"id": 17}]),
        ([{"id": 1}, {"id": 17}], [{"id": 42}, {"id": 1}], [{"id": 17}, {"id": 1}]),
    ],
)
def test_only_what_really_differs_is_left(base: Any, head: Any, left: Any) -> None:
    """Beside another difference, values and lines that differ only by pairs become those of BASE."""
    assert json_same(left, pairs(number=(17, 42)).as_base(base, head))


def test_long_texts_are_compared_in_linear_time() -> None:
    """A text in which nearly every character may begin a value is read once: each search goes on behind the last."""

    class Counted(str):
        """A text that counts how often a word is looked for in it."""

        __slots__ = ("looked_for",)
        looked_for: int

        def startswith(self, *arguments: Any) -> bool:
            self.looked_for = getattr(self, "looked_for", 0) + 1
            return super().startswith(*arguments)

    size = 50_000
    base, head = Counted("- " * size + "."), Counted("- " * size + "!")
    found = pairs(dash=("-", "+"), dashes=("- -", "="))
    assert not found.equal({"text": base}, {"text": head})
    assert base.looked_for + head.looked_for <= 8 * size
