"""The values of a query's variables (`vars`), which may differ between two runs, and what differs only by them. Pure.

A server that hands out ids returns other ones in each run. If a query takes such a value through `vars`, its
transcripts record it. The values of one variable in BASE and in HEAD are a pair, and what differs only by pairs counts
as equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mcprun._util.json_text import loads
from mcprun._util.json_value import JsonObject, json_equal, json_same, key_of
from mcprun.analysis.diff.item_pairs import pair_items

_MAX_WORD = 1_000
"""Maximum length of a value that is sought within texts, in characters. Longer ones are compared as whole values."""

_NONE = object()


class VariablePairs:
    """The pairs of values of the variables that two transcripts have in common.

    Values of equal meaning, such as 17 and 17.0, are no pair.
    """

    def __init__(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        self._pairs = [(before, after) for before, after in pairs if not json_same(before, after)]
        self._nested = [pair for pair in self._pairs if any(isinstance(value, dict | list) for value in pair)]
        self._scalars = {(_key(before), _key(after)) for before, after in self._pairs}
        self._after: dict[object, Any] = {}
        words: dict[tuple[str, str], None] = {}
        for before, after in self._pairs:
            self._after.setdefault(_key(before), after)
            word, other = _as_text(before), _as_text(after)
            if word != other and 0 < len(word) <= _MAX_WORD and 0 < len(other) <= _MAX_WORD:
                words[word, other] = None
        # The longest first, whichever side is BASE: "a-b" may begin with the value "a" of another variable.
        self._words = sorted(words, key=lambda pair: -len(pair[0]) - len(pair[1]))
        self._word_after: dict[str, str] = {}
        for word, other in words:
            self._word_after.setdefault(word, other)
        self._pattern = _pattern(self._word_after)
        self._inverse: VariablePairs | None = None

    @classmethod
    def of(cls, base: Mapping[str, Any], head: Mapping[str, Any]) -> VariablePairs:
        """Return the pairs of two mappings of names to values, in the order of BASE."""
        return cls([(value, head[name]) for name, value in base.items() if name in head])

    def __bool__(self) -> bool:
        return bool(self._pairs)

    @property
    def inverse(self) -> VariablePairs:
        """The pairs with their sides exchanged."""
        if self._inverse is None:
            self._inverse = VariablePairs([(after, before) for before, after in self._pairs])
        return self._inverse

    def to_head(self, value: Any, *, in_texts: bool = False) -> Any:
        """Replace BASE's values by HEAD's in a JSON value, of two variables with the same value by the first one's.

        Replaces whole values of the same type: 17 is neither "17" nor a part of "issue 17". With `in_texts`, words of
        texts are replaced as well.
        """
        copy = [value]
        todo: list[tuple[Any, Any]] = [(copy, 0)]  # not recursive: an input may be deeper than Python's stack
        while todo:
            parent, key = todo.pop()
            item = parent[key]
            if not isinstance(item, dict | list):
                parent[key] = self._scalar_to_head(item, in_texts=in_texts)
                continue
            values = (after for before, after in self._nested if json_equal(item, before))
            if (after := next(values, _NONE)) is not _NONE:
                parent[key] = after
                continue
            parent[key] = inner = item.copy()
            todo += [(inner, place) for place in (inner if isinstance(inner, dict) else range(len(inner)))]
        return copy[0]

    def _scalar_to_head(self, value: Any, *, in_texts: bool) -> Any:
        key = _key(value)
        if key in self._after:
            return self._after[key]
        return self.text_to_head(value) if in_texts and isinstance(value, str) else value

    def text_to_head(self, text: str) -> str:
        """Replace BASE's values by HEAD's in a text, where no letter, digit or underscore precedes or follows them."""
        if self._pattern is None:
            return text
        replaced = self._pattern.sub(lambda found: self._word_after[found[0]], text)
        # Values of punctuation only may come to stand beside each other: "((" would become "xx".
        return replaced if self._differ_only_by_words(text, replaced) else text

    def equal(self, base: Any, head: Any) -> bool:
        """Return whether two JSON values differ only by pairs."""
        return json_same(base, head) or (bool(self) and json_same(base, self.as_base(base, head)))

    def as_base(self, base: Any, head: Any) -> Any:
        """Return the JSON value `head` with BASE's values in place of HEAD's where both form a pair.

        The result equals `base` if the two differ only by pairs. Other differences remain. Values of variables may also
        be keys of objects, and words of texts.
        """
        if isinstance(base, dict | list) or isinstance(head, dict | list):
            if any(json_equal(base, before) and json_equal(head, after) for before, after in self._nested):
                return base
            if isinstance(base, dict) and isinstance(head, dict):
                return self._object_as_base(base, head)
            return self._list_as_base(base, head) if isinstance(base, list) and isinstance(head, list) else head
        if (_key(base), _key(head)) in self._scalars:
            return base
        return self._text_as_base(base, head) if isinstance(base, str) and isinstance(head, str) else head

    def _object_as_base(self, base: JsonObject, head: JsonObject) -> JsonObject:
        found: JsonObject = {}
        for key, item in head.items():
            name = key if key in base else self._key_as_base(base, head, key)
            name = key if name in found else name
            found[name] = self.as_base(base[name], item) if name in base else item
        return found

    def _key_as_base(self, base: JsonObject, head: JsonObject, key: str) -> str:
        names = (word for word, other in self._words if other == key and word in base and word not in head)
        return next(names, key)

    def _list_as_base(self, base: Sequence[Any], head: Sequence[Any]) -> list[Any]:
        """Replace the values of a list. Items that are in other places on both sides keep their places."""
        if len(base) == len(head):
            items = list(map(self.as_base, base, head))
            if all(map(json_same, base, items)):
                return items
        replaced = [self.inverse.to_head(item, in_texts=True) for item in head]
        if len(base) != len(head):
            pairs = pair_items(base, replaced)
            partners = {other: base[one] for one, other in pairs if one is not None and other is not None}
            items = [self.as_base(partners[at], item) if at in partners else item for at, item in enumerate(head)]
        keys = set(map(key_of, base))
        return [one if key_of(one) in keys else item for one, item in zip(replaced, items, strict=True)]

    def _text_as_base(self, base: str, head: str) -> str:
        if base == head:
            return base
        values = _document(base), _document(head)
        if None not in values:  # in JSON, 17.5 has no whole value 17
            return base if json_same(values[0], self.as_base(*values)) else head
        if self._differ_only_by_words(base, head):
            return base
        lines = set(base.split("\n"))
        return "\n".join(
            replaced if line not in lines and (replaced := self.inverse.text_to_head(line)) in lines else line
            for line in head.split("\n")
        )

    def _differ_only_by_words(self, base: str, head: str) -> bool:
        """Align two texts from the left. Takes time in proportion to their length."""
        if self._pattern is None:
            return False
        at = other = 0
        while found := self._pattern.search(base, at):
            size = found.start() - at
            if base[at : at + size] != head[other : other + size]:
                return False
            at, other = at + size, other + size
            for word, other_word in self._words:
                if _is_word_at(base, at, word) and _is_word_at(head, other, other_word):
                    at, other = at + len(word), other + len(other_word)
                    break
            else:
                if base[at] != head[other : other + 1]:
                    return False
                at, other = at + 1, other + 1
        return base[at:] == head[other:]


def _pattern(words: Mapping[str, str]) -> re.Pattern[str] | None:
    """Return a pattern of words that no letter, digit or underscore precedes or follows; None if there are no words."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)") if words else None


def _is_word_at(text: str, at: int, word: str) -> bool:
    """Return whether a word is at an index of a text, without a letter, digit or underscore before or after it."""
    if not text.startswith(word, at):
        return False
    around = text[max(0, at - 1) : at] + text[at + len(word) : at + len(word) + 1]
    return not any(character.isalnum() or character == "_" for character in around)


def _key(value: Any) -> object:
    """Return what two scalars share if and only if they are equal: 1 is 1.0, and neither is `true`."""
    if isinstance(value, dict | list):
        return None  # unlike the key of any scalar
    return type(value) if value is None else (isinstance(value, bool), value)


def _as_text(value: Any) -> str:
    """Return a JSON value as it is in a text: strings unchanged, others as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _document(text: str) -> Any:
    """Return the object or list in a JSON text; None if it holds none."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return loads(text, allow_nan=True)
    except ValueError:
        return None
