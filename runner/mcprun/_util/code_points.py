"""Reveal invisible differences between two texts as code points such as `<U+0301>`. Pure.

Covers different normal forms (UAX #15), invisible and bidirectional format characters, kinds of spaces and of line
endings, trailing spaces, and letters of different scripts that look alike (UTS #39). Visible differences stay as is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from mcprun._util.alignment import Alignment, common_ends

_COMPARED = 2_000
"""Characters of each text that are compared, starting shortly before the first difference."""

_CONTEXT = 20
"""Characters of context on each side of a difference."""

_EMOJI = "\u2194-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
"""Blocks that contain the emoji that occur in sequences: symbols only, no letters."""

_JOINER = re.compile(f"(?:(?<=[{_EMOJI}])|(?<=[{_EMOJI}]\ufe0f))\u200d(?=[{_EMOJI}])")
"""A zero-width joiner between two emoji (Unicode Technical Standard 51, ED-16)."""

_ESCAPED_JOINER = re.compile(_JOINER.pattern.replace("\u200d", r"\\u200d"))

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
"""Unicode categories of characters without a visible glyph. `_is_unseen` excludes the space (U+0020)."""

_IGNORABLE = frozenset(
    [
        *"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0",
        *map(chr, range(0x180B, 0x1810)),
        *map(chr, range(0xFE00, 0xFE10)),
    ]
)
"""Letters and marks without a glyph (`Default_Ignorable_Code_Point`), and the blank Braille pattern."""

_ALIKE = str.maketrans(
    "аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧονıɡ‐‑‒–—―−ʼ‘’“”∕⁄∶꞉",  # noqa: RUF001  intended
    "aeopcyxijshdqwABEKMHOPCTYXIJSABEZHIKMNOPTYXovig-------'''\"\"//::",
)
"""Characters that look like ASCII characters, mapped to those (UTS #39, `confusables.txt`)."""


def reveal(before: str, after: str) -> tuple[str, str]:
    """Return two texts with the characters that hide a difference replaced by code points."""
    if before == after or (_is_plain(before) and _is_plain(after)):
        return before, after
    start = max(0, common_ends(before, after)[0] - _CONTEXT)
    end = start + _COMPARED
    sides = [_clusters(text[start:end]) for text in (before, after)]
    shown = [list(side) for side in sides]
    for tag, i, j, k, n in Alignment(sides[0], sides[1]).get_opcodes():
        if tag != "equal":
            one, other = _revealed_spans(sides, (i, j), (k, n))
            shown[0][i:j], shown[1][k:n] = [one, *[""] * (j - i - 1)][: j - i], [other, *[""] * (n - k - 1)][: n - k]
    return before[:start] + "".join(shown[0]) + before[end:], after[:start] + "".join(shown[1]) + after[end:]


def reveal_part(part: str, text: str) -> tuple[str, str] | None:
    """Find the place in a text that looks the same as `part` but differs from it.

    Return the part and an excerpt around that place, in which code points replace every character that may hide the
    difference. Return None if the text contains `part`, or nothing that looks like it.
    """
    wanted = _skeleton(part)
    clusters = _clusters(text)
    ends = [*accumulate(len(_skeleton(one)) for one in clusters)]
    at = "".join(map(_skeleton, clusters)).find(wanted)
    if not wanted or at < 0 or part in text:
        return None
    begin = next(number for number, end in enumerate(ends) if end > at)
    end = next(number for number, end in enumerate(ends, 1) if end >= at + len(wanted))
    before, after = "".join(clusters[max(0, begin - _CONTEXT) : begin]), "".join(clusters[end : end + _CONTEXT])
    lead, rest = "…" if begin > _CONTEXT else "", "…" if end + _CONTEXT < len(clusters) else ""
    return _spelled(part), f"{lead}{before}{_spelled(''.join(clusters[begin:end]))}{after}{rest}"


def spell_out_spaces(text: str) -> str:
    """Replace all white space by code points, except single spaces between words."""
    parts = re.split(r"(\s+)", text)
    last = len(parts) - 1
    return "".join(
        part if not at % 2 or (part == " " and parts[at - 1] and (at + 1 < last or parts[last])) else _code_points(part)
        for at, part in enumerate(parts)
    )


def reveal_name(name: str) -> str:
    """Replace characters of a name by code points where its normal form NFC, which looks the same, differs."""
    return reveal(unicodedata.normalize("NFC", name), name)[1]


def look_alike(one: str, other: str) -> bool:
    """Return whether two different texts look the same, ignoring the amount of white space."""
    return one != other and _skeleton(one).split() == _skeleton(other).split()


def _look_the_same(one: str, other: str) -> bool:
    return one != other and _skeleton(one) == _skeleton(other)


def _is_plain(text: str) -> bool:
    """Return whether a text is printable ASCII without leading, trailing or repeated spaces."""
    return text.isascii() and text.isprintable() and text.strip() == text and "  " not in text


def _clusters(text: str) -> list[str]:
    """Split a text into characters, each with its combining marks. Hangul syllables stay whole."""
    clusters: list[str] = []
    for character in text:
        is_mark = unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff"
        if clusters and is_mark and character not in _IGNORABLE:
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _revealed_spans(sides: Sequence[Sequence[str]], one: tuple[int, int], other: tuple[int, int]) -> tuple[str, str]:
    """Return the text to show for each of two spans that differ."""
    spans = [side[begin:end] for side, (begin, end) in zip(sides, (one, other), strict=True)]
    texts = ["".join(span) for span in spans]
    if _look_the_same(*texts):
        return _spelled(texts[0]), _spelled(texts[1])
    if all(not text.strip() for text in texts):
        is_seen = all(_has_text_on_both_sides(side, *span) for side, span in zip(sides, (one, other), strict=True))
        return (texts[0], texts[1]) if is_seen and " " in texts else (_spelled(texts[0]), _spelled(texts[1]))
    if len(spans[0]) == len(spans[1]):
        pairs = [
            (_spelled(a), _spelled(b)) if _look_the_same(a, b) else (_unseen_spelled(a), _unseen_spelled(b))
            for a, b in zip(*spans, strict=True)
        ]
        return "".join(a for a, _ in pairs), "".join(b for _, b in pairs)
    return _unseen_spelled(texts[0]), _unseen_spelled(texts[1])


def _has_text_on_both_sides(side: Sequence[str], begin: int, end: int) -> bool:
    """Return whether a span has neighbours on both sides that are not white space."""
    return begin > 0 and end < len(side) and bool(side[begin - 1].strip() and side[end].strip())


def _spelled(text: str) -> str:
    """Replace all characters by code points, except printable ASCII and spaces within the text."""
    inner = text.strip(" ")
    lead, trail = len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" "))
    if not inner:
        return _code_points(text)
    middle = "".join(one if one.isascii() and one.isprintable() else _code_points(one) for one in inner)
    return _code_points(text[:lead]) + middle + _code_points(text[len(text) - trail :] if trail else "")


