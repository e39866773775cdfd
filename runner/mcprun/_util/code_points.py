"""Show differences between two texts that can't be seen, by code points such as `<U+0301>`. Pure.

Such are different normal forms (UAX #15), invisible and bidirectional format characters, kinds of spaces and of ends of
lines, spaces at the end, and letters of two scripts that look alike (UTS #39). What can be seen stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from mcprun._util.alignment import Alignment, common_ends

_LOOKED_AT = 2_000
"""Characters of each text that are looked at, from about where they differ."""

_AROUND = 20
"""Characters that are shown on both sides of a part that was found."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
"""Unicode categories of characters that show nothing, or no glyph of their own. The space is told apart below."""

_IGNORABLE = frozenset(
    [
        *"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0",
        *map(chr, range(0x180B, 0x1810)),
        *map(chr, range(0xFE00, 0xFE10)),
    ]
)
"""Letters and marks that show nothing (`Default_Ignorable_Code_Point`), and the blank of Braille."""

_ALIKE = str.maketrans(
    "аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧονıɡ‐‑‒–—―−ʼ‘’“”∕⁄∶꞉",  # noqa: RUF001  they are meant
    "aeopcyxijshdqwABEKMHOPCTYXIJSABEZHIKMNOPTYXovig-------'''\"\"//::",
)
"""Characters that look like ASCII ones, and those (UTS #39, `confusables.txt`)."""


def revealed(before: str, after: str) -> tuple[str, str]:
    """Return two texts with characters that hide a difference replaced by their code points."""
    if before == after or (_is_plain(before) and _is_plain(after)):
        return before, after
    start = max(0, common_ends(before, after)[0] - _AROUND)
    end = start + _LOOKED_AT
    sides = [_clusters(text[start:end]) for text in (before, after)]
    shown = [list(side) for side in sides]
    for tag, i, j, k, n in Alignment(sides[0], sides[1]).get_opcodes():
        if tag != "equal":
            one, other = _revealed_spans(sides, (i, j), (k, n))
            shown[0][i:j], shown[1][k:n] = [one, *[""] * (j - i - 1)][: j - i], [other, *[""] * (n - k - 1)][: n - k]
    return before[:start] + "".join(shown[0]) + before[end:], after[:start] + "".join(shown[1]) + after[end:]


def revealed_part(part: str, text: str) -> tuple[str, str] | None:
    """Find a part in a text that lacks it and holds something that looks the same; None if there is nothing.

    Returns the part, and the place in the text, with all characters spelled out that may hide the difference.
    """
    wanted = _skeleton(part)
    clusters = _clusters(text)
    ends = [*accumulate(len(_skeleton(one)) for one in clusters)]
    at = "".join(map(_skeleton, clusters)).find(wanted)
    if not wanted or at < 0 or part in text:
        return None
    begin = next(number for number, end in enumerate(ends) if end > at)
    end = next(number for number, end in enumerate(ends, 1) if end >= at + len(wanted))
    before, after = "".join(clusters[max(0, begin - _AROUND) : begin]), "".join(clusters[end : end + _AROUND])
    lead, rest = "…" if begin > _AROUND else "", "…" if end + _AROUND < len(clusters) else ""
    return _spelled(part), f"{lead}{before}{_spelled(''.join(clusters[begin:end]))}{after}{rest}"


def spaces_spelled(text: str) -> str:
    """Return a text with code points for all white space but single spaces between words."""
    parts = re.split(r"(\s+)", text)
    last = len(parts) - 1
    return "".join(
        part if not at % 2 or (part == " " and parts[at - 1] and (at + 1 < last or parts[last])) else _code_points(part)
        for at, part in enumerate(parts)
    )


def revealed_name(name: str) -> str:
    """Return a name with code points where its normal form (NFC), which looks the same, is another."""
    return revealed(unicodedata.normalize("NFC", name), name)[1]


def look_alike(one: str, other: str) -> bool:
    """Return whether two texts look the same and are not, however much white space they hold."""
    return one != other and _skeleton(one).split() == _skeleton(other).split()


def _look_the_same(one: str, other: str) -> bool:
    return one != other and _skeleton(one) == _skeleton(other)


def _is_plain(text: str) -> bool:
    """Return whether each character of a text can be seen, and takes its place."""
    return text.isascii() and text.isprintable() and text.strip() == text and "  " not in text


def _clusters(text: str) -> list[str]:
    """Split a text into characters with the marks that are drawn upon them; syllables of Hangul stay whole."""
    clusters: list[str] = []
    for character in text:
        is_mark = unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff"
        if clusters and is_mark and character not in _IGNORABLE:
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _revealed_spans(sides: Sequence[Sequence[str]], one: tuple[int, int], other: tuple[int, int]) -> tuple[str, str]:
    """Return two spans that differ, as they are to be shown."""
    spans = [side[begin:end] for side, (begin, end) in zip(sides, (one, other), strict=True)]
    texts = ["".join(span) for span in spans]
    if _look_the_same(*texts):
        return _spelled(texts[0]), _spelled(texts[1])
    if all(not text.strip() for text in texts):
        is_seen = all(_stands_between_words(side, *span) for side, span in zip(sides, (one, other), strict=True))
        return (texts[0], texts[1]) if is_seen and " " in texts else (_spelled(texts[0]), _spelled(texts[1]))
    if len(spans[0]) == len(spans[1]):
        pairs = [
            (_spelled(a), _spelled(b)) if _look_the_same(a, b) else (_unseen_spelled(a), _unseen_spelled(b))
            for a, b in zip(*spans, strict=True)
        ]
        return "".join(a for a, _ in pairs), "".join(b for _, b in pairs)
    return _unseen_spelled(texts[0]), _unseen_spelled(texts[1])


def _stands_between_words(side: Sequence[str], begin: int, end: int) -> bool:
    """Return whether neither end of a span is at a space, or at the end of the text."""
    return begin > 0 and end < len(side) and bool(side[begin - 1].strip() and side[end].strip())


def _spelled(text: str) -> str:
    """Write all characters but visible ASCII ones as code points; a space only where it is alone or at an end."""
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
    """Return text that is the same for texts that look the same."""
    return "".join(_visible(unicodedata.normalize("NFKC", text).translate(_ALIKE)))


def _visible(text: str) -> Iterator[str]:
    for one in text:
        if one.isspace():
            yield " "
        elif not _is_unseen(one):
            yield one