def _unseen_spelled(text: str) -> str:
    return "".join(_code_points(one) if _is_unseen(one) else one for one in text)


def _is_unseen(character: str) -> bool:
    return character != " " and (unicodedata.category(character) in _UNSEEN or character in _IGNORABLE)


def _code_points(characters: Iterable[str]) -> str:
    return "".join(f"<U+{ord(one):04X}>" for one in characters)


def _skeleton(text: str) -> str:
    """Return a form of a text that is equal for texts that look the same."""
    return "".join(_visible(unicodedata.normalize("NFKC", text).translate(_ALIKE)))


def _visible(text: str) -> Iterator[str]:
    for one in text:
        if one.isspace():
            yield " "
        elif not _is_unseen(one):
            yield one


def quoted(text: str) -> str:
    """Return a text as `repr` does, in which an emoji that consists of several stays whole."""
    # `repr` writes a backslash of the text itself as two, so that this escape can only be a joiner.
    return _ESCAPED_JOINER.sub("\u200d", repr(text))


def emoji_joiners(text: str) -> frozenset[int]:
    """Return the positions of zero-width joiners that make one emoji of two. Between letters, a joiner hides text."""
    return frozenset(joiner.start() for joiner in _JOINER.finditer(text)) if "\u200d" in text else frozenset()
